"""Loading the operations: where they are found, and when they are left alone."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import warnings

import pytest

from tfold.errors import BadInputError
from tfold.files import sha256_of
from tfold.training.kernels import cache, instruction_sets, load
from tfold.training.kernels.compiler import compile_library, find_compiler
from tfold.training.kernels.trial import how_it_stands, try_it


@pytest.fixture
def copied(kernels, tmp_path, monkeypatch):
    """A copy of the library and its record, in a folder that $TFOLD_KERNELS names."""
    for name in (cache.LIBRARY, cache.RECORD):
        shutil.copy(kernels.with_name(name), tmp_path)
    monkeypatch.setenv(load.VARIABLE, str(tmp_path / cache.LIBRARY))
    return tmp_path / cache.LIBRARY


def record_of(path, **changes):
    """Write the record anew, with the library's present sha256 and with these changes of what it was made for."""
    beside = path.with_name(cache.RECORD)
    record = json.loads(beside.read_text())
    beside.write_text(json.dumps({**record, "sha256": sha256_of(path), "made_for": {**record["made_for"], **changes}}))


def broken():
    found = load.find()
    assert (found.state, found.operations) == (load.BROKEN, None), found
    return found.reason


def python(code, **changes):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **changes}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


def test_what_is_not_built_costs_and_says_nothing(tmp_path):
    code = ("import sys, warnings; warnings.simplefilter('error'); from tfold.training.kernels.load import operations\n"
            "assert operations() is None; assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules), 'heavy'")
    for changes in ({"TFOLD_KERNELS": ""}, {"TFOLD_KERNELS": "off"}):
        ended = python(code, XDG_CACHE_HOME=str(tmp_path), **changes)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not os.listdir(tmp_path)


def test_operations_come_from_the_cache(kernels, monkeypatch, loaded_kernels):
    monkeypatch.delenv(load.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(kernels.parents[3]))
    assert cache.library() == kernels
    found = load.find()
    assert (found.state, found.path, found.reason) == (load.LOADED, kernels, "")
    assert found.operations.tfold_moments
    monkeypatch.setenv(load.VARIABLE, "off")
    assert load.find() == load.Found(load.OFF, None, "TFOLD_KERNELS=off")


