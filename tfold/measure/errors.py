"""What can go wrong between here and a runtime, told apart so that callers can react."""

from tfold.errors import TfoldError


class RuntimeNotFoundError(TfoldError):
    """The runtime is known, but is not installed or cannot be imported here."""


class UnsupportedModelError(TfoldError):
    """The file is a whole .tflite, but this runtime cannot run it: an op it lacks, a tensor it cannot make."""


class WorkerCrashError(TfoldError):
    """The runtime's process died, by a signal or by itself."""


class WorkerTimeoutError(TfoldError):
    """The runtime's process gave no answer in time and was ended."""


class ProfilerNotAvailableError(TfoldError):
    """The runtime has no profiler that could tell the ops of this model one by one."""
