"""How many inferences a series has, against how many were asked for.

    Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.

The tool goes on while it has not yet done 50 or the second is not over, and ends when 150 seconds are. So the time of
all inferences but the last (avg · count − curr) lies below the second where there were more than 50, and below the
150 seconds in any case; and there are fewer than 50 only where the 150 seconds were used up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.numbers import INTEGER, NUMBER, stream_rounding
from mobile_bench.outputs.stats import Stats

_START = "Running benchmark for "
# A dry run's least time is -1; before 2019 only the iterations were told.
_WANTED = re.compile(
    rf"Running benchmark for (?:at least )?({INTEGER}) iterations"
    rf"(?: and at least (-?{NUMBER}) seconds but terminate if exceeding ({NUMBER}) seconds)?\.?"
)
# Preparing the inputs and the clock take time too, which no inference shows.
_SHARE_OF_INFERENCES = 0.5


@dataclass(frozen=True)
class Wanted:
    """The least number of inferences; the least and the most time in seconds, None where it is not told."""

    runs: int
    least_s: float | None
    most_s: float | None


def parse_wanted(text: str) -> Wanted | None:
    """Reads such a line; None where `text` is another one. Raises: OutputError where it is cut or damaged."""
    if not text.startswith(_START):
        return None
    found = _WANTED.fullmatch(text.rstrip(" "))
    if not found:
        raise OutputError(
            f"The line that announces a series must have the form that benchmark_model prints. Received: "
            f"{shorten(text)!r}. The output is cut or damaged: measure again."
        )
    return Wanted(int(found[1]), float(found[2]) if found[2] else None, float(found[3]) if found[3] else None)


def check_count(stats: Stats, wanted: Wanted | None, delayed: bool) -> None:
    """Raises `OutputError` where the series cannot have as many inferences as it tells.

    Args:
        stats: the series.
        wanted: what was announced before it; None, nothing was.
        delayed: whether the tool waited between the inferences, so that their times do not add up to the whole.
    """
    if wanted is None:
        return
    total_us = (stats.avg_us or 0.0) * stats.count  # without a warm-up, both are nothing
    before_last_us = total_us - (stats.curr_us or 0) - stream_rounding(total_us) * 1.01
    too_many = stats.count > wanted.runs and (
        before_last_us > _us(wanted.least_s) if wanted.least_s is not None else wanted.most_s is None
    )
    too_long = wanted.most_s is not None and before_last_us > _us(wanted.most_s)
    too_few = stats.count < wanted.runs and not delayed and (
        wanted.most_s is None or total_us < _SHARE_OF_INFERENCES * _us(wanted.most_s)
    )
    if too_many or too_long or too_few:
        raise OutputError(
            f"A series has as many inferences as were asked for. Received: count={stats.count} of {stats.avg_us} µs on "
            f"average, for at least {wanted.runs} and {wanted.least_s} s and at most {wanted.most_s} s. "
            "The output is damaged, or the phone's clock was set meanwhile: measure again."
        )


def _us(seconds: float) -> float:
    return max(0.0, seconds) * 1e6 * (1 + 1e-5)
