"""The largest possible set of batch norms goes, exactly; each that stays becomes as cheap as it can be.

    x ─▶ bn ─▶ relu ─▶ conv          x ─▶ relu ─▶ conv'        x is stored as s·(x + e): whoever makes it absorbs that,
    x ─▶ + …                    ⇒    x ─▶ + …                  and whoever reads it

Which tensors can be stored how is the business of `gauge`, which batch norms go together that of `largest_set`. Other
arithmetic with a constant per channel is treated alike.

Source: Yvinec, Dapogny, Bailly (arXiv 2203.14646), section 3.
"""
from dataclasses import dataclass, replace

import numpy as np

from tfold import reasons
from tfold.algebra.equations import PARITY, REAL, Mixed, System
from tfold.passes import cost, explain
from tfold.passes.absorb import RULE, absorb
from tfold.passes.figures import batch_norms
from tfold.passes.gauge import Gauge
from tfold.passes.largest_set import largest_set
from tfold.passes.regauge import forms, regauge
from tfold.passes.sizes import likely_shapes
from tfold.passes.unknowns import Vectors


def fold_batch_norm(graph, report, options):
    """Fold all that can go together; say why for each that stays."""
    total = batch_norms(graph)
    absorb(graph, report)
    choice = choose(graph) if any(node.op == "affine" for node in graph) else None
    if report.largest_fold is None:
        report.largest_fold = explain.largest_fold(graph, total, choice)
    if choice is not None:
        _carry_out(graph, choice, report)
    for node in graph:
        if node.op == "opaque" and node.attrs["batch_norms"]:
            report.refused("fold_batch_norm", [node.label], reasons.UNKNOWN_LAYER, node.attrs["why"])


@dataclass
class Choice:
    """What becomes of the affine nodes of a graph.

    Args:
        found: the `LargestSet`, of keys; `nodes_of` says which nodes a key stands for (calls of one layer).
        gone, unscaled, unshifted: names of nodes that go, and of those that lose their scale or their shift alone.
        forms: `regauge.Forms` of the tensors.
    """

    gauge: Gauge
    found: object
    nodes_of: dict
    gone: set
    unscaled: set
    unshifted: set
    forms: object


def choose(graph):
    """The `Choice` for a graph, which is not changed."""
    gauge, apart = Gauge(graph), {kind: [] for kind in ("scale", "sign", "shift")}
    while True:
        problem = Problem(gauge, apart)
        try:
            return _choice(graph, gauge, problem)
        except Mixed as mixed:
            problem.tell_apart(mixed, apart)


class Problem:
    """The equations of a gauge: what holds anyway as `systems`, and those of each affine node."""

    def __init__(self, gauge, apart):
        positive = gauge.scale.fixed + gauge.positive
        spaces = {"scale": (gauge.scale, gauge.scale.fixed, REAL), "sign": (gauge.scale, positive, PARITY),
                  "shift": (gauge.shift, gauge.shift.fixed, REAL)}
        self.vectors, self.systems, self.equations = {}, {}, {name: {} for name in gauge.movable}
        for place, (kind, (unknowns, fixed, field)) in enumerate(spaces.items()):
            vectors = self.vectors[kind] = Vectors(kind, unknowns, fixed, field, apart[kind])
            relations = [*unknowns.relations, *(each[place] for each in gauge.movable.values())]
            found = vectors.equations(relations)
            system = self.systems[kind] = System(field)
            for equations in found[: len(unknowns.relations)]:
                for equation in equations:
                    system.add(equation)
            for name, equations in zip(gauge.movable, found[len(unknowns.relations) :], strict=True):
                self.equations[name][kind] = equations

    def tell_apart(self, mixed, apart):
        """Note which channels need vectors of their own."""
        kind, number = mixed.unknown
        apart[kind].append(self.vectors[kind].members[number][mixed.is_zero])

    def items(self, names_of, kinds=("scale", "sign", "shift")):
        """Items for `largest_set`: key → the equations of its nodes."""
        return {key: {kind: [e for name in names for e in self.equations[name][kind]] for kind in kinds}
                for key, names in names_of.items()}


def _choice(graph, gauge, problem):
    nodes_of, sizes = {}, likely_shapes(graph)
    for name in gauge.movable:
        node = graph[name]
        nodes_of.setdefault(id(node.layer) if node.shared else name, []).append(name)
    ops = {name: cost.operations_of(graph[name].attrs["affine"]) for name in gauge.movable}
    elements = {name: cost.elements(sizes[graph[name].ref]) for name in gauge.movable}

    def weight(names):
        # The most batch norms, of these the most operations, of these the most bytes.
        return (int(graph[names[0]].attrs["kind"] == "batch_norm"), sum(ops[name] for name in names),
                sum(ops[name] * elements[name] for name in names))

    found = largest_set(problem.items(nodes_of), problem.systems, {
        key: weight(names) for key, names in nodes_of.items()})
    gone = {name for key in found.chosen for name in nodes_of[key]}
    systems, halves = found.systems, {}
    for kinds in (("scale", "sign"), ("shift",)):
        staying = {name: [name] for name in gauge.movable if name not in gone}
        half = largest_set(problem.items(staying, kinds), systems, {name: (elements[name],) for name in staying})
        systems = half.systems
        halves[kinds[0]] = set(half.chosen)
    values = [problem.vectors[kind].values(systems[kind].solution()) for kind in problem.vectors]
    gone |= halves["scale"] & halves["shift"]  # of a layer that is called twice, one call
    return Choice(
        gauge, found, nodes_of, gone, halves["scale"] - gone, halves["shift"] - gone, forms(gauge, *values))


def _carry_out(graph, choice, report):
    """Rewrite the graph, and say what was done."""
    consumers = graph.consumers()
    gone = [graph[name] for name in choice.gone]
    for node in gone:
        homes = _absorbers(graph, consumers, node, choice)
        report.did(RULE[node.attrs["kind"]], [node.label, *(each.label for each in homes)], "folded into " + (
            " and ".join(each.label for each in homes) or "nothing: it does nothing"))
        if homes:
            homes[0].covers += node.covers
    for node in graph:
        if node.op == "affine" and node.name not in choice.gone:
            refusal = explain.refusal(graph, node, choice)
            report.refused(RULE[node.attrs["kind"]], [node.label], refusal.reason, refusal.detail)
    unscaled, unshifted = ([graph[name] for name in names] for names in (choice.unscaled, choice.unshifted))
    regauge(graph, choice.forms, gone)
    # Up to rounding they are that already.
    for node in unscaled:
        node.attrs["affine"] = replace(node.attrs["affine"], scale=np.ones_like(node.attrs["affine"].scale))
    for node in unshifted:
        node.attrs["affine"] = replace(node.attrs["affine"], shift=np.zeros_like(node.attrs["affine"].shift))


def _absorbers(graph, consumers, norm, choice):
    """The layers that take in the numbers of a node that goes: the nearest behind it, and the nearest before it."""
    found = {}
    for start, is_forward in ((norm.ref, True), (norm.inputs[0], False)):
        todo, seen = [start], set()
        while todo:
            ref = todo.pop()
            if ref in seen or ref not in choice.forms.of:
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
