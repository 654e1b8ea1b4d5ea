"""Home folders that cannot be entered, that are no folders, or that are not there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mobile_bench.download import cache_folder
from tfold.training.kernels import cache, load
from tfold.training.kernels.trial import how_it_stands


@pytest.fixture
def forbidden(tmp_path):
    """A home folder that its own user may not enter, and words that take root's right to do so all the same."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o000)
    words = []
    if hasattr(os, "getuid") and os.getuid() == 0:
        words = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
        if shutil.which("setpriv") is None or subprocess.run([*words, "true"]).returncode != 0:
            pytest.skip("needs setpriv: root may enter any folder")
    yield home, words
    home.chmod(0o700)


def test_a_home_that_cannot_be_entered(forbidden, environment):
    home, words = forbidden
    given = environment(**{"XDG_CACHE_HOME": "", "HOME": str(home), load.VARIABLE: ""})
    given["PATH"] = ""  # no adb's server is started for this
    doctor = [*map(shutil.which, words[:1]), *words[1:], sys.executable, "-m", "tfold", "doctor", "--json"]
    ended = subprocess.run(doctor, env=given, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0 and "Traceback" not in ended.stderr, ended.stderr
    assert "✓ tensorflow" in ended.stderr
    assert f"{home}/.cache/tfold/kernels cannot be used, " in ended.stderr and "Permission denied" in ended.stderr
    assert "XDG_CACHE_HOME=/path" in ended.stderr
    code = ("import keras, tfold, tfold.training.kernels.load as load; load.operations(); print(load.find().state)\n"
            "x = keras.Input((4, 4, 3)); y = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x))\n"
            "print(len(tfold.fold(keras.Model(x, y)).model.layers))")
    ended = subprocess.run([*words, sys.executable, "-c", code], env={**given, "PATH": os.environ["PATH"]},
                           capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout.split()) == (0, ["not", "built", "2"]), ended.stderr


def test_what_is_wrong_with_a_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(load.VARIABLE, "")
    for home, said in ((tmp_path, None), (tmp_path / "new" / "home", None), (tmp_path / "file", "Not a directory"),
                       (tmp_path / ("x" * 300), "File name too long"), (Path("/proc/self"), "cannot be")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        reason = cache.unusable()
        assert (reason is None) == (said is None) and (said or "") in (reason or ""), (home, reason)
        assert cache.failure() is None and how_it_stands().state == load.NOT_BUILT
    assert not (tmp_path / "tfold").exists()  # who only looks makes nothing


def test_a_user_without_a_home_or_a_name(monkeypatch):
    """As in a container that runs under any number."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 87654321)
    assert os.path.expanduser("~/.cache") == "~/.cache"
    assert cache.folder().is_absolute() and cache_folder().is_absolute()
    assert cache.unusable() == "this user has no home folder"
