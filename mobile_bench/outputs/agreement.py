"""Text and result file of the same run, against each other.

    text    avg=6561.96 … median=6392 …          ┐   equal but for rounding: one RunOutput that tells what either tells
    file    avg_ms 6.56196  median_ms 6.392 …    ┘   else an error

The text has integers of microseconds and six digits of averages, the file 32-bit floats: about seven digits.
"""

from __future__ import annotations

from dataclasses import replace

from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.numbers import FLOAT32, stream_rounding
from mobile_bench.outputs.result_proto import ResultProto
from mobile_bench.outputs.run_output import RunOutput
from mobile_bench.outputs.stats import Stats
from mobile_bench.outputs.stats_checks import check

_MEMORY_ROUNDING = 0.005  # MB: benchmark_litert_model prints two decimals
_INTEGERS = ("min", "max", "std", "p5", "median", "p95")


def cross_check(run_output: RunOutput, result_proto: ResultProto) -> RunOutput:
    """The run with what the text left out: the benchmark app, for one, may log no more than averages.

    Args:
        run_output: what `parse_run` or `parse_logcat` has read.
        result_proto: what `parse_result_proto` has read of the same run.

    Returns:
        RunOutput: numbers of the text stay as they are; those it does not tell come from the file.

    Raises:
        OutputError: both tell a number, and it is not the same but for rounding.

    Examples:
        cross_check(parse_run(stdout), parse_result_proto(data)).inference.count    # 50
    """
    text, file = run_output, result_proto
    inference = _series(text.inference, file, "inference")
    inference = replace(inference, avg_us=_average("avg", text.inference.avg_us, file.avg_ms),
                        count=_same("count", text.inference.count, file.runs))
    check(inference, f"{inference} of the text and the file")
    before, filed_average = text.warmup or Stats(), _unless_none(file.warmup_avg_ms, file)
    warmup = replace(before, avg_us=_average("the warm-up's avg", before.avg_us, filed_average),
                     count=_same("the warm-up's count", before.count, file.warmup_runs))
    return replace(
        text,
        inference=inference,
        warmup=warmup if warmup != Stats() else None,
        init_us=_integer("init", text.init_us, file.init_ms, stream_rounding(text.init_us or 0)),
        first_us=_integer("first", text.first_us, _unless_none(file.first_ms, file)),
        memory_init_mb=_memory("init", text.memory_init_mb, file.memory_init_kb, 1024),
        memory_overall_mb=_memory("overall", text.memory_overall_mb, file.memory_overall_kb, 1024),
        memory_peak_mb=_memory("peak", text.memory_peak_mb, file.memory_peak_mb, 1),
        model_size_mb=_size(text.model_size_mb, file.model_size_mb),
    )


def _series(stats: Stats, file: ResultProto, what: str) -> Stats:
    told = {
        f"{name}_us": _integer(f"{what} {name}", getattr(stats, f"{name}_us"), getattr(file, f"{name}_ms"))
        for name in _INTEGERS
    }
    return replace(stats, **told)


def _unless_none(value: float | None, file: ResultProto) -> float | None:
    """Without a warm-up the file has zeros for what there is not."""
    return None if file.warmup_runs == 0 else value


def _integer(what: str, microseconds: int | None, milliseconds: float | None, slack: float = 0.0) -> int | None:
    if milliseconds is None or microseconds is None:
        return microseconds if milliseconds is None else round(milliseconds * 1000)
    _check_close(what, microseconds, milliseconds * 1000, slack + FLOAT32 * microseconds + 1e-6)
    return microseconds


def _average(what: str, microseconds: float | None, milliseconds: float | None) -> float | None:
    if milliseconds is None or microseconds is None:
        return microseconds if milliseconds is None else milliseconds * 1000
    _check_close(what, microseconds, milliseconds * 1000, stream_rounding(microseconds) + FLOAT32 * microseconds)
    return microseconds


def _memory(what: str, mb: float | None, filed: float | None, units: int) -> float | None:
    if filed is None or mb is None:
        return mb if filed is None else filed / units
    _check_close(f"{what} memory", mb, filed / units, _MEMORY_ROUNDING + stream_rounding(mb))
    return mb


def _size(mb: float | None, filed: float | None) -> float | None:
    if filed is None or mb is None:
        return mb if filed is None else filed
    _check_close("model size", mb, filed, stream_rounding(mb) + FLOAT32 * mb)
    return mb


def _same(what: str, text: int | None, file: int | None) -> int | None:
    if None not in (text, file):
        _check_close(what, text, file, 0)
    return file if text is None else text


def _check_close(what: str, text: float, file: float, slack: float) -> None:
    if abs(text - file) > slack:
        raise OutputError(
            f"The text and the result file of a run must agree. Received: {what} {text:g} in the text, {file:.9g} in "
            "the file. They are of two runs, or one is damaged: measure again."
        )
