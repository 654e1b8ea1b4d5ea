"""Outputs of a .tflite file, from a runtime that never meets the TensorFlow of the caller."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfold.errors import BadInputError
from tfold.measure.host import TIMEOUT_S, Worker
from tfold.measure.runtimes import RUNTIMES, resolve
from tfold.measure.tflite_file import check_tflite

MAX_THREADS = 512  # far beyond this, runtimes hang while they make their thread pools


def run_tflite(
    path: str | os.PathLike,
    inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray,
    runtime: str = "litert",
    threads: int = 1,
    timeout: float = TIMEOUT_S,
) -> dict[str, np.ndarray]:
    """Runs a .tflite file on these inputs, in a process of its own.

    Args:
        path: the file.
        inputs: an array for each input by name (Keras' or the tensor's), a list of them in the file's order, or for a
            single input just the array. The batch may have any size: a model made for one sample is run for each.
        runtime: a key of `RUNTIMES`.
        threads: 1 to 512.
        timeout: in seconds, for each step.

    Returns:
        dict: an array for each output by name, `output_0`, `output_1`, … for a converted Keras model.

    Raises:
        BadInputError: no whole .tflite file, or inputs that do not fit it.
        TfoldError: the runtime is missing, cannot run the model, or died.

    Examples:
        run_tflite("model.tflite", images)["output_0"]    # (32, 10)
    """
    check_threads(threads)
    if runtime == "all":
        raise BadInputError(f"One runtime at a time here. Received: 'all'. Choose one of {', '.join(RUNTIMES)}.")
    resolve(runtime)
    file = check_tflite(path)
    with Worker(runtime, timeout) as worker:
        worker.load(file, threads)
        return worker.run([inputs] if isinstance(inputs, np.ndarray) else inputs)


def check_thread_counts(threads: int | Iterable[int]) -> list[int]:
    """One number of threads or several, each once. Raises: BadInputError."""
    counts = [check_threads(count) for count in dict.fromkeys(threads if isinstance(threads, Iterable) else [threads])]
    if not counts:
        raise BadInputError("threads names at least one number. Received: none. Use threads=1.")
    return counts


def check_threads(threads: int) -> int:
    """The number itself, if it is one of threads."""
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MAX_THREADS:
        raise BadInputError(
            f"threads is a whole number from 1 to {MAX_THREADS}. Received: threads={threads!r}. Use threads=1."
        )
    return int(threads)
