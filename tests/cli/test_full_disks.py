"""Disks that are full: where temporary files go, and where outputs go. What is said is where, and what to do."""

import os
import resource
import shlex
import shutil
import subprocess
import sys

import pytest

from tfold.errors import NoRoomError, no_room
from tfold.files import scratch, whole

FULL = "the disk is full"


@pytest.fixture(scope="module")
def small_disk():
    """A function: the words that run a command with a disk of so many KiB at a folder; skips where nobody may mount."""

    def words(folder, size):
        mount = f"mount -t tmpfs -o size={size}k tmpfs {shlex.quote(str(folder))}"
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]

    def available(folder):
        if shutil.which("unshare") is None:
            pytest.skip("needs unshare")
        tried = subprocess.run([*words(folder, 16), "true"], capture_output=True, text=True)
        if tried.returncode != 0:
            pytest.skip(f"needs a disk of its own: {tried.stderr.strip()}")

    def made(folder, size):
        folder.mkdir()
        available(folder)
        return words(folder, size)

    return made


def run(words, environment, **options):
    ended = subprocess.run([*words[0], sys.executable, "-m", "tfold", *map(str, words[1:])], capture_output=True,
                           text=True, timeout=300, env=environment, **options)
    assert "Traceback" not in ended.stderr and ended.stdout == "", ended
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("tfold: ")]
    assert ended.returncode == 1 and "another runtime" not in line and "Export" not in line
    return line


@pytest.mark.parametrize("options", [(), ("--quantize", "int8", "--representative", "images.npz")])
def test_no_room_for_temporary_files(files, tmp_path, environment, small_disk, options):
    disk = small_disk(tmp_path / "tmp", 8)
    command = [disk, "export", files / "small.keras", "-o", tmp_path / "m.tflite", *options]
    line = run([files / word if word == "images.npz" else word for word in command],
               environment(TMPDIR=str(tmp_path / "tmp")))
    assert f"Received: {tmp_path / 'tmp'}, where {FULL}. Make room there, or name another folder for temporary files: "\
           "TMPDIR=/path" in line
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


def test_no_room_for_the_output(files, tmp_path, environment, small_disk):
    disk = small_disk(tmp_path / "out", 8)
    line = run([disk, "fold", files / "small.keras", "-o", tmp_path / "out" / "m.keras"], environment())
    assert f"Received: {tmp_path / 'out'}, where {FULL}. Make room there, or write to another folder." in line


def test_files_that_may_not_be_that_large(files, tmp_path, environment):
    """As where an administrator has limited them; this needs no disk."""
    line = run([[], "export", files / "small.keras", "-o", tmp_path / "m.tflite"], environment(),
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)))
    assert "a file would be larger than files may be here" in line
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_full():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError) as raised, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    assert no_room(raised.value) == FULL
    assert no_room(RuntimeError(f"unable to write (error message = '{os.strerror(28)}')")) == FULL
    assert no_room(FileNotFoundError(2, "No such file or directory")) is None
    try:
        raise ValueError("a library's own") from raised.value
    except ValueError as error:
        assert no_room(error) == FULL


def test_a_folder_is_named_once_and_nothing_is_left(tmp_path):
    def fails():
        raise OSError(28, os.strerror(28))

    with pytest.raises(NoRoomError, match=f"Received: {tmp_path}, where the disk is full"), whole(tmp_path / "a.keras"):
        fails()
    with pytest.raises(NoRoomError, match=rf"Received: {tmp_path / 'in'}, where"), scratch(tmp_path):
        (tmp_path / "in").mkdir()
        with scratch(tmp_path / "in"):
            fails()
    with pytest.raises(OSError, match="Permission denied") as raised, scratch(tmp_path):
        raise PermissionError(13, "Permission denied")
    assert not isinstance(raised.value, NoRoomError)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_libraries_print_needs_no_room(environment):
    """The log of what is kept off the terminal may be cut off; the work goes on, and its errors are seen."""
    code = ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
            "from tfold.quiet import quiet\n"
            "with quiet():\n    print('x' * 1000); print('z', flush=True)\n"
            "print('through')")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "through\n"), ended.stderr
