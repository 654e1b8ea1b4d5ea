"""Files that one process holds at a time, and that nobody holds any more however it ends.

    with locked(folder / ".lock") as ours:
        ours        True: held.  False: another process holds it.  None: nobody can tell, there are no locks here

What is locked is a file and never the folder itself: NFS asks its server about files alone, and only so are other
machines kept out, too. Some file systems (a few network and phone ones) know no locks at all, nor does Windows.
"""
import errno
import os
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

HELD_ELSEWHERE = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # whoever may write there could point it at any file of ours


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
    file, ours, made = _open(path, wait)
    try:
        yield ours
    finally:
        # While it is held: whoever takes it afterwards finds that it is gone. What lies there may be another's by now,
        # where somebody has removed ours; and where nobody can tell, only what we have made ourselves is ours.
        with suppress(OSError):
            if (ours or made and ours is None) and _is_at(file, path):
                os.unlink(path)
        os.close(file)


def take(file, wait=False):
    """Lock an open file, until it is closed.

    Args:
        file: one that can be written to, or its descriptor: NFS demands it.
        wait: until nobody else holds it.

    Returns:
        True, False or None, as above.

    Raises:
        OSError: it is gone (ESTALE): another machine has removed it.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise
        return False if error.errno in HELD_ELSEWHERE else None  # ENOLCK, ENOSYS, EPERM, … as the file system likes
    return True


def _open(path, wait):
    """(descriptor, whether it is held, whether the file is of our making)"""
    while True:
        file, made = _opened(path)
        try:
            ours = take(file, wait)
            if not ours or _is_at(file, path):
                return file, ours, made
        except OSError as error:
            if error.errno != errno.ESTALE:
                os.close(file)
                raise
        except BaseException:  # Ctrl-C while it waits
            os.close(file)
            raise
        os.close(file)  # whoever held it has removed it meanwhile: another process may have made the next one


def _opened(path):
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        pass
    else:
        with suppress(OSError):
            os.fchmod(file, 0o666)  # for those who share the folder: it holds nothing
        return file, True
    try:
        return os.open(path, os.O_RDWR | NO_LINK), False
    except FileNotFoundError:  # gone since
        return _opened(path)
    except PermissionError:  # another user's, of a process that was killed; only NFS needs more to lock it
        return os.open(path, os.O_RDONLY | NO_LINK), False


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False
