"""The errors that tfold raises for people: each states the rule, then `Received: …`, then the way out."""
import errno
import os
import re


class TfoldError(Exception):
    """Base class of every error that tfold raises on purpose."""


class BadInputError(TfoldError, ValueError):
    """What was given cannot be used: a damaged file, a model of the wrong kind, an option out of range."""


class InUseError(BadInputError):
    """Another process works there just now; later it may not."""

    def __init__(self, message, path=None):
        super().__init__(message)
        self.path = path


class ParityError(TfoldError):
    """Two networks that must agree do not."""


class NoRoomError(TfoldError, OSError):
    """A disk is full, or no more may be written to it."""


class DivergedError(TfoldError):
    """A training's loss is no number any more."""


def no_room(error):
    """Return how a disk refused to take more, as half a sentence, or None if this error is another.

    Libraries wrap the system's error in their own, and some of them keep nothing of it but the text.
    """
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        code = error.errno if isinstance(error, OSError) else None
        for number, text in _NO_ROOM.items():
            if code == number or os.strerror(number) in str(error):
                return text
        error = error.__cause__ or error.__context__
    return None


_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "a file would be larger than files may be here (see: ulimit -f)",
}


def one_line(error):
    """Another library's error as one sentence that fits into ours."""
    return " ".join(_COLOURS.sub("", str(error)).split())[:300].rstrip(".") + "."


_COLOURS = re.compile(r"\x1b?\[[0-9;]*m|\{\{[^}]*\}\}")
