"""Which affine nodes of a graph go, and in which form each tensor is stored then.

First the largest set that can go without adding anything. Then, where zero padding alone stands against one more, a
border map, if that costs less than the batch norm. Last, of those that stay, the scale or the shift alone.
"""
from dataclasses import dataclass, field

from tfold.algebra.equations import PARITY, REAL, Contradiction, Mixed, System
from tfold.passes import cost
from tfold.passes.free import is_free
from tfold.passes.gauge import Gauge
from tfold.passes.largest_set import LargestSet, largest_set
from tfold.passes.regauge import forms
from tfold.passes.sizes import likely_shapes
from tfold.passes.unknowns import Vectors

KINDS = ("scale", "sign", "shift")


@dataclass
class Choice:
    """What becomes of the affine nodes of a graph.

    Args:
        gauge: what the layers demand.
        found: the `LargestSet`, of keys; `nodes_of` says which nodes a key stands for: the calls of one layer.
        gone: names of nodes that go.
        maps: name of a node that goes → names of the nodes that it gives a border map.
        dear: key → names of the nodes that would need a border map, which costs more than what it would save.
        unscaled, unshifted: names of nodes that stay and lose their scale, or their shift.
        forms: in which form each tensor is stored.
    """

    gauge: Gauge
    found: LargestSet
    nodes_of: dict
    gone: set
    maps: dict = field(default_factory=dict)
    dear: dict = field(default_factory=dict)
    unscaled: set = field(default_factory=set)
    unshifted: set = field(default_factory=set)
    forms: dict = field(default_factory=dict)


def choose(graph, policy):
    """The `Choice` for a graph, which is not changed.

    Args:
        graph: a `Graph`.
        policy: a cost function, see `cost`.
    """
    gauge, apart = Gauge(graph), {kind: [] for kind in KINDS}
    while True:
        problem = Problem(gauge, apart)
        try:
            choice = _Chooser(graph, problem, policy).choice()
        except Mixed as mixed:
            kind, number = mixed.unknown
            apart[kind].append(problem.vectors[kind].members[number][mixed.is_zero])
            continue
        # What is called more than once and stays remains one layer: all its calls must read and make one form.
        tied = {id(graph[names[0]].layer) for names in choice.nodes_of.values()
                if len(names) > 1 and names[0] not in choice.gone}
        if tied <= gauge.tied:
            return choice
        gauge = Gauge(graph, gauge.tied | tied)


class Problem:
    """The equations of a gauge.

    Attributes:
        systems: kind → `System` of what holds whatever is chosen.
        equations: affine node, or linear node whose zero padding may be left → kind → its equations.
    """

    def __init__(self, gauge, apart, relaxed=()):
        self.gauge, self.apart = gauge, apart
        self.vectors, self.systems = {}, {}
        self.equations = {name: {} for name in (*gauge.movable, *relaxed)}
        shift_fixed = gauge.shift.fixed + [each for name, each in gauge.padded.items() if name not in relaxed]
        for kind, unknowns, fixed, field_ in (
            ("scale", gauge.scale, gauge.scale.fixed, REAL),
            ("sign", gauge.scale, gauge.scale.fixed + gauge.positive, PARITY),
            ("shift", gauge.shift, shift_fixed, REAL),
        ):
            chosen = {name: relations[KINDS.index(kind)] for name, relations in gauge.movable.items()}
            if kind == "shift":
                chosen |= {name: gauge.no_shift_before(name) for name in relaxed}
            self.vectors[kind] = Vectors(kind, unknowns, fixed, field_, apart[kind])
            found = self.vectors[kind].equations([*unknowns.relations, *chosen.values()])
            self.systems[kind] = System(field_)
            for equation in (each for some in found[: len(unknowns.relations)] for each in some):
                self.systems[kind].add(equation)
            for name, equations in zip(chosen, found[len(unknowns.relations) :], strict=True):
                self.equations[name][kind] = equations

    def items(self, names_of, kinds=KINDS):
        """Items for `largest_set`: key → kind → the equations of its nodes."""
        return {key: {kind: [e for name in names for e in self.equations[name].get(kind, ())] for kind in kinds}
                for key, names in names_of.items()}

    def forms(self, systems):
        """In which form each tensor is stored, by a solution of the equations."""
        return forms(self.gauge, *(self.vectors[kind].values(systems[kind].solution()) for kind in KINDS))


