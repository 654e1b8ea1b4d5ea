"""The largest set of items whose equations all hold together, and why no set is larger.

An item brings equations in several systems (scale, sign, shift). Items that have an unknown of their own go in any
case; the others are searched, part by part, with everything that contradicts what was taken ruled out at once. The
bound that people can check: groups of items of which, by the equations of one channel alone, or of each two alone, at
most so many go together.
"""
from dataclasses import dataclass, field
from itertools import permutations

from tfold.algebra.equations import Contradiction, System

CASES = 20_000  # of a search; beyond, the best set so far is taken and said not to be proved


@dataclass(frozen=True)
class Group:
    """Of `items`, at most `at_most` can go together.

    Args:
        items: keys.
        at_most: how many.
        kind: which system says so: "scale", "sign", "shift".
        channels: the channels that show it: for each a dict key → channel of that item. One channel may do; where
            there are several, each two of the items are at odds in one of them.
        sources: where the equations come from.
    """

    items: tuple
    at_most: int
    kind: str
    channels: tuple
    sources: frozenset


@dataclass
class LargestSet:
    """What `largest_set` finds.

    Args:
        chosen: keys of the items that go together.
        systems: the systems with their equations.
        refused: key of each other item → the `Contradiction` that it leads to beside the chosen ones, and its kind.
        groups: `Group`s, no item in two: together they say that no set is larger.
        is_proved: the groups say so, or all cases have been tried.
    """

    chosen: list
    systems: dict
    refused: dict = field(default_factory=dict)
    groups: tuple = ()
    is_proved: bool = True


def largest_set(items, systems, weights):
    """Find it.

    Args:
        items: key → {kind: list of equations}.
        systems: kind → `System` of what holds anyway; they are not changed.
        weights: key → tuple of numbers: what is gained if the item goes. The sum over all that go is made as large as
            can be, the first number before the second. The groups are of items whose first number is not zero.

    Returns:
        A `LargestSet`.
    """
    items = {key: _Item(key, weights[key], {
        kind: [systems[kind].reduced(equation) for equation in equations] for kind, equations in parts.items()})
        for key, parts in items.items()}
    empty = {kind: System(system.field) for kind, system in systems.items()}
    alone, contested, never = _split_alone(items, empty)
    free, contested = _split_free(contested)
    chosen, groups, is_proved = list(free), list(alone), True
    for part in _parts(contested):
        search = _Search(part, empty)
        chosen += search.best
        counted = [item for item in part if item.weight[0]]
        staying = sum(item.key not in search.best for item in counted)
        found, missing = _groups(counted, staying, search.at_odds, empty)
        groups += found
        is_proved &= search.is_complete or not missing
    result = LargestSet([key for key in items if key in set(chosen)], {}, {}, tuple(groups), is_proved)
    state = {kind: system.copy() for kind, system in systems.items()}
    # Items with an unknown of their own last: whatever the others need, theirs gives way.
    for key in [*(key for key in chosen if key not in set(free)), *reversed(free)]:
        state = _with(state, items[key])
    for key, item in items.items():
        if key not in set(chosen):
            refused = never.get(key) or _obstacle(state, item)
            result.refused[key] = refused.contradiction, refused.kind
    result.systems = state
    return result


@dataclass(eq=False)
class _Item:
    key: object
    weight: tuple
    parts: dict

    def equations(self):
        for kind, equations in self.parts.items():
            for equation in equations:
                yield kind, equation


class _Refused(Exception):
    """An item's `equation` of one kind contradicts the others."""

    def __init__(self, kind, equation, contradiction):
        super().__init__(kind)
        self.kind = kind
        self.equation = equation
        self.contradiction = contradiction

    @property
    def row(self):
        return int(self.equation.rows[self.contradiction.channel])


def _with(systems, item):
    """New systems, with an item's equations."""
    systems = {kind: system.copy() if item.parts.get(kind) else system for kind, system in systems.items()}
    for kind, equation in item.equations():
        try:
            systems[kind].add(equation)
        except Contradiction as contradiction:
            raise _Refused(kind, equation, contradiction) from None
    return systems


def _obstacle(systems, item):
    """What stands against an item, a `_Refused`; None: nothing."""
    try:
        _with(systems, item)
    except _Refused as refused:
        return refused
    return None


