"""One unknown for each channel of each tensor, and relations between them; channels that behave alike as one vector.

    concat(a, b) ─▶ bn        the channels of bn's input are those of a, then those of b: two vectors, two equations
"""
from typing import NamedTuple

import numpy as np

from tfold.algebra.equations import Equation

PIXELS = 256  # a feature map of more pixels, flattened, is not looked into: each pixel would be a vector


class Relation(NamedTuple):
    """Σ coefficient · unknown = value, in each channel.

    Args:
        unknowns: arrays of unknowns, all of one length.
        coefficients: for each of them an array of that length, or a number.
        value: an array of that length, or a number.
        sources: where it comes from, a set.
    """

    unknowns: tuple
    coefficients: tuple
    value: object
    sources: set


class Unknowns:
    """A numbering of unknowns; some are fixed at zero.

    Attributes:
        fixed: `(unknowns, why)` in the order in which they were fixed.
        relations: those that hold whatever a pass chooses.
    """

    def __init__(self):
        self.blocks = []
        self.count = 0
        self.fixed = []
        self.relations = []

    def fresh(self, n):
        """`n` new unknowns."""
        self.blocks.append(n)
        self.count += n
        return np.arange(self.count - n, self.count)

    def fix(self, unknowns, why):
        self.fixed.append((unknowns, why))

    def relate(self, *terms, source):
        """Σ coefficient · unknowns = 0, from `(coefficient, unknowns)`, whatever a pass chooses."""
        coefficients, unknowns = zip(*terms, strict=True)
        if max(map(repeats, unknowns)) > PIXELS:
            for each in unknowns:
                self.fix(each, source)
        else:
            self.relations.append(Relation(unknowns, coefficients, 0, {source}))

    def equate(self, a, b, source):
        if not np.array_equal(a, b):
            self.relate((1, a), (-1, b), source=source)


