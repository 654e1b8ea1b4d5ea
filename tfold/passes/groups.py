"""Why no set of items is larger: groups of which, by a few channels alone, at most so many can go."""
from dataclasses import dataclass

from tfold.passes.items import Item, Refused, connected, obstacle, with_item
from tfold.passes.search import Search


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


def groups_of(items, staying, at_odds, empty):
    """Groups that show that `staying` of the items must stay.

    Args:
        items: `Item`s.
        staying: how many the largest set leaves.
        at_odds: key → keys of the items that cannot go beside it, see `Search`.
        empty: kind → an empty `System`.

    Returns:
        `(groups, missing)`: as many as are found, no item in two, and how many of `staying` they do not show.
    """
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
        alone = {key: with_item({kind: empty[kind]}, Item(key, (1,), {kind: [e]})) for key, e in equations.items()}
        settled = [(a, b) for a, b in open_pairs if (a, b) == next(iter(open_pairs)) or (
            a in alone and b in equations and obstacle(alone[a], Item(b, (1,), {kind: [equations[b]]})))]
        for pair in settled:
            del open_pairs[pair]
    return Group(tuple(keys), 1, " and ".join(kinds), tuple(channels), sources)


def _strands(items):
    """`(kind, items with one equation each)` for each set of unknowns of one kind that equations connect."""
    for kind in {kind: None for item in items for kind in item.parts}:
        alike = [Item(item.key, (1,), {kind: [equation]}) for item in items for equation in item.parts.get(kind, ())
                 if equation.terms]
        for part in connected(alike):
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
        one = [Item(key, (1,), {kind: [equation.at(place) for equation in those]}) for key, those in by_key.items()]
        search = Search(one, {kind: empty[kind]})
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
            whole = with_item({kind: whole}, Item(key, (1,), {kind: those}))[kind]
        except Refused as refused:
            places.append(refused.contradiction.channel)
    size = min(len(equation.value) for those in by_key.values() for equation in those)
    return list(dict.fromkeys([*places, *range(min(size, 4))]))
