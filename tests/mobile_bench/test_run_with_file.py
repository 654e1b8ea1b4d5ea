"""A program and its file in one call, over sh; what adb does in between is tested elsewhere."""

import runpy
from pathlib import Path

import pytest

from mobile_bench.run_with_file import run_with_file

LocalDevice = runpy.run_path(str(Path(__file__).with_name("local_device.py")))["LocalDevice"]


@pytest.fixture
def device(tmp_path):
    (tmp_path / "bin").mkdir()
    return LocalDevice(tmp_path / "bin")


def run(device, tmp_path, text):
    file = tmp_path / "a file"
    found = run_with_file(device, str(file), "sh", "-c", text, "sh", str(file), timeout=300)
    assert not file.exists()
    return found


def test_output_code_and_file_come_apart(device, tmp_path):
    told = "printf 'said\\n'; echo wrong >&2; printf '\\000\\377@file' > \"$1\"; exit 3"
    ended, content = run(device, tmp_path, told)
    assert (ended.code, ended.out, ended.err) == (3, "said\n", "wrong\n") and content == b"\0\xff@file"
    ended, content = run(device, tmp_path, "printf unended; head -c 100000 /dev/zero > \"$1\"")
    assert ended.out == "unended" and content == bytes(100000)


def test_no_file_or_an_empty_one_is_none(device, tmp_path):
    assert run(device, tmp_path, "echo said")[1] is None
    assert run(device, tmp_path, 'touch "$1"')[1] is None


def test_a_phone_without_base64_has_no_content(device, tmp_path):
    device.command("base64", "echo 'sh: base64: not found'; exit 127")
    ended, content = run(device, tmp_path, 'echo said; echo content > "$1"')
    assert ended.out == "said\n" and content == b"" and ended.code == 0


def test_a_file_is_removed_when_time_is_up(device, tmp_path):
    written, text = tmp_path / "written", f"echo x > {tmp_path}/file; echo > {tmp_path}/written; exec sleep 600"
    for timeout in (0.3, 3, 30):  # until it is enough for the program to have begun, on a busy machine too
        with pytest.raises(Exception, match="timed out"):
            run_with_file(device, str(tmp_path / "file"), "sh", "-c", text, timeout=timeout)
        if written.exists():
            break
    assert written.exists() and not (tmp_path / "file").exists()