class Vectors:
    """Relations as vector equations.

    Unknowns that take part in the same relations in the same way, channel by channel, become one vector unknown of an
    `equations.System`.

    Args:
        kind: of the vector unknowns, which are `(kind, number)`.
        unknowns: an `Unknowns`.
        fixed: `(unknowns, why)`: those at zero.
        field: of the equations.
        apart: arrays of unknowns that must not share a vector with others.
    """

    def __init__(self, kind, unknowns, fixed, field, apart=()):
        self.kind, self.field = kind, field
        self.why = [why for _, why in fixed]
        self._anchor = np.full(unknowns.count, -1)
        for i, (fixed_ones, _) in enumerate(fixed):
            free = fixed_ones[self._anchor[fixed_ones] < 0]
            self._anchor[free] = i
        self._label = np.repeat(np.arange(len(unknowns.blocks)), unknowns.blocks)
        self._size = dict(enumerate(np.bincount(self._label, minlength=len(unknowns.blocks)).tolist()))
        self._relabel(np.flatnonzero(self._anchor >= 0), 0)
        for ones in apart:
            self._relabel(ones, 0)
        self.members = {}

    def equations(self, relations):
        """The vector equations of each relation: a list of lists. Call it once, with all relations."""
        parts = [(relation, rows) for relation in relations for rows in _without_repeats(relation)]
        whole, changed = {}, True
        while changed:
            changed = False
            for i, (relation, rows) in enumerate(parts):
                if i not in whole or self._vectors(relation, rows) != whole[i]:
                    changed |= self._refine(relation, rows)
                    whole[i] = self._vectors(relation, rows)
        everything = np.arange(len(self._label))
        self.members = {int(self._label[part[0]]): part for part in _split(everything, self._label)}
        found = {id(relation): [] for relation in relations}
        for relation, rows in parts:
            for part in _split(rows, self._classes(relation, rows)):
                found[id(relation)].append(self._equation(relation, part))
        return [found[id(relation)] for relation in relations]

    def values(self, solution):
        """One value for each unknown: what a `System.solution` says, zero where fixed or free."""
        values = np.zeros(len(self._label), self.field.dtype)
        for key, value in solution.items():
            values[self.members[key[1]]] = value
        return values

    def _labels(self, unknowns):
        return np.where(self._anchor[unknowns] >= 0, -1, self._label[unknowns])

    def _classes(self, relation, rows):
        """A number for each row: rows of equal number touch the same vectors."""
        key = np.zeros(len(rows), np.int64)
        for unknowns in relation.unknowns:
            key = _numbered(key * (len(self._label) + 2) + self._labels(unknowns[rows]) + 1)
        return key

    def _vectors(self, relation, rows):
        """The vectors that a part starts with: if they are as large as the part, all of it. Else, never the same."""
        labels = [int(self._label[unknowns[rows[0]]]) for unknowns in relation.unknowns
                  if self._anchor[unknowns[rows[0]]] < 0] if len(rows) else []
        return labels if all(self._size[label] == len(rows) for label in labels) else object()

    def _refine(self, relation, rows):
        classes, changed = self._classes(relation, rows), False
        for unknowns in relation.unknowns:
            ones = unknowns[rows]
            is_free = self._anchor[ones] < 0
            changed |= self._relabel(ones[is_free], classes[is_free])
        return changed

    def _relabel(self, ones, classes):
        """Unknowns of one label stay together only if they are all here, in one class."""
        pairs = _numbered(self._label[ones] * (len(ones) + 1) + classes)
        changed = False
        for part in _split(ones, pairs):
            label = int(self._label[part[0]])
            if len(part) < self._size[label]:
                new = len(self._size)
                self._size[label] -= len(part)
                self._size[new] = len(part)
                self._label[part] = new
                changed = True
        return changed

    def _equation(self, relation, rows):
        terms, sources = {}, set(relation.sources)
        minus, dtype = self.field.minus, self.field.dtype
        zero, one = np.zeros(len(rows), dtype), np.ones(len(rows), dtype)
        for unknowns, coefficient in zip(relation.unknowns, relation.coefficients, strict=True):
            coefficient = _rows(coefficient, rows, dtype)
            anchors = self._anchor[unknowns[rows]]
            if anchors[0] >= 0:
                sources |= {self.why[i] for i in np.unique(anchors)}
                continue
            label = int(self._label[unknowns[rows[0]]])
            key = self.kind, label
            if not np.array_equal(self.members[label], unknowns[rows]):
                raise AssertionError(f"Channels of one vector keep their order. Received: {relation}")
            negative = minus(zero, one, coefficient)
            terms[key] = minus(terms.get(key, zero), one, negative)
        return Equation({key: c for key, c in terms.items() if c.any()}, _rows(relation.value, rows, dtype),
                        frozenset(sources), rows)


def repeats(unknowns):
    """How often the same unknown stands in an array: the pixels of a flattened feature map."""
    return int(np.unique(unknowns, return_counts=True)[1].max(initial=0))


def _rows(values, rows, dtype):
    return np.full(len(rows), values, dtype) if np.ndim(values) == 0 else np.asarray(values)[rows].astype(dtype)


def _numbered(keys):
    return np.unique(keys, return_inverse=True)[1].reshape(-1)


def _without_repeats(relation):
    """Row numbers in parts, so that no unknown stands twice in one column of a part (a flattened feature map)."""
    rows = np.arange(len(relation.unknowns[0]))
    repeat = np.zeros((len(relation.unknowns), len(rows)), np.int64)
    for place, unknowns in enumerate(relation.unknowns):
        order = np.argsort(unknowns, kind="stable")
        starts = np.flatnonzero(np.diff(unknowns[order], prepend=-1))
        within = rows - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        repeat[place, order] = within
    if not repeat.any():
        return [rows]
    return _split(rows, np.unique(repeat, axis=1, return_inverse=True)[1].reshape(-1))


def _split(values, keys):
    """`values` in parts of equal keys."""
    order = np.argsort(keys, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(keys[order])) + 1) if len(keys) else []
