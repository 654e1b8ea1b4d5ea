"""The user's C++ compiler: which one it is, what it is told, and what it says when it fails."""

import dataclasses
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tfold.errors import TfoldError, one_line
from tfold.quiet import quiet
from tfold.training.kernels import instruction_sets

NAMES = ("c++", "g++", "clang++")
_COMMON = ("-fPIC", "-w", "-fvisibility=hidden")
# Of -ffast-math no more than these two, by which comparisons and roots become vectors: a NaN must stay one.
LOOPS = ("-std=c++17", "-O3", "-fno-trapping-math", "-fno-math-errno", "-fno-exceptions", "-fno-rtti", *_COMMON)
_AROUND = ("-std=c++17", "-O2", *_COMMON)
SOURCES = Path(__file__).parent
_PATIENCE_S = 600.0


def find_compiler():
    """The words that start the compiler, from $CXX or from PATH; None if there is none.

    Raises:
        TfoldError: $CXX names none.
    """
    chosen = os.environ.get("CXX", "").strip()
    if chosen:
        words = []
        with suppress(ValueError):  # a quotation mark without its other one
            words = shlex.split(chosen)
        if not words or shutil.which(words[0]) is None:
            raise TfoldError(
                f"$CXX names a C++ compiler. Received: {chosen}, which is not to be found. Correct it, or unset it."
            )
        return words
    return next(([path] for path in map(shutil.which, NAMES) if path), None)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """How a library was made.

    Attributes:
        instruction_sets: Those that it has loops for, by their names in C++.
        left_out: Why it lacks others: the compiler's error, by their names in C++.
        options: The loops' options, without those for paths and for the instruction set.
    """

    instruction_sets: tuple
    left_out: dict
    options: tuple = LOOPS


def compile_library(compiler, output, sources=SOURCES):
    """Compile TensorFlow operations that run on every processor of this machine's kind.

    An instruction set that the compiler cannot compile for is left out; the baseline must be there.

    Args:
        compiler: The words that start it.
        output: The library's path, in a folder for whatever else the compiler writes.
        sources: The folder of the C++ files.

    Returns:
        A `Compiled`.

    Raises:
        TfoldError: TensorFlow has no headers here, or the compiler fails.
    """
    paths, links = _tensorflow_flags()
    sets = instruction_sets.options()
    least = sets[instruction_sets.BASELINE]
    with _Processes(compiler, output.parent) as processes:

        def compiled(source, *options, into=None):
            return processes.start(["-c", sources / source, *options], into or source.replace(".cc", ".o"))

        operations = compiled("batch_norm.cc", *_AROUND, *paths, *least)  # takes longest
        loops = {
            name: compiled("loops.cc", *LOOPS, *options, f"-DTFOLD_SET={name}", into=f"loops_{name}.o")
            for name, options in sets.items()
        }
        wrong = {name: processes.what_went_wrong(made) for name, made in loops.items()}
        there = [name for name in sets if wrong[name] is None]
        chooser = compiled("instruction_sets.cc", *_AROUND, *least, *(f"-DTFOLD_HAS_{name}" for name in there))
        reason = wrong[instruction_sets.BASELINE]
        reason = reason or processes.what_went_wrong(chooser) or processes.what_went_wrong(operations)
        if reason is None:
            dynamic = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
            objects = [operations, chooser, *(loops[name] for name in there)]
            reason = processes.what_went_wrong(processes.start(["-shared", *objects, *links, *dynamic], output.name))
    if reason is not None:
        raise TfoldError(
            "tfold's operations must compile with your C++ compiler. Received, from "
            f"{shlex.join(compiler)}: {reason} Update the compiler, or choose another: "
            "CXX=clang++ tfold doctor --build-kernels"
        )
    return Compiled(tuple(there), {name: wrong[name] for name in sets if wrong[name] is not None})


def version_of(compiler):
    """The first line of what the compiler says of itself."""
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run([*compiler, "--version"], capture_output=True, text=True, errors="replace", timeout=20)
        return next(iter(said.stdout.splitlines()), "")
    return ""


def _tensorflow_flags():
    """Flags with which TensorFlow wants its operations compiled, and those to link them with."""
    with quiet():
        import tensorflow as tf

        include, compile_flags = tf.sysconfig.get_include(), tf.sysconfig.get_compile_flags()
        links = tf.sysconfig.get_link_flags()
    header = Path(include) / "tensorflow" / "core" / "framework" / "op.h"
    if not header.is_file():
        raise TfoldError(
            f"TensorFlow's C++ headers are needed. Received: TensorFlow {tf.version.VERSION} without {header}. Install "
            "the package that has them: pip install tensorflow"
        )
    return compile_flags, links


class _Processes:
    """Compilers that run side by side. They and all that they start end with us, and write nowhere but in `folder`."""

    def __init__(self, compiler, folder):
        self.compiler, self.folder, self.started = compiler, folder, {}

    def start(self, options, name):
        """Start a compiler that makes the file `name` in the folder, and return the file's path."""
        made = self.folder / name
        with open(self.folder / f"{name}.said", "wb") as said:
            try:
                self.started[made] = subprocess.Popen(
                    [str(word) for word in [*self.compiler, *options, "-o", made]],
                    env={**os.environ, "TMPDIR": str(self.folder), "LC_ALL": "C"},  # C: errors in a language we know
                    stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                said.write(f"error: {error}".encode())
        return made

    def what_went_wrong(self, made):
        """Wait for the compiler that makes this file. Return its error, or None if the file is there."""
        try:
            code = self.started[made].wait(_PATIENCE_S) if made in self.started else 1
        except subprocess.TimeoutExpired:
            return one_line(f"error: no end after {_PATIENCE_S:g} s")
        if code == 0 and made.is_file():
            return None
        return _first_error(made.with_name(f"{made.name}.said").read_text(errors="replace"), code)

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        for process in self.started.values():
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _first_error(said, code):
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return one_line(next(iter(errors or lines), f"exit code {code} and no word"))
