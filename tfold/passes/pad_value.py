"""Preprocessing in front of a zero-padded convolution goes into it, with the number that becomes zero as padding.

    x ─▶ s·x + t ─▶ conv, zeros around          ⇒   x ─▶ pad with −t/s ─▶ conv', no padding

Exact, and possible where the input size is open, because the padding is what the convolution saw before. It takes one
number for all channels; otherwise, or where that is cheaper, `merge_linear` repairs the border with a map.
"""
from dataclasses import replace

from tfold.algebra.linear_map import same_padding
from tfold.graph import shapes
from tfold.graph.ir import Node
from tfold.passes import cost
from tfold.passes.free import is_free

RULE = "pad_value"


def pad_value(graph, report, options):
    """Move every such arithmetic that pays."""
    consumers = graph.consumers()
    for node in graph:
        if node.op != "affine" or len(consumers[node.ref]) != 1:
            continue
        conv = consumers[node.ref][0]
        value = _number_that_becomes_zero(node.attrs["affine"])
        if value is None or conv is None or "stays" in node.attrs or not _takes(conv, node):
            continue
        if is_free(graph, consumers, node) or not _pays(graph, node, conv, options.cost):
            continue
        _move(graph, node, conv, value)
        report.did(RULE, [node.label, conv.label], f"folded into {conv.label}, whose padding is now {value:g}")
        consumers = graph.consumers()


def _number_that_becomes_zero(affine):
    if not affine.is_finite or not affine.scale.all() or not affine.shift.any():
        return None
    values = -affine.shift / affine.scale
    return float(values[0]) if (values == values[0]).all() else None


def _takes(conv, node):
    return (
        conv.op == "linear" and not conv.shared and conv.dtype == node.dtype and conv.map.padding is not None
        and not conv.map.transposed and conv.map.is_padded
    )


def _pays(graph, node, conv, policy):
    shape = graph.shape(node.inputs[0])
    if shape is None:
        return False
    padded = cost.elements(shapes.infer("pad", {"padding": conv.map.padding}, [shape]))
    padding = cost.of_elements(padded, policy, "pad_value")
    size = shape[1:-1]
    if None not in size and conv.map.padding != same_padding(size, conv.map.extent, conv.map.strides):
        padding -= cost.of_elements(padded, policy, "pad")  # a layer pads in any case
    staying = cost.of_affine(node.attrs["affine"], cost.elements(shape), policy)
    if None in shape[1:-1]:
        return padding <= staying
    border_map = cost.of_elements(cost.elements(conv.shape), policy)
    return padding <= min(staying, border_map)


def _move(graph, node, conv, value):
    map, attrs = conv.map, {"padding": conv.map.padding, "value": value}
    shape = shapes.infer("pad", attrs, [graph.shape(node.inputs[0])])
    pad = Node(
        graph.unique(f"{conv.name}_pad"), "pad", node.inputs, attrs, (shape,), intact=False, dtype=conv.dtype)
    graph.insert_before(conv, pad)
    conv.attrs["map"] = replace(map, padding=((0, 0),) * map.rank).fed_by(node.attrs["affine"])
    conv.inputs = (pad.ref,)
    conv.covers = node.covers + conv.covers
    conv.intact = False
    graph.remove(node)
