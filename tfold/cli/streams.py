"""Who may write where: with `--json`, stdout belongs to one document, whatever else prints."""
import os
import signal
import sys
import threading
from contextlib import contextmanager


class Terminated(KeyboardInterrupt):
    """SIGTERM: `timeout` and service managers end a command with it, and it too must clean up behind itself."""


def prepare():
    """Make the three standard streams safe to use: open, and never the reason for a traceback."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file opened would take its number, and receive what libraries print
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # α and → where the terminal's encoding has none, file names in no encoding
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def stdout_reserved(reserved):
    """Send to stderr what Python or C++ code prints on stdout, if `reserved`."""
    if not reserved:
        yield
        return
    ours = sys.stdout
    _flush(ours)
    saved = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        _flush(ours)  # what somebody wrote into it who had kept it
        sys.stdout = ours
        os.dup2(saved, 1)
        os.close(saved)


def abandon_stdout():
    """Let what could not be written go nowhere: Python would try once more at its end, and change the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


@contextmanager
def terminable():
    """Raise `Terminated` where SIGTERM comes in, so that files half written are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _flush(stream):
    if stream is not None:
        stream.flush()
