"""Which runtimes can run a .tflite file on this machine, found out without importing any of them.

Importing is what must not happen here: tflite_runtime and TensorFlow cannot share a process, and each import maps
native libraries. Only the worker process imports one (`tfold.measure.worker`).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass

from tfold.errors import BadInputError
from tfold.measure.errors import RuntimeNotFoundError


@dataclass(frozen=True)
class Runtime:
    """A runtime: the `package` to import, the `distribution` that pip knows, and how to `install` it."""

    name: str
    package: str
    distribution: str
    install: str
    newest_python: tuple[int, int] | None = None


@dataclass(frozen=True)
class Found:
    """What was found of a runtime: its `version`, or None and then `missing`, which says why and the way out."""

    version: str | None
    missing: str = ""


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("litert", "ai_edge_litert", "ai-edge-litert", "pip install ai-edge-litert"),
        Runtime("tflite-runtime", "tflite_runtime", "tflite-runtime", "pip install tflite-runtime==2.14.0 'numpy<2'",
                (3, 11)),
    )
}


def available_runtimes() -> dict[str, Found]:
    """Every known runtime and what was found of it.

    Examples:
        {name: found.version for name, found in available_runtimes().items()}
        # {"litert": "2.3.0", "tflite-runtime": None}
    """
    return {name: _look_for(runtime) for name, runtime in RUNTIMES.items()}


def resolve(name: str) -> tuple[str, ...]:
    """The runtimes that `name` stands for.

    Args:
        name: a key of `RUNTIMES`, or `"all"` for every one that is installed.

    Returns:
        tuple: names, at least one, each of them installed.

    Raises:
        BadInputError: an unknown name.
        RuntimeNotFoundError: a known one that is not installed, or `"all"` where none is.
    """
    if name != "all" and name not in RUNTIMES:
        known = ", ".join(RUNTIMES)
        raise BadInputError(f"A runtime is one of {known}, or all. Received: {name!r}. Choose one of these.")
    wanted = tuple(RUNTIMES) if name == "all" else (name,)
    found = available_runtimes()
    usable = tuple(each for each in wanted if found[each].version is not None)
    if not usable:
        raise RuntimeNotFoundError(" ".join(f"Runtime {each}: {found[each].missing}." for each in wanted))
    return usable


def _look_for(runtime: Runtime) -> Found:
    try:
        version = importlib.metadata.version(runtime.distribution)
    except importlib.metadata.PackageNotFoundError:
        version = None
    if version is not None and importlib.util.find_spec(runtime.package) is not None:
        return Found(version)
    missing = f"not installed: {runtime.install}"
    if runtime.newest_python and sys.version_info[:2] > runtime.newest_python:
        newest = ".".join(map(str, runtime.newest_python))
        here = ".".join(map(str, sys.version_info[:2]))
        missing = f"not installed, and made for Python up to {newest} (this is {here}): use the runtime litert"
    return Found(None, missing)
