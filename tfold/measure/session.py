"""A model loaded into a runtime, seen from inside the worker process: run it, time it, look into it.

Runtimes are told apart by their Interpreter class alone; LiteRT's and tflite-runtime's have the same methods.
"""

from __future__ import annotations

import gc
import re
import time
from itertools import repeat

import numpy as np

from tfold.measure.delegation import DELEGATE, partitions

SHORT_NS = 50_000  # below this, reading the clock (about 0.1 µs) would show in a single inference
_WARMUP_RUNS = 3


class InputError(ValueError):
    """The inputs do not fit the model, or the model cannot be given made-up ones."""


class Session:
    """One loaded model.

    Args:
        interpreter: a runtime's Interpreter, made from a model.
    """

    def __init__(self, interpreter):
        self.interpreter = interpreter
        interpreter.allocate_tensors()

    def run(self, given: dict[str, np.ndarray] | list[np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for these inputs, by name. See `tfold.measure.run_tflite`."""
        details, arrays = self._prepare(given)
        shapes = [tuple(int(size) for size in detail["shape_signature"]) for _, detail in details]
        samples = {len(array) if array.ndim else None for array in arrays}
        batch = samples.pop() if len(samples) == 1 else None
        if batch not in (None, 0, 1) and all(shape[:1] == (1,) for shape in shapes):  # made for one sample at a time
            runs = [self._run_once(details, [array[k : k + 1] for array in arrays]) for k in range(batch)]
            return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
        return self._run_once(details, arrays)

    def _run_once(self, details, arrays) -> dict[str, np.ndarray]:
        self._invoke(details, arrays)
        outputs = self._named(self.interpreter.get_output_details(), "get_output_details")
        return {name: np.array(self.interpreter.get_tensor(detail["index"])) for name, detail in outputs.items()}

    def tensors(self, given: dict[str, np.ndarray] | list[np.ndarray], wanted: list[int] | None):
        """What these inputs make of the tensors, by index. See `tfold.measure.run_tensors`.

        The interpreter must keep all tensors and have no delegates; else their memory holds something else by now.
        """
        self._invoke(*self._prepare(given))
        ops = self.interpreter._get_ops_details()
        computed = {int(tensor) for op in ops for tensor in op["outputs"]}
        computed |= {int(detail["index"]) for detail in self.interpreter.get_input_details()}
        numbers = {
            int(detail["index"]) for detail in self.interpreter.get_tensor_details()
            if detail["index"] in computed and np.dtype(detail["dtype"]).kind in "fiubc"
        }
        missing = sorted(set(wanted or ()) - numbers)
        if missing:
            raise InputError(f"Tensors to be kept are computed and hold numbers. Received: tensors={missing}. Choose "
                             "outputs of ops.")
        return {index: self.interpreter.get_tensor(index) for index in sorted(numbers if wanted is None else wanted)}

    def delegation(self) -> dict:
        """How many ops the model has, and the indices of those that run in delegates, a list for each partition."""
        details = self.interpreter._get_ops_details()
        return {
            "ops": sum(op["op_name"] != DELEGATE for op in details),
            "partitions": partitions(details),
        }

    def input_shapes(self) -> list[list[int]]:
        """The shape of each input, -1 for sizes that are open."""
        return [[int(size) for size in detail["shape_signature"]] for detail in self.interpreter.get_input_details()]

    def _prepare(self, given):
        """The details of the inputs, and their arrays in the types that the model takes."""
        details = self._match(given)
        return details, [_as_type(array, detail) for array, detail in details]

    def _invoke(self, details, arrays) -> None:
        for array, (_, detail) in zip(arrays, details, strict=True):
            expected = tuple(int(size) for size in detail["shape_signature"])
            if len(expected) != array.ndim or any(e not in (-1, n) for e, n in zip(expected, array.shape, strict=True)):
                raise InputError(f"Input {detail['name']!r} has the shape {expected}, -1 for any size. "
                                 f"Received: shape={array.shape}. Reshape it.")
        self._resize([(detail, array.shape) for array, (_, detail) in zip(arrays, details, strict=True)])
        for array, (_, detail) in zip(arrays, details, strict=True):
            self.interpreter.set_tensor(detail["index"], array)
        self.interpreter.invoke()

    def time_block(self, warmup_s: float, runs: int, min_s: float, max_s: float, seed: int) -> dict:
        """Warms up, then times inferences on made-up inputs; all durations in seconds, samples in nanoseconds.

        Args:
            warmup_s: least duration of the warm-up, which is at least 3 inferences.
            runs: least number of timed samples.
            min_s: least duration of the timed part.
            max_s: after this duration no sample is begun, even if `runs` have not been reached; one is always taken.
            seed: of the inputs.
        """
        self._fill(np.random.default_rng(seed))
        gc.disable()  # a collection in the middle of an inference would be timed with it
        warm = self._time(_WARMUP_RUNS, warmup_s, max(max_s, warmup_s), 1)
        typical = max(1.0, float(np.median(warm[len(warm) // 2 :])))
        per_sample = 1 if typical >= SHORT_NS else int(-(-SHORT_NS // typical))
        samples = self._time(runs, min_s, max_s, per_sample)
        gc.enable()
        return {"samples_ns": [ns / per_sample for ns in samples], "per_sample": per_sample, "warmup_runs": len(warm)}

    def _time(self, runs: int, min_s: float, max_s: float, per_sample: int) -> list[int]:
        invoke, clock, samples = self.interpreter.invoke, time.perf_counter_ns, []
        now = clock()
        least, latest = now + min_s * 1e9, now + max_s * 1e9
        while not samples or (now < latest and (len(samples) < runs or now < least)):
            begin = clock()
            if per_sample == 1:
                invoke()
            else:
                for _ in repeat(None, per_sample):
                    invoke()
            now = clock()
            samples.append(now - begin)
        return samples

    def _fill(self, rng: np.random.Generator) -> None:
        """Made-up inputs for a batch of one. Any other size left open would be a guess, and the latency hangs on it."""
        shapes = []
        for detail in self.interpreter.get_input_details():
            shape = [int(size) for size in detail["shape_signature"]]
            if shape[:1] == [-1]:
                shape[0] = 1
            if -1 in shape:
                raise InputError(f"A model to be measured has fixed sizes, the batch apart. Received: input "
                                 f"{detail['name']!r} of shape {tuple(shape)}. Export it with a fixed input shape.")
            shapes.append((detail, tuple(shape)))
        self._resize(shapes)
        for detail, shape in shapes:
            self.interpreter.set_tensor(detail["index"], _random(rng, detail, shape))

    def _resize(self, shapes) -> None:
        current = {detail["index"]: tuple(detail["shape"]) for detail in self.interpreter.get_input_details()}
        changed = [(detail, shape) for detail, shape in shapes if current[detail["index"]] != tuple(shape)]
        for detail, shape in changed:
            self.interpreter.resize_tensor_input(detail["index"], shape)
        if changed:
            self.interpreter.allocate_tensors()

    def _match(self, given) -> list[tuple[np.ndarray, dict]]:
        """Each input with the details of the tensor it is for."""
        details = self.interpreter.get_input_details()
        by_name = self._named(details, "get_input_details")
        names = {detail["index"]: name for name, detail in by_name.items()}
        if isinstance(given, dict):
            by_name = {**{detail["name"]: detail for detail in details}, **by_name}
            pairs = [(array, by_name[name]) for name, array in given.items() if name in by_name]
        else:
            pairs = list(zip(given, details, strict=False))
        if len(pairs) != len(given) or len({detail["index"] for _, detail in pairs}) != len(details):
            wanted = ", ".join(names[detail["index"]] for detail in details)
            received = ", ".join(given) if isinstance(given, dict) else f"{len(given)} arrays"
            raise InputError(f"The inputs are {wanted}. Received: {received or 'none'}. Pass an array for each.")
        return pairs

    def _named(self, details: list[dict], getter: str) -> dict[str, dict]:
        """Details by the names that Keras knows (the signature's, counted as people count), else the tensors' names."""
        signatures = self.interpreter.get_signature_list()
        if len(signatures) != 1:
            return {detail["name"]: detail for detail in details}
        runner = self.interpreter.get_signature_runner(next(iter(signatures)))
        indices = {name: detail["index"] for name, detail in getattr(runner, getter)().items()}
        by_index = {detail["index"]: detail for detail in details}
        if not set(indices.values()) <= set(by_index):
            return {detail["name"]: detail for detail in details}
        return {name: by_index[indices[name]] for name in sorted(indices, key=_as_people_count)}


def _as_people_count(name: str) -> list:
    """output_2 before output_10: text and numbers alternate, so that like is compared with like."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _as_type(array: np.ndarray, detail: dict) -> np.ndarray:
    wanted = np.dtype(detail["dtype"])
    if array.dtype != wanted and not (array.dtype.kind == wanted.kind == "f"):
        scale, zero = detail["quantization"]
        way = f"quantize it: round(x / {scale:g}) + {zero}" if scale and array.dtype.kind == "f" else "convert it"
        raise InputError(f"Input {detail['name']!r} holds {wanted}. Received: {array.dtype}. To pass it, {way}.")
    return array.astype(wanted, order="C")


def _random(rng: np.random.Generator, detail: dict, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f":
        return rng.uniform(-0.5, 0.5, shape).astype(dtype)  # as benchmark_model does, so that phone and host agree
    if dtype.kind in "iu" and dtype.itemsize <= 2:  # quantised numbers and pixels
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    if dtype.kind in "iub":  # indices, lengths, flags: 0 and 1 are seldom out of range
        return rng.integers(0, 2, shape).astype(dtype)
    raise InputError(f"Numbers can be made up for an input of numbers. Received: input {detail['name']!r} of {dtype}. "
                     "Export the model without the part that reads it.")
