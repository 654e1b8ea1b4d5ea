"""The other end of a worker process: start it, ask it, and say clearly what went wrong when it dies."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from tfold.errors import BadInputError, NoRoomError
from tfold.files import no_room_sentence, room_in, scratch
from tfold.measure.errors import (
    ProfilerNotAvailableError,
    RuntimeNotFoundError,
    UnsupportedModelError,
    WorkerCrashError,
    WorkerTimeoutError,
)
from tfold.measure.runtimes import RUNTIMES, resolve
from tfold.measure.tflite_file import TFLiteFile

TIMEOUT_S = 120.0
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


class Worker:
    """A runtime in a fresh process of its own; a context manager that ends the process.

    Where we are killed ourselves, the process ends by itself when its stdin does, once it has answered what it was
    asked; and the files by which arrays are handed over go with the next run (see `tfold.files`).

    Args:
        runtime: a key of `RUNTIMES`.
        timeout: how long to wait for any one answer, in seconds.

    Examples:
        with Worker("litert") as worker:
            worker.load(check_tflite("model.tflite"), threads=1)
            outputs = worker.run([image])
    """

    def __init__(self, runtime: str, timeout: float = TIMEOUT_S):
        self.runtime = runtime
        self.timeout = timeout
        self._doing = "starting"
        self._open = ExitStack()
        self._folder: Path | None = None  # for arrays; most workers only measure, and need none

    def __enter__(self) -> Worker:
        resolve(self.runtime)
        # A fresh interpreter, never a fork: a fork would inherit the TensorFlow that may be loaded here. -P keeps
        # files of the working directory from being imported; PYTHONPATH lets an uninstalled checkout be found.
        paths = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        self._stderr = tempfile.TemporaryFile()  # a file, not a pipe: nobody has to drain it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tfold.measure.worker", RUNTIMES[self.runtime].package],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C reaches us alone; we end the worker
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._answer(self.timeout)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()  # it owns nothing that would have to be saved
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with suppress(OSError):  # what was still to be flushed to a dead process
                stream.close()
        self._open.close()
        self._folder = None

    def load(self, file: TFLiteFile, threads: int = 1, all_tensors: bool = False) -> None:
        """Loads the model. Raises: UnsupportedModelError, WorkerCrashError.

        Args:
            file: a file that has been checked.
            threads: how many.
            all_tensors: without delegates, and so that every tensor keeps its value: for `tensors`.
        """
        if all_tensors:
            check_keeps_tensors(self.runtime)
        self._file = file
        self._doing = f"loading {file.path}"
        answer = self._ask("load", path=str(file.path.resolve()), threads=threads, all_tensors=all_tensors)
        self.input_shapes = [tuple(shape) for shape in answer["inputs"]]
        self._doing = f"running {file.path}"

    def time_block(self, warmup_s: float, runs: int, min_s: float, max_s: float, seed: int = 0) -> dict:
        """Times the loaded model; see `Session.time_block`."""
        patience = self.timeout + 2 * max_s + warmup_s
        return self._ask("time", patience, warmup_s=warmup_s, runs=runs, min_s=min_s, max_s=max_s, seed=seed)

    def run(self, inputs) -> dict[str, np.ndarray]:
        """The loaded model's outputs; see `run_tflite`."""
        answer, arrays = self._exchange("run", inputs)
        return dict(zip(answer["names"], arrays, strict=True))

    def tensors(self, inputs, wanted: list[int] | None = None) -> dict[int, np.ndarray]:
        """Tensors of the model, loaded with `all_tensors`, for one run; see `run_tensors`."""
        answer, arrays = self._exchange("tensors", inputs, wanted=wanted)
        return dict(zip(answer["indices"], arrays, strict=True))

    def delegation(self) -> tuple[int, list[list[int]]]:
        """How many ops the loaded model has; the indices of those in each partition of the runtime's delegates."""
        answer = self._ask("delegation")
        return answer["ops"], answer["partitions"]

    def profile(self, threads: int, warmup_s: float, runs: int) -> dict:
        """How long the ops of the loaded model take; see `litert_profiler.profile`. Once in a worker's life."""
        path = str(self._file.path.resolve())
        return self._ask("profile", self.timeout + warmup_s, path=path, threads=threads, warmup_s=warmup_s, runs=runs)

    def _exchange(self, do: str, inputs, **fields) -> tuple[dict, list[np.ndarray]]:
        """Hands arrays to the worker and takes others back, through files: they are too large for a line."""
        names = list(inputs) if isinstance(inputs, Mapping) else None
        arrays = [np.asarray(array) for array in (inputs.values() if names is not None else inputs)]
        if any(array.dtype.hasobject for array in arrays):
            raise BadInputError("Inputs are arrays of numbers. Received: Python objects. Convert them with numpy.")
        self._folder = self._folder or self._open.enter_context(scratch())
        there, back = self._folder / "in.npz", self._folder / "out.npz"
        try:
            with room_in(self._folder.parent, temporary=True):
                np.savez(there, *arrays)
            answer = self._ask(do, inputs=str(there), names=names, outputs=str(back), **fields)
            with np.load(back, allow_pickle=False) as file:
                return answer, [file[f"arr_{index}"] for index in range(len(file.files))]
        finally:  # they may be large, and a worker lives long
            there.unlink(missing_ok=True)
            back.unlink(missing_ok=True)

    def _ask(self, do: str, timeout: float | None = None, **fields) -> dict:
        try:
            self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it is dead already; waiting for the answer says how it died
            pass
        return self._answer(timeout or self.timeout)

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    def _answer(self, timeout: float) -> dict:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self._process.kill()
            raise WorkerTimeoutError(
                f"A runtime has {timeout:g} s to answer. Received: nothing from {self.runtime} while {self._doing}. "
                "Allow it more with timeout=, or try fewer threads or a smaller model."
            ) from None
        if not line:
            raise WorkerCrashError(self._obituary())
        message = json.loads(line)
        if "ok" in message:
            return message["ok"]
        raise self._explain(message["error"], message["message"].strip())

    def _obituary(self) -> str:
        code = self._process.wait()
        how = f"died with {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        self._stderr.seek(0)
        last = self._stderr.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-3:]
        said = f" Its last words: {' / '.join(last)}." if last else ""
        return (
            f"A runtime must survive its work. Received: the {self.runtime} process {how} while {self._doing}.{said} "
            "The file may be damaged or ask for more memory than there is: export it again, or try another runtime."
        )

    def _explain(self, kind: str, message: str) -> Exception:
        runtime = RUNTIMES[self.runtime]
        if kind == "import":
            return RuntimeNotFoundError(f"Runtime {self.runtime} is installed but cannot be imported. "
                                        f"Received: {message}. Repair it with: {runtime.install}")
        if kind == "input":
            return BadInputError(f"{message} (File: {self._file.path}.)")
        if kind == "room":
            return NoRoomError(no_room_sentence(tempfile.gettempdir(), message, temporary=True))
        if kind == "profiler":
            return ProfilerNotAvailableError(f"{message} (File: {self._file.path}.)")
        older = re.search(r"builtin opcode '(\w+)' version '(\d+)'", message)
        if older:
            return UnsupportedModelError(
                f"A model may use the ops its runtime has. Received: {self._file.path} with {older[1]} version "
                f"{older[2]}, newer than {self.runtime} knows. Use a newer runtime: litert."
            )
        lacking = [op for op in self._file.custom_ops if op in message]
        if lacking:  # of Flex ops none is there if one is not, so name them all
            flex = [op for op in self._file.custom_ops if op.startswith("Flex") and lacking[0].startswith("Flex")]
            return UnsupportedModelError(
                f"A model may use TFLite's builtin ops only. Received: {self._file.path} with "
                f"{', '.join(flex or lacking)}, which {self.runtime} lacks. Replace the layers these come from and "
                "export again."
            )
        return UnsupportedModelError(
            f"{self.runtime} must be able to run the model. Received, while {self._doing}: {message.rstrip('.')}. "
            "Export the model again, or try another runtime."
        )


def check_keeps_tensors(runtime: str) -> None:
    """Raises `BadInputError` for a runtime whose tensors are not what its ops have computed.

    tflite-runtime 2.14 takes the flag experimental_preserve_all_tensors, and lets ADD and MUL write over their inputs
    all the same.
    """
    if runtime == "tflite-runtime":
        raise BadInputError("Tensors between the ops need a runtime that keeps them. Received: runtime="
                            "'tflite-runtime', which computes in place. Use runtime='litert'.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
