"""What may go or stay, with the equations that it brings if it goes."""
from dataclasses import dataclass

from tfold.algebra.equations import Contradiction


@dataclass(eq=False)
class Item:
    """One of them.

    Args:
        key: what it is called.
        weight: numbers: what is gained if it goes, the first counts before the second.
        parts: kind of system → list of its equations there, with nothing in them that is known already.
    """

    key: object
    weight: tuple
    parts: dict

    def equations(self):
        """`(kind, equation)`, one by one."""
        for kind, equations in self.parts.items():
            for equation in equations:
                yield kind, equation


class Refused(Exception):
    """An item's `equation` of one kind contradicts the others: in the channel `row`, by the item's own count."""

    def __init__(self, kind, equation, contradiction):
        super().__init__(kind)
        self.kind = kind
        self.equation = equation
        self.contradiction = contradiction

    @property
    def row(self):
        return int(self.equation.rows[self.contradiction.channel])


def with_item(systems, item):
    """New systems, with an item's equations."""
    systems = {kind: system.copy() if item.parts.get(kind) else system for kind, system in systems.items()}
    for kind, equation in item.equations():
        try:
            systems[kind].add(equation)
        except Contradiction as contradiction:
            raise Refused(kind, equation, contradiction) from None
    return systems


def obstacle(systems, item):
    """What stands against an item, a `Refused`; None: nothing."""
    try:
        with_item(systems, item)
    except Refused as refused:
        return refused
    return None


def connected(items):
    """Items in lists: those that have unknowns in common, directly or through others, together."""
    parts = []
    for item in items:
        touched = {unknown for _, equation in item.equations() for unknown in equation.terms}
        joined = [part for part in parts if part[0] & touched]
        for part in joined:
            touched |= part[0]
            parts.remove(part)
        parts.append((touched, [each for part in joined for each in part[1]] + [item]))
    return [part for _, part in parts]
