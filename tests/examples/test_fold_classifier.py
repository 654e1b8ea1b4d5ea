"""The example, called on a small network."""
import csv
import re

import keras
import numpy as np
import pytest


def test_from_a_saved_model_to_two_tflite_files(ran, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (64, 8, 8, 1)).astype("uint8"), rng.integers(0, 3, 64)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    z = layers.Rescaling(1 / 127.5, -1, name="scale")(image)
    z = layers.Conv2D(8, 1, activation="relu", name="expand")(z)
    z = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(z)
    z = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="project")(z))
    keras.Model(image, layers.Dense(3, activation="softmax")(z)).save(tmp_path / "base.keras")
    said = ran("fold_classifier", "base.keras", "data.npz", "-o", "out", "--epochs", 1, "--tie", "expand", "depthwise")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alpha.csv", "base.tflite", "folded.keras", "folded.tflite"]
    [epoch] = csv.DictReader((tmp_path / "out" / "alpha.csv").read_text().splitlines())
    assert "alpha/mean" in epoch and float(epoch["alpha/strength"]) > 0  # the only epoch is none to warm up in
    assert "depth" in said and "folded ÷ base" in said
    assert said.startswith("the base network's accuracy on the validation images: ")
    assert "scale: preprocessing (the network is to be trained further)" in said
    folded = keras.models.load_model(tmp_path / "out" / "folded.keras")
    assert not any(isinstance(layer, layers.Rescaling) for layer in folded.layers)


def test_a_model_with_code_is_loaded_where_it_is_allowed(called, tmp_path):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(3)])
    model.save(tmp_path / "base.keras")
    x, y = np.zeros((6, 5), "float32"), np.arange(6) % 3
    np.savez(tmp_path / "other.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert "--allow-unsafe" in called("fold_classifier", "base.keras", "other.npz", "-o", "out")[1]
    _, sentence = called("fold_classifier", "base.keras", "other.npz", "-o", "out", "--allow-unsafe")
    assert "Images have the shape that the network takes" in sentence  # so it was loaded


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_the_loss_fits_the_outputs(example, activation):
    """Of logits, the loss of a softmax would learn next to nothing, and say nothing."""
    from tfold.recipe.data import Data

    x, y = np.random.default_rng(0).normal(size=(6, 4)).astype("float32"), np.arange(6) % 3
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, activation=activation)])
    example("fold_classifier").train(model, Data("made up", x, y, x, y, x, y, 3), 1, 0.1)
    assert model.loss.from_logits is (activation is None)


@pytest.mark.parametrize("model, data, words", [
    ("none.keras", "data.npz", "none.keras"),
    ("base.keras", "none.npz", "Data are mnist"),
    ("base.keras", "short.npz", "holds x_train, y_train, x_test, y_test. Received: .*short.npz"),
    ("base.keras", "other.npz", "Images have the shape that the network takes"),
    ("out/folded.keras", "fits.npz", "The input is never overwritten"),
])
def test_what_does_not_fit_is_one_sentence(called, tmp_path, model, data, words):
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)]).save(tmp_path / "base.keras")
    x, y = np.zeros((6, 5), "float32"), np.arange(6) % 3
    np.savez(tmp_path / "short.npz", x_train=x)
    np.savez(tmp_path / "other.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    np.savez(tmp_path / "fits.npz", x_train=x[:, 1:], y_train=y, x_test=x[:, 1:], y_test=y)
    if model.startswith("out/"):
        (tmp_path / "out").mkdir()
        (tmp_path / "base.keras").rename(tmp_path / model)
    said, sentence = called("fold_classifier", model, data, "-o", "out")
    assert re.search(words, sentence) and "\n" not in sentence
    assert (tmp_path / "out").exists() is model.startswith("out/")
