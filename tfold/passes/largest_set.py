"""The largest set of items whose equations all hold together, and why no set is larger.

An item brings equations in several systems (scale, sign, shift). Items that have an unknown of their own go in any
case; the others are searched, part by part, with everything that contradicts what was taken ruled out at once. The
bound that people can check: groups of items of which, by the equations of one channel alone, or of each two alone, at
most so many go together.
"""
from dataclasses import dataclass, field

from tfold.algebra.equations import System
from tfold.passes.groups import Group, groups_of
from tfold.passes.items import Item, connected, obstacle, with_item
from tfold.passes.search import Search


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
    items = {key: Item(key, weights[key], {
        kind: [systems[kind].reduced(equation) for equation in equations] for kind, equations in parts.items()})
        for key, parts in items.items()}
    empty = {kind: System(system.field) for kind, system in systems.items()}
    alone, contested, never = _split_alone(items, empty)
    free, contested = _split_free(contested)
    chosen, groups, is_proved = list(free), list(alone), True
    for part in connected(contested):
        search = Search(part, empty)
        chosen += search.best
        counted = [item for item in part if item.weight[0]]
        staying = sum(item.key not in search.best for item in counted)
        found, missing = groups_of(counted, staying, search.at_odds, empty)
        groups += found
        is_proved &= search.is_complete or not missing
    result = LargestSet([key for key in items if key in set(chosen)], {}, {}, tuple(groups), is_proved)
    state = {kind: system.copy() for kind, system in systems.items()}
    # Items with an unknown of their own last: whatever the others need, theirs gives way.
    for key in [*(key for key in chosen if key not in set(free)), *reversed(free)]:
        state = with_item(state, items[key])
    for key, item in items.items():
        if key not in set(chosen):
            refused = never.get(key) or obstacle(state, item)
            result.refused[key] = refused.contradiction, refused.kind
    result.systems = state
    return result


def _split_alone(items, empty):
    """Groups of one for items that cannot even go alone, all other items, and what stands against the first."""
    groups, others, never = [], [], {}
    for key, item in items.items():
        refused = obstacle(empty, item)
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
