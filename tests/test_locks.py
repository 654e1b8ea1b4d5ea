"""One process holds a lock, on whatever file system; a file system without locks stops nobody."""
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tfold import locks
from tfold.errors import BadInputError, InUseError
from tfold.files import HELD, LOCK, PREFIX, clear_away, held, scratch, whole
from tfold.locks import locked, take

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="locks are fcntl's")
proc = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="looks into /proc")

HOLDER = """
import sys
from tfold.files import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_held_until_its_process_ends(tmp_path, holder):
    for _ in range(2):
        with pytest.raises(InUseError, match="another is at work"), held(tmp_path):
            pass
    holder.communicate("")
    assert not list(tmp_path.iterdir())
    with held(tmp_path):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert list(tmp_path.iterdir())
    with held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@proc
def test_what_is_locked_is_a_file(tmp_path):
    """A lock on a folder is known to one NFS client alone."""
    def locked_here():
        here = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inodes = {line[5].rpartition(":")[2] for line in here if line[4] == str(os.getpid())}
        found = [path for path in [tmp_path, *tmp_path.rglob("*")] if str(path.stat().st_ino) in inodes]
        return [path.relative_to(tmp_path) for path in found if not path.is_file()], len(found)

    with held(tmp_path), scratch(tmp_path), whole(tmp_path / "m.tflite") as temporary:
        temporary.write_bytes(b"x")
        assert locked_here() == ([], 3)


def test_whoever_waits_gets_a_lock_of_his_own(tmp_path):
    """The file goes with whoever lets go of it: what another one has opened before is nobody's any more."""
    path, at_work, most = tmp_path / "lock", [], []

    def work():
        for _ in range(25):
            with locked(path, wait=True) as ours:
                at_work.append(ours)
                time.sleep(0.001)
                most.append(len(at_work))
                at_work.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 100 and max(most) == 1 and not path.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM])
def test_without_locks_the_work_goes_on(tmp_path, monkeypatch, code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "file").write_bytes(b"perhaps somebody is writing it")
    with held(tmp_path / "a"), whole(tmp_path / "a" / "m.tflite") as temporary:
        temporary.write_bytes(b"x")
    with whole(tmp_path / "m.tflite") as temporary:
        temporary.write_bytes(b"x")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["m.tflite"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [left.name, "a", "m.tflite"]
    assert (left / "file").exists()  # nobody can tell whether its process lives
    with open(tmp_path / "m.tflite", "a+b") as file:
        assert take(file) is None


def test_a_lock_file_of_a_killed_process_of_another_user_is_no_obstacle(tmp_path, monkeypatch):
    """Root may write to anything: that the file cannot be opened for writing is played."""
    (tmp_path / HELD).write_bytes(b"")
    really = os.open

    def not_for_writing(path, flags, *mode):
        if str(path).endswith(HELD) and flags & os.O_RDWR and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really(path, flags, *mode)

    monkeypatch.setattr(locks.os, "open", not_for_writing)
    with held(tmp_path), pytest.raises(InUseError), held(tmp_path):
        pass


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / HELD).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInputError, match=f"{HELD} .* Remove the file if nobody works there"), held(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_what_others_put_there_is_left_alone(tmp_path, monkeypatch):
    """In /tmp everybody may make a folder of that name."""
    theirs = tmp_path / f"{PREFIX}theirs"
    theirs.mkdir()
    (theirs / "file").write_bytes(b"x")
    (theirs / LOCK).symlink_to(tmp_path / "anywhere")
    clear_away(tmp_path)
    assert (theirs / "file").exists() and not (tmp_path / "anywhere").exists()
    (theirs / LOCK).unlink()
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    clear_away(tmp_path)
    assert (theirs / "file").exists()
    monkeypatch.undo()
    clear_away(tmp_path)
    assert not theirs.exists()


def test_nobody_removes_the_lock_of_another(tmp_path):
    """As where somebody has thrown the folder away, and another process works in a new one of that name."""
    path = tmp_path / "lock"
    with ExitStack() as stack:
        with locked(path) as first:
            path.unlink()
            second = stack.enter_context(locked(path))
            assert first and second
        assert path.exists()
        with locked(path) as third:
            assert third is False
    assert not path.exists()


def test_without_locks_only_what_one_has_made_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    with locked(path):
        monkeypatch.setattr(locks.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "none")))
        with locked(path) as ours:
            assert ours is None
        monkeypatch.undo()
        with locked(path) as ours:
            assert ours is False


@proc
@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO])
def test_a_lock_that_fails_leaves_no_descriptor(tmp_path, monkeypatch, code):
    """ESTALE is what NFS says of a file that another machine has removed: then the next one is tried."""
    before, really, failed = len(os.listdir("/proc/self/fd")), os.fstat, []

    def fstat(file):
        if not failed:
            failed.append(file)
            raise OSError(code, os.strerror(code))
        return really(file)

    monkeypatch.setattr(locks.os, "fstat", fstat)
    with suppress(OSError), locked(tmp_path / "lock") as ours:
        assert ours and code == errno.ESTALE
    assert failed and len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_gone_from_the_server_is_not_taken_for_a_place_without_locks(tmp_path, monkeypatch):
    really, failed = locks.fcntl.flock, []

    def flock(file, how):
        if not failed:
            failed.append(file)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return really(file, how)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with locked(tmp_path / "lock") as ours:
        assert ours is True and failed


@proc
def test_a_wait_that_is_interrupted_leaves_no_descriptor(tmp_path):
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with locked(tmp_path / "lock"):
            open_ = len(os.listdir("/proc/self/fd"))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt), locked(tmp_path / "lock", wait=True):
                pass
            assert len(os.listdir("/proc/self/fd")) == open_
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_folder_that_is_gone_hides_no_error(tmp_path):
    with pytest.raises(ZeroDivisionError), scratch(tmp_path) as folder:
        shutil.rmtree(folder)
        raise ZeroDivisionError
    with scratch(tmp_path) as folder:
        shutil.rmtree(folder)
    assert not list(tmp_path.iterdir())
