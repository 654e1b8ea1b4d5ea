"""Every tensor between the ops of a .tflite file, for each sample: here one sees where a network goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfold.errors import BadInputError
from tfold.measure.host import TIMEOUT_S, Worker, check_keeps_tensors
from tfold.measure.run import check_threads
from tfold.measure.runtimes import RUNTIMES, resolve
from tfold.measure.tflite_file import check_tflite


def run_tensors(
    path: str | os.PathLike,
    inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray,
    runtime: str = "litert",
    tensors: Iterable[int] | None = None,
    threads: int = 1,
    timeout: float = TIMEOUT_S,
) -> Iterator[dict[int, np.ndarray]]:
    """Runs a .tflite file sample by sample, and yields the tensors of each run: memory holds one run at a time.

    The runtime's own kernels compute, without XNNPACK, which keeps what lies between its ops to itself. Between the
    two, MobileNetV2's tensors differ by 1e-6 of the largest number in float32, by 1 or 2 steps in int8, and with
    dynamic quantisation by up to as much as they differ from the float network's. How far they are from the float
    network is the same for both.

    Args:
        path: the file.
        inputs: as `run_tflite` takes them. Samples are run one by one where every input begins with a batch of 1 or of
            any size; else all is one run.
        runtime: a key of `RUNTIMES` that keeps tensors; tflite-runtime does not.
        tensors: indices in the file's first subgraph; None for all inputs and everything that ops compute (constants,
            variables, and tensors that hold no numbers are never among them).
        threads: 1 to 512.
        timeout: in seconds, for each run.

    Returns:
        iterator: for each run a dict, index → array in the tensor's own number type, not dequantised. A worker process
            lives until the iterator is exhausted or closed.

    Raises:
        BadInputError: no whole .tflite file, or inputs that do not fit it; those last ones at the first step.
        TfoldError: the runtime is missing, cannot run the model, or died.

    Examples:
        for found in run_tensors("int8.tflite", images):
            found[7].dtype, found[7].shape      # int8, (1, 112, 112, 16)
    """
    check_threads(threads)
    if runtime == "all":
        raise BadInputError(f"One runtime at a time here. Received: 'all'. Choose one of {', '.join(RUNTIMES)}.")
    check_keeps_tensors(runtime)
    resolve(runtime)
    file = check_tflite(path)
    wanted = None if tensors is None else sorted({int(index) for index in tensors})
    given = [inputs] if isinstance(inputs, np.ndarray) else inputs

    def runs():
        with Worker(runtime, timeout) as worker:
            worker.load(file, threads, all_tensors=True)
            for sample in _samples(given, worker.input_shapes):
                yield worker.tensors(sample, wanted)

    return runs()


def _samples(given, shapes: list[tuple[int, ...]]):
    """The inputs cut into batches of one, where that is what the model takes."""
    named = isinstance(given, Mapping)
    arrays = [np.asarray(array) for array in (given.values() if named else given)]
    counts = {len(array) if array.ndim else 0 for array in arrays}
    if len(counts) != 1 or not all(shape[:1] in ((1,), (-1,)) for shape in shapes):
        yield given
        return
    for k in range(counts.pop()):
        rows = [array[k : k + 1] for array in arrays]
        yield dict(zip(given, rows, strict=True)) if named else rows
