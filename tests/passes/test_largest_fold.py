"""On graphs small enough to try every subset of batch norms, the set found is as large as the best subset.

The subsets are judged by an oracle of its own: one linear system per graph, a row for each scalar demand, solved by
least squares (scales and shifts) and elimination mod 2 (signs). It shares no code with `passes.gauge`.
"""
from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfold import passes, reasons
from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import LinearMap
from tfold.graph import shapes
from tfold.graph.ir import Graph, Node, Ref
from tfold.graph.run import run
from tfold.passes.figures import batch_norms, figures
from tfold.passes.report import Report

SETTINGS = {"max_examples": 250, "suppress_health_check": [HealthCheck.too_slow]}
RELU = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
MOST = 7  # batch norms: 128 subsets


class Builder:
    """Grows a graph without Keras; spatial sizes are open, so that no border map is possible."""

    def __init__(self, draw, zeros):
        self.draw = draw
        self.zeros = zeros and draw(st.booleans())  # some channels are multiplied by 0
        self.rng = np.random.default_rng(draw(st.integers(0, 10_000)))
        self.few = draw(st.booleans())  # parameters of few values: equations that agree by chance
        self.signs = draw(st.sampled_from(["positive", "any"]))
        self.graph = Graph("random")
        self.tensors = []
        for i in range(draw(st.integers(1, 2))):
            name = f"x{i}"
            self.graph.add(Node(name, "input", (), {"dtype": "float32"}, ((None, None, None, 2),)))
            self.graph.inputs.append(name)
            self.tensors.append(Ref(name))

    def choose(self, *options):
        return self.draw(st.sampled_from(options))

    def channels(self, ref):
        return self.graph.shape(ref)[-1]

    def add(self, op, *inputs, **attrs):
        shape = shapes.infer(op, attrs, [self.graph.shape(ref) for ref in inputs])
        node = Node(f"{op}_{len(self.graph)}", op, inputs, attrs, (shape,), intact=False)
        self.graph.add(node)
        self.tensors.append(node.ref)
        return node.ref

    def step(self):
        x = self.tensors[-1] if self.choose(True, True, False) else self.choose(*self.tensors)
        kinds = ["conv", "conv", "plus", "concat", "relu", "pool", "times", "part", "clipped", "sigmoid"]
        if sum(node.op == "affine" for node in self.graph) < MOST:
            kinds += ["norm"] * 6
        getattr(self, self.choose(*kinds))(x)

    def conv(self, x, channels=None):
        window, pad = self.choose((1, 0), (1, 0), (3, 1))
        kernel = self.rng.normal(size=(window, window, self.channels(x), channels or self.choose(2, 3)))
        return self.add("linear", x, map=LinearMap(kernel, None, (1, 1), (1, 1), ((pad, pad), (pad, pad))))

    def norm(self, x):
        n = self.channels(x)
        scale = self.rng.choice([0.5, 1.0, 2.0], n) if self.few else self.rng.uniform(0.5, 2, n)
        shift = self.rng.choice([0.0, 1.0], n) if self.few else self.rng.normal(size=n)
        if self.signs == "any":
            scale = scale * self.rng.choice([-1, 1], n)
        if self.zeros:
            scale = scale * (self.rng.random(n) < 0.7)
        y = self.add("affine", x, affine=Affine(scale, shift), kind="batch_norm")
        if self.choose(True, True, False):
            self.relu(y)

    def relu(self, x):
        self.add("activation", x, fn="relu", params=RELU)

    def clipped(self, x):
        self.add("activation", x, fn="relu", params={**RELU, "max_value": 6.0})

    def sigmoid(self, x):
        self.add("activation", x, fn="sigmoid", params={})

    def pool(self, x):
        kind, window = self.choose("max", "average"), self.choose(1, 2)
        pad = ((0, window - 1),) * 2
        self.add("pool", x, kind=kind, window=(window,) * 2, strides=(1, 1), padding=pad, keepdims=False)

    def plus(self, x):
        self.add("add", x, self._like(x))

    def times(self, x):
        self.add("multiply", x, self._like(x))

    def concat(self, x):
        if self.channels(x) < 8:
            self.add("concat", *self.choose((x, self._like(x)), (self._like(x), x)), axis=3)

    def part(self, x):
        if self.channels(x) > 1:
            start = self.choose(0, 1)
            self.add("slice", x, start=start, stop=self.channels(x) if start else 1)

    def _like(self, x):
        """A tensor of the same shape: an old one, or a convolution of it."""
        other = self.choose(*(ref for ref in self.tensors if self.graph.shape(ref) == self.graph.shape(x)))
        return other if self.choose(True, False) else self.conv(other, self.channels(x))


