"""The two ways in which the tool prints a row of a table.

    text    "⇥ Convolution (NHWC, F32) IGEMM⇥ 0.376⇥ 0.360⇥ 5.631%⇥ … ⇥Delegate/Convolution (NHWC, F32) IGEMM:0"
    CSV     "Convolution (NHWC, F32) IGEMM, 0.341, 0.348888, 5.72058%, … , Delegate/Convolution (NHWC⇥ F32) IGEMM:0"

CSV neither quotes nor escapes: the first column may hold commas, so rows are split from the right; in the last one the
tool has put a tab for each comma. Text that went through a web page has lost its tabs, and is split at its spaces.
Older builds have a column [start] more; columns are found by their titles.
"""

from __future__ import annotations

import math
import re

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.numbers import INTEGER, SIGNED, integer, signed, stream_rounding

KIND, NAME, FIRST, AVERAGE, PERCENT, CUMULATED, MEMORY, CALLED, COUNT = (
    "node type", "name", "first", "avg ms", "%", "cdf%", "mem kb", "times called", "count",
)
OP_COLUMNS = {KIND, NAME, FIRST, AVERAGE, PERCENT, CUMULATED, MEMORY, CALLED}
KIND_COLUMNS = {KIND, COUNT, AVERAGE, PERCENT, CUMULATED, MEMORY, CALLED}
_INTEGERS = (CALLED, COUNT)


class TextFormat:
    """Tables in columns, numbers with three decimals."""

    _FIXED = rf"-?{INTEGER}\.[0-9]{{3}}"
    _CELLS, _SHARE, _NUMBER = {KIND: r"(\S.*?)\s+", NAME: r"(.*)"}, r"(\S+?%)\s*", r"([^\s%]+)(?:\s+|$)"

    def columns(self, line: str) -> tuple[str, ...] | None:
        """The titles of the columns, where `line` is a table's head."""
        if not re.fullmatch(r"\s*\[[Nn]ode type\](?:\s*\[[^\[\]]*\])*\s*", line):
            return None
        return tuple(map(_title, re.findall(r"\[([^\[\]]*)\]", line)))

    def cells(self, line: str, columns: tuple[str, ...]) -> dict[str, str]:
        """The row's cells by column."""
        if "\t" in line:
            before, *cells = line.split("\t", len(columns))
            return _named(columns, [] if before.strip() else cells, line)
        parts = (self._CELLS.get(column, self._SHARE if "%" in column else self._NUMBER) for column in columns)
        found = re.fullmatch(r"\s*" + "".join(parts), line)
        return _named(columns, found.groups() if found else [], line)

    def number(self, token: str, column: str) -> float:
        """A cell's number. Raises: OutputError."""
        if not re.fullmatch(self._FIXED, token):
            raise _unreadable(token, column)
        return signed(token, column)

    def rounding(self, value: float) -> float:
        """How far printing may have moved a number."""
        return 0.0005

    def rounding_of_microseconds(self, value_ms: float) -> float:
        """The same for a time that is an integer of microseconds: three decimals tell it exactly."""
        return 0.0


class CsvFormat:
    """Tables with commas, numbers with six digits."""

    def columns(self, line: str) -> tuple[str, ...] | None:
        """The titles of the columns, where `line` is a table's head."""
        titles = tuple(map(_title, line.split(",")))
        return titles if titles[0] == KIND else None

    def cells(self, line: str, columns: tuple[str, ...]) -> dict[str, str]:
        """The row's cells by column."""
        cells = _named(columns, line.rsplit(",", len(columns) - 1), line)
        return {title: cell.replace("\t", ",") if title == NAME else cell for title, cell in cells.items()}

    def number(self, token: str, column: str) -> float:
        """A cell's number. Raises: OutputError."""
        if not re.fullmatch(SIGNED, token):
            raise _unreadable(token, column)
        return signed(token, column)

    def rounding(self, value: float) -> float:
        """How far printing may have moved a number."""
        return stream_rounding(value)

    def rounding_of_microseconds(self, value_ms: float) -> float:
        """The same for a time that is an integer of microseconds: six digits tell it exactly below a second."""
        return 0.0 if value_ms < 1000 else stream_rounding(value_ms)


Format = TextFormat | CsvFormat


def values(cells: dict[str, str], form: Format) -> dict[str, float | str]:
    """The cells as what they are: names, integers, numbers; a share of a total of 0 is NaN.

    Raises:
        OutputError: a cell that is not what its column says, or a negative time.
    """
    read: dict[str, float | str] = {}
    for column, cell in cells.items():
        if column in (KIND, NAME):
            read[column] = cell
        elif column in _INTEGERS:
            read[column] = integer(cell, column)
        elif "%" in column:
            if not cell.endswith("%"):
                raise _unreadable(cell, column)
            share = cell[:-1]
            read[column] = math.nan if share in ("nan", "-nan") else form.number(share, column)
        else:
            read[column] = form.number(cell, column)
        if column != MEMORY and isinstance(read[column], float) and read[column] < 0:
            raise _unreadable(cell, column)
    if not read[KIND]:
        raise _unreadable("", KIND)
    return read


def _title(text: str) -> str:
    """One name for what text and CSV, and both tables, call differently: "avg_ms" and "avg ms", "cdf %" and "cdf%"."""
    title = text.strip().lower().replace("_", " ").replace(" %", "%")
    return "%" if title == "avg%" else title


def _named(columns: tuple[str, ...], cells, line: str) -> dict[str, str]:
    if len(cells) != len(columns):
        raise OutputError(
            f"A row of a profile has a cell for each of its {len(columns)} columns. Received: {shorten(line)!r}. "
            "The output is cut or damaged: measure again."
        )
    return {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}


def _unreadable(token: str, column: str) -> OutputError:
    return OutputError(f"A profile's cells must be what their column says. Received: {shorten(token)!r} as [{column}]. "
                       "The output is cut or damaged: measure again.")
