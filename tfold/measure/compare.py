"""Latencies that can be compared: every model by the same rules, in turns.

    settle            A B          thrown away: files into the page cache, processor up to its clock; errors show here
    round 0           A B
    round 1           B A          each letter is a block:  fresh process ▸ load ▸ warm up ▸ timed inferences
    round 2           A B          only one worker is alive at a time
    …                              until `blocks` rounds, or `max_seconds`

Turns that change direction cancel a steady drift. A fresh process for each block matters as much: where memory comes
to lie differs from process to process, and with it the latency by a percent or two. One process a model would measure
that luck, with a narrow interval around it.

What is timed is one call of the runtime from Python, half a microsecond of which is the call. For a model of 5 µs the
ratio of two is therefore pulled towards 1 by up to a tenth; for one of 50 µs it does not show.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from tfold.errors import BadInputError
from tfold.measure.errors import UnsupportedModelError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.machine import describe_machine
from tfold.measure.measurement import Measurement
from tfold.measure.result import BenchResult
from tfold.measure.run import check_threads
from tfold.measure.runtimes import available_runtimes, resolve
from tfold.measure.schedule import Schedule
from tfold.measure.statistics import MIN_BLOCKS, bootstrap_ratio
from tfold.measure.tflite_file import TFLiteFile, check_tflite

Progress = Callable[[int, int, str], None]


def bench(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    runtime: str = "litert",
    threads: int | Iterable[int] = 1,
    *,
    blocks: int = 20,
    runs: int = 10,
    min_time: float = 0.05,
    warmup: float = 0.05,
    max_seconds: float = 60.0,
    confidence: float = 0.95,
    seed: int = 0,
    timeout: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> BenchResult:
    """Measures .tflite files on this machine, and compares them if they are two.

    Args:
        paths: one file or several; the same one twice shows what this machine calls equal (an A/A comparison).
        runtime: a key of `RUNTIMES`, or `"all"` for every one that is installed and can run the models.
        threads: how many threads, or several such numbers.
        blocks, runs, min_time, warmup, max_seconds: see `Schedule`.
        confidence: of the ratio's interval.
        seed: of the made-up inputs and of the bootstrap.
        timeout: how long to wait for any answer of a runtime beyond its planned time, in seconds.
        progress: called with (blocks done, blocks planned, what is being measured) before each block and at the end.

    Returns:
        BenchResult: a `Measurement` for each runtime, number of threads and model; for two models the ratios.

    Raises:
        BadInputError: an unusable file or number.
        TfoldError: a runtime is missing, cannot run a model, or died.

    Examples:
        result = bench(["base.tflite", "folded.tflite"], threads=[1, 2])
        print(result.ratio)     # 0.712 [0.705, 0.720]: folded takes 71 % of base's time
    """
    files = [check_tflite(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not files:
        raise BadInputError("A measurement needs at least one model. Received: none. Pass the path of a .tflite file.")
    counts = [check_threads(count) for count in dict.fromkeys(threads if isinstance(threads, Iterable) else [threads])]
    if not counts:
        raise BadInputError("threads names at least one number. Received: none. Use threads=1.")
    schedule = Schedule(blocks, runs, min_time, warmup, max_seconds)
    schedule.check(len(files))
    combinations = [(name, count) for name in resolve(runtime) for count in counts]
    say = _counted(progress, len(combinations) * (blocks + 1) * len(files))
    measurements, ratios, unable = [], {}, {}
    for name, count in combinations:
        try:
            measured = _measure(files, name, count, schedule, seed, timeout, say)
        except UnsupportedModelError as error:
            if runtime != "all" or len({*unable, name}) == len({each for each, _ in combinations}):
                raise
            unable[name] = str(error)  # an old runtime need not know every op: the others still tell
            say(None, (blocks + 1) * len(files) - 1)
            continue
        measurements += measured
        if len(files) == 2:
            ratios[name, count] = bootstrap_ratio(*(m.blocks for m in measured), confidence=confidence, seed=seed)
    say("done")
    return BenchResult(tuple(measurements), ratios, describe_machine(), unable)


def _measure(files, runtime, threads, schedule: Schedule, seed, timeout, say) -> list[Measurement]:
    version = available_runtimes()[runtime].version
    timed: list[list[dict]] = [[] for _ in files]

    def block(index: int) -> dict:
        say(f"{files[index].path.name} on {runtime}, {threads} thread{'s' * (threads > 1)}")
        with Worker(runtime, timeout) as worker:
            worker.load(files[index], threads)
            longest = schedule.longest_block(len(files))
            return worker.time_block(schedule.warmup, schedule.runs, schedule.min_time, longest, seed)

    for index in range(len(files)):
        block(index)
    until = time.monotonic() + schedule.max_seconds
    for number in range(schedule.blocks):
        if number >= MIN_BLOCKS and number % 2 == 0 and time.monotonic() > until:
            say(None, (schedule.blocks - number) * len(files))
            break
        order = range(len(files)) if number % 2 == 0 else reversed(range(len(files)))
        for index in order:
            timed[index].append(block(index))
    return [_summary(file, runtime, version, threads, blocks) for file, blocks in zip(files, timed, strict=True)]


def _summary(file: TFLiteFile, runtime, version, threads, blocks: list[dict]) -> Measurement:
    return Measurement(
        model=str(file.path),
        runtime=runtime,
        runtime_version=version,
        threads=threads,
        blocks=tuple(tuple(ns / 1e6 for ns in block["samples_ns"]) for block in blocks),
        inferences_per_sample=max(block["per_sample"] for block in blocks),
        warmup_runs=sum(block["warmup_runs"] for block in blocks),
    )


def _counted(progress: Progress | None, total: int):
    done = 0

    def say(text: str | None, skipped: int = 0) -> None:
        nonlocal done
        if text is None:
            done += skipped
            return
        if progress:
            progress(done, total, text)
        done += 1

    return say
