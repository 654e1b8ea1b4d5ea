"""Linear equations, a system for each of many channels at once, solved by elimination.

    Σ c_k · x_k = b         unknowns x_k; coefficients c_k and value b are arrays with one number for each channel

Equations come one at a time. One that follows from those before it changes nothing; one that contradicts them is
refused, and told is where they come from and in which channel. There are two kinds of numbers: `REAL`, and `PARITY`,
the field of two elements, in which signs are counted.
"""
from typing import NamedTuple

import numpy as np

CANCELLED = 1e-9  # what is left of a difference, relative to its terms, where rounding alone is left


class Equation(NamedTuple):
    """One equation, in all channels.

    Args:
        terms: unknown → coefficients, arrays of shape `(channels,)`; an unknown is anything hashable.
        value: array of shape `(channels,)`.
        sources: where it comes from, a frozenset: what a contradiction tells.
        rows: what its channels are called where it comes from; None: as they are here.
    """

    terms: dict
    value: np.ndarray
    sources: frozenset = frozenset()
    rows: np.ndarray | None = None

    def at(self, channel):
        """The same equation of one channel."""
        one = slice(channel, channel + 1)
        return Equation({key: c[one] for key, c in self.terms.items()}, self.value[one], self.sources, self.rows[one])


class Contradiction(Exception):
    """An equation cannot hold together with those before it.

    Args:
        sources: frozenset of where the equations come from that contradict one another.
        channel: the first channel in which they do.
    """

    def __init__(self, sources, channel):
        super().__init__(sources, channel)
        self.sources = sources
        self.channel = channel


class Mixed(Exception):
    """A coefficient is zero in some channels alone: `unknown`, and in which, `is_zero`. Such channels need systems of
    their own."""

    def __init__(self, unknown, is_zero):
        super().__init__(unknown)
        self.unknown = unknown
        self.is_zero = is_zero


class REAL:
    """Numbers as they are."""

    dtype = np.float64

    @staticmethod
    def minus(a, factor, b):
        product = factor * b
        difference = a - product
        difference[np.abs(difference) <= CANCELLED * (np.abs(a) + np.abs(product))] = 0.0
        return difference

    @staticmethod
    def over(a, b):
        return a / b


class PARITY:
    """Even (False) and odd (True): how many minus signs there are in a product."""

    dtype = bool

    @staticmethod
    def minus(a, factor, b):
        return a ^ (factor & b)

    @staticmethod
    def over(a, b):
        return a


class System:
    """Equations that hold together.

    Example:

    >>> ones, system = np.ones(1), System()
    >>> system.add(Equation({"x": ones, "y": -ones}, 2 * ones))     # x − y = 2
    >>> system.add(Equation({"y": ones}, 3 * ones))
    >>> system.solution()["x"]
    array([5.])
    """

    def __init__(self, field=REAL, rows=()):
        self.field = field
        self.rows = dict(rows)  # unknown → the equation that gives it, without that term

    def copy(self):
        return System(self.field, self.rows)

    def add(self, equation):
        """Take in one more equation.

        Raises:
            Contradiction: it does not hold together with the others; nothing has changed.
            Mixed: the channels must be told apart first.
        """
        left = self.reduced(equation)
        if not left.terms:
            if left.value.any():
                raise Contradiction(left.sources, int(np.argmax(left.value != 0)))
            return
        unknown = next((key for key, c in left.terms.items() if c.all()), None)
        if unknown is None:
            key, c = next(iter(left.terms.items()))
            raise Mixed(key, c == 0)
        c, over = left.terms[unknown], self.field.over
        terms = {key: over(other, c) for key, other in left.terms.items() if key != unknown}
        self.rows[unknown] = Equation(terms, over(left.value, c), left.sources)

    def reduced(self, equation):
        """The equation with every unknown replaced that the others give."""
        terms, value, sources = dict(equation.terms), equation.value, equation.sources
        minus = self.field.minus
        given = [key for key in terms if key in self.rows]
        while given:
            key = given.pop()
            factor = terms.pop(key, None)
            if factor is None:
                continue
            row = self.rows[key]
            value, sources = minus(value, factor, row.value), sources | row.sources
            for other, c in row.terms.items():
                left = minus(terms.get(other, np.zeros(c.shape, self.field.dtype)), factor, c)
                if left.any():
                    terms[other] = left
                    if other in self.rows:
                        given.append(other)
                else:
                    terms.pop(other, None)
        return Equation({key: c for key, c in terms.items() if c.any()}, value, sources, equation.rows)

    def solution(self):
        """Unknown → its values, for every unknown that the equations give; those that they leave free are zero."""
        found = {}

        def value_of(key):
            if key not in self.rows:
                return None
            if key not in found:
                row = self.rows[key]
                found[key] = row.value
                for other, c in row.terms.items():
                    value = value_of(other)
                    if value is not None:
                        found[key] = self.field.minus(found[key], c, value)
            return found[key]

        for key in self.rows:
            value_of(key)
        return found
