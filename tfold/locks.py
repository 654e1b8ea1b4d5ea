"""Files that one process holds at a time, and that nobody holds any more however it ends.

    with locked(folder / ".lock") as ours:
        ours        True: held.  False: another process holds it.  None: nobody can tell, there are no locks here

What is locked is a file and never the folder itself: NFS asks its server about files alone, and only so are other
machines kept out, too. Some file systems (a few network and phone ones) know no locks at all, nor does Windows.
"""
import os
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def locked(path, wait=False):
    """Hold the lock file `path`, which is made, and goes again with whoever held it.

    Args:
        path: of the file, in an existing folder.
        wait: until nobody else holds it.

    Raises:
        OSError: the file can neither be made nor opened.
    """
    if fcntl is None:
        yield None
        return
    file, ours = _open(path, wait)
    try:
        yield ours
    finally:
        if ours is not False:
            with suppress(OSError):
                os.unlink(path)  # while it is held: whoever takes it afterwards finds that it is gone
        os.close(file)


def take(file, wait=False):
    """Lock an open file, until it is closed.

    Args:
        file: one that can be written to, or its descriptor: NFS demands it.
        wait: until nobody else holds it.

    Returns:
        True, False or None, as above.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # ENOLCK, ENOSYS, EOPNOTSUPP, … as the file system likes
        return None
    return True


def _open(path, wait):
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        ours = take(file, wait)
        if not ours or _is_at(file, path):
            return file, ours
        os.close(file)  # whoever held it has removed it meanwhile: another process may have made the next one


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False
