"""The line that ends a run: its few numbers, of which all but the averages' names changed over the years.

    Inference timings in us: Init: 12025, First inference: 6692, Warmup (avg): 6692, Inference (avg): 6561.96
    Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9                    until 2020
    Average inference timings in us: Warmup: 751932, Init: 21039, no stats: 747733                     until 2019
    Average inference timings in us: Warmup: …, Init: …, Inference: 79760.9Overall max resident set size = 9.3 MB, …
                                                                  └ the Android app of 2020 forgot to separate them
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.numbers import INTEGER, NUMBER, SIGNED, signed, streamed

STARTS = ("Inference timings in us:", "Average inference timings in us:")

_AVERAGE = rf"{NUMBER}|-?nan"  # of no inferences at all, some builds print nan
_MEMORY = rf"(?:(?:, |; | )?Overall max resident set size = (?P<memory>{SIGNED}) MB(?:,.*)?)?"
_NEW = re.compile(
    rf"Inference timings in us: Init: (?P<init>{INTEGER}), First inference: (?P<first>{INTEGER}), "
    rf"Warmup \(avg\): (?P<warmup>{_AVERAGE}), Inference \(avg\): (?P<inference>{_AVERAGE}){_MEMORY}"
)
_OLD = re.compile(
    rf"Average inference timings in us: Warmup: (?P<warmup>{_AVERAGE}), Init: (?P<init>{INTEGER}), "
    rf"(?:Inference|no stats): (?P<inference>{_AVERAGE}){_MEMORY}"
)


@dataclass(frozen=True)
class Summary:
    """The numbers of the last line; microseconds and MB, None where it does not tell.

    Attributes:
        init_us: loading the model, to the microsecond.
        first_us: the very first inference, which is one of the warm-up's.
        warmup_avg_us, inference_avg_us: to six digits.
        memory_overall_mb: by the app of 2020 alone.
    """

    init_us: int
    first_us: int | None
    warmup_avg_us: float | None
    inference_avg_us: float | None
    memory_overall_mb: float | None = None


def parse_summary(text: str) -> Summary | None:
    """Reads such a line; None where `text` is another one. Raises: OutputError where it is cut or damaged.

    Examples:
        parse_summary("Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9").init_us
        # 38467
    """
    if not text.startswith(STARTS):
        return None
    found = _NEW.fullmatch(text) or _OLD.fullmatch(text)
    if not found:
        raise OutputError(
            f"The timings of a run must have one of the forms that benchmark_model prints. Received: "
            f"{shorten(text)!r}. The output is cut or damaged: measure again."
        )
    told = found.groupdict()
    return Summary(
        init_us=int(told["init"]),
        first_us=int(told["first"]) if told.get("first") else None,
        warmup_avg_us=_average(told["warmup"]),
        inference_avg_us=_average(told["inference"]),
        memory_overall_mb=signed(told["memory"], "memory") if told["memory"] else None,
    )


def _average(token: str) -> float | None:
    return None if token.endswith("nan") else streamed(token, "an average")
