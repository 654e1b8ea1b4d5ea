"""The largest possible set of batch norms goes, exactly; each that stays becomes as cheap as it can be.

    x ─▶ bn ─▶ relu ─▶ conv          x ─▶ relu ─▶ conv'        x is stored as s·(x + e): whoever makes it absorbs that,
    x ─▶ + …                    ⇒    x ─▶ + …                  and whoever reads it

Which tensors can be stored how is the business of `gauge`, which batch norms go together that of `largest_set`. Other
arithmetic with a constant per channel is treated alike.

Source: Yvinec, Dapogny, Bailly (arXiv 2203.14646), section 3.
"""
from dataclasses import replace

import numpy as np

from tfold import reasons
from tfold.passes import explain
from tfold.passes.absorb import RULE
from tfold.passes.choose import choose
from tfold.passes.figures import batch_norms
from tfold.passes.regauge import regauge


def fold_batch_norm(graph, report, options):
    """Fold all that can go together; say why for each that stays."""
    total = report.before.batch_norms if report.before else batch_norms(graph)
    choice = choose(graph, options.cost) if any(node.op == "affine" for node in graph) else None
    if report.largest_fold is None:
        report.largest_fold = explain.largest_fold(graph, total, choice)
    if choice is not None:
        _carry_out(graph, choice, report)
    for node in graph:
        if node.op == "opaque" and (node.attrs["batch_norms"] or "reason" in node.attrs):
            rule = "fold_batch_norm" if node.attrs["batch_norms"] else "fold_arithmetic"
            report.refused(rule, [node.label], node.attrs.get("reason", reasons.UNKNOWN_LAYER), node.attrs["why"])


def _carry_out(graph, choice, report):
    """Rewrite the graph, and say what was done."""
    consumers = graph.consumers()
    gone, told = [node for node in graph if node.name in choice.gone], {}
    for node in gone:
        homes = _absorbers(graph, consumers, node, choice)
        told.setdefault((RULE[node.attrs["kind"]], node.label, _told(graph, node, homes, choice)))
        if homes:
            homes[0].covers += node.covers
    for rule, label, what in told:  # once for all calls of a layer
        report.did(rule, [label], what)
    for node in graph:
        if node.op == "affine" and node.name not in choice.gone:
            original = graph.stored.get(node.name, (node.name,))[0]
            refusal, report.explained[original] = explain.refusal(
                graph, node, choice, report.explained.get(original))
            report.refused(RULE[node.attrs["kind"]], [node.label], refusal.reason, refusal.detail)
    unscaled, unshifted = ([graph[name] for name in names] for names in (choice.unscaled, choice.unshifted))
    regauge(graph, choice.forms, gone)
    # Up to rounding they are that already.
    for node in unscaled:
        node.attrs["affine"] = replace(node.attrs["affine"], scale=np.ones_like(node.attrs["affine"].scale))
    for node in unshifted:
        node.attrs["affine"] = replace(node.attrs["affine"], shift=np.zeros_like(node.attrs["affine"].shift))


def _told(graph, norm, homes, choice):
    if not homes:
        return "it does nothing"
    maps = choice.maps.get(norm.name, ())
    names = [each.label + (" (with a border map)" if each.name in maps else "") for each in homes]
    names += [f"{graph[name].label} (with a number for each channel)" for name in sorted(maps)
              if graph[name].op == "pad"]
    return "folded into " + ", ".join(names)


def _absorbers(graph, consumers, norm, choice):
    """The layers that take in the numbers of a node that goes: the nearest behind it, and the nearest before it."""
    found = {}
    for start, is_forward in ((norm.ref, True), (norm.inputs[0], False)):
        todo, seen = [start], set()
        while todo:
            ref = todo.pop()
            if ref in seen or ref not in choice.forms:
                continue
            seen.add(ref)
            for node in consumers[ref] if is_forward else [graph[ref]]:
                if node is None or node.name in choice.gone:
                    continue
                if node.op in ("linear", "affine"):
                    found[node.name] = node
                else:
                    todo += [node.ref] if is_forward else node.inputs
    order = {node.name: place for place, node in enumerate(graph)}
    return sorted(found.values(), key=lambda node: order[node.name])
