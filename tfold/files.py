"""Files appear whole or not at all, and nothing is overwritten unasked."""
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from tfold.errors import BadInputError


def check_output(path, suffix, force):
    """Raise `BadInputError` unless a file may be written at `path`: before the work, not after it.

    Args:
        path: where the file is to appear.
        suffix: ".keras" or ".tflite".
        force: allow an existing file to be replaced.
    """
    path = Path(path)
    if path.suffix != suffix:
        raise BadInputError(f"The output is a {suffix} file. Received: {path}. Name it {path.with_suffix(suffix)}.")
    if path.is_dir():
        raise BadInputError(f"The output is a file. Received: {path}, a directory. Name a file in it.")
    if path.exists() and not force:
        raise BadInputError(f"An existing file is not overwritten. Received: {path}. Use --force (force=True).")
    if not path.parent.is_dir():
        raise BadInputError(f"The output's folder must exist. Received: {path}. Make it first: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise BadInputError(f"The output's folder must be writable. Received: {path.parent}. Choose another.")


@contextmanager
def whole(path):
    """A temporary path beside `path` to write to; renamed to `path` at the end, removed after an exception.

    Example:

    >>> with whole("model.tflite") as temporary:
    ...     temporary.write_bytes(content)
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
