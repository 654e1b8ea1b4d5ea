"""A report: the tables that the tool prints of one graph, and where one ends and the next one begins.

    Operator-wise Profiling Info for Regular Benchmark Runs:        section
    ═════ Run Order ═════                                           ┐
    ═════ Top by Computation Time ═════                             │
    Number of nodes executed: 66                                    │ a report: of the main graph; others, of loops
    ═════ Summary by node type ═════                                │ and of delegates, may follow behind a title
    Timings (microseconds): count=151 first=6667 …                  │
    66 nodes observed                                               ┘
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.lines import Line
from mobile_bench.outputs.numbers import INTEGER, integer
from mobile_bench.outputs.profile_formats import KIND_COLUMNS, OP_COLUMNS, Format, values
from mobile_bench.outputs.stats import Stats, parse_stats

INITIALIZATION, RUNS = "initialization", "runs"
MAIN, DELEGATES, SUBGRAPH = "main", "delegates", "subgraph"
RUN_ORDER, SUMMARY = "Run Order", "Summary by node type"

_SECTIONS = {
    "Profiling Info for Benchmark Initialization:": INITIALIZATION,
    "Operator-wise Profiling Info for Regular Benchmark Runs:": RUNS,
}
_TABLE = re.compile(r"=+ (Run Order|Top by Computation Time|Top by Memory Use|Summary by node type) =+")
_SUBGRAPH = re.compile(rf"Subgraph \(index: ({INTEGER})(?:, name: .*)?\) profile:")
_EXECUTED = re.compile(r"Number of nodes executed: (\S+)")
_TIMINGS = re.compile(r"(?:Subgraph \(index: .*\) )?Timings \(microseconds\): (.*)")
_OBSERVED = re.compile(r"(\S+) nodes observed")


@dataclass
class Report:
    """What is told of one graph: of each table its rows, and the numbers around them."""

    section: str
    graph: str
    tables: dict[str, list[dict]] = field(default_factory=dict)
    executed: int | None = None
    timings: Stats | None = None
    observed: int | None = None


def read_reports(lines: Iterable[Line], form: Format) -> list[Report]:
    """All reports of an output, in order; the lines around them are passed over.

    Raises:
        OutputError: a report that is not whole, or of which something comes twice; rows that belong to no table.
    """
    reader = _Reader(form)
    for line in lines:
        reader.take(line)
    return reader.finished()


class _Reader:
    """Takes line after line, and knows in which section, graph, report and table it is."""

    def __init__(self, form: Format):
        self._form = form
        self._section, self._graph = RUNS, MAIN  # before 2020 there were no titles, and the runs alone
        self._report: Report | None = None
        self._rows: list[dict] | None = None
        self._columns: tuple[str, ...] | None = None
        self._needed: set[str] = set()
        self._done: list[Report] = []

    def take(self, line: Line) -> None:
        text = line.text
        if self._rows is not None:
            if not text.strip():
                self._end_table()
            elif self._columns is None:
                self._take_head(text)
            else:
                self._rows.append(values(self._form.cells(text, self._columns), self._form))
            return
        table = _TABLE.fullmatch(text)
        if table:
            self._begin_table(table[1])
        elif text in _SECTIONS:
            self._check_closed()
            self._section, self._graph = _SECTIONS[text], MAIN
        elif _SUBGRAPH.fullmatch(text):
            self._check_closed()
            self._graph = f"{SUBGRAPH} {_SUBGRAPH.fullmatch(text)[1]}"
        elif text.rstrip() == "Delegate internal:":
            self._check_closed()
            self._graph = DELEGATES
        elif self._form.columns(text):
            raise _broken("the head of a table without its title", text)
        else:
            self._take_number(line)

    def finished(self) -> list[Report]:
        self._check_closed()
        return self._done

    def _begin_table(self, title: str) -> None:
        if self._report is None:
            self._report = Report(self._section, self._graph)
        if title in self._report.tables:
            raise _broken("a table twice", title)
        self._rows = self._report.tables[title] = []
        self._columns, self._needed = None, KIND_COLUMNS if title == SUMMARY else OP_COLUMNS

    def _take_head(self, text: str) -> None:
        columns = self._form.columns(text)
        if columns is None or not self._needed <= set(columns) or len(set(columns)) < len(columns):
            raise _broken("a table whose head is not readable", text)
        self._columns = columns

    def _end_table(self) -> None:
        if self._columns is None:
            raise _broken("a table without a head", "")
        self._rows = None

    def _take_number(self, line: Line) -> None:
        executed, timings, observed = (form.fullmatch(line.text) for form in (_EXECUTED, _TIMINGS, _OBSERVED))
        if not (executed or timings or observed):
            return
        if self._report is None or not line.whole:
            raise _broken("a line that belongs to no table, or is cut", line.text)
        name = "executed" if executed else "timings" if timings else "observed"
        if getattr(self._report, name) is not None:
            raise _broken("a line twice", line.text)
        value = parse_stats(timings[1]) if timings else integer((executed or observed)[1], "the number of nodes")
        setattr(self._report, name, value)
        if observed:
            self._close()

    def _close(self) -> None:
        report, self._report = self._report, None
        missing = [name for name in (RUN_ORDER, SUMMARY) if name not in report.tables]
        missing += [name for name in ("executed", "timings") if getattr(report, name) is None]
        if missing:
            raise _broken("a report without its " + ", ".join(missing), f"{report.observed} nodes observed")
        if any((report.section, report.graph) == (other.section, other.graph) for other in self._done):
            raise _broken("two reports of the same graph", f"{report.section}, {report.graph}")
        self._done.append(report)

    def _check_closed(self) -> None:
        if self._report is not None:
            raise _broken("a report without its end", "… nodes observed")


def _broken(what: str, text: str) -> OutputError:
    return OutputError(f"A profile's report must be whole, and told once. Received: {what} ({shorten(text)!r}). "
                       "The output is cut, damaged or of several runs: measure again.")
