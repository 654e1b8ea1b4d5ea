"""Which batch norms cost nothing where they stay: TFLite's converter folds them into the layer in front of them.

    own conv ─▶ bn        CONV_2D                   own conv ─▶ depthwise 1×1        CONV_2D, DEPTHWISE_CONV_2D

It folds a multiplication and an addition with constants into a convolution or dense layer that nothing else reads.
tfold does the same, but where it does not read the layer in front, or where that is called more than once. Such a batch
norm stays what it is, and nothing is added in order to be rid of it.
"""
from tfold.graph.family import family_of, is_operation

PRODUCTS = "conv", "matmul", "einsum", "dot"  # in the names of operations


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
    return node.op == "linear" or (node.op == "opaque" and _may_end_in_a_linear_layer(node))


def _may_end_in_a_linear_layer(node):
    """What comes with Keras and has no matrix of weights does not; of layers of the user's own nobody knows."""
    if is_operation(node.layer):
        name = f"{type(node.layer).__name__} {getattr(node.layer, 'name', '')}".lower()
        return any(product in name for product in PRODUCTS)
    return node.attrs["is_linear"] or not family_of(node.layer).made(node.layer)
