"""The line `count=50 first=6752 …`: what the tool tells of a series of inferences.

    count=50 first=6752 curr=6495 min=6155 max=10630 avg=6561.96 std=699 p5=6170 median=6392 p95=7253      since 2024
    count=50 first=6752 curr=6495 min=6155 max=10630 avg=6561.96 std=699                                   before
    count=50 curr=30(all same)       count=1 curr=6692       count=1 curr=6692 p5=6692 median=6692 p95=6692     count=0
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.numbers import INTEGER, NUMBER, streamed
from mobile_bench.outputs.stats_checks import check

_STATS = re.compile(
    rf"count=(?P<count>{INTEGER})"
    rf"(?: first=(?P<first>{INTEGER}) curr=(?P<last>{INTEGER}) min=(?P<min>{INTEGER}) max=(?P<max>{INTEGER})"
    rf" avg=(?P<avg>{NUMBER}) std=(?P<std>{INTEGER})|"
    rf" curr=(?P<only>{INTEGER})(?P<same>\(all same\))?)?"
    rf"(?: p5=(?P<p5>{INTEGER}) median=(?P<median>{INTEGER}) p95=(?P<p95>{INTEGER}))?"
)


@dataclass(frozen=True)
class Stats:
    """A series of inferences; times in microseconds, None where the tool does not tell.

    Attributes:
        count: how many inferences.
        first_us, curr_us: the first and the last one.
        min_us, max_us, avg_us, std_us: of all; the tool tells `avg_us` to six digits and cuts `std_us` to an integer.
        p5_us, median_us, p95_us: percentiles, which builds before 2024 do not tell.
    """

    count: int | None = None
    first_us: int | None = None
    curr_us: int | None = None
    min_us: int | None = None
    max_us: int | None = None
    avg_us: float | None = None
    std_us: int | None = None
    p5_us: int | None = None
    median_us: int | None = None
    p95_us: int | None = None

    def to_json(self) -> dict:
        """What is told, ready for `json.dumps`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def parse_stats(text: str) -> Stats:
    """Reads one such line, without what stands in front of `count=`.

    Where all inferences took as long, the tool tells that time once; `first_us`, `min_us` and others follow from it.

    Raises:
        OutputError: it is cut, damaged, or its numbers cannot belong together (see `stats_checks`).

    Examples:
        parse_stats("count=1 curr=6692").max_us     # 6692
    """
    found = _STATS.fullmatch(text)
    if not found or not _forms_agree(found):
        raise OutputError(
            f"A line with count= has one of the forms that benchmark_model prints. Received: {shorten(text)!r}. "
            "The output is cut or damaged: measure again."
        )
    told = {name: int(token) for name, token in found.groupdict().items() if token and name not in ("avg", "same")}
    percentiles = {f"{name}_us": told.get(name) for name in ("p5", "median", "p95")}
    if "only" in told:
        one = told["only"]
        stats = Stats(told["count"], one, one, one, one, float(one), 0, **percentiles)
    elif "first" in told:
        average = streamed(found["avg"], "avg")
        stats = Stats(told["count"], told["first"], told["last"], told["min"], told["max"], average, told["std"],
                      **percentiles)
    else:
        stats = Stats(told["count"])
    check(stats, text)
    return stats


def _forms_agree(found: re.Match) -> bool:
    """Whether the form of the line is the one that the tool takes for that count."""
    count = int(found["count"])
    if found["only"]:
        return (count > 1) == bool(found["same"]) and count > 0
    if found["first"]:
        return count > 1
    return count == 0 and not found["p5"]
