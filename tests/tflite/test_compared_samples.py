"""How many samples a comparison runs: all there are unless somebody asks for fewer, and it says how many."""
import itertools

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.tflite import representative
from tfold.tflite.compare_files import compare
from tfold.tflite.losses import layer_losses

COUNT = 333
X = np.random.default_rng(0).normal(size=(COUNT, 6)).astype("float32")


@pytest.fixture(scope="module")
def model():
    x = keras.Input((6,), name="x")
    return keras.Model(x, layers.Dense(3, activation="softmax")(layers.Dense(8, activation="relu")(x)))


@pytest.fixture(scope="module")
def labels(model):
    """Right for 200 samples, wrong for the last 133."""
    right = model(X).numpy().argmax(-1)
    return np.where(np.arange(COUNT) < 200, right, (right + 1) % 3)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return tfold.export(model, tmp_path_factory.mktemp("files") / "int8.tflite", "int8", X).path


def test_accuracy_is_judged_by_all_labeled_samples(model, file, labels, tmp_path):
    np.savez(tmp_path / "test.npz", x=X, y=labels)
    found = compare(model, [file], tmp_path / "test.npz")
    [each] = found.with_keras.values()
    assert each.samples == COUNT and each.accuracy[0] == pytest.approx(200 / COUNT)
    assert f"on {COUNT} labeled samples" in str(found) and not found.warnings
    assert next(iter(found.to_json()["files"].values()))["samples"] == COUNT


def test_as_many_as_asked_for(model, file, labels):
    [each] = compare(model, [file], (X, labels), samples=50).with_keras.values()
    assert each.samples == 50 and "on 50 labeled samples" in str(each)


def test_a_stream_without_an_end_is_cut_and_it_is_said(model, file):
    found = compare(model, [file], lambda: itertools.repeat(X[:50]))
    [each] = found.with_keras.values()
    assert each.samples == 200
    assert "does not say how many there are" in found.warnings[0] and "--samples" in found.warnings[0]


def test_a_stream_that_ends_is_read_to_its_end(model, file):
    found = compare(model, [file], lambda: iter([X[:60], X[60:90]]))
    assert next(iter(found.with_keras.values())).samples == 90 and not found.warnings


def test_what_does_not_fit_into_memory_is_left_out_and_said(model, file, monkeypatch):
    monkeypatch.setattr(representative, "MOST_BYTES", 100 * 6 * 4)
    found = compare(model, [file], X)
    assert next(iter(found.with_keras.values())).samples == 100
    assert "100 of the 333 samples" in found.warnings[0]


def test_losses_and_calibration_say_that_they_took_a_part(model, file):
    found = layer_losses(model, file, X)
    said = found.to_json()
    assert (found.samples, found.available) == (200, COUNT) == (said["samples"], said["available"])
    assert "200 of the 333 samples" in found.counted
    assert tfold.representative_samples(model, X).counted == "200 of 333 samples"
    assert tfold.representative_samples(model, X[:150]).counted == "150 samples"
