"""One process holds a lock, on whatever file system; a file system without locks stops nobody."""
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfold import locks
from tfold.errors import InUseError
from tfold.files import PREFIX, held, scratch, whole
from tfold.locks import locked, take

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="locks are fcntl's")

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


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="looks at /proc/locks")
def test_what_is_locked_is_a_file(tmp_path):
    """A lock on a folder is known to one NFS client alone."""
    def locked_here():
        inodes = {line.split()[5].rpartition(":")[2] for line in Path("/proc/locks").read_text().splitlines()}
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


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
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
