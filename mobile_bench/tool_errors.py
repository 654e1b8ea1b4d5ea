"""What can go wrong with the benchmark tool and the phone's state, told apart so that callers can react."""

from tfold.errors import TfoldError
from tfold.measure.rounds import NoMoreBlocksError


class NoBinaryError(TfoldError):
    """No benchmark binary is named, or where one is named there is none."""


class DownloadError(TfoldError):
    """The benchmark binary cannot be fetched, or what came is not what was pinned."""


class WrongBinaryError(TfoldError):
    """The file is no program that this phone can run."""


class MissingFlagError(TfoldError):
    """What was asked for needs a flag that this benchmark binary does not have."""


class UnconsumedFlagError(TfoldError):
    """The tool has ignored a flag, and so has measured something else."""


class SilentFallbackError(TfoldError):
    """The tool has run on the CPU what was asked for on another processor."""


class PartialDelegationError(SilentFallbackError):
    """The tool has run a part of the model on the CPU that was asked for on another processor."""


class AffinityError(TfoldError):
    """The tool cannot be held on the cores that were asked for."""


class ToolCrashError(TfoldError):
    """The tool or the benchmark app was killed, has crashed, or does not answer."""


class AppNotInstalledError(TfoldError):
    """The benchmark app is not on the phone, or cannot be put there."""


class TooHotError(NoMoreBlocksError):
    """The phone has not cooled down in time."""


class PhoneNotReadyError(TfoldError):
    """The phone is in a state that no waiting changes: its battery is low, or it saves power."""