def _split_alone(items, empty):
    """Groups of one for items that cannot even go alone, all other items, and what stands against the first."""
    groups, others, never = [], [], {}
    for key, item in items.items():
        refused = _obstacle(empty, item)
        if refused is None:
            others.append(item)
            continue
        never[key] = refused
        if item.weight[0]:
            groups.append(Group((key,), 0, refused.kind, ({key: refused.row},), refused.contradiction.sources))
    return groups, others, never


def _split_free(items):
    """Keys of items that go whatever the others do, in the order in which that is seen, and the other items."""
    users = {}
    for item in items:
        for _, equation in item.equations():
            for unknown in equation.terms:
                users.setdefault(unknown, set()).add(item.key)
    free, others, found = [], list(items), True
    while found:
        found = False
        for item in list(others):
            own = [
                [unknown for unknown, c in equation.terms.items() if users[unknown] == {item.key} and c.all()]
                for _, equation in item.equations() if equation.terms or equation.value.any()]
            if _one_each(own):
                free.append(item.key)
                others.remove(item)
                found = True
                for _, equation in item.equations():
                    for unknown in equation.terms:
                        users[unknown].discard(item.key)
    return free, others


def _one_each(candidates):
    """Whether each equation can have an unknown that no other of the equations has taken."""
    taken = set()
    for own in candidates:
        left = [unknown for unknown in own if unknown not in taken]
        if not left:
            return False
        # An unknown that two of the equations have would not be free for the second once the first has used it.
        taken |= set(own)
    return True


def _parts(items):
    """Items that have unknowns in common, directly or through others."""
    parts = []
    for item in items:
        touched = {unknown for _, equation in item.equations() for unknown in equation.terms}
        joined = [part for part in parts if part[0] & touched]
        for part in joined:
            touched |= part[0]
            parts.remove(part)
        parts.append((touched, [each for part in joined for each in part[1]] + [item]))
    return [part for _, part in parts]


class _Search:
    """All ways to choose among items, the most promising first, without those that cannot be better."""

    def __init__(self, items, empty):
        self.items = sorted(items, key=lambda item: item.weight, reverse=True)
        self.nothing = (0,) * len(items[0].weight)
        self.best, self.best_weight = [], self.nothing
        self.cases, self.is_complete = 0, True
        alone = {item.key: _with(empty, item) for item in items}
        self.at_odds = {item.key: {} for item in items}  # key → key of the other → what the other's equation meets
        for item, other in permutations(items, 2):
            refused = _obstacle(alone[item.key], other)
            if refused is not None:
                self.at_odds[item.key][other.key] = refused
        self._go_on([], self.nothing, empty, self.items)

    def _go_on(self, chosen, weight, systems, undecided):
        self.cases += 1
        if self.cases > CASES:
            self.is_complete = False
            return
        undecided = [item for item in undecided if _obstacle(systems, item) is None]
        if _sum(weight, self._bound(undecided)) <= self.best_weight and self.best:
            return
        if not undecided:
            self.best, self.best_weight = chosen, weight
            return
        first, others = undecided[0], undecided[1:]
        more = _with(systems, first)
        rest = [item for item in others if item.key not in self.at_odds[first.key]]
        self._go_on([*chosen, first.key], _sum(weight, first.weight), more, rest)
        if any(item.key in self.at_odds[first.key] or _obstacle(more, item) for item in others) or len(rest) > 1:
            self._go_on(chosen, weight, systems, others)

    def _bound(self, undecided):
        """No choice among these gains more: of items that are all at odds with each other, one."""
        bound, cliques = self.nothing, []
        for item in undecided:  # by falling weight, so that the first of a clique is its heaviest
            for clique in cliques:
                if clique <= self.at_odds[item.key].keys():
                    clique.add(item.key)
                    break
            else:
                cliques.append({item.key})
                bound = _sum(bound, item.weight)
        return bound


