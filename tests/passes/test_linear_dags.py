"""Random linear networks, folded under every policy, against their evaluation in float64, tensor by tensor.

The networks are graphs of the IR, made without Keras: thousands can be folded and run in a minute.
"""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfold import passes
from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import LinearMap, same_padding
from tfold.graph import shapes
from tfold.graph.ir import Graph, Node, Ref
from tfold.graph.run import run
from tfold.passes.cost import POLICIES
from tfold.passes.figures import figures
from tfold.passes.report import Report

SETTINGS = {"max_examples": 300, "suppress_health_check": [HealthCheck.too_slow]}


class Builder:
    """Grows a graph tensor by tensor; `choose` and `number` come from hypothesis, so that failures shrink."""

    def __init__(self, draw):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 99)))
        self.rank = draw(st.sampled_from([0, 1, 1, 2]))
        self.graph = Graph("random")
        size = tuple(self.number(6, 11) for _ in range(self.rank))
        self.graph.add(Node("x", "input", (), {"dtype": "float32"}, ((None, *size, self.number(1, 4)),)))
        self.graph.inputs = ["x"]
        self.tensors = [Ref("x")]

    def choose(self, *options):
        return self.draw(st.sampled_from(options))

    def number(self, low, high):
        return self.draw(st.integers(low, high))

    def pick(self, *candidates):
        """A tensor, most often the last: long chains are what folding is about."""
        return candidates[-1] if self.choose(True, True, False) else self.choose(*candidates)

    def shape(self, ref):
        return self.graph.shape(ref)

    def add(self, op, inputs, **attrs):
        shape = shapes.infer(op, attrs, [self.shape(ref) for ref in inputs])
        if shape is None or any(n is not None and n < 1 for n in shape) or shape[-1] > 12:
            return None
        node = Node(f"{op}_{len(self.graph)}", op, tuple(inputs), attrs, (shape,), intact=False)
        node.covers = (node.name,)
        self.graph.add(node)
        self.tensors.append(node.ref)
        return node.ref

    def values(self, *shape):
        return self.rng.normal(size=shape)

    def linear(self, x, outputs=None, window=None, same=False):
        shape = self.shape(x)
        size, inputs = shape[1:-1], shape[-1]
        outputs = outputs or self.number(1, 5)
        groups = self.choose(1, 1, inputs) if outputs % inputs == 0 and self.rank else 1
        window = tuple(window or self.number(1, 5) for _ in size)
        strides = dilation = (1,) * self.rank
        if not same and self.rank and self.choose(True, False):
            strides = tuple(self.number(1, 3) for _ in size)
        elif self.rank and self.choose(True, False, False):
            dilation = (self.number(1, 2),) * self.rank
        extent = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
        kind = "same" if same else self.choose("same", "valid", "explicit")
        padding = {
            "same": lambda: same_padding(size, extent, strides),
            "valid": lambda: ((0, 0),) * self.rank,
            "explicit": lambda: tuple((self.number(0, 2), self.number(0, 2)) for _ in size),
        }[kind]()
        bias = self.values(outputs) if self.choose(True, False) else None
        kernel = self.values(*window, inputs // groups, outputs)
        return self.add("linear", [x], map=LinearMap(kernel, bias, strides, dilation, padding, groups))

    def affine(self, x):
        n = self.shape(x)[-1]
        affine = self.choose(
            Affine(self.values(n), self.values(n)), Affine(self.values(n), np.zeros(n)))
        return self.add("affine", [x], affine=affine, kind=self.choose("batch_norm", "arithmetic"))

    def preprocessed(self, x):
        n = self.shape(x)[-1]
        y = self.add("affine", [x], affine=Affine(np.full(n, 0.5), np.full(n, -1.0)), kind="arithmetic")
        return self.linear(y, window=3, same=True)

    def merge(self, x):
        like = [t for t in self.tensors if self.shape(t) == self.shape(x)]
        terms = [x, *(self.choose(*like) for _ in range(self.number(1, 2)))]
        weights = self.choose({}, {}, {"weights": tuple(self.values(len(terms)))})
        return self.add("add", terms, **weights)

    def residual(self, x):
        y = x
        for _ in range(self.number(1, 3)):
            y = self.linear(y, self.shape(x)[-1], same=True) or y
        return self.add("add", [y, x]) if y != x else None

    def branches(self, x):
        outputs = self.number(1, 4)
        found = [self.linear(x, outputs, same=True) for _ in range(self.number(2, 3))]
        if self.choose(True, False):
            return self.add("concat", [t for t in found if t], axis=self.rank + 1)
        return self.add("add", [t for t in found if t])

    def concat(self, x):
        like = [t for t in self.tensors if self.shape(t)[:-1] == self.shape(x)[:-1]]
        return self.add("concat", [x, self.choose(*like)], axis=self.rank + 1)

    def slice(self, x):
        n = self.shape(x)[-1]
        start = self.number(0, n - 1)
        return self.add("slice", [x], start=start, stop=self.number(start + 1, n))

    def pool(self, x):
        if not self.rank:
            return None
        window, strides = (self.number(1, 3),) * self.rank, (self.number(1, 2),) * self.rank
        padding = self.choose(((0, 0),) * self.rank, same_padding(self.shape(x)[1:-1], window, strides))
        return self.add("pool", [x], kind=self.choose("average", "average", "max"), window=window, strides=strides,
                        padding=padding, keepdims=False)

    def pooled(self, x):
        y = self.linear(x, window=1)
        if y is None or not self.rank:
            return None
        if self.choose(True, False):
            return self.pool(y)
        return self.add("pool", [y], kind="average", window=None, strides=None, padding=None, keepdims=True)

    def pad(self, x):
        if not self.rank:
            return None
        padding = tuple((self.number(0, 2), self.number(0, 2)) for _ in range(self.rank))
        return self.add("pad", [x], padding=padding, value=self.choose(0.0, 0.0, 1.5))

    def relu(self, x):
        params = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
        return self.add("activation", [x], fn="relu", params=params)

    def grow(self):
        steps = [self.linear, self.linear, self.affine, self.preprocessed, self.merge, self.residual, self.residual,
                 self.branches, self.concat, self.slice, self.pool, self.pooled, self.pad, self.relu]
        for _ in range(self.number(2, 7)):
            self.choose(*steps)(self.pick(*self.tensors))
        outputs = [self.tensors[-1]]
        if self.choose(True, False, False):
            outputs.append(self.choose(*self.tensors))
        self.graph.outputs = outputs
        self.graph.validate()
        return self.graph


@st.composite
def linear_dags(draw):
    """A `Graph` of convolutions, skips, concatenations, pools…, strides 1–3, kernels 1–5, any padding, and an input."""
    builder = Builder(draw)
    graph = builder.grow()
    return graph, builder.rng.normal(size=(2, *graph["x"].shape[1:]))


def folded(graph, policy, border="exact"):
    graph, report = graph.copy(), Report()
    passes.run(passes.SETTLING_PASSES + passes.ALL_PASSES, graph, report, passes.Options(0.9, POLICIES[policy], border))
    return graph, report


@pytest.mark.parametrize("policy", POLICIES)
@settings(**SETTINGS)
@given(case=linear_dags())
def test_folded_networks_compute_the_same(policy, case):
    original, x = case
    graph, report = folded(original, policy)
    before, after = run(original, [x]), run(graph, [x])
    for ref in set(before) & set(after):
        assert after[ref].shape == before[ref].shape
        scale = np.abs(before[ref]).max(initial=0) or 1.0
        assert np.abs(after[ref] - before[ref]).max(initial=0) <= 1e-9 * scale, (ref, str(original), str(graph), report)
    assert set(graph.outputs) == set(original.outputs) or all(ref in after for ref in graph.outputs)
    old, new = figures(original), figures(graph)
    assert new.depth <= old.depth
    assert policy != "macs" or new.macs <= old.macs
    assert new.batch_norms <= old.batch_norms


@settings(**SETTINGS)
@given(case=linear_dags())
def test_approximate_merges_are_wrong_at_the_border_alone(case):
    original, x = case
    graph, _ = folded(original, "always", "approximate")
    values = run(original, [x])
    for node in graph:
        if node.op == "linear" and node.ref in values and node.inputs[0] in values:
            y = node.map.apply(values[node.inputs[0]])
            ring = node.attrs.get("ring", ((0, 0),) * (y.ndim - 2))
            inner = (slice(None), *(slice(a, n - b) for (a, b), n in zip(ring, y.shape[1:-1], strict=True)))
            scale = np.abs(values[node.ref]).max(initial=0) or 1.0
            assert np.abs(y - values[node.ref])[inner].max(initial=0) <= 1e-9 * scale, (str(original), str(graph))


@settings(**SETTINGS)
@given(case=linear_dags())
def test_folding_again_finds_nothing_more(case):
    original, _ = case
    graph, report = folded(original, "always")
    again, _ = folded(graph, "always")
    assert figures(again).depth == figures(graph).depth, (str(original), str(graph), str(again))


def test_the_networks_reach_the_rules():
    done, reasons = set(), set()

    @settings(**SETTINGS)
    @given(case=linear_dags())
    def collect(case):
        for border in ("exact", "approximate"):
            _, report = folded(case[0], "always", border)
            done.update((entry.rule, "approximate" in entry.detail) for entry in report.folded)
            reasons.update(entry.reason for entry in report.refusals)

    collect()
    assert {("merge_linear", False), ("merge_linear", True), ("fold_batch_norm", False), ("canonicalize", False),
            ("pad_value", False), ("pool_first", False), ("fold_arithmetic", False)} <= done
    assert len(reasons) >= 6, reasons