class _Chooser:
    """Chooses for one graph and its `Problem`."""

    def __init__(self, graph, problem, policy):
        self.graph, self.problem, self.policy = graph, problem, policy
        self.nodes_of, sizes = {}, likely_shapes(graph)
        for name in problem.gauge.movable:
            node = graph[name]
            self.nodes_of.setdefault(id(node.layer) if node.shared else name, []).append(name)
        self.ops = {name: cost.operations_of(graph[name].attrs["affine"]) for name in problem.gauge.movable}
        self.free = {name for name in self.ops if is_free(graph, problem.gauge.consumers, graph[name])}
        self.elements = {name: cost.elements(sizes[node.ref]) for name, node in graph.nodes.items() if sizes[node.ref]}

    def choice(self):
        found = largest_set(self.problem.items(self.nodes_of), self.problem.systems, {
            key: self._weight(names) for key, names in self.nodes_of.items()})
        gone = {name for key in found.chosen for name in self.nodes_of[key]}
        choice = Choice(self.problem.gauge, found, self.nodes_of, gone)
        problem, systems = self.problem, self._halves(choice, self.problem, found.systems)
        relaxed = self._may_have_border_maps()
        if relaxed and len(gone) < len(problem.gauge.movable):
            wider = Problem(problem.gauge, problem.apart, relaxed)
            with_maps = self._with_border_maps(choice, wider, relaxed)
            if choice.maps:
                problem, systems = wider, self._halves(choice, wider, with_maps)
        choice.forms = problem.forms(systems)
        return choice

    def _weight(self, names):
        """The most batch norms, of these the most operations, of these the most bytes."""
        return (int(self.graph[names[0]].attrs["kind"] == "batch_norm"), sum(self.ops[name] for name in names),
                sum(self.ops[name] * self.elements[name] for name in names))

    def _staying(self, choice):
        return {key: names for key, names in self.nodes_of.items() if names[0] not in choice.gone}

    def _halves(self, choice, problem, systems):
        """Take away scales, and shifts, from those that stay; the systems with their equations."""
        staying, taken = self._staying(choice), []
        for kinds in (("scale", "sign"), ("shift",)):
            half = largest_set(problem.items(staying, kinds), systems, {
                key: (sum(self.elements[name] for name in names),) for key, names in staying.items()})
            systems = half.systems
            taken.append({name for key in half.chosen for name in staying[key]})
        choice.unscaled, choice.unshifted = taken
        return systems

    def _may_have_border_maps(self):
        """Nodes that pad with zeros and could have one: not if their size is open."""
        found = []
        for name in self.problem.gauge.padded:
            node = self.graph[name]
            is_open = None in self.graph.shape(node.inputs[0])[1:-1]
            if not is_open and not node.shared and (node.op == "pad" or node.map.padding is not None):
                found.append(name)
        return found

    def _with_border_maps(self, choice, problem, relaxed):
        """Let one more go where the border maps that this takes cost less than it does."""
        systems = _all_in(problem.systems, problem.items({key: self.nodes_of[key] for key in choice.found.chosen}))
        all_mapped = set()
        plain = sorted(relaxed, key=lambda name: self.elements[name], reverse=True)
        for key, names in sorted(self._staying(choice).items(), key=lambda each: self._weight(each[1]), reverse=True):
            try:
                more = _all_in(systems, problem.items({key: names}))
            except Contradiction:
                continue
            mapped = set()
            for name in plain:
                try:
                    more = _all_in(more, problem.items({name: [name]}))
                except Contradiction:
                    mapped.add(name)
            if self._cost(mapped - all_mapped) < self._saved(choice, names):
                systems = _all_in(systems, problem.items({key: names}))
                choice.gone.update(names)
                choice.maps |= dict.fromkeys(names, mapped - all_mapped)
                all_mapped |= mapped
            else:
                choice.dear[key] = mapped
        return _all_in(systems, problem.items({name: [name] for name in plain if name not in all_mapped}))

    def _saved(self, choice, names):
        """What nodes cost: a batch norm as it was, other arithmetic as what would stay of it."""
        return sum(self._cost([name]) * (
            0 if name in self.free
            else 1 if name in choice.unscaled | choice.unshifted and self.graph[name].attrs["kind"] == "arithmetic"
            else self.ops[name]) for name in names)

    def _cost(self, names):
        """Of an operation on each of these tensors."""
        return sum(cost.of_elements(self.elements[name], self.policy) for name in names)


def _all_in(systems, items):
    """New systems, with the equations of all items."""
    systems = {kind: system.copy() for kind, system in systems.items()}
    for parts in items.values():
        for kind, equations in parts.items():
            for equation in equations:
                systems[kind].add(equation)
    return systems
