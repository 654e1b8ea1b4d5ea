"""Why the tool has failed, in its own words, and what can be done about it.

    ERROR: Could not open '/data/local/tmp/missing.tflite'.       ┐
    ERROR: The model allocation is null/empty                     │   BenchmarkFailedError: … Received, with
    ERROR: Failed to load model /data/local/tmp/missing.tflite    ├▶  exit code 1: Could not open '…'; …
    ERROR: Benchmarking failed.                                   ┘   Put the model at that path first …
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from mobile_bench.outputs.errors import BenchmarkFailedError, shorten
from mobile_bench.outputs.lines import Line

FAILED = "Benchmarking failed."  # printed before the exit; on old phones adb loses the exit code, and this remains
ERRORS = ("ERROR", "FATAL")
_SHOWN = 4

# The first that fits; what the tool prints first is the cause, what follows is mostly its consequence.
_WAYS_OUT = (
    (r"usage: ", "Correct the flags."),
    (r"Could not open|No such file|Please specify the name of your TF Lite input file",
     "Put the model at that path first, and name it with --graph."),
    (r"Didn't find op for builtin opcode|Unsupported operation version",
     "The tool is older than the model: take a newer benchmark_model."),
    (r"custom op: Flex", "Take a tool that is built with Flex (…_plus_flex), or export the model without such ops."),
    (r"unresolved custom op", "Replace the layers these ops come from and export the model again."),
    (r"Disallowed CPU fallback", "The delegate cannot run the whole model: ask for less, or measure on the CPU."),
    (r"Failed to apply .* delegate", "The delegate cannot run this model on this device: measure on the CPU."),
    (r"not a valid Flatbuffer|model identifier|mmap", "The file is damaged or cut: put it there again and compare the "
     "SHA-256 of both."),
    (r"Failed to load model", "Check the path and the file: put it there again and compare the SHA-256 of both."),
)


def reasons(lines: Sequence[Line]) -> tuple[str, ...]:
    """The tool's own words for what went wrong, without its closing `Benchmarking failed.`"""
    return tuple(line.text for line in lines if line.severity in ERRORS and line.text != FAILED)


def failure(lines: Sequence[Line], exit_code: int) -> BenchmarkFailedError:
    """The error for a run that has failed.

    Args:
        lines: everything it printed, stderr last.
        exit_code: with what it ended; 0 where that is not known, or where it was 0 all the same.
    """
    why = reasons(lines)
    if why:
        shown = [shorten(text).rstrip(".") for text in why[:_SHOWN]]
        left = f" (and {len(why) - _SHOWN} more)" if len(why) > _SHOWN else ""
        said = "; ".join(shown) + left
    else:
        last = [shorten(line.text) for line in lines if line.text.strip() and line.text != FAILED][-3:]
        said = f"no reason; its last words: {' / '.join(last)}" if last else "no reason, and nothing else"
    return BenchmarkFailedError(
        f"The benchmark tool must load the model and run it. Received{_ending(exit_code)}: {said}. {_way_out(why)}",
        reasons=why,
        exit_code=exit_code,
    )


def _ending(exit_code: int) -> str:
    if exit_code == 0:
        return ""
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:  # a shell tells a signal as 128 + its number, Python's subprocess as its negative
        return f", with exit code {exit_code} ({signal.Signals(number).name})"
    except ValueError:
        return f", with exit code {exit_code}"


def _way_out(why: tuple[str, ...]) -> str:
    for text in why:
        for pattern, way_out in _WAYS_OUT:
            if re.search(pattern, text):
                return way_out
    return "Run the tool by hand with the same flags to see all that it prints."
