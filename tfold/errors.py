"""The errors that tfold raises for people: each states the rule, then `Received: …`, then the way out."""
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


class DivergedError(TfoldError):
    """A training's loss is no number any more."""


def one_line(error):
    """Another library's error as one sentence that fits into ours."""
    return " ".join(_COLOURS.sub("", str(error)).split())[:300].rstrip(".") + "."


_COLOURS = re.compile(r"\x1b?\[[0-9;]*m|\{\{[^}]*\}\}")
