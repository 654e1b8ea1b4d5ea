"""The process that holds a runtime: `python -m tfold.measure.worker ai_edge_litert`.

One request a line on stdin, one answer a line on stdout, both JSON; it ends when stdin does.

    (start)                                                                ← {"ok": {}}
    {"do": "load", "path": "/m.tflite", "threads": 1, "all_tensors": false}  ← {"ok": {"inputs": [[-1, 8, 8, 3]]}}
    {"do": "time", "warmup_s": .05, "runs": 10, "min_s": .05, …}           ← {"ok": {"samples_ns": […], …}}
    {"do": "run", "inputs": "in.npz", "names": […], "outputs": "out.npz"}  ← {"ok": {"names": […]}}
    {"do": "tensors", "inputs": …, "names": …, "wanted": […], "outputs": …}  ← {"ok": {"indices": […]}}
    {"do": "delegation"}                                                   ← {"ok": {"ops": 5, "partitions": [[0, 1]]}}
    {"do": "profile", "path": "/m.tflite", "threads": 1, …}                ← {"ok": {"ops": […], "whole_us": 418.0}}
    anything that fails           ← {"error": "import" | "model" | "input" | "profiler" | "room", "message": "…"}

Beside the runtime only NumPy and this package are imported, so that TensorFlow can never come into the same process.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import queue
import sys
import threading
from pathlib import Path

import numpy as np

from tfold.errors import no_room
from tfold.measure import litert_profiler
from tfold.measure.litert_c import ProfilerError, check_version
from tfold.measure.runtimes import RUNTIMES
from tfold.measure.session import InputError, Session


def main(package: str) -> None:
    answers = _claim_stdout()

    def answer(**message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        runtime = importlib.import_module(f"{package}.interpreter")
    except Exception as error:  # a package built for another NumPy or Python fails in many ways
        return answer(error="import", message=_text(error))
    answer(ok={})
    session = None
    for line in _requests():
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "load":
                session = _load(runtime, **request)
                answer(ok={"inputs": session.input_shapes()})
            elif do == "time":
                answer(ok=session.time_block(**request))
            elif do == "delegation":
                answer(ok=session.delegation())
            elif do == "profile":
                answer(ok=_profile(runtime, session, **request))
            elif do == "tensors":
                answer(ok=_tensors(session, **request))
            else:
                answer(ok=_run(session, **request))
        except InputError as error:
            answer(error="input", message=str(error))
        except ProfilerError as error:
            answer(error="profiler", message=str(error))
        except Exception as error:  # whatever a runtime raises: the host explains it
            reason = no_room(error)
            answer(error="room" if reason else "model", message=reason or _text(error))


def _requests():
    """Lines of stdin. Its end ends the process at once, in the middle of an inference too: whoever asked is dead."""
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()


def _load(runtime, path: str, threads: int, all_tensors: bool) -> Session:
    # A delegate keeps what lies between its ops to itself, and without the flag tensors share memory.
    kernels = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kept = {"experimental_op_resolver_type": kernels, "experimental_preserve_all_tensors": True} if all_tensors else {}
    return Session(runtime.Interpreter(model_path=path, num_threads=threads, **kept))


def _run(session: Session, inputs: str, names: list[str] | None, outputs: str) -> dict:
    result = session.run(_given(inputs, names))
    np.savez(outputs, *result.values())
    return {"names": list(result)}


def _tensors(session: Session, inputs: str, names: list[str] | None, wanted: list[int] | None, outputs: str) -> dict:
    result = session.tensors(_given(inputs, names), wanted)
    np.savez(outputs, *result.values())
    return {"indices": list(result)}


def _profile(runtime, session: Session, path: str, threads: int, warmup_s: float, runs: int) -> dict:
    check_version(importlib.metadata.version(RUNTIMES["litert"].distribution))
    session.time_block(warmup_s=0, runs=1, min_s=0, max_s=0, seed=0)  # makes up inputs; outputs get their shapes
    interpreter, folder = session.interpreter, Path(runtime.__file__).parent
    inputs = {int(each["index"]): interpreter.get_tensor(each["index"]) for each in interpreter.get_input_details()}
    outputs = {int(each["index"]): interpreter.get_tensor(each["index"]).shape
               for each in interpreter.get_output_details()}
    return litert_profiler.profile(folder, path, threads, inputs, outputs, warmup_s, runs)


def _given(inputs: str, names: list[str] | None):
    with np.load(inputs, allow_pickle=False) as file:
        arrays = [file[f"arr_{index}"] for index in range(len(file.files))]
    return arrays if names is None else dict(zip(names, arrays, strict=True))


def _claim_stdout():
    """A private copy of stdout for the answers; what C++ prints on descriptor 1 goes to stderr from here on."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return answers


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(sys.argv[1])
