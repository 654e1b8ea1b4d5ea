"""Whether a report's tables agree: nearly all that the tool prints of ops, it prints twice.

    rows              = Number of nodes executed = nodes observed
    [%]               = [avg ms] · [times called] ÷ the average of Timings            [cdf%] adds them up, to 100 %
    Σ [first]         = first of Timings, where every op is called once
    Top by …          = the same rows again
    Summary by …      = sums over the rows of a kind; its times are cut to microseconds, op by op
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.numbers import stream_rounding
from mobile_bench.outputs.profile_formats import (
    AVERAGE,
    CALLED,
    COUNT,
    CUMULATED,
    FIRST,
    KIND,
    MEMORY,
    NAME,
    PERCENT,
    Format,
)
from mobile_bench.outputs.profile_report import RUN_ORDER, SUBGRAPH, SUMMARY, Report

_FLOAT32_SHARE = 1e-4  # percent: the tool adds up shares as 32-bit floats


def check_report(report: Report, form: Format) -> None:
    """Raises `OutputError` where a report contradicts itself."""
    rows = report.tables[RUN_ORDER]
    for check in (
        _counts(report), _shares(report, form), _adding_up(rows, form), _last_share(rows, form),
        _first(report, form), _top(report, form), _summary(report, form),
    ):
        for broken in check:
            raise OutputError(f"A profile's tables must agree: {broken}. Received: other numbers in the "
                              f"{report.section} of {report.graph}. The output is damaged: measure again.")


def total(report: Report) -> float:
    """The time of a run, on average, in milliseconds."""
    return (report.timings.avg_us or 0.0) / 1000


def _counts(report: Report) -> Iterator[str]:
    rows = report.tables[RUN_ORDER]
    if not len(rows) == report.executed == report.observed:
        yield "as many rows as nodes executed and observed"
    if len({row[NAME] for row in rows}) < len(rows):
        yield "every name once"


def _shares(report: Report, form: Format) -> Iterator[str]:
    total_ms = total(report)
    slack_of_total = stream_rounding(total_ms)
    for row in report.tables[RUN_ORDER]:
        share, calls, average = row[PERCENT], row[CALLED], row[AVERAGE]
        if math.isnan(share) != (total_ms == 0) or math.isnan(row[CUMULATED]) != (total_ms == 0):
            yield "a share of each row, unless all took no time"
        if calls == 0 or total_ms == 0:  # old builds divided so that 0 was left
            continue
        slack = calls * form.rounding(average) + (form.rounding(share) * total_ms + share * slack_of_total) / 100
        # A loop's body may run a changing number of times, of which [times called] is the whole part of the average.
        most = calls + 1 if report.graph.startswith(SUBGRAPH) else calls
        slack += (most - calls) * form.rounding(average) + 1e-9 * total_ms
        if not calls * average - slack <= share / 100 * total_ms <= most * average + slack:
            yield f"[avg ms], [times called] and [%] of {row[NAME]}"


def _adding_up(rows: list[dict], form: Format) -> Iterator[str]:
    before = 0.0
    for row in rows:
        share, here = row[PERCENT], row[CUMULATED]
        slack = form.rounding(share) + form.rounding(here) + form.rounding(before) + _FLOAT32_SHARE
        if abs(here - before - share) > slack:
            yield f"[cdf%] of {row.get(NAME, row[KIND])}"
        before = here


def _last_share(rows: list[dict], form: Format) -> Iterator[str]:
    if rows and all(row[CALLED] for row in rows):
        last = rows[-1][CUMULATED]
        if abs(last - 100) > form.rounding(last) + _FLOAT32_SHARE:
            yield "[cdf%] goes to 100 %"


def _first(report: Report, form: Format) -> Iterator[str]:
    rows = report.tables[RUN_ORDER]
    if rows and report.timings.count and all(row[CALLED] == 1 for row in rows):
        slack = sum(form.rounding_of_microseconds(row[FIRST]) for row in rows)
        if abs(sum(row[FIRST] for row in rows) - report.timings.first_us / 1000) > slack + 1e-7:
            yield "[first] adds up to the first run"


def _top(report: Report, form: Format) -> Iterator[str]:
    ops = {row[NAME]: row for row in report.tables[RUN_ORDER]}
    for title, rows in report.tables.items():
        if title in (RUN_ORDER, SUMMARY):
            continue
        for row in rows:
            op = ops.get(row[NAME], {})
            if any(not _same(row[column], op.get(column)) for column in row if column != CUMULATED):
                yield f"{title} has the rows of {RUN_ORDER}"
        if len({row[NAME] for row in rows}) < len(rows):
            yield f"{title} has each row once"
        yield from _adding_up(rows, form)


def _summary(report: Report, form: Format) -> Iterator[str]:
    summary, total_ms = report.tables[SUMMARY], total(report)
    kinds: dict[str, list[dict]] = {}
    for row in report.tables[RUN_ORDER]:
        kinds.setdefault(row[KIND], []).append(row)
    if sorted(row[KIND] for row in summary) != sorted(kinds):
        yield "the kinds of the summary"
        return
    whole = sum(row[AVERAGE] for row in summary)
    for row in summary:
        ops = kinds[row[KIND]]
        if row[COUNT] != len(ops) or row[CALLED] != sum(op[CALLED] for op in ops):
            yield f"the number of {row[KIND]} and of their calls"
        memory, slack = sum(op[MEMORY] for op in ops), sum(form.rounding(op[MEMORY]) for op in ops)
        if abs(row[MEMORY] - memory) > slack + form.rounding(row[MEMORY]) + 1e-6 * abs(memory):
            yield f"the memory of {row[KIND]}"
        spent, slack = _spent(ops, total_ms, form, by_share=report.graph.startswith(SUBGRAPH))
        slack += form.rounding(row[AVERAGE]) + 1e-6 * spent
        if not spent - 0.001 * len(ops) - slack <= row[AVERAGE] <= spent + slack:
            yield f"the time of {row[KIND]}"
        slack = form.rounding(row[PERCENT]) + 1e-3 * form.rounding_of_microseconds(whole) + _FLOAT32_SHARE
        if whole and abs(row[PERCENT] - 100 * row[AVERAGE] / whole) > slack:
            yield f"the share of {row[KIND]}"
    yield from _adding_up(summary, form)


def _spent(ops: list[dict], total_ms: float, form: Format, by_share: bool) -> tuple[float, float]:
    """The time of some ops in a run, in milliseconds, and how far it may be off.

    Args:
        by_share: take it from [%] even where it is known how often an op is called.
    """
    spent = slack = 0.0
    for op in ops:
        if op[CALLED] and not by_share:
            spent += op[AVERAGE] * op[CALLED]
            slack += form.rounding(op[AVERAGE]) * op[CALLED]
        elif total_ms:
            spent += op[PERCENT] / 100 * total_ms
            slack += form.rounding(op[PERCENT]) / 100 * total_ms + op[PERCENT] / 100 * stream_rounding(total_ms)
    return spent, slack


def _same(one, other) -> bool:
    return one == other or (one != one and other != other)  # NaN, the share of a total of 0, is the same as NaN

