"""Linear regions become fewer layers, exactly, where that does not cost more.

    x ─▶ 1×1 ─▶ dw 3×3 ─▶ 1×1 ─▶ y              ⇒  x ─▶ 3×3 ─▶ y
    x ─┬─▶ conv … conv ─▶ + ─▶ y                ⇒  x ─▶ conv ─▶ y       skip: the identity is a 1×1 kernel
       └───────────────────┘
    x ─┬─▶ conv a ─▶ + ─▶ y                     ⇒  x ─▶ conv ─▶ y
       └─▶ conv b ───┘

`regions` finds what could be one map, `symbolic` carries the map through it, `plan` decides where to cut. Here the
graph is rewritten: the last node of a run becomes the one layer, so that it makes the same tensor under the same name.
"""
from dataclasses import replace

from tfold.algebra.affine import Affine
from tfold.passes.gather import gather_terms
from tfold.passes.plan import Planner, holds_linear_layer, holds_map
from tfold.passes.regions import items_of
from tfold.passes.symbolic import NUMBERS, carry, follow
from tfold.passes.unmerged import unmerged

RULE = "merge_linear"


def merge_linear(graph, report, options):
    """Merge what pays; report what stays, and why."""
    consumers = graph.consumers()
    planner = Planner(graph, consumers, options.cost, options.border == "approximate")
    if gather_terms(graph, planner):
        consumers = graph.consumers()
        planner = Planner(graph, consumers, options.cost, options.border == "approximate")
    plan = planner.level(items_of(graph, consumers))
    for run in plan.layers:
        _merge(graph, run, report, options)
    for nodes, refusal in plan.kept:
        report.refused(RULE, nodes, refusal.reason, refusal.detail)
    for nodes, refusal in unmerged(graph, {nodes for nodes, _ in plan.kept}):
        report.refused(RULE, nodes, refusal.reason, refusal.detail)


def _merge(graph, run, report, options):
    """The items of a run as one layer."""
    approximate = options.border == "approximate"
    source = run[0].source
    carried = carry(graph, run[0], NUMBERS, approximate)
    for item in run[1:]:
        carried = follow(graph, source, carried, carry(graph, item, NUMBERS, approximate), NUMBERS, approximate)
    linear = carried.map.trimmed(graph.size(source, carried.map.rank))
    nodes = [node for item in run for node in item.nodes()]
    last = nodes[-1]
    detail = "merged into one " + (_describe(linear) if holds_linear_layer(run) else "scale and shift")
    if carried.ring:
        detail += f", approximate at the border: {_ring(carried.ring)}"
    report.did(RULE, [node.label for node in nodes], detail)
    _take_over(last, nodes)
    last.inputs = (source,)
    if not holds_map(run):
        kind = "batch_norm" if any(node.attrs.get("kind") == "batch_norm" for node in nodes) else "arithmetic"
        affine = Affine(linear.kernel.reshape(-1), linear.bias_or_zeros())
        known = {"statistics": nodes[0].attrs["statistics"]} if "statistics" in nodes[0].attrs else {}
        last.op, last.attrs = "affine", {"affine": affine, "kind": kind} | known
    else:
        last.op, last.attrs = "linear", {"map": linear}
    if carried.ring:
        last.attrs["ring"] = carried.ring
    for node in nodes[:-1]:
        graph.remove(node)


def _take_over(node, parts):
    """Name and origin of a node that now computes what all `parts` computed."""
    named = [part for part in parts if part.op == "linear"] or [part for part in parts if part.op == "affine"]
    node.label = "+".join(part.label for part in named) or node.label
    node.covers = sum((part.covers for part in parts), ())
    # It gives the merged layer its regularizers and the like; a transposed convolution its padding too.
    named = [part for part in named if part.op == "linear" and part.map.transposed] or named
    node.layer = named[-1].layer if named else node.layer
    node.intact = node.shared = False


def _describe(linear):
    window = "×".join(str(k) for k in linear.window)
    kind = (
        "dense layer" if linear.rank == 0
        else f"{window} transposed convolution" if linear.transposed
        else f"{window} depthwise convolution" if linear.is_depthwise else f"{window} convolution")
    return f"{kind} {linear.inputs} → {linear.outputs}" + (", with a border map" if linear.has_bias_map else "")


def _ring(ring):
    widths = {side for pair in ring for side in pair}
    text = str(widths.pop()) if len(widths) == 1 else " × ".join(f"({before}, {after})" for before, after in ring)
    return f"{text} pixel{'s' * (text != '1')}"


def drop_zero_biases(graph, report, options):
    """A bias of zeros that arithmetic left behind goes."""
    for node in graph:
        if node.op == "linear" and not node.intact and node.map.bias is not None and not node.map.bias.any():
            node.attrs["map"] = replace(node.map, bias=None)
