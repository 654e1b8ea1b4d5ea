"""Compile tfold's TensorFlow operations on this machine, try them, and put them where they are found.

    *.cc ─▶ compiler ─▶ scratch folder ─▶ trial ─▶ renamed to ~/.cache/tfold/kernels/<key>
               │ fails                      │ cannot be loaded, or computes something else
               └────────────────────────────┴─▶ an error, and a note: <key>.failed.json

What appears in the cache is whole and has been tried. Behind a failure training goes on without the operations, and the
note says why.
"""

import dataclasses
import os
import shlex
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from tfold.errors import TfoldError, one_line
from tfold.files import LOCK, scratch
from tfold.locks import locked
from tfold.quiet import quiet
from tfold.training.kernels import cache
from tfold.training.kernels.compiler import NAMES, compile_library, find_compiler
from tfold.training.kernels.load import LOADED
from tfold.training.kernels.trial import try_it


@dataclasses.dataclass(frozen=True)
class Built:
    """What `make` returns.

    Attributes:
        path: Of the library.
        fresh: Whether it was built in this call.
        instruction_set: Of the loops that this processor takes.
    """

    path: Path
    fresh: bool
    instruction_set: str


def build(force=False):
    """Build the operations that make training on a CPU faster, unless they are built. It takes some ten seconds.

    A process that has trained or built a restructured model before goes on without them; the next one takes them.

    Args:
        force: Build them even if they are there and in order.

    Returns:
        Path of the library, in the user's cache.

    Raises:
        TfoldError: No compiler, it fails, TensorFlow has no headers, the cache cannot be written to, or what was
            built computes something else than the reference. Nothing but the reason is left behind then: training
            goes on without the operations, and warns.

    Examples:
        from tfold.training.kernels.build import build

        build()
    """
    return make(force).path


def make(force=False):
    """`build`, and whether there was anything to do."""
    path = _where()
    before = _identity(path)
    found = try_it(path) if before and not force else None
    if found is not None and found.state == LOADED:
        return Built(path, False, found.instruction_set)
    try:
        built = _made(path, before, force)
    except TfoldError as error:
        cache.note_failure(str(error))
        raise
    cache.note_failure(None)
    return built


def _made(path, before, force):
    compiler = find_compiler()
    if compiler is None:
        raise TfoldError(
            f"tfold's operations are compiled with a C++ compiler. Received: none of {', '.join(NAMES)} on PATH. "
            "Install one (apt install g++, xcode-select --install), or name it in $CXX."
        )
    try:
        with _locked(cache.folder()):
            if not force and _identity(path) not in (None, before):  # by another process, while this one waited
                return Built(path, False, try_it(path).instruction_set)
            found = _build_into(path.parent, compiler)
    except OSError as error:
        raise TfoldError(
            f"What is built is kept in the user's cache. Received: {one_line(error)} Make {cache.folder()} writable, "
            "or choose another cache: XDG_CACHE_HOME=/path tfold doctor --build-kernels"
        ) from None
    return Built(path, True, found.instruction_set)


def _where():
    if sys.platform == "win32":  # where TensorFlow has nothing to link operations with
        raise TfoldError("tfold's operations are built on Linux and macOS. Received: Windows. Train without them.")
    try:
        with quiet():
            return cache.library()
    except ImportError as error:
        raise TfoldError(
            f"TensorFlow must be importable to build operations for it. Received: {one_line(error)} Look what is "
            "missing with: tfold doctor"
        ) from error


def _identity(path):
    """What tells one library from another at the same place; None if there is none."""
    with suppress(OSError):
        found = os.stat(path)
        return found.st_ino, found.st_mtime_ns
    return None


@contextmanager
def _locked(folder):
    """Make the cache's folder, and be the only process that builds into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    reason = cache.mistrust(folder)
    if reason:
        raise TfoldError(
            f"The cache's folder must be yours alone: what is in it is run. Received: {reason}. Remove it, or choose "
            "another cache: XDG_CACHE_HOME=/path tfold doctor --build-kernels"
        )
    with locked(folder / LOCK, wait=True):
        yield


def _build_into(target, compiler):
    """Make the folder `target`, with the library and its record, all at once. Return how the trial went."""
    with scratch(target.parent) as work:
        new = work / "new"
        new.mkdir(mode=0o700)
        made = work / cache.LIBRARY
        compiled = compile_library(compiler, made)
        library = made.rename(new / cache.LIBRARY)
        cache.write_record(library, compiled, compiler)
        for file in new.iterdir():
            file.chmod(0o644)  # whatever the umask says: what others may write to is not loaded
        found = try_it(library)
        if found.state != LOADED:
            raise TfoldError(
                f"What is built must agree with the reference. Received, from {shlex.join(compiler)}: "
                f"{one_line(found.reason)} Try another compiler: CXX=clang++ tfold doctor --build-kernels"
            )
        if target.exists():
            target.rename(work / "old")  # who has it loaded keeps it
        new.rename(target)
        return found
