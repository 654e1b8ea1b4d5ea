"""A border map that stands behind its layer, back into the layer's bias, where scales reach it.

    conv ─▶ x + map      ⇒      conv'            whose bias is a map

In Keras a bias map is a layer of its own (`graph.build_linear` writes it so), which nobody else looks into.
"""
from dataclasses import replace


def absorb_border_map(graph):
    """Join every border map with the linear layer whose only reader it is."""
    consumers = graph.consumers()
    for node in graph:
        if node.op != "opaque" or "adds" not in node.attrs:
            continue
        producer = graph[node.inputs[0]]
        if producer.op != "linear" or producer.shared or node.shared or producer.dtype != node.dtype \
                or len(consumers[producer.ref]) > 1:
            continue
        linear = producer.map
        node.attrs = {**producer.attrs, "map": replace(linear, bias=linear.bias_or_zeros() + node.attrs["adds"])}
        node.op, node.inputs, node.label, node.layer = "linear", producer.inputs, producer.label, producer.layer
        node.covers, node.intact = producer.covers + node.covers, False
        graph.remove(producer)
