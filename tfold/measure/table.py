"""A benchmark's result as lines for people.

    model          device  runtime  threads    median       p90  spread
    base.tflite    host    litert         1  11.62 ms  11.88 ms    1.1%
    folded.tflite  host    litert         1  9.470 ms  9.601 ms    0.9%
    folded.tflite ÷ base.tflite on host, litert, 1 thread: 0.815 [0.811, 0.819] at 95%: faster
        base.tflite against itself: 1.001 [0.997, 1.004]: differences of about 0.4% show here today
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tfold.measure.result import BenchResult, Comparison
from tfold.measure.statistics import Ratio

WIDEST_NAME = 48


def table(result: BenchResult) -> list[str]:
    """The lines; columns stand below each other."""
    names = short_names([measurement.model for measurement in result.measurements])
    rows = [("model", "device", "runtime", "threads", "median", "p90", "spread")]
    for m in result.measurements:
        p90 = "–" if m.p90_ms is None else duration(m.p90_ms)
        ran = (names[m.model], m.device, m.runtime)
        rows.append((*ran, str(m.threads), duration(m.median_ms), p90, f"{m.spread:.1%}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = len(ran)  # texts stand to the left, numbers to the right
    lines = ["  ".join(cell.ljust(width) if place < left else cell.rjust(width)
                       for place, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
    for comparison in result.comparisons:
        lines += _of(comparison, names)
    lines += [f"{name} is left out: {why}" for name, why in result.unable.items()]
    return lines + [f"{serial} has no result: {why}" for serial, why in result.failed.items()]


def _of(comparison: Comparison, names: dict[str, str]) -> list[str]:
    threads = f"{comparison.threads} thread{'s' * (comparison.threads > 1)}"
    where = f"{comparison.device}, {comparison.runtime}, {threads}"
    ratio, check = comparison.ratio, comparison.self_check
    first, *others = (names[measurement.model] for measurement in comparison.measurements)
    title, lines = where, []
    if ratio:
        title = f"{others[0]} ÷ {first} on {where}: {ratio} at {ratio.confidence:.0%}: {comparison.verdict}"
    if check:
        lines.append(f"{first} against itself: {check}: {_resolution(check)}")
    if comparison.discarded:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in comparison.discarded.items())
        lines.append(f"blocks thrown away: {reasons}")
    lines += comparison.notes
    return [title, *(f"    {line}" for line in lines)] if ratio or lines else []


def _resolution(check: Ratio) -> str:
    if check.differs:
        return "told apart from itself, so something disturbs the measurement; end other programs and measure again"
    return f"differences of about {check.resolution:.1%} show here today"


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Path → what the table calls it: the file's name where that tells the files apart."""
    paths = list(paths)
    names = {path: os.path.basename(path) for path in paths}
    if len(set(names.values())) < len(names):
        names = {path: path for path in paths}
    shortened = {
        path: name if len(name) <= WIDEST_NAME else f"…{name[1 - WIDEST_NAME:]}" for path, name in names.items()
    }
    return shortened if len(set(shortened.values())) == len(shortened) else names


def duration(milliseconds: float) -> str:
    """Four digits or so, in the unit that people would choose."""
    if milliseconds < 0.1:
        return f"{1000 * milliseconds:.2f} µs"
    digits = 3 if milliseconds < 10 else 2 if milliseconds < 100 else 1
    return f"{milliseconds:.{digits}f} ms"