def test_what_is_built_for_another_machine_is_not_seen(kernels, monkeypatch, tmp_path):
    shutil.copytree(kernels.parent, tmp_path / "tfold" / "kernels" / "0123456789abcdef")
    monkeypatch.delenv(load.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = load.find()
    assert found.state == load.NOT_BUILT and "for another TensorFlow" in found.reason


@pytest.mark.parametrize("what", ["tensorflow", "source", "system", "libc"])
def test_all_that_a_library_depends_on_is_in_the_key(what):
    here = cache.made_for()
    assert cache.key({**here, what: "another"}) != cache.key(here) == cache.key(dict(reversed(here.items())))


def test_a_chosen_file_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv(load.VARIABLE, str(tmp_path / "none.so"))
    monkeypatch.setattr(load, "_found", None)
    for _ in range(2):
        with pytest.raises(BadInputError, match="Received: .*none.so, which is no file"):
            load.operations()
    assert "names no file" in how_it_stands().reason


def test_the_library_and_its_record_belong_together(copied):
    copied.with_name(cache.RECORD).write_text("{}")
    assert "is damaged" in broken()
    copied.with_name(cache.RECORD).unlink()
    assert "built.json is missing" in broken()


def test_a_library_for_something_else_is_refused(copied):
    for changes, words in [
        ({"tensorflow": "2.20.0 (v1)"}, "another TensorFlow, 2.20.0"),
        ({"system": "Plan 9"}, "another system, Plan 9"),
        ({"source": "0" * 64}, "from another tfold's C++ files"),
    ]:
        before = copied.with_name(cache.RECORD).read_text()
        record_of(copied, **changes)
        assert words in broken()
        copied.with_name(cache.RECORD).write_text(before)
    record_of(copied, libc="an older one")
    assert cache.objection(copied) is None


def test_a_library_that_is_cut_off_is_not_touched(copied):
    copied.write_bytes(copied.read_bytes()[:50_000])
    assert "was cut off or changed" in broken()


def test_a_library_that_ends_the_process_ends_another_one(copied):
    copied.write_bytes(copied.read_bytes()[:50_000])
    record_of(copied)  # as if it were whole
    assert "loading it ends the process (SIG" in how_it_stands().reason


def test_a_second_library_of_the_same_operations(copied):
    assert "has loaded another library" in broken()
    assert try_it(copied).state == load.LOADED  # in a process where it is the first


def test_what_others_may_write_to_is_refused(copied):
    for path, mode in ((copied, 0o666), (copied, 0o664), (copied.with_name(cache.RECORD), 0o646)):
        before = path.stat().st_mode
        path.chmod(mode)
        assert f"other users may write to {path}" in broken()
        path.chmod(before)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(copied):
    os.chown(copied, 12345, -1)
    assert "belongs to another user (uid 12345)" in broken()


def test_a_cache_where_others_may_write_is_refused(kernels, monkeypatch, tmp_path):
    monkeypatch.delenv(load.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(kernels.parent, cache.library().parent)
    cache.folder().chmod(0o777)
    assert f"other users may write to {cache.folder()}" in broken()


def test_one_warning_says_what_is_broken_and_how_to_mend_it(copied, monkeypatch):
    copied.write_text("nonsense")
    monkeypatch.setattr(load, "_found", None)
    with pytest.warns(RuntimeWarning, match="was cut off.* Received: .*batch_norm.so. .*TFOLD_KERNELS") as caught:
        assert load.operations() is None
        assert load.operations() is None
    assert len(caught) == 1
    monkeypatch.delenv(load.VARIABLE)
    assert "tfold doctor --build-kernels" in load.mend()


def test_operations_are_loaded_once_by_all_threads(kernels, monkeypatch, loaded_kernels):
    monkeypatch.setattr(load, "_found", None)
    asked = []
    monkeypatch.setattr(load, "find", lambda find=load.find: asked.append(1) or find())
    found = []
    threads = [threading.Thread(target=lambda: found.append(load.operations())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(asked) == 1 and all(one is found[0] for one in found) and found[0] is not None


def test_operations_are_loaded_while_a_function_is_traced(kernels, monkeypatch):
    import numpy as np
    import tensorflow as tf

    monkeypatch.setattr(load, "_found", None)

    @tf.function
    def moments(x):
        assert not tf.executing_eagerly()
        return load.operations().tfold_moments(x=x)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, _, variance = moments(tf.constant([[1.0, 2.0], [5.0, 2.0]]))
    np.testing.assert_array_equal((mean, variance), [[3, 2], [4, 0]])
    traced = moments.get_concrete_function(tf.TensorSpec((2, 2))).graph.get_operations()
    assert [op.type for op in traced if "Tfold" in op.type] == ["TfoldMoments"]  # the check left nothing in the graph


def test_a_wrong_number_is_found_and_what_the_compiler_cannot_do_is_left_out(kernels, tmp_path):
    """A library that clips a little too low, compiled for real, by a compiler that knows no AVX-512."""
    for path in cache.SOURCES:
        shutil.copy(path, tmp_path)
    text = (tmp_path / "loops.cc").read_text()
    right = "const float positive = v < 0.0f ? 0.0f : v;"
    assert text.count(right) == 1
    (tmp_path / "loops.cc").write_text(text.replace(right, right.replace("? 0.0f", "? -0.001f")))
    old = tmp_path / "old-c++"
    refuses = 'case "$*" in *-mavx512f*) echo "error: unrecognized option -mavx512f" >&2; exit 1;; esac'
    old.write_text(f'#!/bin/sh\n{refuses}\nexec {shlex.join(find_compiler())} "$@"\n')
    old.chmod(0o755)
    wrong = tmp_path / cache.LIBRARY
    compiled = compile_library([str(old)], wrong, tmp_path)
    sets = [name for name in instruction_sets.options() if name != "x86_64_v4"]
    assert list(compiled.instruction_sets) == sets
    left_out = {"x86_64_v4": "error: unrecognized option -mavx512f."}
    assert compiled.left_out == (left_out if "x86_64_v4" in instruction_sets.options() else {})

    shutil.copy(kernels.with_name(cache.RECORD), tmp_path)
    record_of(wrong)
    code = ("from tfold.training.kernels.load import operations; from tfold.training.kernels import instruction_sets; "
            f"print(operations(), *instruction_sets.available({str(wrong)!r}))")
    ended = python(code, TFOLD_KERNELS=str(wrong))
    assert ended.returncode == 0, ended.stderr
    there = [name for name in instruction_sets.available(kernels) if name != "x86-64-v4"]
    assert ended.stdout.split() == ["None", *there]
    assert "RuntimeWarning: tfold's compiled operations are not used, " in ended.stderr
    assert "differs from the reference by" in ended.stderr
