"""How a command reaches a phone's shell word by word, and how it tells its exit code.

adb joins what it is given with blanks, and the phone's shell takes that apart again. So every word is quoted, and the
whole is put between two lines that nothing else can print, as they hold a random marker:

    echo tfold5e0c$$; ( 'ls' '-l' 'a file; reboot' ); echo "
    tfold5e0c$?"

    tfold5e0c4711     the process that runs it: a line that ends in \\r\\n comes from an old daemon's terminal
    …                 the output
    tfold5e0c0        the exit code; without this line the connection broke before the command ended

The exit code of the adb client itself says less: daemons without shell_v2 make it 0 always, and clients before
platform-tools 30 make it 0 where a phone is unplugged half-way.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass

from tfold.errors import BadInputError

LONGEST = 32_000  # bytes of a command: adb's client, server and daemon each have a limit, the lowest at 64 KiB


@dataclass(frozen=True)
class Answer:
    """What a wrapped command has printed; `process` and `code` are None where it did not begin or end."""

    process: int | None
    code: int | None
    out: str


def check_words(words: tuple[str, ...]) -> None:
    """Raises `BadInputError` unless these are words that a program can be given."""
    if not words:
        raise BadInputError("A command for a phone has at least one word. Received: none. Name a program.")
    for word in words:
        if not isinstance(word, str):
            raise BadInputError(f"A command for a phone is made of strings. Received: {word!r}. Make it one: str(…).")
        if "\0" in word:
            raise BadInputError(f"A word of a command cannot hold the character 0. Received: {word!r}. Leave it out.")
        try:
            os.fsencode(word)
        except UnicodeEncodeError:
            raise BadInputError(f"A word of a command is text. Received: {word!r}, with half a character. Complete "
                                "it, or leave it out.") from None


def quoted(word: str) -> str:
    """The word as the phone's shell must read it to get that very word.

    Even harmless words are quoted: `if` or `A=1` mean something else to a shell where a command is expected.

    Examples:
        quoted("it's; reboot")      # 'it'"'"'s; reboot'
    """
    return "'" + word.replace("'", "'\"'\"'") + "'"


def new_marker() -> str:
    """A word that no output holds by chance or on purpose."""
    return f"tfold{uuid.uuid4().hex}"


def wrapped(words: tuple[str, ...], marker: str) -> str:
    """The command line of these words, between the two marked lines.

    Raises:
        BadInputError: there are no words, too much of them, or such that no program can be given.
    """
    check_words(words)
    command = " ".join(quoted(word) for word in words)
    length = len(os.fsencode(command))
    if length > LONGEST:
        raise BadInputError(f"A command for a phone has at most {LONGEST} bytes. Received: {length} bytes. Push what "
                            "is long as a file.")
    return f'echo {marker}$$; ( {command} ); echo "\n{marker}$?"'


def unwrapped(text: str, marker: str) -> Answer:
    """What `wrapped` has led to, from all that came back."""
    begin = re.search(rf"{marker}(\d+)(\r*\n)", text)
    if begin is None:
        return Answer(None, None, text)
    newline = begin[2]
    before, rest = text[:begin.start()], text[begin.end():]
    end = re.search(rf"{newline}{marker}(\d+){newline}", rest)
    code, end_of_output, after = (int(end[1]), end.start(), end.end()) if end else (None, len(rest), len(rest))
    out = before + rest[:end_of_output] + rest[after:]  # a process that outlives the command prints after its end
    return Answer(int(begin[1]), code, out.replace(newline, "\n"))
