"""Keep what C++ libraries print off the terminal: TensorFlow greets on stderr, its converter reports on stdout."""
import io
import logging
import os
import sys
import tempfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress


@contextmanager
def quiet():
    """Redirect file descriptors 1 and 2 into a temporary file; an exception brings the last lines along as a note.

    Example:

    >>> with quiet():
    ...     import tensorflow
    """
    _flush()
    saved = [(number, os.dup(number)) for number in (1, 2) if _is_open(number)]
    with tempfile.TemporaryFile() as noise:
        for number, _ in saved:
            os.dup2(noise.fileno(), number)
        # In a notebook Python's streams do not lead to the descriptors: they are redirected by themselves.
        text = io.TextIOWrapper(io.BufferedWriter(_Log(os.dup(noise.fileno()), "w")), encoding="utf-8",
                                errors="replace", line_buffering=True)
        try:
            with text, redirect_stdout(text), redirect_stderr(text):
                try:
                    yield
                finally:
                    _release(text)
        except BaseException as error:
            _flush()
            noise.seek(0)
            last = noise.read().decode(errors="replace").strip().splitlines()[-5:]
            if last:
                error.add_note("Printed before the error:\n" + "\n".join(last))
            raise
        finally:
            _flush()
            for number, copy in saved:
                os.dup2(copy, number)
                os.close(copy)


class _Log(io.FileIO):
    """A file that takes what there is room for: what is printed is no reason for the work to fail."""

    def write(self, data):
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def _release(text):
    """Log handlers that were made in here, as TensorFlow makes its own, write to the real stderr from now on."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for handler in {handler for logger in loggers for handler in getattr(logger, "handlers", ())}:
        if getattr(handler, "stream", None) is text and hasattr(handler, "setStream"):
            handler.setStream(sys.__stderr__)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is where the process was started with the descriptor closed
            stream.flush()


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
