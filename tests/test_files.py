"""check_output and whole: nothing is overwritten unasked, nothing half-written stays."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tfold.errors import BadInputError
from tfold.files import check_output, scratch, whole


def test_whole_writes_beside_the_path_and_renames(tmp_path):
    path = tmp_path / "m.tflite"
    with whole(path) as temporary:
        assert temporary.parent.parent == tmp_path and temporary.suffix == ".tflite"  # one file system: a rename
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_whole_leaves_the_old_content_after_any_exception(tmp_path, error):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    with pytest.raises(error), whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_gives_the_permissions_a_new_file_would_have(tmp_path):
    before = os.umask(0o027)
    try:
        with whole(tmp_path / "m.tflite") as temporary:
            temporary.write_bytes(b"")
        assert stat.S_IMODE((tmp_path / "m.tflite").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # reading the mask has not changed it
    finally:
        os.umask(before)


def test_whole_takes_the_longest_name_there_is(tmp_path):
    name = "n" * (255 - len(".keras")) + ".keras"
    with whole(tmp_path / name) as temporary:
        temporary.write_bytes(b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_whole_writes_through_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "m.keras").symlink_to("there/m.keras")
    with whole(tmp_path / "m.keras") as temporary:
        temporary.write_bytes(b"x")
    assert (tmp_path / "m.keras").is_symlink()
    assert (tmp_path / "there" / "m.keras").read_bytes() == b"x"


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_output("m.keras", ".keras", force=False)
    with whole("m.keras") as temporary:
        temporary.write_bytes(b"x")
    assert Path("m.keras").read_bytes() == b"x"


def test_check_output_says_what_is_wrong_and_the_way_out(tmp_path):
    (tmp_path / "old.keras").write_bytes(b"x")
    (tmp_path / "folder.keras").mkdir()
    os.mkfifo(tmp_path / "pipe.keras")
    for name, words in {
        "old.keras": "--force",
        "m.h5": "Name it .*m.keras",
        "m": "Name it .*m.keras",
        ".keras": "Name it",
        "folder.keras": "a directory",
        "pipe.keras": "a device or pipe",
        "none/m.keras": "mkdir -p .*none",
    }.items():
        with pytest.raises(BadInputError, match=words) as raised:
            check_output(tmp_path / name, ".keras", force=False)
        assert "Received: " in str(raised.value)
    check_output(tmp_path / "old.keras", ".keras", force=True)
    check_output(tmp_path / "new.keras", ".keras", force=False)


def test_check_output_never_allows_the_source(tmp_path):
    source = tmp_path / "m.keras"
    source.write_bytes(b"x")
    (tmp_path / "hard.keras").hardlink_to(source)
    for output in (source, tmp_path / "hard.keras", f"{tmp_path}/../{tmp_path.name}/m.keras"):
        with pytest.raises(BadInputError, match="never overwritten"):
            check_output(output, ".keras", force=True, source=source)
    check_output(tmp_path / "new.keras", ".keras", force=True, source=source)
    check_output(source, ".keras", force=True, source=tmp_path / "missing.keras")


WRITER = """
import sys
from tfold.files import whole
with whole(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing m.tflite."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "m.tflite"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_goes_with_the_next_run(tmp_path, writer):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 2 and path.read_bytes() == b"old"
    with whole(tmp_path / "other.tflite") as temporary:
        temporary.write_bytes(b"x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.tflite", "other.tflite"]
    assert path.read_bytes() == b"old"


def test_what_a_living_process_writes_is_left_alone(tmp_path, writer):
    with whole(tmp_path / "other.tflite") as temporary:
        temporary.write_bytes(b"x")
    writer.communicate("")
    assert (tmp_path / "m.tflite").read_bytes() == b"half"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.tflite", "other.tflite"]


MANY = """
import sys
from tfold.files import scratch
for _ in range(300):
    with scratch(sys.argv[1]) as folder:
        (folder / "file").write_bytes(b"x")
        assert (folder / "file").read_bytes() == b"x"
"""


def test_processes_that_clear_away_leave_each_others_new_folders(tmp_path):
    """A folder is there for a moment before it is locked."""
    many = [subprocess.Popen([sys.executable, "-c", MANY, tmp_path], stderr=subprocess.PIPE) for _ in range(4)]
    for process in many:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()[-2000:]
    assert not list(tmp_path.iterdir())


def test_folders_of_other_people_stay(tmp_path):
    (tmp_path / ".tfold-settings").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"x")
    (tmp_path / ".tfold-scratch-link").symlink_to("elsewhere")
    with scratch(tmp_path) as folder:
        assert folder.is_dir()
    assert not folder.exists()
    assert (tmp_path / ".tfold-settings").is_dir() and (tmp_path / "elsewhere" / "file").exists()