@st.composite
def networks(draw, zeros=False):
    builder = Builder(draw, zeros)
    for _ in range(draw(st.integers(4, 14))):
        builder.step()
    graph = builder.graph
    read = {ref for node in graph for ref in node.inputs}
    graph.outputs = [ref for ref in builder.tensors if ref not in read]
    graph.output_names = [ref.node for ref in graph.outputs]
    return graph


class Oracle:
    """Whether a set of batch norms can go: the demands of a network, row by row."""

    def __init__(self, graph):
        self.graph, self.place, count = graph, {}, 0
        for node in graph:
            self.place[node.ref] = range(count, count + node.shape[-1])
            count += node.shape[-1]
        self.count = count

    def can_go(self, names):
        self.scales, self.signs, self.shifts = [], [], []
        for node in self.graph:
            self._demand(node, node.name in names)
        for ref in self.graph.outputs:
            self._hold(ref)
        return _consistent(self.scales, self.count) and _consistent(self.shifts, self.count) and (
            _consistent_mod_2(self.signs, self.count))

    def _hold(self, ref):
        for i in self.place[ref]:
            self.scales.append(({i: 1}, 0))
            self.signs.append(({i}, 0))
            self.shifts.append(({i: 1}, 0))

    def _same(self, i, j):
        self.scales.append(({i: 1, j: -1}, 0))
        self.signs.append(({i, j}, 0))

    def _demand(self, node, goes):
        y, xs = self.place[node.ref], [self.place[ref] for ref in node.inputs]
        if node.op == "input" or (node.op == "activation" and (
                node.attrs["fn"] != "relu" or node.attrs["params"]["max_value"])):
            for ref in (node.ref, *node.inputs):
                self._hold(ref)
        elif node.op == "linear" and node.map.is_padded:
            self.shifts += [({i: 1}, 0) for i in xs[0]]
        elif node.op == "affine" and goes:
            affine = node.attrs["affine"]
            for i, j, scale, shift in zip(xs[0], y, affine.scale, affine.shift, strict=True):
                self.scales.append(({i: 1, j: -1}, np.log(abs(scale))))
                self.signs.append(({i, j}, int(scale < 0)))
                self.shifts.append(({i: scale, j: -1}, shift))
        elif node.op in ("activation", "pool"):
            for i, j in zip(xs[0], y, strict=True):
                self._same(i, j)
                self.shifts.append(({i: 1, j: -1}, 0))
                if node.op == "activation":
                    self.shifts.append(({i: 1}, 0))
                if node.op == "activation" or (node.attrs["kind"] == "max" and max(node.attrs["window"]) > 1):
                    self.signs.append(({i}, 0))
        elif node.op == "add":
            for j, *terms in zip(y, *xs, strict=True):
                row = {j: 1}
                for i in terms:
                    self._same(i, j)
                    row[i] = row.get(i, 0) - 1
                self.shifts.append((row, 0))
        elif node.op == "multiply":
            for j, a, b in zip(y, *xs, strict=True):
                self.scales.append(({j: 1, a: -1, b: -1} if a != b else {j: 1, a: -2}, 0))
                self.signs.append(({j, a, b} if a != b else {j}, 0))
                self.shifts += [({k: 1}, 0) for k in (j, a, b)]
        elif node.op in ("concat", "slice"):
            sources = [i for x in xs for i in x]
            for i, j in zip(sources[node.attrs.get("start", 0) : node.attrs.get("stop")], y, strict=True):
                self._same(i, j)
                self.shifts.append(({i: 1, j: -1}, 0))


