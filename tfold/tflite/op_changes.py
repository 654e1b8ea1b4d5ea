"""What folding did to each op, and what that is worth: two files' ops beside each other, by layer name.

    base.tflite                          µs      folded.tflite                                        µs
    block_1_expand;block_1_expand_relu  210 ┐
    block_1_depthwise;…                  95 ├─▶  block_1_expand-block_1_depthwise-block_1_project   180
    block_1_project                      80 ┘    …;…_border                                           6
    block_2_add                          12 ──▶  block_2_add                                         12

An op carries the names of its layers: "a;b" where one op does the work of two layers, "a+b" or "a-b" where two layers
have been merged into one. Ops of both files that share a layer belong together.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from tfold.tflite.contents import Contents

GENERIC = 4  # a name that more ops of one file carry is no layer's: "Relu6", the model's own


@dataclass(frozen=True)
class Change:
    """Ops of both files that belong together.

    Attributes:
        before, after: (op's index, kind, name, microseconds) in the first and second file; times are None where the
            op has none.
        what: "same", "merged", "changed", "removed" or "added".
    """

    before: tuple[tuple[int, str, str, float | None], ...]
    after: tuple[tuple[int, str, str, float | None], ...]
    what: str

    @property
    def microseconds(self) -> tuple[float, float]:
        """Together, before and after; ops without a time count as 0."""
        return tuple(sum(time or 0.0 for *_, time in side) for side in (self.before, self.after))

    @property
    def saved(self) -> float:
        """Microseconds that are gone; below 0 where the new ops take longer."""
        return self.microseconds[0] - self.microseconds[1]

    def to_json(self) -> dict:
        keys = ("op", "kind", "name", "microseconds")
        return {
            "what": self.what,
            "before": [dict(zip(keys, op, strict=True)) for op in self.before],
            "after": [dict(zip(keys, op, strict=True)) for op in self.after],
            "microseconds": list(self.microseconds),
            "saved": self.saved,
        }


def op_changes(
    before: Contents, after: Contents, times_before: dict[int, float], times_after: dict[int, float]
) -> list[Change]:
    """Aligns the ops of two files by their layers' names.

    Args:
        before, after: the files, the folded one second.
        times_before, times_after: op's index → microseconds.

    Returns:
        list: of changes, in the order of the first file; what the second one has alone stands where it runs.

    Examples:
        changes = op_changes(read("base.tflite"), read("folded.tflite"), base_times, folded_times)
        sum(change.saved for change in changes if change.what == "merged")
    """
    sides = [_layers(before), _layers(after)]
    common = [_ordinary(side) for side in sides]
    known = set().union(*common[0].values()) if common[0] else set()
    second = {op: _split(names, known) for op, names in common[1].items()}
    groups = _connected(common[0], second)
    changes = []
    for first, last in groups:
        old = tuple(_told(before, op, times_before) for op in first)
        new = tuple(_told(after, op, times_after) for op in last)
        changes.append(Change(old, new, _what(old, new)))
    return changes


def _told(file: Contents, index: int, times: dict[int, float]):
    op = file.ops[index]
    return index, op.kind, file.subgraphs[0].name_of(op), times.get(index)


def _what(before: tuple, after: tuple) -> str:
    if not before or not after:
        return "removed" if before else "added"
    if [kind for _, kind, *_ in before] == [kind for _, kind, *_ in after]:
        return "same"
    return "merged" if len(before) > 1 and len(after) < len(before) else "changed"


def _layers(contents: Contents) -> dict[int, set[str]]:
    """Op → the names that it carries; of a path ("model/block/conv") its parts as well."""
    return {op.index: _names(contents.subgraphs[0].name_of(op)) for op in contents.ops}


def _names(text: str) -> set[str]:
    names = {part for part in re.split(r"[;+]", text) if part}
    return names | {segment for name in names for segment in name.split("/") if segment}


def _ordinary(layers: dict[int, set[str]]) -> dict[int, set[str]]:
    """Without the names that too many ops carry."""
    count = Counter(name for names in layers.values() for name in names)
    return {op: {name for name in names if count[name] <= GENERIC} for op, names in layers.items()}


def _split(names: set[str], known: set[str]) -> set[str]:
    """Names of merged layers, "a-b", taken apart where their parts are layers of the other file."""
    found = set(names)
    for name in names - known:
        parts = name.split("-")
        begin = 0
        while begin < len(parts):  # the longest known name from here on: layers may have a "-" of their own
            ends = [end for end in range(len(parts), begin, -1) if "-".join(parts[begin:end]) in known]
            if ends:
                found.add("-".join(parts[begin : ends[0]]))
            begin = ends[0] if ends else begin + 1
    return found


def _connected(first: dict[int, set[str]], second: dict[int, set[str]]) -> list[tuple[list[int], list[int]]]:
    """Groups of ops that are connected by common names, across and within the files."""
    owner: dict[str, int] = {}
    parent: dict[tuple[int, int], tuple[int, int]] = {}

    def root(node):
        while parent[node] != node:
            node = parent[node]
        return node

    for side, layers in enumerate((first, second)):
        for op in layers:
            parent[side, op] = (side, op)
    for side, layers in enumerate((first, second)):
        for op, names in layers.items():
            for name in names:
                a, b = root((side, op)), root(owner.setdefault(name, (side, op)))
                parent[max(a, b)] = min(a, b)
    groups: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    for node in sorted(parent):
        groups.setdefault(root(node), ([], []))[node[0]].append(node[1])
    return _in_order(list(groups.values()))


def _in_order(groups: list[tuple[list[int], list[int]]]) -> list[tuple[list[int], list[int]]]:
    """As the first file runs; what only the second has comes behind what it follows there."""
    stands = {op: first[0] for first, second in groups if first for op in second}  # op of the second file → op before
    last = -1
    for op in sorted(op for _, second in groups for op in second):
        last = stands.setdefault(op, last)
    return sorted(groups, key=lambda group: (group[0][0], 0) if group[0] else (stands[group[1][0]], 1 + group[1][0]))
