"""Files appear whole or not at all, and nothing is overwritten unasked."""
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from tfold.checks import check_path
from tfold.errors import BadInputError


def check_output(path, suffix, force, source=None):
    """Raise `BadInputError` unless a file may be written at `path`: before the work, not after it.

    Args:
        path: where the file is to appear.
        suffix: ".keras" or ".tflite".
        force: allow an existing file to be replaced.
        source: the file that the work starts from, which is never replaced, whatever `force` says.
    """
    check_path(path)
    path = Path(path)
    if path.is_dir():
        raise BadInputError(
            f"The output is a file. Received: {path}, a directory. Name a file in it: {path / f'model{suffix}'}."
        )
    if path.suffix != suffix:
        raise BadInputError(f"The output is a {suffix} file. Received: {path}. Name it {path.with_suffix(suffix)}.")
    if source is not None and path.exists() and os.path.exists(source) and os.path.samefile(path, source):
        raise BadInputError(
            f"The input is never overwritten. Received: {path} as input and output. Give the output another name."
        )
    if path.exists() and not path.is_file():
        raise BadInputError(f"The output is a file. Received: {path}, a device or pipe. Choose another name.")
    if path.exists() and not force:
        raise BadInputError(
            f"An existing file is not overwritten. Received: {path}. Choose another name, or --force (force=True)."
        )
    if not path.parent.is_dir():
        raise BadInputError(
            f"The output's folder must exist. Received: {path}. Make the folder first: mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK):
        raise BadInputError(f"The output's folder must be writable. Received: {path.parent}. Choose another.")


@contextmanager
def whole(path):
    """A temporary path beside `path` to write to; renamed to `path` at the end, removed after an exception.

    Example:

    >>> with whole("model.tflite") as temporary:
    ...     temporary.write_bytes(content)
    """
    path = Path(os.path.realpath(path))  # a link stays a link, to the new content
    # A short name of its own: one made from the output's could be too long where the output's is not.
    handle, name = tempfile.mkstemp(prefix=".tfold-", suffix=path.suffix, dir=path.parent)
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
