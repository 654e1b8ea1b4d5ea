"""The instruction sets that `loops.cc` is compiled for, and which of them a loaded library uses.

    x86-64, x86-64-v2, x86-64-v3, x86-64-v4     the levels of the x86-64 psABI: SSE2; SSE4.2; AVX2 and FMA; AVX-512
    armv8-a                                     with its vectors of 128 bits

A library holds the loops for all of them, and takes the best one that the processor can run. So it runs on every
machine of its kind, and a home folder may be shared.
"""

import ctypes
import os
import platform

# What follows comes behind what $CXX says, and takes it back: "-mno-avx" goes for all that is built upon AVX as well.
_X86_64 = ("-march=x86-64", "-mno-avx")
_V2 = ("-mcx16", "-msahf", "-mpopcnt", "-msse4.2")
_V3 = (*_V2, "-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe")
# Whole registers: left alone, compilers take half of them, for processors that slow down with the whole ones.
_V4 = (*_V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512")

BASELINE = "baseline"


def options(machine=None):
    """Return the compiler's options for each instruction set, by the name that it has in C++; the baseline's first.

    The options are spelled out: compilers have known them for longer than the names of the levels.

    Args:
        machine: The processor's kind as `platform.machine` says it; this machine's if None.
    """
    machine = (machine or platform.machine()).lower()
    if machine in ("x86_64", "amd64"):
        levels = {BASELINE: (), "x86_64_v2": _V2, "x86_64_v3": _V3, "x86_64_v4": _V4}
        return {name: [*_X86_64, *level] for name, level in levels.items()}
    return {BASELINE: ["-march=armv8-a"] if machine in ("aarch64", "arm64") else []}


def in_use(path):
    """Return the name of the instruction set that the library at `path` uses, which this process has loaded."""
    return _function(path, "tfold_instruction_set", ctypes.c_char_p)().decode()


def available(path):
    """Return the names of the instruction sets that the library has and that run on this processor, best first."""
    at, names = _function(path, "tfold_instruction_set_at", ctypes.c_char_p), []
    while (name := at(len(names))) is not None:
        names.append(name.decode())
    return names


def use(path, name):
    """Make the library at `path` use another instruction set, in this process, from now on.

    Raises:
        ValueError: The library does not have it, or it does not run on this processor.
    """
    if not _function(path, "tfold_use_instruction_set", ctypes.c_int)(name.encode()):
        raise ValueError(
            f"An instruction set must be in the library and run on this processor. Received: {name}. Choose one of "
            f"{', '.join(available(path))}."
        )


def _function(path, name, result):
    # Not loaded from here: TensorFlow would register operations that it has not been asked for.
    function = getattr(ctypes.CDLL(str(path), mode=os.RTLD_LAZY | os.RTLD_NOLOAD), name)
    function.restype = result
    return function
