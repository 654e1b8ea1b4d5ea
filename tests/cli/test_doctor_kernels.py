"""tfold doctor and the compiled operations, where none are built; tests/training has those where they are."""

import os

import pytest

LINE = "kernels   "


@pytest.fixture
def nowhere(tmp_path):
    """An environment whose cache is empty."""
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TFOLD_KERNELS": "", "CXX": ""}


def line_of(ended):
    (line,) = [line for line in ended.err.splitlines() if LINE in line]
    return line


def assert_only_the_reason_is_left(cache):
    (note,) = (cache / "tfold" / "kernels").iterdir()
    assert note.name.endswith(".failed.json") and "Received" in note.read_text()


def test_what_is_not_built_is_no_fault(process, nowhere, tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    ended = process("doctor", "--json", env={**nowhere, "PATH": str(tmp_path)})
    assert ended.code == 0
    assert ended.document["kernels"] == {
        "state": "not built", "path": None, "reason": None, "instruction_set": None, "compiler": str(compiler)}
    assert line_of(ended).endswith("not built: tfold doctor --build-kernels (only for faster training)")
    assert not (tmp_path / "cache" / "tfold").exists()


def test_without_a_compiler_there_is_another_way(process, nowhere, tmp_path):
    ended = process("doctor", "--json", env={**nowhere, "PATH": str(tmp_path)})
    assert ended.code == 0
    assert ended.document["kernels"] == {
        "state": "no compiler", "path": None, "reason": None, "instruction_set": None, "compiler": None}
    assert line_of(ended).endswith("no C++ compiler: training uses TensorFlow's own fused batch norm")


def test_what_is_broken_is_named(process, nowhere, tmp_path):
    ended = process("doctor", "--json", env={**nowhere, "TFOLD_KERNELS": str(tmp_path / "none.so")})
    assert ended.code == 0
    assert ended.document["kernels"]["state"] == "broken"
    assert f"broken: $TFOLD_KERNELS names no file: {tmp_path / 'none.so'}. " in line_of(ended)


def test_off_is_off(process, nowhere):
    ended = process("doctor", "--json", env={**nowhere, "TFOLD_KERNELS": "off"})
    assert ended.code == 0 and ended.document["kernels"]["state"] == "off"
    assert line_of(ended).endswith("off (TFOLD_KERNELS=off)")


def test_what_cannot_be_built_is_an_error(process, nowhere, tmp_path):
    ended = process("doctor", "--build-kernels", "--json", env={**nowhere, "PATH": str(tmp_path)})
    assert ended.code == 1 and ended.document["kind"] == "error"
    for words in ("none of c++, g++, clang++ on PATH", "apt install g++"):
        assert words in ended.document["error"]
    assert "Traceback" not in ended.err
    assert_only_the_reason_is_left(tmp_path / "cache")


def test_a_failing_compiler_is_quoted(process, nowhere, tmp_path):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho \"x.cc:3:1: error: 'bfloat16' does not name a type\" >&2\nexit 1\n")
    compiler.chmod(0o755)
    ended = process("doctor", "--build-kernels", env={**nowhere, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert ended.code == 1 and "Traceback" not in ended.err
    assert f"Received, from {compiler}: x.cc:3:1: error: 'bfloat16' does not name a type." in ended.err
    assert_only_the_reason_is_left(tmp_path / "cache")
