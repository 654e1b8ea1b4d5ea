"""A whole output becomes a `RunOutput`, or an error; never a number that the run has not measured.

    Running benchmark for at least 1 iterations …       R ┐ warm-up
    count=1 curr=6692 …                                 C ┘
    Running benchmark for at least 50 iterations …      R ┐ the measurement
    count=50 first=6752 …                               C ┘
    Inference timings in us: …                          T   or LiteRT's block: repeats some numbers of both

The order tells which line is which, and `within` that the numbers told twice are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mobile_bench.outputs import failure
from mobile_bench.outputs.delegation import read_created, read_delegation, read_unsupported
from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.facts import collect_facts, read_fact
from mobile_bench.outputs.iterations import Wanted, check_count, parse_wanted
from mobile_bench.outputs.lines import Line, read_lines
from mobile_bench.outputs.litert_results import parse_results
from mobile_bench.outputs.run_output import RunOutput
from mobile_bench.outputs.stats import Stats, parse_stats
from mobile_bench.outputs.summary import Summary, parse_summary
from mobile_bench.outputs.within import check_litert, check_summary

_UNCONSUMED = "Unconsumed cmdline flags:"
_STARTING = "STARTING!"
# A line that begins with a later part of a count line: somewhere in it a line end has got in.
_TORN = re.compile(r"\s*(?:first|curr|min|max|avg|std|p5|median|p95)=")


def parse_run(stdout: str, stderr: str = "", exit_code: int = 0) -> RunOutput:
    """Reads what one run of benchmark_model or benchmark_litert_model has printed.

    What the text tells twice is compared: the averages, the very first inference and the time of loading, of which
    benchmark_litert_model repeats no more than 0.01 ms, and also count, min, max and std. What it tells once can only
    be checked for being possible: min, max, std, p5, median and p95 (see `stats_checks`), the measurement's own first
    and its last inference, count (by `--num_runs`, `--min_secs` and `--max_secs`; with `--min_secs=0` exactly),
    memory, model size. A wrong digit in one of those goes unnoticed where the result is possible; `cross_check` with
    `--result_file_path` notices it, but for that first and last inference.

    Args:
        stdout, stderr: as they were printed, unstripped: the last line end tells that the last number is whole.
            Bytes that are no UTF-8 may be decoded with `errors="replace"`. Both may also come in one.
        exit_code: with which the tool ended.

    Returns:
        RunOutput: all that it tells.

    Raises:
        BenchmarkFailedError: the exit code is not 0, or the tool says that it failed.
        OutputError: the output is cut, damaged, of several runs, or contradicts itself.

    Examples:
        done = subprocess.run(["./benchmark_model", "--graph=model.tflite"], capture_output=True, text=True)
        parse_run(done.stdout, done.stderr, done.returncode).inference.median_us    # 6392
    """
    return run_from_lines(read_lines(stdout) + read_lines(stderr), exit_code)


def run_from_lines(lines: Sequence[Line], exit_code: int = 0, summary_suffices: bool = False) -> RunOutput:
    """As `parse_run`, of lines that are already read.

    Args:
        lines: all lines of one run.
        exit_code: see `parse_run`.
        summary_suffices: take the last line's averages where no line with `count=` is there.
    """
    if exit_code or any(line.text == failure.FAILED for line in lines):
        raise failure.failure(lines, exit_code)
    _check_whole(lines)
    facts, results = collect_facts(lines), parse_results(lines)
    wanted, series, summary = _ordered(lines, results is not None, summary_suffices)
    warmup, inference = series or (None, Stats(avg_us=summary.inference_avg_us))
    if inference.avg_us is None:
        raise OutputError("A run measures at least one inference. Received: a measurement with count=0. "
                          "Run the tool without --dry_run and with --num_runs of at least 1.")
    if inference.avg_us <= 0:
        raise OutputError("An inference takes some time. Received: an average of 0 µs. The output is damaged, or the "
                          "model does nothing: measure another one.")
    for told, limits in zip(series, wanted, strict=False):
        check_count(told, limits, delayed=facts.get("delay_s", 0) > 0 or facts.get("runs_per_s", 0) > 0)
    if summary:
        check_summary(summary, warmup, inference, facts)
    if results:
        check_litert(results, warmup, inference, facts)
    return _output(lines, facts, results or {}, warmup, inference, summary)


def _check_whole(lines: Sequence[Line]) -> None:
    for line in lines:
        if not line.whole and _tells(line):
            raise OutputError(
                f"The last line must have its line end: without it, its last number may be cut. Received: "
                f"{line.text!r} at the end. Hand the output over unstripped; if it is, measure again."
            )


def _tells(line: Line) -> bool:
    return line.text.startswith("count=") or _UNCONSUMED in line.text or bool(
        parse_summary(line.text) or read_fact(line.text)
    )


def _ordered(
    lines: Sequence[Line], has_results: bool, summary_suffices: bool
) -> tuple[list[Wanted | None], tuple[Stats, Stats] | tuple, Summary | None]:
    """The run's limits, its two series, and its summary; checked for their order."""
    order, wanted, series, summaries = "", [], [], []
    for line in lines:
        limits, summary = parse_wanted(line.text), parse_summary(line.text)
        if line.text == _STARTING:
            order += "S"
        elif limits:
            order += "R"
            wanted.append(limits)
        elif line.text.startswith("count="):
            order += "C"
            series.append(parse_stats(line.text))
        elif summary:
            order += "T"
            summaries.append(summary)
        elif _TORN.match(line.text):
            raise OutputError(f"A line with count= is one line. Received: {line.text[:80]!r} at the beginning of one. "
                              "The output is damaged: measure again.")
    if max(order.count("S"), order.count("T")) > 1 or order.count("C") > 2 or order.count("R") > 2:
        raise OutputError("An output is of one run. Received: one of several runs, or with lines that come twice. "
                          "Read each run by itself.")
    ends = "T?" if has_results else "T"
    if re.fullmatch(f"S?(?:RCRC|CC){ends}", order):
        return (wanted or [None, None]), (series[0], series[1]), (summaries or [None])[0]
    if summary_suffices and re.fullmatch("S?T", order):
        return [], (), summaries[0]
    raise _incomplete(lines, order, has_results)


