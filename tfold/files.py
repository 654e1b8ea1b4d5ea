"""Files appear whole or not at all, nothing is overwritten unasked, and nothing half-made is left behind.

What is being made lies in a folder of its own, which a lock holds as long as its process lives:

    model.tflite      .tfold-scratch-x1y2/
                      ├ .lock               ── held by a process
                      └ file.tflite         ── renamed to model.tflite when it is complete

A process that is killed (SIGKILL, power) removes nothing; but its lock is gone, and the next run clears away what it
left.
"""
import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tfold.checks import check_path
from tfold.errors import BadInputError, InUseError, NoRoomError, no_room
from tfold.locks import locked

PREFIX = ".tfold-scratch-"
LOCK = ".lock"  # in a folder of that name
HELD = ".tfold-lock"  # in a folder that `held` holds


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
    with scratch(path.parent) as folder:
        temporary = folder / f"file{path.suffix}"
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        _to_the_disk(temporary)
        os.replace(temporary, path)


@contextmanager
def scratch(parent=None):
    """A folder for what is needed only while the work goes on; removed at the end, or by the next run after a kill.

    Args:
        parent: where it is made; the system's folder for temporary files if None.

    Raises:
        NoRoomError: there is no room for what is written into it.
    """
    temporary, parent = parent is None, Path(parent or tempfile.gettempdir())
    with room_in(parent, temporary):
        clear_away(parent)
        with ExitStack() as stack:
            folder = _new_folder(parent, stack)
            try:
                yield folder
            finally:
                _empty(folder)


@contextmanager
def room_in(folder, temporary):
    """Raise `NoRoomError`, which names the folder, where something could not be written in it for lack of room.

    Args:
        folder: where something is written.
        temporary: whether it is the system's folder for temporary files, or in it: the way out is another.
    """
    try:
        yield
    except NoRoomError:  # it names a folder already
        raise
    except Exception as error:
        reason = no_room(error)
        if reason is None:
            raise
        raise NoRoomError(no_room_sentence(folder, reason, temporary)) from error


def no_room_sentence(folder, reason, temporary):
    """Return what to say where a folder takes no more, for `reason`."""
    if temporary:
        return (
            f"There must be room for temporary files. Received: {folder}, where {reason}. Make room there, or name "
            "another folder for temporary files: TMPDIR=/path"
        )
    return (
        f"There must be room for what is written. Received: {folder}, where {reason}. Make room there, or write to "
        "another folder."
    )


@contextmanager
def held(folder):
    """Hold a folder for one process: another that asks for it meanwhile gets an error. A kill lets go of it.

    Raises:
        InUseError: another process holds it.
        BadInputError: it is no folder that can be written to.
    """
    check_path(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"The output is a folder that can be made. Received: {folder} ({error.strerror}). Choose another."
        ) from error
    if not os.access(folder, os.W_OK):
        raise BadInputError(f"The output's folder must be writable. Received: {folder}. Choose another.")
    with ExitStack() as stack:
        path = Path(folder) / HELD
        try:
            ours = stack.enter_context(locked(path))
        except OSError as error:
            raise BadInputError(
                f"A folder is held by a file in it. Received: {path} ({error.strerror}). Remove the file if nobody "
                "works there, or choose another folder."
            ) from error
        if ours is False:
            raise InUseError(
                f"One process works in a folder. Received: {folder}, where another is at work. Wait for it, or choose "
                "another folder.", folder
            )
        yield


def sha256_of(path):
    """The sha256 of a file, in hexadecimal: what tells two files apart by what they hold."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_away(parent):
    """Remove this user's scratch folders in `parent` whose process is gone; without locks nobody can tell of any."""
    for folder in Path(parent).glob(f"{PREFIX}*/"):
        with suppress(OSError):  # somebody else's, or just gone
            if not _is_ours(folder):
                continue
            with locked(folder / LOCK) as ours:
                if ours:
                    _empty(folder)
            if ours:
                folder.rmdir()


def _new_folder(parent, stack):
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        stack.callback(_remove, folder)
        with suppress(FileNotFoundError):  # until it is locked another process may clear it away
            stack.enter_context(locked(folder / LOCK, wait=True))
            return folder


def _is_ours(folder):
    """Whether it is a folder of this user's, and no link: in a place that many may write to it may lead anywhere."""
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "geteuid") or found.st_uid == os.geteuid())


def _empty(folder):
    """Remove all but the lock, which goes last: by then nobody finds anything to clear away."""
    with suppress(OSError):  # the folder is gone itself
        for each in list(folder.iterdir()):
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            elif each.name != LOCK:
                with suppress(OSError):
                    each.unlink()


def _remove(folder):
    with suppress(OSError):  # another process is just clearing it away
        folder.rmdir()


def _to_the_disk(path):
    """Where power fails after the renaming, the content must not lie in memory alone: the file would be empty."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
