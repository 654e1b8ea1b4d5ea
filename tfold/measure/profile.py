"""How long each op of a .tflite file takes in the network, as LiteRT's own profiler tells.

    kind                              average
    Convolution (NHWC, F32) IGEMM       168 µs      an op of XNNPACK, named with the kernel that it has chosen
    STRIDED_SLICE, node 2                 1 µs      an op that runs by itself
    …
    sum                                3643 µs      whole: 3611 µs, without the profiler

The kernels and what lies in the cache are those of the network, which `tfold.tflite.op_times`, cutting the ops out,
cannot give. Against that

- XNNPACK's ops are not the file's: two may have become one, or one several, so they have no index;
- times are whole microseconds, rounded down: an op of less than one is told as 0;
- the sum is of medians, which other programs hardly move; the whole suffers when the machine is busy;
- LiteRT's library must be of a version whose C interface is known here, and some models are refused (see `profile`).
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from tfold.errors import BadInputError
from tfold.measure.errors import ProfilerNotAvailableError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.run import check_threads
from tfold.measure.runtimes import RUNTIMES, available_runtimes, resolve
from tfold.measure.tflite_file import check_tflite


@dataclass(frozen=True)
class ProfiledOp:
    """One op.

    Attributes:
        kind: as the runtime names it: "CONV_2D", or XNNPACK's "Convolution (NHWC, F32) IGEMM".
        index: of the op in the file; None for an op of XNNPACK's.
        average_us: its time in a run, in microseconds: the median over the runs.
        times: how many runs that is.
    """

    kind: str
    index: int | None
    average_us: float
    times: int


@dataclass(frozen=True)
class RuntimeProfile:
    """A file's ops and their times.

    Attributes:
        ops: in the order in which they run.
        whole_us: a run of the network without the profiler, in microseconds: the median over as many runs, in turns
            with the profiled ones.
        runtime, version, threads: what ran it.
    """

    ops: tuple[ProfiledOp, ...]
    whole_us: float
    runtime: str
    version: str
    threads: int

    @property
    def total_us(self) -> float:
        """All ops together, in microseconds."""
        return sum(op.average_us for op in self.ops)

    def to_json(self) -> dict:
        """All of it, ready for `json.dumps`."""
        return {
            "runtime": self.runtime,
            "runtime_version": self.version,
            "threads": self.threads,
            "ops": [asdict(op) for op in self.ops],
            "total_us": self.total_us,
            "whole_us": self.whole_us,
        }


def profile(
    path: str | os.PathLike,
    runtime: str = "litert",
    threads: int = 1,
    runs: int = 50,
    warmup: float = 0.1,
    timeout: float = TIMEOUT_S,
) -> RuntimeProfile:
    """Profiles the ops of a file, in a process of its own.

    Args:
        path: the file.
        runtime: "litert"; others have no profiler.
        threads: 1 to 512.
        runs: how many with the profiler, and as many without.
        warmup: least duration of the runs before, in seconds.
        timeout: in seconds, for all runs together.

    Raises:
        BadInputError: no whole .tflite file, one whose sizes are open, the batch apart, or a setting out of range.
        ProfilerNotAvailableError: the runtime or its version has no profiler that is known, or not for this model:
            one with loops or conditions, or with an output whose size only the run tells (the flattened input of an
            open batch, say), which LiteRT's CompiledModel, to which the profiler belongs, does not run.
        TfoldError: the runtime is missing, cannot run the model, or died.

    Examples:
        found = profile("model.tflite")
        found.ops[0].kind, found.ops[0].average_us      # "Convolution (NHWC, F32) IGEMM", 168.5
        found.total_us, found.whole_us                  # 3643.0, 3611.4
    """
    check_threads(threads)
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        raise BadInputError(f"runs is a whole number, at least 1. Received: runs={runs!r}. Use runs=50.")
    if isinstance(warmup, bool) or not isinstance(warmup, (int, float)) or not 0 <= warmup < float("inf"):
        raise BadInputError(f"warmup is a duration of 0 seconds or more. Received: warmup={warmup!r}. Use warmup=0.1.")
    if runtime in RUNTIMES and runtime != "litert":
        raise ProfilerNotAvailableError(f"Only LiteRT's library has a profiler. Received: runtime={runtime!r}. Use "
                                        "runtime='litert', or measure the ops cut out: tfold.tflite.op_times.")
    if runtime == "all":
        raise BadInputError("One runtime at a time here. Received: 'all'. Use runtime='litert'.")
    resolve(runtime)
    file = check_tflite(path)
    with Worker(runtime, timeout) as worker:
        worker.load(file, threads)
        found = worker.profile(threads, warmup, runs)
    return RuntimeProfile(
        ops=tuple(ProfiledOp(kind, index, float(average), runs) for kind, index, average in found["ops"]),
        whole_us=found["whole_us"],
        runtime=runtime,
        version=available_runtimes()[runtime].version,
        threads=threads,
    )
