"""How long each op of a model takes inside LiteRT, as its own profiler tells; for the worker process only.

    run    LiteRT::Run[buffer registration] │ Invoke │ Convolution (NHWC, F32) IGEMM │ STRIDED_SLICE │ … │ Invoke
    event                                                │ XNNPACK's op 0, 68 µs         │ node 2, 1 µs

An op that runs by itself is an event with the index of its node. XNNPACK tells of its own ops instead of the nodes it
has taken, in whole microseconds, rounded down, and numbers them in its own order: it may make several of one node, or
one of several. In loops and conditions, whose bodies are other subgraphs, the profiler itself costs some 30 µs each
time round, which is told as the loop's time; such models are refused.
"""

from __future__ import annotations

import ctypes
import time
from ctypes import c_size_t, c_uint32, c_void_p
from pathlib import Path
from statistics import median

import numpy as np

from tfold.measure.litert_c import CPU, CUT_OUT, FREE, WRITE, Library, ProfilerError, TensorType

_OPS = _OPERATOR, _DELEGATE_OPERATOR = 2, 8  # types of events: a node that runs by itself; an op of a delegate
_MAIN, _SIGNATURE = 0, 0
_WARMUP_RUNS = 3
_NOTHING_TO_FREE = FREE(lambda _: None)  # the options' texts are Python's


def profile(folder: Path, path: str, threads: int, inputs: dict, outputs: dict, warmup_s: float, runs: int) -> dict:
    """Runs a model with and without the profiler, in turns.

    Nothing is given back to LiteRT: the process ends soon.

    Args:
        folder: of the Python package ai_edge_litert.
        path: a model that LiteRT's Interpreter has run.
        threads: how many.
        inputs: tensor's index → array.
        outputs: tensor's index → shape, for these inputs.
        warmup_s: least duration of the warm-up, which is at least 3 runs.
        runs: how many with the profiler, and as many without.

    Returns:
        dict: `ops`, a [kind, node's index or None, median in µs] each, in run order; `whole_us`, median without the
            profiler.

    Raises:
        ProfilerError: LiteRT cannot.
    """
    model = _Model(Library(folder), path, threads, inputs, outputs)
    until, warm = time.perf_counter() + warmup_s, 0
    while warm < _WARMUP_RUNS or time.perf_counter() < until:
        model.run()
        warm += 1
    whole, profiled = [], []
    for _ in range(runs):
        whole.append(model.timed_run())
        profiled.append(model.profiled_run())
    names = [(kind, node) for kind, node, _ in profiled[0]]
    if not names or any([(kind, node) for kind, node, _ in ops] != names for ops in profiled):
        raise ProfilerError("Every run has the same ops, at least one. Received: others from run to run, or none. "
                            f"{CUT_OUT}")
    times = zip(*([microseconds for _, _, microseconds in ops] for ops in profiled), strict=True)
    return {
        "ops": [[kind, node, median(each)] for (kind, node), each in zip(names, times, strict=True)],
        "whole_us": median(whole),
    }


