"""The user's C++ compiler: which one it is, what it is told, and what it says when it fails."""

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

NAMES = ("c++", "g++", "clang++")
# Of -ffast-math no more than these two, by which comparisons and roots become vectors: a NaN must stay one.
OPTIONS = ("-O3", "-fno-trapping-math", "-fno-math-errno", "-shared", "-fPIC", "-w")
_NATIVE = ("-march=native", "-mcpu=native")  # for this processor; not every compiler knows the first on every one
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


def compile_library(compiler, source, output):
    """Compile TensorFlow operations for this machine's processor.

    Args:
        compiler: The words that start it.
        source: A C++ file.
        output: The library's path, in a folder for whatever else the compiler writes.

    Returns:
        The options that were used, without those for paths.

    Raises:
        TfoldError: TensorFlow has no headers here, or the compiler fails.
    """
    paths, links = _tensorflow_flags()
    options = [*OPTIONS, *_native(compiler, output.parent)]
    dynamic = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    code, said = _run([*compiler, *options, *paths, source, "-o", output, *links, *dynamic], output.parent)
    if code != 0 or not output.is_file():
        raise TfoldError(
            "tfold's operations must compile with your C++ compiler. Received, from "
            f"{shlex.join(compiler)}: {_first_error(said, code)} Update the compiler, or choose another: "
            "CXX=clang++ tfold doctor --build-kernels"
        )
    return options


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


def _native(compiler, folder):
    """The option for this very processor that the compiler takes, if any."""
    empty = folder / "empty.cc"
    empty.write_text("")
    for option in _NATIVE:
        if _run([*compiler, option, "-c", empty, "-o", folder / "empty.o"], folder)[0] == 0:
            return [option]
    return []


def _run(words, folder):
    """(exit code, what was printed). The compiler and all it starts end with us, and write nowhere but in `folder`."""
    try:
        process = subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, "TMPDIR": str(folder), "LC_ALL": "C"},  # C: errors in a language that we know
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return 1, f"error: {error}"
    try:
        said, _ = process.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return 1, f"error: no end after {_PATIENCE_S:g} s"
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, said.decode(errors="replace")


def _first_error(said, code):
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return one_line(next(iter(errors or lines), f"exit code {code} and no word"))
