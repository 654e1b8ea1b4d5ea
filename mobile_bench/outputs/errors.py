"""What can be wrong with what benchmark_model has printed, told apart so that callers can react.

    the tool says why it failed     BenchmarkFailedError     the model, a flag or the phone is at fault
    it cannot be read or believed   OutputError              cut, damaged, several runs, numbers that disagree
"""

from tfold.errors import TfoldError


class OutputError(TfoldError):
    """What the tool printed is incomplete, unreadable or contradicts itself: no number is taken from it."""


class BenchmarkFailedError(TfoldError):
    """The tool failed and said so.

    Attributes:
        reasons: its own words, a line each, in the order in which it printed them.
        exit_code: with what it ended; 0 where it failed all the same, or where no exit code is known.
    """

    def __init__(self, message: str, reasons: tuple[str, ...] = (), exit_code: int = 0):
        super().__init__(message)
        self.reasons = reasons
        self.exit_code = exit_code


def shorten(text: str, length: int = 200) -> str:
    """A line as it may be quoted in a message: without what a terminal would act on, and not too long."""
    shown = "".join(character if character.isprintable() else "?" for character in text).strip()
    return shown if len(shown) <= length else shown[:length] + "…"
