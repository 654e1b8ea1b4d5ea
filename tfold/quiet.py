"""Keep what C++ libraries print off the terminal: TensorFlow greets on stderr, its converter reports on stdout."""
import os
import sys
import tempfile
from contextlib import contextmanager


@contextmanager
def quiet():
    """Redirect file descriptors 1 and 2 into a temporary file; an exception brings the last lines along as a note.

    Example:

    >>> with quiet():
    ...     import tensorflow
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException as error:
            noise.seek(0)
            last = noise.read().decode(errors="replace").strip().splitlines()[-5:]
            if last:
                error.add_note("Printed before the error:\n" + "\n".join(last))
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
