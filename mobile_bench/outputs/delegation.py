"""Who runs the model: what the log tells of delegates.

    Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.     complete
    … partially executed by the delegate w/ 3 delegate kernels.                                            partial, 3
    Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.       none
    Created TensorFlow Lite XNNPACK delegate for CPU.                                  created, by the runtime or a flag
    GPU acceleration is unsupported on this platform.                                  unsupported: the flag did nothing
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mobile_bench.outputs.errors import OutputError, shorten
from mobile_bench.outputs.lines import Line
from mobile_bench.outputs.numbers import INTEGER

COMPLETE, PARTIAL, NONE = "complete", "partial", "none"

# Until 2020: "Applied GPU delegate, … completely executed w/ the delegate."
_APPLIED = re.compile(
    r"(?:Explicitly applied|Applied) (?P<name>\S+) delegate, and the model graph will be "
    rf"(?P<how>completely|partially) executed (?:by|w/) the delegate(?: w/ (?P<kernels>{INTEGER}) delegate kernels)?\."
)
_NOT_EXECUTED = re.compile(
    r"Though (?P<name>\S+) delegate is (?:explicitly )?applied, the model graph will not be executed"
    r" (?:by|w/) the delegate\."
)
_CREATED = re.compile(r"Created TensorFlow Lite (?:(\S+) delegate for CPU|delegate for (\S+?))\.")
_UNSUPPORTED = re.compile(r"(\S+) acceleration is unsupported on this platform\.")
_STARTS = ("Explicitly applied ", "Applied ", "Though ")


def read_delegation(lines: Iterable[Line]) -> tuple[tuple[str, str, int | None], ...]:
    """The delegates that were asked for and what became of them, in the order in which they were applied.

    Returns:
        tuple: of (name, `COMPLETE`, `PARTIAL` or `NONE`, number of kernels or None where it is not told).

    Raises:
        OutputError: a delegate with two fates, or a line about a delegate that is cut.

    Examples:
        read_delegation(read_lines(stdout))     # (("GPU", "partial", 3),)
    """
    fates: dict[str, tuple[str, int | None]] = {}
    for line in lines:
        told = _fate(line.text)
        if told and fates.setdefault(told[0], told[1:]) != told[1:]:
            raise OutputError(
                f"A delegate is applied once. Received: {told[0]} as {fates[told[0]]} and as {told[1:]}. "
                "The output is damaged, or of several runs: measure again."
            )
    return tuple((name, *fate) for name, fate in fates.items())


def read_created(lines: Iterable[Line]) -> tuple[str, ...]:
    """The delegates that were created, such as `("XNNPACK",)`; that they took a part of the model is not said."""
    found = (_CREATED.fullmatch(line.text) for line in lines)
    return tuple(dict.fromkeys(match[1] or match[2] for match in found if match))


def read_unsupported(lines: Iterable[Line]) -> tuple[str, ...]:
    """The accelerators that were asked for and that this build or platform does not have, such as `("GPU",)`."""
    found = (_UNSUPPORTED.fullmatch(line.text) for line in lines)
    return tuple(dict.fromkeys(match[1] for match in found if match))


def _fate(text: str) -> tuple[str, str, int | None] | None:
    applied, not_executed = _APPLIED.fullmatch(text), _NOT_EXECUTED.fullmatch(text)
    if applied:
        kernels = int(applied["kernels"]) if applied["kernels"] else None
        complete = applied["how"] == "completely"
        if not complete or kernels is None:
            return applied["name"], COMPLETE if complete else PARTIAL, kernels
    if not_executed:
        return not_executed["name"], NONE, None
    if text.startswith(_STARTS) and "model graph" in text:
        raise OutputError(
            f"What became of a delegate must be readable. Received: {shorten(text)!r}. "
            "The output is cut or damaged: measure again."
        )
    return None