class _Model:
    """A model that LiteRT has compiled for the CPU, with its buffers and its profiler."""

    def __init__(self, library: Library, path: str, threads: int, inputs: dict, outputs: dict):
        self.library, self._kept = library, []
        self.environment = library.new("LiteRtCreateEnvironment", 0, None)
        model = library.new("LiteRtCreateModelFromFile", self.environment, path.encode())
        self.compiled = library.new("LiteRtCreateCompiledModel", self.environment, model, self._options(threads))
        self.profiler = library.new("LiteRtCompiledModelGetProfiler", self.compiled)
        signatures = library.new("LiteRtGetNumModelSignatures", model, kind=c_size_t).value
        if not self.profiler or signatures != 1:
            raise ProfilerError("A model to be profiled has one signature, and LiteRT a profiler for it. Received: "
                                f"{signatures} signatures, profiler {self.profiler.value}. {CUT_OUT}")
        signature = library.new("LiteRtGetModelSignature", model, _SIGNATURE)
        self._inputs = self._buffers(signature, "Input", {index: array.shape for index, array in inputs.items()})
        self._outputs = self._buffers(signature, "Output", outputs)
        for buffer, (_, index) in zip(self._inputs, self._tensors(signature, "Input"), strict=True):
            self._write(c_void_p(buffer), inputs[index])

    def run(self) -> None:
        self.library.call("LiteRtRunCompiledModel", self.compiled, _SIGNATURE, len(self._inputs), self._inputs,
                          len(self._outputs), self._outputs)

    def timed_run(self) -> float:
        """A run without the profiler, in microseconds."""
        begin = time.perf_counter_ns()
        self.run()
        return (time.perf_counter_ns() - begin) / 1e3

    def profiled_run(self) -> list[tuple[str, int | None, int]]:
        """(kind, node's index or None, microseconds) of each op."""
        self.library.call("LiteRtStartProfiler", self.profiler)  # forgets the run before
        self.run()
        self.library.call("LiteRtStopProfiler", self.profiler)
        events = [event for event in self.library.events(self.profiler) if event.type in _OPS]
        elsewhere = sum(event.subgraph != _MAIN for event in events)
        if elsewhere:
            raise ProfilerError("A model to be profiled has no loops or conditions: there LiteRT's profiler costs more "
                                f"than the ops. Received: {elsewhere} ops in other subgraphs. {CUT_OUT}")
        return [(event.tag.decode(), event.op if event.type == _OPERATOR else None, event.elapsed_us)
                for event in events]

    def _options(self, threads: int) -> c_void_p:
        options = self.library.new("LiteRtCreateOptions")
        self.library.call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
        for receiver, text in (
            (b"runtime_options_string", b"enable_profiling = true\n"), (b"xnnpack", b"num_threads = %d\n" % threads),
        ):
            payload = ctypes.create_string_buffer(text)
            self._kept.append(payload)
            opaque = self.library.new("LiteRtCreateOpaqueOptions", receiver, payload, _NOTHING_TO_FREE)
            self.library.call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _buffers(self, signature: c_void_p, side: str, shapes: dict[int, tuple[int, ...]]):
        """A buffer for each input or output, in the order of the signature."""
        buffers = []
        for place, (tensor, index) in enumerate(self._tensors(signature, side)):
            kind = self.library.new("LiteRtGetRankedTensorType", tensor, kind=TensorType)
            for axis, size in enumerate(shapes[index]):  # what the file leaves open is known by now
                kind.sizes[axis] = size
            needs = self.library.new(f"LiteRtGetCompiledModel{side}BufferRequirements", self.compiled, _SIGNATURE,
                                     place)
            buffers.append(self.library.new("LiteRtCreateManagedTensorBufferFromRequirements", self.environment,
                                            ctypes.byref(kind), needs).value)
        return (c_void_p * len(buffers))(*buffers)

    def _tensors(self, signature: c_void_p, side: str) -> list[tuple[c_void_p, int]]:
        """The signature's inputs or outputs with their indices in the file."""
        number = self.library.new(f"LiteRtGetNumSignature{side}s", signature, kind=c_size_t).value
        tensors = [self.library.new(f"LiteRtGetSignature{side}TensorByIndex", signature, place)
                   for place in range(number)]
        return [(tensor, self.library.new("LiteRtGetTensorIndex", tensor, kind=c_uint32).value) for tensor in tensors]

    def _write(self, buffer: c_void_p, array: np.ndarray) -> None:
        size = self.library.new("LiteRtGetTensorBufferPackedSize", buffer, kind=c_size_t).value
        if size != array.nbytes:
            raise ProfilerError(f"A buffer holds its input. Received: {size} bytes for {array.nbytes}. {CUT_OUT}")
        address = c_void_p()
        self.library.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), WRITE)
        ctypes.memmove(address, np.ascontiguousarray(array).ctypes.data, size)
        self.library.call("LiteRtUnlockTensorBuffer", buffer)
