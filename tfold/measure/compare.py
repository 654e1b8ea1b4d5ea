"""Latencies on this machine that can be compared: every model by the same rules, in turns.

Each block is a fresh worker process that loads the model, warms up and times inferences; the turns they come in and
what is made of them is the same for a phone (`tfold.measure.rounds`, `tfold.measure.protocol`).

What is timed is one call of the runtime from Python, half a microsecond of which is the call. For a model of 5 µs the
ratio of two is therefore pulled towards 1 by up to a tenth; for one of 50 µs it does not show.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext

from tfold.measure.block import Block
from tfold.measure.errors import UnsupportedModelError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.machine import describe_machine, throttled
from tfold.measure.measurement import HOST
from tfold.measure.protocol import Place, Rules, check_models, compare
from tfold.measure.record import Record
from tfold.measure.result import BenchResult
from tfold.measure.rounds import Disturbed, Take
from tfold.measure.run import check_thread_counts
from tfold.measure.runtimes import available_runtimes, resolve
from tfold.measure.schedule import Schedule
from tfold.measure.steps import Progress, Steps
from tfold.measure.tflite_file import TFLiteFile


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
    self_check: bool = True,
    confidence: float = 0.95,
    seed: int = 0,
    timeout: float = TIMEOUT_S,
    record: str | os.PathLike | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measures .tflite files on this machine, and compares them if they are two.

    Args:
        paths: one file or several; the same one twice shows what this machine calls equal (an A/A comparison).
        runtime: a key of `RUNTIMES`, or `"all"` for every one that is installed and can run the models.
        threads: how many threads, or several such numbers.
        blocks, runs, min_time, warmup, max_seconds: see `Schedule`.
        self_check: of two models, measure the first one twice in every round: how small a difference shows here?
        confidence: of the ratio's interval.
        seed: of the made-up inputs and of the bootstrap.
        timeout: how long to wait for any answer of a runtime beyond its planned time, in seconds.
        record: a .jsonl file that keeps the raw blocks; if it is there already, the measurement goes on where it ended.
        progress: called with (blocks done, blocks planned, what is being measured) before each block and at the end.

    Returns:
        BenchResult: a `Measurement` for each runtime, number of threads and model; for two models the ratios.

    Raises:
        BadInputError: an unusable file or number, or a record of another measurement.
        TfoldError: a runtime is missing, cannot run a model, or died.

    Examples:
        result = bench(["base.tflite", "folded.tflite"], threads=[1, 2])
        print(result.ratio)     # 0.712 [0.705, 0.720]: folded takes 71 % of base's time
    """
    files, counts = check_models(paths), check_thread_counts(threads)
    rules = Rules(Schedule(blocks, runs, min_time, warmup, max_seconds), self_check, confidence, seed)
    rules.schedule.check(len(files))
    versions, machine = available_runtimes(), describe_machine()
    places = [Place(HOST, name, versions[name].version, count) for name in resolve(runtime) for count in counts]
    comparisons, unable, planned = [], {}, rules.blocks(len(files))
    settings = {"seed": seed, **{name: machine[name] for name in ("cpu", "cores", "os", "python")}}
    with Record(record) if record else nullcontext() as kept:
        for index, place in enumerate(places):
            words = [_words(file, place) for file in files]
            steps = Steps(progress, words, index * planned, len(places) * planned)
            try:
                take = _on_host(files, place, rules, timeout)
                compared = compare(files, place, take, rules, settings=settings, record=kept, steps=steps)
                comparisons.append(compared)
            except UnsupportedModelError as error:
                if runtime != "all" or len({*unable, place.runtime}) == len({each.runtime for each in places}):
                    raise
                unable[place.runtime] = str(error)  # an old runtime need not know every op: the others still tell
    if progress:
        progress(len(places) * planned, len(places) * planned, "done")
    return BenchResult(tuple(comparisons), machine, unable)


def _on_host(files: list[TFLiteFile], place: Place, rules: Rules, timeout: float) -> Take:
    schedule, longest = rules.schedule, rules.schedule.longest_block(len(rules.subjects(len(files))))

    def take(model: int, turn: int) -> Block:
        before = throttled()
        with Worker(place.runtime, timeout) as worker:
            worker.load(files[model], place.threads)
            block = worker.time_block(schedule.warmup, schedule.runs, schedule.min_time, longest, rules.seed)
        if throttled() != before:
            raise Disturbed("the processor was too hot and slowed down")
        return Block.of([ns / 1e6 for ns in block["samples_ns"]], block["per_sample"], block["warmup_runs"])

    return take


def _words(file: TFLiteFile, place: Place) -> str:
    return f"{file.path.name} on {place.runtime}, {place.threads} thread{'s' * (place.threads > 1)}"