def _sum(a, b):
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _groups(items, staying, at_odds, empty):
    """Groups that show that `staying` of the items must stay, as far as they are found; and how many are missing."""
    cliques = _cliques(items, at_odds)
    shown = sum(len(clique) - 1 for clique in cliques)
    if shown >= staying:
        return [_clique_group(clique, at_odds, empty) for clique in cliques], 0
    groups, left = [], list(items)
    while staying:
        found = [group for strand in _strands(left) for group in [_group_of(*strand, empty)] if group is not None]
        found += [_clique_group(clique, at_odds, empty) for clique in _cliques(left, at_odds)]
        if not found:
            break
        best = max(found, key=lambda group: len(group.items) - group.at_most)
        groups.append(best)
        staying -= len(best.items) - best.at_most
        left = [item for item in left if item.key not in best.items]
    return groups, staying


def _cliques(items, at_odds):
    """Lists of two items or more that are all at odds with each other, the largest first; no item in two."""
    left, cliques = {item.key: item for item in items}, []
    while left:
        degree = {key: len(at_odds[key].keys() & left.keys()) for key in left}
        best = []
        for first in left:
            clique = [first]
            for key in sorted(at_odds[first].keys() & left.keys(), key=degree.get, reverse=True):
                if all(key in at_odds[other] for other in clique):
                    clique.append(key)
            best = max(best, clique, key=len)
            if len(best) == len(left):
                break
        if len(best) == 1:
            break
        cliques.append([left.pop(key) for key in best])
    return cliques


def _clique_group(clique, at_odds, empty):
    """At most one of them: the channels in which each two are at odds."""
    keys = [item.key for item in clique]
    pairs = {(a, b): at_odds[a][b] for i, a in enumerate(keys) for b in keys[i + 1 :]}
    sources = frozenset().union(*(refused.contradiction.sources for refused in pairs.values()))
    kinds = {refused.kind: None for refused in pairs.values()}
    strand_of = {unknown: strand for strand in _strands(clique) for each in strand[1]
                 for _, equation in each.equations() for unknown in equation.terms}
    channels, open_pairs = [], dict(pairs)
    while open_pairs:
        refused = next(iter(open_pairs.values()))
        kind, strand = strand_of[next(iter(refused.equation.terms))]
        place = refused.contradiction.channel
        equations = {each.key: each.parts[kind][0].at(place) for each in strand}
        channels.append({key: int(equation.rows[0]) for key, equation in equations.items()})
        alone = {key: _with({kind: empty[kind]}, _Item(key, (1,), {kind: [e]})) for key, e in equations.items()}
        settled = [(a, b) for a, b in open_pairs if (a, b) == next(iter(open_pairs)) or (
            a in alone and b in equations and _obstacle(alone[a], _Item(b, (1,), {kind: [equations[b]]})))]
        for pair in settled:
            del open_pairs[pair]
    return Group(tuple(keys), 1, " and ".join(kinds), tuple(channels), sources)


def _strands(items):
    """`(kind, items with one equation each)` for each set of unknowns of one kind that equations connect."""
    for kind in {kind: None for item in items for kind in item.parts}:
        alike = [_Item(item.key, (1,), {kind: [equation]}) for item in items for equation in item.parts.get(kind, ())
                 if equation.terms]
        for part in _parts(alike):
            yield kind, part


def _group_of(kind, strand, empty):
    """The group that one channel of a strand makes; None where it lets all go."""
    by_key = {}
    for each in strand:
        by_key.setdefault(each.key, []).extend(each.parts[kind])
    if len(by_key) < 2:
        return None
    best = None
    for place in _places_to_try(by_key, kind, empty):
        one = [_Item(key, (1,), {kind: [equation.at(place) for equation in those]}) for key, those in by_key.items()]
        search = _Search(one, {kind: empty[kind]})
        if search.is_complete and len(search.best) < len(one) and (best is None or len(search.best) < best.at_most):
            sources = frozenset().union(*(equation.sources for those in by_key.values() for equation in those))
            channels = {item.key: int(item.parts[kind][0].rows[0]) for item in one}
            best = Group(tuple(by_key), len(search.best), kind, (channels,), sources)
    return best


def _places_to_try(by_key, kind, empty):
    """Channels in which something is at odds: those that the vectors as a whole name first."""
    whole, places = empty[kind], []
    for key, those in by_key.items():
        try:
            whole = _with({kind: whole}, _Item(key, (1,), {kind: those}))[kind]
        except _Refused as refused:
            places.append(refused.contradiction.channel)
    size = min(len(equation.value) for those in by_key.values() for equation in those)
    return list(dict.fromkeys([*places, *range(min(size, 4))]))
