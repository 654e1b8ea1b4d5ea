"""Which compilers can build tfold's operations, and for which processors: a table.

    python benchmarks/compile_matrix.py
    python benchmarks/compile_matrix.py --compilers g++-13 clang++-18 "python -m ziglang c++" --loops-only

For each compiler and each `-march=`: whether the loops compile with it; "no such name" where the compiler does not know
the processor. And the whole library, with the first `--march` in $CXX: for how many instruction sets it has loops, and,
in a process of its own, whether each of these that runs here agrees with the reference.
"""
import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfold.errors import TfoldError
from tfold.measure import describe_machine
from tfold.training.kernels import cache, load
from tfold.training.kernels.compiler import LOOPS, SOURCES, compile_library, version_of

MARCH = ("sapphirerapids", "znver4", "znver5", "haswell", "x86-64")
KNOWN = [f"{name}-{version}" for name, versions in (("g++", range(9, 17)), ("clang++", range(11, 24)))
         for version in versions]  # fmt: skip
UNKNOWN = ("bad value", "unknown target CPU", "unknown CPU", "unsupported argument", "unknown value",
           "unrecognized argument")  # fmt: skip

# In a process of its own: a process can load one library of these operations.
EACH_SET = """
import sys
from tfold.training.kernels import check, instruction_sets, load
found = load.find()
if found.operations is None:
    sys.exit(found.reason)
for name in instruction_sets.available(found.path):
    instruction_sets.use(found.path, name)
    print(name, check.disagreement(found.operations) or "agrees", sep=": ")
"""


def loops(compiler, march, folder):
    """What comes of compiling the loops for one processor."""
    words = [*compiler, *LOOPS, f"-march={march}", "-c", SOURCES / "loops.cc", "-o", folder / "loops.o"]
    ended = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if ended.returncode == 0:
        return "compiles"
    if any(words in ended.stderr for words in UNKNOWN):
        return "no such name"
    return next((line for line in ended.stderr.splitlines() if "error" in line), "fails").strip()


def library(compiler, march, folder):
    """What comes of the whole library, with `-march=` in the compiler's command."""
    if loops(compiler, march, folder) != "no such name":
        compiler = [*compiler, f"-march={march}"]
    made = folder / cache.LIBRARY
    try:
        compiled = compile_library(compiler, made)
    except TfoldError as error:
        return str(error)
    made.chmod(0o644)
    cache.write_record(made, compiled, compiler)
    ended = subprocess.run([sys.executable, "-c", EACH_SET], env={**os.environ, load.VARIABLE: str(made)},
                           capture_output=True, text=True)
    if ended.returncode != 0:
        return f"does not load: {(ended.stderr.strip().splitlines() or [ended.returncode])[-1]}"
    ran = ended.stdout.split("\n")[:-1]
    wrong = [line for line in ran if not line.endswith(": agrees")]
    return "; ".join(wrong) or f"{len(compiled.instruction_sets)} sets; agree: " + ", ".join(
        line.partition(":")[0] for line in ran)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compilers", nargs="+", default=[name for name in KNOWN if shutil.which(name)])
    parser.add_argument("--march", nargs="+", default=MARCH)
    parser.add_argument("--loops-only", action="store_true")
    chosen = parser.parse_args()
    if not chosen.compilers:
        parser.error(f"a compiler must be installed. Received: none of {', '.join(KNOWN)} on PATH. Name one: "
                     "--compilers")
    print(f"{describe_machine()}, {platform.machine()}\n")
    print("| compiler |", *(f"`{march}` |" for march in chosen.march), "" if chosen.loops_only else "the library |")
    print("|---|" + "---|" * (len(chosen.march) + (not chosen.loops_only)))
    for words in map(shlex.split, chosen.compilers):
        with tempfile.TemporaryDirectory() as folder:
            cells = [loops(words, march, Path(folder)) for march in chosen.march]
            if not chosen.loops_only:
                cells.append(library(words, chosen.march[0], Path(folder)))
        print(f"| {version_of(words) or shlex.join(words)} |", *(f"{cell} |" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
