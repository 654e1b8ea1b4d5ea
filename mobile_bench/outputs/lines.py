"""The lines of a log, without what each era, platform and logger puts in front of them.

    INFO: count=1 curr=6692                                          2022 and later
    count=1 curr=6692                                                TensorFlow 2.4–2.9, and before
    INFO: [litert/tools/benchmark_litert_model.h:69] Throughput: …   LiteRT's logger
    I0000 00:00:1690000000.123456  1234 file.cc:12] count=…          absl
    native : benchmark_model.cc:123 count=…                          Android, long ago
    ────────────────────────────────┬───────────────────────────────
                                    ▼
    Line(severity="INFO", text="count=1 curr=6692", whole=True)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LETTERS = {"V": "VERBOSE", "D": "DEBUG", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL", "A": "FATAL"}
_WORDS = {"WARNING": "WARN"}

# Each is taken away once at most, in this order: absl and Android stand in front of what the tool itself writes.
_PREFIXES = tuple(map(re.compile, (
    r"([IWEF])[0-9]{4} [0-9:]{8,}\.[0-9]+ +[0-9]+ [^\s:\]]+:[0-9]+\] ",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]+: ([IWEF]) [^\s:\]]+:[0-9]+\] ",
    r"([VDIWEFA])/(?:tflite|litert|native) *\( *[0-9]+\): ",
    r"native : [^\s:]+:[0-9]+ ",
    r"(VERBOSE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL): ",
    r"\[[^\s\]]+:[0-9]+\] ",
)))


@dataclass(frozen=True)
class Line:
    """A line of the log.

    Attributes:
        severity: "VERBOSE", "DEBUG", "INFO", "WARN", "ERROR" or "FATAL"; "" where the tool tells none.
        text: what it says.
        whole: whether it ends in a line end: the last line of an output that was cut does not.
    """

    severity: str
    text: str
    whole: bool = True


def read_lines(text: str) -> list[Line]:
    r"""All lines of an output, in order; `\n`, `\r\n` and adb's `\r\r\n` end one.

    Examples:
        read_lines("INFO: STARTING!\nINFO: Gra")
        # [Line("INFO", "STARTING!"), Line("INFO", "Gra", whole=False)]
    """
    return [strip_prefix(body, whole) for body, whole in split_lines(text)]


def split_lines(text: str) -> list[tuple[str, bool]]:
    """Each line without its end, and whether it has one."""
    # Not splitlines: it splits at characters that a name in the model may hold, such as a form feed.
    *ended, rest = text.split("\n")
    lines = [(line.rstrip("\r"), True) for line in ended]
    return lines + [(rest.rstrip("\r"), rest.endswith("\r"))] if rest else lines


def strip_prefix(text: str, whole: bool = True, severity: str = "") -> Line:
    """A line whose prefixes, where it has some, are taken away and read.

    Args:
        text: the line, without its end.
        whole: see `Line`.
        severity: what is known of it already, from logcat.
    """
    for prefix in _PREFIXES:
        found = prefix.match(text)
        if found:
            text = text[found.end():]
            letter = next(iter(found.groups()), None)
            severity = _LETTERS.get(letter) or _WORDS.get(letter) or letter or severity
    return Line(severity, text, whole)


def severity_of(letter: str) -> str:
    """The severity that a logcat letter stands for.

    Examples:
        severity_of("W")    # "WARN"
    """
    return _LETTERS[letter]
