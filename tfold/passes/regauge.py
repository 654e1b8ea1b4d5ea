"""Stores tensors in another form, s·(t + e), and rewrites the layers that make and read them.

    conv ─▶ t ─▶ relu ─▶ conv        ⇒        conv' ─▶ s·t ─▶ relu ─▶ s·relu(t) ─▶ conv'

What the tensors were is kept in `graph.stored`, so that they can still be compared with the original network's.
"""
import numpy as np

from tfold.algebra.affine import Affine
from tfold.algebra.compose import compose
from tfold.algebra.linear_map import diagonal


def forms(gauge, log_scale, sign, shift):
    """In which form each tensor is stored, by values for the unknowns of a `Gauge`: `Ref` → `Affine`, where another."""
    found = {}
    for ref, unknowns in gauge.log_scale_of.items():
        scale = np.where(sign[unknowns], -1.0, 1.0) * np.exp(log_scale[unknowns])
        moved = shift[gauge.shift_of[ref]]
        if (scale != 1).any() or moved.any():
            found[ref] = Affine(scale, scale * moved)
    return found


def regauge(graph, forms, gone):
    """Rewrite the graph.

    Args:
        graph: a `Graph`.
        forms: `Ref` → `Affine`: in which form its tensors are to be stored, where another than now.
        gone: affine nodes that, in these forms, compute nothing.

    """
    for node in graph:
        if node.op == "pad" and node.ref in forms:
            _pad_in_form(node, forms[node.ref])
        if node.op not in ("linear", "affine"):
            continue
        before, after = forms.get(node.inputs[0]), forms.get(node.ref)
        before = before and before.inverse()
        if before is None and after is None or node in gone:
            continue
        if node.op == "linear":
            node.attrs["map"] = _mapped(node.map, before, after, graph.size(node.inputs[0], node.map.rank))
        else:
            node.attrs["affine"] = _chain(before, node.attrs["affine"], after)
            if before is not None and "statistics" in node.attrs:
                mean, deviation = node.attrs["statistics"]
                form = forms[node.inputs[0]]
                node.attrs["statistics"] = form(mean), np.abs(form.scale) * deviation
        node.intact = False
    graph.substitute({node.ref: node.inputs[0] for node in gone})
    for node in gone:
        graph.remove(node)
    graph.store({ref.node: form for ref, form in forms.items() if ref.node in graph.nodes})


def _mapped(linear, before, after, size):
    if before is not None:
        if before.shift.any() and linear.is_padded:
            linear = compose(diagonal(before, linear.rank), linear, size)  # with a border map
        else:
            linear = linear.fed_by(before)
    return linear if after is None else linear.scaled(after)


def _pad_in_form(node, form):
    """Padding with zeros pads with what they are stored as."""
    if form.shift.any():
        values = form.shift
        node.attrs["value"] = float(values[0]) if (values == values[0]).all() else values
        node.intact = False


def _chain(*affines):
    first, *others = [affine for affine in affines if affine is not None]
    for affine in others:
        first = first.then(affine)
    return first
