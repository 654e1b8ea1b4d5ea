"""Compiling the operations: by the real compiler, by none, and by those that fail."""

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tfold.errors import TfoldError
from tfold.training.kernels import cache, compiler, instruction_sets
from tfold.training.kernels.build import build


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache in which nothing is built, and a check that nothing was left in it but the reason."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    assert not [path for path in cache.folder().rglob("*") if not path.name.endswith(".failed.json")]


def script(folder, text):
    """An executable that the environment's $CXX names."""
    path = folder / "compile it.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return shlex.quote(str(path))


def test_two_builds_at_once_make_one_library(building):
    path = Path(building["make"]["path"])
    assert building["doctor"]["kernels"]["path"] == str(path)
    wrote = "written: " in building["said"].splitlines()[-1]
    assert wrote != building["make"]["fresh"], "each, or none, has built it"
    assert sorted(os.listdir(path.parent)) == [cache.LIBRARY, cache.RECORD]
    assert os.listdir(path.parents[1]) == [path.parent.name], "something is left behind"


def test_what_is_built_is_the_users_alone_and_says_by_what(building):
    path = Path(building["make"]["path"])
    assert path.is_relative_to(building["cache"])
    assert stat.S_IMODE(path.parents[1].stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    record = json.loads(path.with_name(cache.RECORD).read_text())
    assert record["made_for"] == cache.made_for() and cache.key(cache.made_for()) == path.parent.name
    assert building["doctor"]["kernels"]["compiler"] in record["compiler"]
    assert "-O3" in record["options"]
    assert record["instruction_sets"] == list(instruction_sets.options()) and record["left_out"] == {}


def test_doctor_says_what_was_built(building, loaded_kernels):
    path, said = building["make"]["path"], building["said"]
    kernels = building["doctor"]["kernels"]
    assert (kernels["state"], kernels["reason"]) == ("in use", None)
    assert "built for TensorFlow 2." in said and f"({path}), agree with the reference, " in said
    assert kernels["instruction_set"] in instruction_sets.available(path)
    assert f"{kernels['instruction_set']} instructions" in said
    assert said.splitlines()[-1].endswith("next: tfold.restructure_batch_norm(model) trains with them")


def test_what_is_built_is_not_built_again(building):
    before = Path(building["make"]["path"]).stat().st_mtime_ns
    environment = {**os.environ, "XDG_CACHE_HOME": building["cache"], "PATH": "", "TFOLD_KERNELS": "", "CXX": ""}
    ended = subprocess.run([sys.executable, "-m", "tfold", "doctor", "--build-kernels"], env=environment, text=True,
                           capture_output=True, timeout=120)  # there is no compiler to do it with
    assert ended.returncode == 0, ended.stderr
    assert "already built for TensorFlow 2." in ended.stdout
    assert f"nothing written, already built: {building['make']['path']}; next: " in ended.stdout.splitlines()[-1]
    assert Path(building["make"]["path"]).stat().st_mtime_ns == before


def test_no_compiler(empty_cache, monkeypatch):
    monkeypatch.setenv("PATH", str(empty_cache))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(TfoldError, match=r"Received: none of c\+\+, g\+\+, clang\+\+ on PATH"):
        build()


@pytest.mark.parametrize("chosen", ["no-such-compiler -m64", "'g++"])
def test_a_compiler_that_is_not_there(empty_cache, monkeypatch, chosen):
    monkeypatch.setenv("CXX", chosen)
    with pytest.raises(TfoldError, match=r"Received: .*, which is not to be found"):
        build()


@pytest.mark.parametrize("text, said", [
    ("echo 'In file included from a.h:'\necho 'a.h:7: fatal error: no room'\nexit 1", "a.h:7: fatal error: no room."),
    ("echo 'what is this?'\nexit 3", "what is this?"),
    ("exit 3", "exit code 3 and no word"),
    ("exit 0", "exit code 0 and no word"),  # and yet there is no library
])
def test_a_compiler_that_fails(empty_cache, monkeypatch, tmp_path, text, said):
    monkeypatch.setenv("CXX", script(tmp_path, text))
    with pytest.raises(TfoldError) as raised:
        build()
    assert f"Received, from {os.environ['CXX']}: {said}" in str(raised.value)


def test_what_the_compiler_makes_must_load(empty_cache, monkeypatch, tmp_path):
    """A compiler whose library is none."""
    writes = 'for word; do [ "$last" = -o ] && echo nonsense > "$word"; last=$word; done'
    monkeypatch.setenv("CXX", script(tmp_path, f'echo "$*" >> "{tmp_path}/asked"\n{writes}'))
    with pytest.raises(TfoldError, match="must agree with the reference. Received, from .*: TensorFlow cannot load it"):
        build()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1] == "--version" and "-shared" in asked[-2] and "tensorflow_framework" in asked[-2]
    for source, times in (("batch_norm", 1), ("instruction_sets", 1), ("loops", len(instruction_sets.options()))):
        assert sum(f"{cache.SOURCES[0].parent / source}.cc" in command for command in asked) == times
    assert not any("native" in command for command in asked)
    of_tensorflow = [command for command in asked if "tensorflow/include" in command]
    assert len(of_tensorflow) == 1 and "batch_norm.cc" in of_tensorflow[0] and "-mavx" not in of_tensorflow[0]


def test_tensorflow_without_headers(empty_cache, monkeypatch, tmp_path):
    import tensorflow as tf

    monkeypatch.setattr(tf.sysconfig, "get_include", lambda: str(tmp_path))
    with pytest.raises(TfoldError, match="C\\+\\+ headers are needed. Received: TensorFlow .* without"):
        build()


def test_a_cache_that_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(TfoldError, match="kept in the user's cache. Received: .* XDG_CACHE_HOME="):
        build()


@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may write anywhere")
def test_a_cache_that_is_read_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tmp_path.chmod(0o500)
    with pytest.raises(TfoldError, match="kept in the user's cache. Received: .*Permission denied"):
        build()
    tmp_path.chmod(0o700)
    assert not os.listdir(tmp_path)


def test_a_cache_where_others_may_write(empty_cache, monkeypatch):
    cache.folder().mkdir(parents=True)
    cache.folder().chmod(0o777)
    with pytest.raises(TfoldError, match="must be yours alone.* Received: other users may write to"):
        build()


def test_the_compiler_is_cxx_or_the_first_on_path(tmp_path, monkeypatch):
    for name in ("g++", "clang++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiler.find_compiler() == [str(tmp_path / "g++")]
    monkeypatch.setenv("CXX", "clang++ -stdlib=libc++")
    assert compiler.find_compiler() == ["clang++", "-stdlib=libc++"]
