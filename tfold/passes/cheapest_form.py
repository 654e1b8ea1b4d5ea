"""A batch norm that stays, with scale and shift, becomes one operation where the runtime runs that faster than two.

    + ─▶ bn ─▶ sigmoid       MUL, ADD       ⇒       + ─▶ depthwise 1×1 ─▶ sigmoid       DEPTHWISE_CONV_2D

XNNPACK goes over the tensor once for a 1×1 depthwise convolution. What has a scale or a shift alone is one operation as
it is.
"""
from tfold.algebra.linear_map import diagonal
from tfold.passes import cost
from tfold.passes.free import is_free

RULE = "cheapest_form"


def cheapest_form(graph, report, options):
    """Mark every such batch norm."""
    consumers = graph.consumers()
    for node in graph:
        if node.op != "affine" or node.attrs["kind"] != "batch_norm" or "depthwise" in node.attrs:
            continue
        affine, shape = node.attrs["affine"], node.shape
        if node.shared or not affine.is_finite or affine.scale.size == 1 or "stays" in node.attrs:
            continue
        if shape is None or len(shape) != 4 or None in shape[1:]:
            continue
        staying = cost.of_affine(affine, cost.elements(shape), options.cost)
        if is_free(graph, consumers, node):
            continue
        if cost.of_map(diagonal(affine, 2), shape[1:-1], options.cost) < staying:
            node.attrs["depthwise"], node.intact = True, False
            report.did(RULE, [node.label], "scale and shift as one depthwise convolution")
