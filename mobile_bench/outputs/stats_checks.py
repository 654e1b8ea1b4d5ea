"""Whether the numbers of a series can belong together: a damaged digit mostly breaks one of these.

    min ≤ first, curr ≤ max      min ≤ p5 ≤ median ≤ p95 ≤ max      min ≤ avg ≤ max
    avg · count is an integer: the times are integers, and avg is printed to six digits
    two inferences:  {first, curr} = {min, max}
    with a = max − avg and b = avg − min, since one inference took max and another one min:

        (a² + b² + (a − b)² / (count − 2)) / count  ≤  std²  ≤  a · b
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.numbers import stream_rounding


def check(stats, text: str) -> None:
    """Raises `OutputError` where the numbers of `stats` contradict each other.

    Args:
        stats: a `Stats`; what is None is not checked.
        text: what to quote.
    """
    for broken in _broken(stats):
        raise OutputError(
            f"The numbers of a series must be possible together: {broken}. Received: {shorten(text)!r}. "
            "The output is damaged: measure again."
        )


def _broken(stats) -> Iterator[str]:
    low, high = stats.min_us, stats.max_us
    ladder = [("min", low), ("p5", stats.p5_us), ("median", stats.median_us), ("p95", stats.p95_us), ("max", high)]
    told = [(name, value) for name, value in ladder if value is not None]
    for (lower, small), (upper, large) in zip(told, told[1:], strict=False):
        if small > large:
            yield f"{lower} ≤ {upper}"
    for name in ("first", "curr"):
        value = getattr(stats, f"{name}_us")
        if None not in (value, low, high) and not low <= value <= high:
            yield f"min ≤ {name} ≤ max"
    if None not in (stats.avg_us, low, high):
        yield from _average(stats)
        if stats.std_us is not None:
            yield from _deviation(stats)
    if stats.count == 1 and low != high:
        yield "one inference is the fastest and the slowest"
    both = (stats.first_us, stats.curr_us)
    if stats.count == 2 and None not in (low, high, *both) and sorted(both) != [low, high]:
        yield "two inferences are the fastest and the slowest one"


def _average(stats) -> Iterator[str]:
    slack = stream_rounding(stats.avg_us) + 1e-9 * stats.avg_us
    if not stats.min_us - slack <= stats.avg_us <= stats.max_us + slack:
        yield "min ≤ avg ≤ max"
    total = stats.avg_us * stats.count
    if abs(total - round(total)) > slack * stats.count:
        yield "avg · count is an integer"


def _deviation(stats) -> Iterator[str]:
    count, average = stats.count, stats.avg_us
    slack = stream_rounding(average) + 1e-9 * average
    above, below = max(0.0, stats.max_us - average), max(0.0, average - stats.min_us)
    most = math.sqrt((above + slack) * (below + slack))
    rest = max(0.0, abs(above - below) - 2 * slack) ** 2 / (count - 2) if count > 2 else 0.0
    least = math.sqrt((max(0.0, above - slack) ** 2 + max(0.0, below - slack) ** 2 + rest) / count)
    # The tool cuts the fraction off; one more is for how it computes: as a difference of two large squares.
    if stats.std_us > most + 1 or stats.std_us + 2 < least:
        yield "std lies between what min, max and avg allow"
