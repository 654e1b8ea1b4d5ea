"""How long each op of a .tflite file takes, measured by cutting it out and running it by itself.

    network    a ─▶ b ─▶ c                            whole: 0.42 ms
    cut out    a    b    c    timed in turns          sum:   0.43 ms

Works with every runtime; LiteRT's own profiler (`tfold.measure.profile`) needs a version that it is known for. Cut out,
an op runs with the kernels that it has in the network, but

- its weights and inputs lie in the cache after the first run, whereas in the network other ops come in between: a dense
  layer with megabytes of weights can take two to four times as long there, where most others differ by a tenth;
- what a delegate makes of several ops at once is not seen.

The sum beside the whole tells how much that is; on a busy machine the whole suffers more. LiteRT's own profiler found 4
to 17 % more than this in MobileNetV2 (float32, at 96 and 224 pixels).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfold.errors import BadInputError, TfoldError
from tfold.files import scratch
from tfold.measure.errors import WorkerCrashError, WorkerTimeoutError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.run import check_threads
from tfold.measure.runtimes import RUNTIMES, available_runtimes, resolve
from tfold.measure.statistics import median
from tfold.measure.tflite_file import TFLiteFile, check_tflite
from tfold.tflite.contents import Contents, read
from tfold.tflite.cut import Cut, is_constant, of_one_number

RUNS = 5  # of an op in a round, at least
LONGEST_S = 2.0  # for an op in a round
WHOLE_LONGER = 10  # than an op: the longer an inference, the more often other programs come in between
WHOLE, CALL = "whole", "call"  # what is timed beside the ops


@dataclass(frozen=True)
class OpTimes:
    """The times of a file's ops.

    Attributes:
        microseconds: op's index → its time, what a call of the runtime costs taken off. 0 for constants in another
            type, which are computed once.
        missing: op's index → why it could not be run by itself.
        whole: microseconds of the network in one piece, likewise.
        call: microseconds that a call costs, measured with an op of one number.
        runtime, version, threads: what ran it.
    """

    microseconds: dict[int, float]
    missing: dict[int, str]
    whole: float
    call: float
    runtime: str
    version: str
    threads: int

    @property
    def sum(self) -> float:
        """Microseconds of all ops together; without those that are missing."""
        return sum(self.microseconds.values())

    def to_json(self) -> dict:
        return {
            "runtime": self.runtime,
            "runtime_version": self.version,
            "threads": self.threads,
            "microseconds": {str(op): time for op, time in self.microseconds.items()},
            "missing": {str(op): why for op, why in self.missing.items()},
            "sum": self.sum,
            "whole": self.whole,
            "call": self.call,
        }


def op_times(
    path: str | os.PathLike,
    runtime: str = "litert",
    threads: int = 1,
    *,
    rounds: int = 3,
    min_time: float = 0.02,
    timeout: float = TIMEOUT_S,
    progress: Callable[[int, int, str], None] | None = None,
) -> OpTimes:
    """Times every op of a file's first subgraph, and the whole, in rounds: each round a fresh process.

    Ops that do the same (kind, options, shapes, types) are timed once.

    Args:
        path: the file.
        runtime: a key of `RUNTIMES`.
        threads: 1 to 512.
        rounds: how often everything is timed; the median over the rounds counts.
        min_time: least duration for which an op is run in a round, in seconds.
        timeout: how long to wait for any answer of the runtime, in seconds.
        progress: called with (done, planned, what is being timed).

    Raises:
        BadInputError: no whole .tflite file, or one whose sizes are open, the batch apart.
        TfoldError: the runtime is missing, or cannot run the model.

    Examples:
        times = op_times("model.tflite")
        times.microseconds[0], times.sum, times.whole       # 29.3, 428.1, 418.0
    """
    check_threads(threads)
    if runtime not in RUNTIMES:
        raise BadInputError(f"One runtime at a time here. Received: {runtime!r}. Choose one of {', '.join(RUNTIMES)}.")
    resolve(runtime)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise BadInputError(f"rounds is a whole number, at least 1. Received: rounds={rounds!r}. Use rounds=3.")
    contents = read(path)
    with scratch() as folder:
        files, key_of = _files(contents, folder)
        timing = _Timing(runtime, threads, min_time, timeout, progress, rounds * len(files), files[WHOLE])
        for number in range(rounds):
            timing.round(files if number % 2 == 0 else dict(reversed(files.items())))
    times = {key: median(found) for key, found in timing.found.items() if key not in timing.failed}
    call = times[CALL]
    microseconds = {op.index: 0.0 for op in contents.ops if op.index not in key_of}
    microseconds |= {op: max(0.0, times[key] - call) for op, key in key_of.items() if key in times}
    return OpTimes(
        microseconds=dict(sorted(microseconds.items())),
        missing={op: timing.failed[key] for op, key in key_of.items() if key in timing.failed},
        whole=max(0.0, times[WHOLE] - call),
        call=call,
        runtime=runtime,
        version=available_runtimes()[runtime].version,
        threads=threads,
    )


def _files(contents: Contents, folder: Path) -> tuple[dict[str, TFLiteFile], dict[int, str]]:
    """What is timed: key → file, the whole network first; and the key of each op, constants left out."""
    files, key_of = {WHOLE: contents.file, CALL: _written(folder, CALL, of_one_number())}, {}
    for op in contents.ops:
        if not is_constant(contents, op):
            cut = Cut(contents, op)
            key_of[op.index] = cut.key
            if cut.key not in files:
                files[cut.key] = _written(folder, str(len(files)), cut.content())
    return files, key_of


def _written(folder: Path, name: str, content: bytes) -> TFLiteFile:
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    return check_tflite(path)


class _Timing:
    """Microseconds of each file, a number a round, and why some cannot be timed."""

    def __init__(self, runtime, threads, min_time, timeout, progress, planned, whole):
        self.runtime, self.threads, self.min_time, self.timeout = runtime, threads, min_time, timeout
        self.progress, self.planned, self.done, self.whole = progress, planned, 0, whole
        self.found: dict[str, list[float]] = {}
        self.failed: dict[str, str] = {}

    def round(self, files: dict[str, TFLiteFile]) -> None:
        waiting = dict(files)
        while waiting:  # more than one worker only where an op kills it
            with Worker(self.runtime, self.timeout) as worker:
                while waiting:
                    key, file = next(iter(waiting.items()))
                    del waiting[key]
                    self.done += 1
                    if key in self.failed:
                        continue
                    if self.progress:
                        self.progress(self.done, self.planned, file.path.name)
                    try:
                        self.found.setdefault(key, []).append(self._timed(worker, file))
                    except TfoldError as error:
                        if key in (WHOLE, CALL):
                            raise
                        self.failed[key] = str(error)
                        if isinstance(error, (WorkerCrashError, WorkerTimeoutError)):
                            break

    def _timed(self, worker: Worker, file: TFLiteFile) -> float:
        worker.load(file, self.threads)
        least = self.min_time * (WHOLE_LONGER if file is self.whole else 1)
        block = worker.time_block(least / 4, RUNS, least, max(LONGEST_S, least))
        return median(block["samples_ns"]) / 1e3
