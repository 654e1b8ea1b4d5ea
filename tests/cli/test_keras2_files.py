"""A file of Keras 2 on its whole way through the commands."""
import json

import h5py
import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers


@pytest.fixture
def keras_model(tmp_path):
    """As Teachable Machine hands it out: nested Sequential networks, and `groups` in a DepthwiseConv2D."""
    base = tf_keras.Sequential([
        L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, input_shape=(32, 32, 3)), L.BatchNormalization(),
        L.ReLU(6.0), L.DepthwiseConv2D(3, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(6.0),
        L.GlobalAveragePooling2D()])
    head = tf_keras.Sequential([L.Dense(10, activation="relu", input_shape=(8,)), L.Dense(3, activation="softmax")])
    path = tmp_path / "keras_model.h5"
    tf_keras.Sequential([base, head]).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace(
            '"class_name": "DepthwiseConv2D", "config": {', '"class_name": "DepthwiseConv2D", "config": {"groups": 1, ')
        assert '"groups": 1' in file.attrs["model_config"]
    return path


def test_from_h5_to_int8(here, keras_model, tmp_path):
    found = here("inspect", keras_model, "--json")
    assert found.code == 0, found.err
    folded, photos = tmp_path / "folded.keras", tmp_path / "photos.npy"
    np.save(photos, np.random.default_rng(0).normal(size=(20, 32, 32, 3)).astype("float32"))
    ended = here("fold", keras_model, "-o", folded, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["report"]["after"]["batch_norms"] == 0
    for words in ([], ["--quantize", "int8", "--representative", photos]):
        ended = here("export", folded, "-o", tmp_path / "m.tflite", "--force", *words)
        assert ended.code == 0, ended.err
    ended = here("parity", keras_model, tmp_path / "m.tflite", "--data", photos, "--tolerance", "0.2")
    assert ended.code == 0, ended.err