def _consistent(rows, count):
    if not rows:
        return True
    matrix, values = np.zeros((len(rows), count)), np.array([value for _, value in rows], float)
    for row, (terms, _) in zip(matrix, rows, strict=True):
        for i, c in terms.items():
            row[i] += c
    found = np.linalg.lstsq(matrix, values, rcond=None)[0]
    return np.abs(matrix @ found - values).max() < 1e-7


def _consistent_mod_2(rows, count):
    pivots = {}
    for terms, value in rows:
        terms = set(terms)
        while terms and max(terms) in pivots:
            other, more = pivots[max(terms)]
            terms, value = terms ^ other, value ^ more
        if terms:
            pivots[max(terms)] = terms, value
        elif value:
            return False
    return True


def folded(graph):
    after, report = graph.copy(), Report(before=figures(graph))
    passes.run((passes.absorb, passes.dead_channels, passes.fold_batch_norm), after, report, passes.Options())
    return after, report


@settings(**SETTINGS)
@given(networks())
def test_no_larger_set_can_go(graph):
    oracle, norms = Oracle(graph), [node.name for node in graph if node.op == "affine"]
    after, report = folded(graph)
    gone = batch_norms(graph) - batch_norms(after)
    assert gone == report.largest_fold.largest
    assert not any(oracle.can_go(names) for names in combinations(norms, gone + 1))
    assert gone == 0 or any(oracle.can_go(names) for names in combinations(norms, gone))


@settings(**SETTINGS)
@given(networks())
def test_the_proof_holds(graph):
    """Of each group that the proof names, no more than it says can go, whatever the others do."""
    oracle, (_, report) = Oracle(graph), folded(graph)
    proof = report.largest_fold
    assert proof.largest <= proof.at_most <= proof.total == batch_norms(graph)
    assert proof.is_proved
    joined = {node.inputs[0].node for node in graph if node.op == "affine"} | {
        node.name for node in graph if node.op == "affine" and graph[node.inputs[0]].op == "affine"}
    named = [name for bound in proof.bounds for name in bound.batch_norms]
    assert len(named) == len(set(named))
    for bound in proof.bounds:
        if not joined & set(bound.batch_norms):  # of two that became one, one went
            assert not any(oracle.can_go(names) for names in combinations(bound.batch_norms, bound.at_most + 1))


@settings(**SETTINGS)
@given(networks(zeros=True))
def test_the_network_computes_the_same(graph):
    """Every tensor that is left, in float64, in the form in which it is stored now."""
    after, _ = folded(graph)
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(1, 5, 4, 2)) for _ in graph.inputs]
    before, made = run(graph, images), run(after, images)
    for node in after:
        name, form = after.stored.get(node.name, (node.name, None))
        wanted = before[Ref(name)] if form is None else form(before[Ref(name)])
        np.testing.assert_allclose(made[node.ref], wanted, rtol=0, atol=1e-9 * max(1, np.abs(wanted).max()))
    for old, new in zip(graph.outputs, after.outputs, strict=True):
        np.testing.assert_allclose(made[new], before[old], rtol=0, atol=1e-9 * max(1, np.abs(before[old]).max()))


def test_the_networks_are_worth_it():
    """Random networks must reach what is hard, or the tests above say nothing."""
    seen = {"goes": 0, "stays": 0, "reasons": set(), "groups": 0}

    @settings(max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(networks())
    def look(graph):
        _, report = folded(graph)
        seen["goes"] += report.largest_fold.largest
        seen["stays"] += report.largest_fold.total - report.largest_fold.largest
        seen["reasons"] |= {entry.reason for entry in report.refusals}
        seen["groups"] += any(len(bound.batch_norms) > 1 for bound in report.largest_fold.bounds)

    look()
    assert seen["goes"] > 50 and seen["stays"] > 50 and seen["groups"] > 5
    assert {reasons.COMPETES, reasons.NEGATIVE_SCALE, reasons.BORDER_NOT_EXACT} <= seen["reasons"]
