"""Which batch norms cost nothing where they stay: TFLite's converter folds them into the layer in front of them.

    own conv ─▶ bn        CONV_2D                   own conv ─▶ depthwise 1×1        CONV_2D, DEPTHWISE_CONV_2D

It folds a multiplication and an addition with constants into a convolution or dense layer that nothing else reads.
tfold does the same, but where it does not read the layer in front, or where that is called more than once. Such a batch
norm stays what it is, and nothing is added in order to be rid of it.
"""


def is_free(graph, consumers, node):
    """Whether an affine node, as it is, is no operation of its own in a .tflite file, or may be none.

    Args:
        graph: a `Graph`.
        consumers: `graph.consumers()`.
        node: an affine node.
    """
    while node.op == "affine":
        if len(consumers[node.inputs[0]]) > 1:
            return False
        node = graph[node.inputs[0]]
    return node.op == "linear" or (node.op == "opaque" and node.attrs.get("ends_linear", False))
