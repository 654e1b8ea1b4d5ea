"""Is a flatbuffer whole? A read-only walk over everything its root can reach.

A flatbuffer is a graph of byte ranges, each found by an offset in another:

    file ─▶ root table ─▶ vtable (where the fields are)
                       ├▶ scalar, inside the table
                       ├▶ string / vector of scalars:  length, bytes
                       └▶ table / vector of tables ─▶ …

It is written back to front, so a file that was cut short has lost what was written first, while its beginning
looks perfectly well. Runtimes that map the file and trust it then read beyond its end: a crash, or wrong numbers.
The walk follows every offset and checks that each range lies inside the file.

Which fields hold what is data (`Table`), so this file knows nothing about TFLite.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Table:
    """The fields of a table that lead to other places in the file; scalars inside the table need no entry.

    Args:
        fields: field number → what it points at: `"string"`, an `int` (a vector of elements of that many bytes),
            a `Table`, or `[Table]` (a vector of tables).
        unions: field number of the union's value → (field number of its type, {type: Table}). A type that is not
            listed is walked as a table without pointers.
        external: pairs of field numbers (offset, size) of 64-bit scalars that describe bytes behind the flatbuffer.
    """

    fields: dict[int, object] = field(default_factory=dict)
    unions: dict[int, tuple[int, dict[int, Table]]] = field(default_factory=dict)
    external: tuple[tuple[int, int], ...] = ()


PLAIN = Table()


class Damaged(ValueError):
    """An offset leads outside the file."""


class Walk:
    """One walk over a flatbuffer held in `data` (bytes or mmap).

    Attributes:
        end: one past the last byte reached so far.
    """

    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.end = 0
        self._seen: set[tuple[int, int]] = set()  # shared parts are walked once, so hostile files cost linear time

    def root(self, table: Table) -> int:
        """Walks everything from the root on. Returns the root table's position. Raises: Damaged."""
        position = self.follow(0)
        waiting = [(position, table)]
        while waiting:  # a stack of our own: depth is in the file's hands, Python's stack is not
            waiting.extend(self._visit(*waiting.pop()))
        return position

    def _visit(self, position: int, table: Table):
        if (position, id(table)) in self._seen:
            return
        self._seen.add((position, id(table)))
        self.check_table(position)
        for number, kind in table.fields.items():
            if slot := self.slot(position, number):
                yield from self._visit_field(self.follow(slot), kind)
        for number, (type_number, choices) in table.unions.items():
            if slot := self.slot(position, number):
                yield self.follow(slot), choices.get(self.scalar(position, type_number, "<B"), PLAIN)
        for offset_number, size_number in table.external:
            start = self.scalar(position, offset_number, "<Q")
            if start > 1:  # 0 and 1 mean: not used
                self.inside(start, self.scalar(position, size_number, "<Q"))

    def _visit_field(self, target: int, kind):
        if isinstance(kind, Table):
            yield target, kind
        elif isinstance(kind, list):
            count = self.vector(target, 4)
            for index in range(count):
                yield self.follow(target + 4 + 4 * index), kind[0]
        elif kind == "string":
            self.inside(target, 4 + self.vector(target, 1) + 1)  # strings end in a zero byte
        else:
            self.vector(target, kind)

    def inside(self, start: int, size: int) -> None:
        """Requires that `size` bytes from `start` are in the file."""
        if start < 0 or start + size > self.size:
            raise Damaged(f"bytes {start} to {start + size} are needed, the file has {self.size}")
        self.end = max(self.end, start + size)

    def read(self, form: str, position: int) -> int:
        self.inside(position, struct.calcsize(form))
        return struct.unpack_from(form, self.data, position)[0]

    def follow(self, position: int) -> int:
        """The target of the offset stored at `position`."""
        return position + self.read("<I", position)

    def vector(self, position: int, element_size: int) -> int:
        """The length of the vector at `position`, all of whose elements lie in the file."""
        count = self.read("<I", position)
        self.inside(position + 4, count * element_size)
        return count

    def check_table(self, position: int) -> None:
        vtable = position - self.read("<i", position)
        self.inside(vtable, max(4, self.read("<H", vtable)))
        self.inside(position, self.read("<H", vtable + 2))

    def slot(self, table: int, number: int) -> int:
        """Where field `number` of the table is stored, 0 if it is absent. The table has been checked."""
        vtable = table - self.read("<i", table)
        entry = 4 + 2 * number
        offset = self.read("<H", vtable + entry) if entry + 2 <= self.read("<H", vtable) else 0
        if offset and offset >= self.read("<H", vtable + 2):
            raise Damaged(f"field {number} of the table at byte {table} lies outside that table")
        return table + offset if offset else 0

    def scalar(self, table: int, number: int, form: str, default: int = 0) -> int:
        slot = self.slot(table, number)
        return self.read(form, slot) if slot else default

    def tables(self, table: int, number: int) -> list[int]:
        """Positions of the tables in the vector that field `number` holds; empty if it is absent."""
        slot = self.slot(table, number)
        if not slot:
            return []
        start = self.follow(slot)
        return [self.follow(start + 4 + 4 * index) for index in range(self.vector(start, 4))]

    def string(self, table: int, number: int) -> str:
        slot = self.slot(table, number)
        if not slot:
            return ""
        start = self.follow(slot)
        return bytes(self.data[start + 4 : start + 4 + self.vector(start, 1)]).decode("utf-8", "replace")
