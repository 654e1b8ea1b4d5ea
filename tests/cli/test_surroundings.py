"""Odd surroundings: closed streams, readers that leave, other Keras backends, other encodings."""

import os
import subprocess
import sys

import pytest


def test_closed_streams_are_no_reason_to_fail(process, files, tmp_path):
    def close_all():
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    ended = process("fold", files / "small.keras", "-o", tmp_path / "f.keras", "--json",
                    preexec_fn=close_all, stdin=None, stdout=None, stderr=None)
    assert ended.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["f.keras"]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_leaves_gets_no_traceback(files, more):
    command = [sys.executable, "-m", "tfold", "bench", "small.tflite", "--blocks", "1", *more]
    with subprocess.Popen(command, cwd=files, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        said = running.stderr.read()
        assert "Traceback" not in said and "Errno" not in said
        assert running.wait() == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_under_stdout_is_said(files):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tfold", "bench", "small.tflite", "--blocks", "1", "--json"]
        done = subprocess.run(command, cwd=files, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "tfold: There must be room for what is written. Received: the disk is full ([Errno 28]")
    assert "Traceback" not in done.stderr


def test_folding_works_on_the_jax_backend_and_export_says_what_it_needs(process, files, tmp_path):
    pytest.importorskip("jax")
    jax = {"KERAS_BACKEND": "jax"}
    ended = process("fold", files / "small.keras", "-o", tmp_path / "f.keras", env=jax)
    assert (ended.code, ended.err) == (0, "")
    ended = process("export", tmp_path / "f.keras", "-o", tmp_path / "f.tflite", env=jax)
    ended.refused("backend jax", "KERAS_BACKEND=tensorflow")


def test_a_backend_that_is_not_there_is_named(process, files):
    ended = process("inspect", files / "small.keras", env={"KERAS_BACKEND": "abacus"})
    ended.refused("Keras and its backend must be importable", "abacus", "tfold doctor")


def test_other_encodings_still_get_their_text(process, files):
    ended = process("bench", files / "small.tflite", "--blocks", 1, "--min-time", 0, env={
        "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "C"})
    assert ended.code == 0, ended.err


def test_names_in_no_encoding(process, files, tmp_path):
    """File names are bytes; terminals and JSON are not."""
    name = os.fsencode(tmp_path) + b"/\xff.tflite"
    with open(name, "wb") as copy:
        copy.write((files / "small.tflite").read_bytes())
    ended = process("bench", os.fsdecode(name), "--json")
    assert ended.code == 1 and "UTF-8" in ended.document["error"]
    assert "Traceback" not in ended.err
