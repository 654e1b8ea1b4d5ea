"""One spelling for one thing, before the passes that look for patterns.

    alpha (α > τ) ─▶ nothing          alpha (else) ─▶ its activation        identity (dropout) ─▶ nothing
    pad ─▶ conv   ⇒  conv with that padding            read by nothing ─▶ nothing
    x + s·y       ⇒  s·y, and a sum
"""
from dataclasses import replace

import numpy as np

from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import same_padding
from tfold.graph.ir import Node
from tfold.passes.figures import is_linear_layer
from tfold.reasons import PADDING_STAYS

RULE = "canonicalize"


def drop_unread(graph, report, options):
    """What no output depends on goes: a nested model may have outputs that the outer one does not use."""
    read = {ref.node for ref in graph.outputs} | set(graph.inputs)
    for node in reversed(list(graph)):
        if node.name in read:
            read |= {ref.node for ref in node.inputs}
        else:
            graph.remove(node)


def settle_alphas(graph, report, options):
    """Every α-activation becomes linear (α > threshold) or the activation it was made from."""
    calls = {}
    for node in graph:
        if node.op == "alpha":
            node.intact = False
            node.op = "identity" if node.attrs["alpha"] > options.threshold else "activation"
            if node.op == "identity":
                calls.setdefault(id(node.layer), []).append(node)
    for nodes in calls.values():
        times = f" (at {len(nodes)} places)" if len(nodes) > 1 else ""
        report.did("settle_alpha", [nodes[0].label], f"activation removed, α = {nodes[0].attrs['alpha']:.3f}{times}")


def drop_identities(graph, report, options):
    """What does nothing at inference goes."""
    replaced = {}
    for node in graph:
        if node.op == "identity":
            replaced[node.ref] = node.inputs[0]
            graph.remove(node)
    graph.substitute(replaced)


def split_weights(graph, report, options):
    """x + s·y as s·y, and a sum: the factor may find a place in the layers before. It is two operations in any case."""
    for node in graph:
        weights = node.attrs.get("weights", ())
        if node.op != "add" or len(weights) != 2 or weights[0] != 1 or abs(weights[1]) == 1 or node.shape is None or (
                node.shape[-1] is None):
            continue
        ones = np.ones(node.shape[-1])
        factor = Node(
            graph.unique(f"{node.name}/scale"), "affine", node.inputs[1:],
            {"affine": Affine(weights[1] * ones, 0 * ones), "kind": "arithmetic"}, node.shapes, intact=False,
            label=f"{node.label}_scale", dtype=node.dtype)
        graph.insert_before(node, factor)
        node.inputs, node.intact = (node.inputs[0], factor.ref), False
        del node.attrs["weights"]


def absorb_padding(graph, report, options):
    """A zero padding layer in front of a convolution becomes the convolution's padding."""
    consumers = graph.consumers()
    for pad in graph:
        if pad.op != "pad" or np.any(pad.attrs["value"]):
            continue
        readers = consumers[pad.ref]
        rank = len(pad.attrs["padding"])
        if not all(
            reader is not None and reader.op == "linear" and not reader.shared and not reader.map.transposed
            and reader.map.rank == rank and reader.map.padding is not None and is_linear_layer(reader)
            for reader in readers
        ):
            continue
        for conv in readers:
            padding = tuple(
                (a + c, b + d) for (a, b), (c, d) in zip(pad.attrs["padding"], conv.map.padding, strict=True)
            )
            size = graph.size(pad.inputs[0], rank)
            conv.attrs["map"] = replace(conv.map, padding=padding).trimmed(size)
            conv.intact = False
            conv.inputs = pad.inputs
            conv.covers = pad.covers + conv.covers
            report.did(RULE, [pad.label, conv.label], "padding moved into the convolution")
        graph.remove(pad)


def explain_padding(graph, report, options):
    """Say of each convolution whose padding stays a layer of its own why: "same" would put other zeros."""
    for node in graph:
        if node.op != "linear" or node.intact or not node.map.rank or not node.map.padding or not node.map.is_padded:
            continue
        size = graph.size(node.inputs[0], node.map.rank)
        same = same_padding(size, node.map.extent, node.map.strides)
        if node.map.padding != same:
            wanted = "nothing known" if same is None else _sides(same)
            report.refused(RULE, [node.label], PADDING_STAYS, (
                f'it needs {_sides(node.map.padding)} zeros; at {_size(size)} with stride {max(node.map.strides)}, '
                f'"same" puts {wanted}'))


def _sides(padding):
    return "×".join(str(pair) for pair in padding)


def _size(size):
    return "×".join("?" if n is None else str(n) for n in size)
