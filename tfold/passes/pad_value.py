"""Preprocessing in front of a zero-padded convolution goes into it, with the number that becomes zero as padding.

    x ─▶ s·x + t ─▶ conv, zeros around          ⇒   x ─▶ pad with −t/s ─▶ conv', no padding

Exact, and possible where the input size is open, because the padding is what the convolution saw before. It takes one
number for all channels; otherwise, or where that is cheaper, `merge_linear` repairs the border with a map.
"""
from dataclasses import replace

from tfold.algebra.border import through
from tfold.algebra.linear_map import diagonal
from tfold.graph.ir import Node
from tfold.passes import cost

RULE = "pad_value"


def pad_value(graph, report, options):
    """Move every such arithmetic that pays."""
    consumers = graph.consumers()
    for node in graph:
        if node.op != "affine" or len(consumers[node.ref]) != 1:
            continue
        conv = consumers[node.ref][0]
        value = _number_that_becomes_zero(node.attrs["affine"])
        if value is None or conv is None or not _takes(conv, node) or not _pays(graph, node, conv, options.cost):
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
    padding = cost.of_elements(cost.elements(_padded(shape, conv.map.padding)), policy, "pad")
    staying = cost.of_affine(cost.elements(shape), policy)
    if None in shape[1:-1]:
        return padding <= staying
    first = diagonal(node.attrs["affine"], conv.map.rank)
    border = through(first, conv.map, shape[1:-1])
    mapped = cost.of_elements(cost.elements(conv.shape), policy) if border.ndim > 1 else 0
    return padding <= min(staying, mapped)


def _padded(shape, padding):
    size = (None if n is None else n + sum(pair) for n, pair in zip(shape[1:-1], padding, strict=True))
    return (shape[0], *size, shape[-1])


def _move(graph, node, conv, value):
    map = conv.map
    pad = Node(
        graph.unique(f"{conv.name}_pad"), "pad", node.inputs, {"padding": map.padding, "value": value},
        (_padded(graph.shape(node.inputs[0]), map.padding),), intact=False, dtype=conv.dtype)
    graph.insert_before(conv, pad)
    conv.attrs["map"] = replace(map, padding=((0, 0),) * map.rank).fed_by(node.attrs["affine"])
    conv.inputs = (pad.ref,)
    conv.covers = node.covers + conv.covers
    conv.intact = False
    graph.remove(node)
