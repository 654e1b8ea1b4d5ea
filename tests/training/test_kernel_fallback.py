"""Where the operations cannot be had, training goes on without them, and says so once."""

import json
import shutil
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import tfold
from tfold.errors import TfoldError
from tfold.files import sha256_of
from tfold.training.engine import choose
from tfold.training.kernels import cache, load
from tfold.training.kernels.build import build
from tfold.training.kernels.trial import how_it_stands, try_it


def train():
    """Two epochs with whatever computes batch norm here; (that, tfold's warnings about the operations)."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x)))
    stock = keras.Model(x, keras.layers.GlobalAveragePooling2D()(y))
    rng = np.random.default_rng(0)
    given, wanted = rng.normal(size=(8, 6, 6, 3)), rng.normal(size=(8, 4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for model in (tfold.restructure_batch_norm(stock), tfold.restructure_batch_norm(stock)):
            model.compile("sgd", "mse")
            losses = model.fit(given, wanted, epochs=2, verbose=0).history["loss"]
            assert losses[1] < losses[0]
    return choose("float32")[0], [str(one.message) for one in caught if "compiled operations" in str(one.message)]


@pytest.fixture
def asked_anew(monkeypatch, tmp_path):
    """A process that has not looked for the operations yet, with a cache in which nothing is built."""
    monkeypatch.setattr(load, "_found", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(load.VARIABLE, "")
    return monkeypatch


def test_a_compiler_that_fails(asked_anew, tmp_path):
    broken = tmp_path / "broken-c++"
    said = "PacketMathFP16.h:50:13: error: expected initializer before < token"
    broken.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    broken.chmod(0o755)
    asked_anew.setenv("CXX", str(broken))
    with pytest.raises(TfoldError, match="PacketMathFP16.h:50:13: error"):
        build()

    how, warned = train()
    assert how == "plain"
    (warning,) = warned
    assert "are not used, and TensorFlow's own compute batch norm: building them failed." in warning
    assert "PacketMathFP16.h:50:13: error" in warning and "TFOLD_KERNELS=off" in warning
    doctor = [sys.executable, "-m", "tfold", "doctor", "--json"]
    ended = subprocess.run(doctor, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    kernels = json.loads(ended.stdout)["kernels"]
    assert kernels["state"] == "build failed" and "PacketMathFP16.h:50:13" in kernels["reason"]
    assert "could not be built, and training uses TensorFlow's own fused batch norm: " in ended.stderr

    asked_anew.setattr(load, "_found", None)
    asked_anew.setenv(load.VARIABLE, "off")
    assert train() == ("plain", [])


def test_no_compiler_and_one_that_comes_later(tmp_path, monkeypatch, kernels):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(load.VARIABLE, "")
    monkeypatch.delenv("CXX", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(Exception, match="none of"):
            build()
    found = load.find()
    assert found.state == load.FAILED and found.operations is None and "none of c++, g++, clang++" in found.reason
    shutil.copytree(kernels.parent, cache.library().parent)  # as a build would leave it
    assert how_it_stands().state == load.LOADED


def test_a_failure_is_of_one_tensorflow_and_one_tfold(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(load.VARIABLE, "")
    cache.note_failure("The compiler was too old.")
    assert load.find() == load.Found(load.FAILED, None, "The compiler was too old.")
    monkeypatch.setattr(cache, "key", lambda made_for: "another")
    assert load.find().state == load.NOT_BUILT
    monkeypatch.undo()


def test_a_note_that_is_damaged_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.note_failure("The compiler was too old.")
    (note,) = cache.folder().iterdir()
    note.write_text("{")
    assert cache.failure() is None
    cache.note_failure(None)
    assert not list(cache.folder().iterdir())


def test_a_library_that_does_not_load(asked_anew, tmp_path, kernels):
    """Whole by its record, and yet nothing that could be loaded."""
    library = tmp_path / cache.LIBRARY
    library.write_text("no library")
    record = json.loads(kernels.with_name(cache.RECORD).read_text())
    library.with_name(cache.RECORD).write_text(json.dumps({**record, "sha256": sha256_of(library)}))
    found = try_it(library)  # in a process that has loaded no other
    assert found.state == load.BROKEN and "TensorFlow cannot load it" in found.reason
    asked_anew.setattr(load, "_found", None)
    asked_anew.setattr(load, "find", lambda: found)
    how, warned = train()
    assert how == "plain" and len(warned) == 1 and "TensorFlow cannot load it" in warned[0]
