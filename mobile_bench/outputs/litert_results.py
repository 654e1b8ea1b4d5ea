"""The block that ends a run of `benchmark_litert_model`, instead of the line of `summary`.

    ========== BENCHMARK RESULTS ==========
    Model initialization: 12.03 ms
    Warmup (first):       6.69 ms
    Warmup (avg):         6.69 ms (1 runs)
    Inference (avg):      6.56 ms (50 runs)
    …                                              min, max, std, throughput, memory
    ======================================

Its times are rounded to 0.01 ms; the lines with `count=` before it tell them better, and have to agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.lines import Line
from mobile_bench.outputs.numbers import integer, signed

FIRST, LAST = "=" * 10 + " BENCHMARK RESULTS " + "=" * 10, "=" * 38

_ROWS = {
    "Model initialization": ("init_ms", "ms"),
    "Warmup (first)": ("first_ms", "ms"),
    "Warmup (avg)": ("warmup_avg_ms", "ms"),
    "Inference (avg)": ("avg_ms", "ms"),
    "Inference (min)": ("min_ms", "ms"),
    "Inference (max)": ("max_ms", "ms"),
    "Inference (std)": ("std_ms", ""),
    "Throughput": ("throughput_mb_s", "MB/s"),
    "Init footprint": ("memory_init_mb", "MB"),
    "Overall footprint": ("memory_overall_mb", "MB"),
    "Peak memory": ("memory_peak_mb", "MB"),
}
_ROW = re.compile(r"([A-Z][a-z]+(?: [a-z]+| \([a-z]+\))?): +([^\s]+)(?: (ms|MB/s|MB))?(?: \(([^\s]+) runs\))?")
_NEEDED = ("init_ms", "first_ms", "warmup_avg_ms", "avg_ms", "runs", "warmup_runs")


def parse_results(lines: Iterable[Line]) -> dict[str, float] | None:
    """What the block tells: `init_ms`, `first_ms`, `avg_ms`, `runs`, `warmup_runs`, …; None where there is no block.

    Raises:
        OutputError: two blocks, one that is not ended, or one with a line that is damaged or comes twice.
    """
    told: dict[str, float] = {}
    inside = ended = False
    for line in lines:
        if line.text == FIRST:
            if inside or ended:
                raise _unreadable("a second block", line)
            inside = True
        elif inside and line.text == LAST:
            inside, ended = False, True
        elif inside:
            _read(line, told)
    if inside or (ended and not set(_NEEDED) <= set(told)):
        missing = ", ".join(sorted(set(_NEEDED) - set(told))) or "no end"
        raise OutputError(f"LiteRT's block of results must be whole. Received: one with {missing} missing. "
                          "The output is cut: measure again.")
    return told if ended else None


def _read(line: Line, told: dict[str, float]) -> None:
    found = _ROW.fullmatch(line.text)
    if not found or found[1] not in _ROWS:
        if line.text.startswith(tuple(_ROWS)):
            raise _unreadable("a damaged line", line)
        return  # a title, or "No throughput data available (throughput <= 0)."
    name, unit = _ROWS[found[1]]
    values = {name: _hundredths(found[2], found[1])}
    counted = name in ("avg_ms", "warmup_avg_ms")
    if (found[3] or "") != unit or bool(found[4]) != counted:
        raise _unreadable("a damaged line", line)
    if counted:
        values["runs" if name == "avg_ms" else "warmup_runs"] = integer(found[4], "a count")
    if values.keys() & told.keys():
        raise _unreadable("a line twice", line)
    told |= values


def _hundredths(token: str, what: str) -> float:
    if not re.search(r"\.[0-9]{2}$", token):  # "%.2f"
        raise OutputError(f"{what} has two decimals. Received: {shorten(token)!r}. The output is cut or damaged: "
                          "measure again.")
    return signed(token, what)


def _unreadable(what: str, line: Line) -> OutputError:
    return OutputError(f"LiteRT's block of results must be readable, and there is one of it. Received: {what}, "
                       f"{shorten(line.text)!r}. The output is damaged, or of several runs: measure again.")
