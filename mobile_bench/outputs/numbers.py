"""Numbers as C++ prints them, read whole or not at all, and how far printing may have moved them.

    "38.5703"   38.5703          "12x34"   an error, never 12
    "1.24027e+06"  1240270.0     "38."     an error: something is cut off

A C++ stream prints six significant digits, `%.2f` two decimals. Two printed numbers that stand for the same thing may
differ by half a unit of their last digit, and by no more.
"""

from __future__ import annotations

import math
import re

from mobile_bench.outputs.errors import OutputError, shorten

# Eighteen digits fit into 64 bits. Only the ten ASCII digits: \d would match those of other scripts as well.
INTEGER = r"(?:0|[1-9][0-9]{0,17})"
NUMBER = INTEGER + r"(?:\.[0-9]{1,20})?(?:e[+-][0-9]{2,3})?"
SIGNED = "-?" + NUMBER

FLOAT32 = 2.0**-23  # the relative step of a 32-bit float


def integer(token: str, what: str) -> int:
    """The whole token as a number ≥ 0. Raises: OutputError, which names `what` it should have been."""
    return int(_whole(INTEGER, token, what))


def number(token: str, what: str) -> float:
    """The whole token as a finite number ≥ 0. Raises: OutputError, which names `what` it should have been."""
    return signed(_whole(NUMBER, token, what), what)


def streamed(token: str, what: str) -> float:
    """As `number`, of a number that a stream has printed: one with more than six digits is an error as well."""
    value = number(token, what)
    if value != as_streamed(value):
        raise _not_a_number(token, what)
    return value


def signed(token: str, what: str) -> float:
    """The whole token as a finite number of either sign. Raises: OutputError."""
    value = float(_whole(SIGNED, token, what))
    if not math.isfinite(value):
        raise _not_a_number(token, what)
    return value


def stream_rounding(value: float, digits: int = 6) -> float:
    """How far a stream that prints `digits` significant digits may have moved a number that it shows as `value`.

    Examples:
        stream_rounding(6561.96)    # 0.005
    """
    if not value or math.isnan(value):
        return 0.0
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)


def as_streamed(value: float) -> float:
    """The number that a stream makes of `value`: six significant digits."""
    return float(f"{value:.6g}")


def _whole(pattern: str, token: str, what: str) -> str:
    if not re.fullmatch(pattern, token):
        raise _not_a_number(token, what)
    return token


def _not_a_number(token: str, what: str) -> OutputError:
    return OutputError(
        f"Every number must be readable to its end. Received: {shorten(token)!r} as {what}. "
        "The output is cut or damaged: measure again."
    )
