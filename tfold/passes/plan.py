"""How to cut linear regions into layers: the cheapest way, by a policy's costs.

A chain of items is cut where it is cheapest: cut points are the tensors, an edge is a run of items as one layer, its
length what that layer costs; the shortest path is the plan. An item that is a join costs what is cheaper: one layer for
the whole, or its terms by themselves, each planned in the same way.
"""
from dataclasses import dataclass, field

import numpy as np

from tfold.passes import cost
from tfold.passes.figures import is_linear_layer
from tfold.passes.free import is_free
from tfold.passes.regions import chains_of
from tfold.passes.sizes import likely_shapes
from tfold.passes.symbolic import OUTLINES, carry, follow
from tfold.reasons import COSTS_MORE, NO_LINEAR_LAYER, Refusal


@dataclass
class Plan:
    """What becomes of the items of one level.

    Args:
        layers: runs of items that become one layer each, in topological order.
        cost: of everything, as planned.
        kept: `(nodes, refusal)` for each merge that was not made.
    """

    layers: list = field(default_factory=list)
    cost: float = 0.0
    kept: list = field(default_factory=list)

    def __add__(self, other):
        return Plan(self.layers + other.layers, self.cost + other.cost, self.kept + other.kept)


class Planner:
    """Plans the regions of one graph.

    Args:
        graph: it is not changed.
        consumers: `graph.consumers()`.
        policy: a cost function, see `cost`.
        approximate: whether merges may be wrong near the border.
    """

    def __init__(self, graph, consumers, policy, approximate=False):
        self.graph = graph
        self.consumers = consumers
        self.policy = policy
        self.approximate = approximate
        self._outlines = {}
        self._shapes = likely_shapes(graph)

    def level(self, items):
        """The `Plan` of items that lie next to one another: the network's, or those inside a join."""
        return sum((self._chain(chain) for chain in chains_of(items, self.consumers)), Plan())

    def item(self, item):
        """The `Plan` of one item by itself."""
        if not item.is_join:
            return Plan(cost=self._cost_of_node(item.node))
        apart = self.level(item.inside) + Plan(cost=self._cost_of_node(item.node))
        nodes = tuple(node.label for node in item.nodes())
        try:
            whole = self._cost_of_run((item,), self._outline(item).map)
        except Refusal as refusal:
            said = any((told.reason, told.detail) == (refusal.reason, refusal.detail) for _, told in apart.kept)
            return apart if said else apart + Plan(kept=[(nodes, refusal)])
        if whole > apart.cost:
            return apart + Plan(kept=[(nodes, Refusal(COSTS_MORE))])
        return Plan([(item,)], whole)

    def _chain(self, chain):
        """The shortest path through the cut points of a chain."""
        n = len(chain)
        runs, refusals = {}, {}
        for start in range(n):
            runs[start, start + 1] = self.item(chain[start])
            for end, whole in self._runs_from(chain, start, refusals):
                runs[start, end] = Plan([tuple(chain[start:end])], whole)
        best, came_from = [0.0] + [np.inf] * n, [0] * (n + 1)
        for (start, end), plan in sorted(runs.items(), key=lambda run: (run[0][0], -run[0][1])):
            if best[start] + plan.cost < best[end]:
                best[end], came_from[end] = best[start] + plan.cost, start
        plan, end = Plan(), n
        while end:
            start = came_from[end]
            plan = runs[start, end] + plan
            if start:
                refusal = refusals.get(start, Refusal(COSTS_MORE))
                if not any(told is refusal for _, told in plan.kept):
                    plan.kept.append(((chain[start - 1].node.label, chain[start].node.label), refusal))
            end = start
        return plan

    def _runs_from(self, chain, start, refusals):
        """`(end, cost)` of every run of two or more items from `start` that is one map."""
        try:
            merged = self._outline(chain[start])
        except Refusal as refusal:
            refusals[start + 1] = refusal
            return
        for end in range(start + 1, len(chain)):
            try:
                merged = follow(
                    self.graph, chain[start].source, merged, self._outline(chain[end]), OUTLINES, self.approximate)
            except Refusal as refusal:
                if end == start + 1:
                    refusals[end] = refusal
                return
            try:
                yield end + 1, self._cost_of_run(chain[start : end + 1], merged.map)
            except Refusal as refusal:
                refusals.setdefault(end, refusal)

    def _outline(self, item):
        if item not in self._outlines:
            try:
                self._outlines[item] = carry(self.graph, item, OUTLINES, self.approximate)
            except Refusal as refusal:
                self._outlines[item] = refusal
        found = self._outlines[item]
        if isinstance(found, Refusal):
            raise found
        return found

    def _cost_of_run(self, run, linear):
        """The cost of a run of items as one layer, whose map is `linear`."""
        if holds_linear_layer(run):
            return self._cost_of_map(linear, run[0].source)
        if not linear.is_diagonal:
            raise Refusal(NO_LINEAR_LAYER)
        if holds_map(run):
            return self._cost_of_map(linear, run[0].source)
        return 2 * cost.of_elements(cost.elements(self._shapes[run[0].source]), self.policy)

    def _cost_of_map(self, linear, source):
        shape = self._shapes[source]
        return cost.of_map(linear, (None,) * linear.rank if shape is None else shape[1:-1], self.policy)

    def _cost_of_node(self, node):
        policy, shape = self.policy, self._shapes[node.inputs[0]]
        if node.op == "linear":
            return self._cost_of_map(node.map, node.inputs[0])
        # A part that `gather` thinks of has no place in the graph yet.
        count = cost.elements(self._shapes.get(node.ref, node.shape) or shape)
        if node.op == "affine":
            if node.name in self.graph.nodes and is_free(self.graph, self.consumers, node):
                return 0.0
            return cost.of_affine(node.attrs["affine"], count, policy)
        if node.op == "add":
            return (len(node.inputs) - 1) * cost.of_elements(count, policy)
        if node.op == "pool":
            window, strides = node.attrs["window"], node.attrs["strides"]
            return cost.of_pool(self._shapes[node.ref], window, strides, shape[-1], shape[1:-1], policy)
        return cost.of_elements(count, policy, "concat" if node.op == "concat" else "elementwise")


def holds_linear_layer(run):
    """Whether there is a convolution or dense layer in a run of items; without one, none comes out of it.

    A depthwise 1×1 is none: it scales and shifts as a batch norm does.
    """
    return any(is_linear_layer(node) for item in run for node in item.nodes())


def holds_map(run):
    """Whether some node in a run of items is a linear one, be it only a depthwise 1×1."""
    return any(node.op == "linear" for item in run for node in item.nodes())