def _incomplete(lines: Sequence[Line], order: str, has_results: bool) -> Exception:
    if failure.reasons(lines) and "C" not in order:
        return failure.failure(lines, 0)
    if "C" not in order:
        found = "no line with count=" if any(line.text.strip() for line in lines) else "nothing at all"
    elif order.count("C") == 1:
        found = "one line with count=: either the warm-up or the measurement is missing"
    elif "T" not in order and not has_results:
        found = "two lines with count=, but not the timings that follow them"
    else:
        found = "its lines in another order than they are printed in"
    return OutputError(f"A run prints a warm-up, a measurement and then its timings. Received: {found}. "
                       "The output is cut or damaged, or not of benchmark_model: measure again.")


def _output(lines, facts, results, warmup, inference, summary) -> RunOutput:
    session_us = round(facts["session_ms"] * 1000) if "session_ms" in facts else None
    block_us = round(results["init_ms"] * 1000) if results else None
    unconsumed = [line.text.partition(_UNCONSUMED)[2] for line in lines if _UNCONSUMED in line.text]
    memory = {name: facts.get(name, results.get(name)) for name in
              ("memory_init_mb", "memory_overall_mb", "memory_peak_mb")}
    if summary and memory["memory_overall_mb"] is None:
        memory["memory_overall_mb"] = summary.memory_overall_mb
    threads = facts.get("threads", 0)
    return RunOutput(
        inference=inference,
        warmup=warmup,
        init_us=summary.init_us if summary else session_us if session_us is not None else block_us,
        first_us=warmup.first_us if warmup else summary.first_us or None,  # 0: there was no warm-up
        model_size_mb=facts.get("model_size_mb"),
        threads=int(threads) if threads > 0 else None,
        graph=facts.get("graph"),
        warnings=_warnings(lines),
        unconsumed_flags=tuple(flag for text in unconsumed for flag in re.split(r"\s+(?=-)", text.strip()) if flag),
        delegation=read_delegation(lines),
        created=read_created(lines),
        unsupported=read_unsupported(lines),
        **memory,
    )


def _warnings(lines: Sequence[Line]) -> tuple[str, ...]:
    """Each once. The app of 2020 logs its result as an error, which it is not."""
    shown: list[str] = []
    for line in lines:
        if _UNCONSUMED in line.text:
            shown.append(line.text[line.text.index(_UNCONSUMED):])
        elif line.severity == "WARN":
            shown.append(line.text)
        elif line.severity in failure.ERRORS and parse_summary(line.text) is None:
            shown.append(f"ERROR: {line.text}")
    return tuple(dict.fromkeys(shown))
