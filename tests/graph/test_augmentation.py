"""Layers that augment images do nothing at inference, and go."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.graph.capture import capture
from tfold.graph.read_shape import AUGMENTING
from tfold.tflite.contents import read

NEEDED = {name: {"factor": 0.2} for name in (
    "RandomBrightness", "RandomColorDegeneration", "RandomContrast", "RandomGrayscale", "RandomHue",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness")}
NEEDED["RandomPosterization"] = {"factor": 4}
NEEDED["RandomTranslation"] = {"height_factor": 0.2, "width_factor": 0.2}
NEEDED["RandomZoom"] = {"height_factor": 0.2}


def augmenting(name):
    return getattr(layers, name)(**NEEDED.get(name, {}))


def test_none_is_missing():
    assert {name for name in dir(layers) if name.startswith("Random")} - {"RandomCrop"} <= set(AUGMENTING)


@pytest.mark.parametrize("name", AUGMENTING)
def test_it_goes(name):
    layer, image = augmenting(name), keras.Input((8, 8, 3))
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(layer(x, training=False)), x)
    graph = capture(keras.Model(image, layers.ReLU()(layer(image))))
    assert [node.op for node in graph] == ["input", "identity", "activation"]


def test_what_changes_the_type_stays():
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    graph = capture(keras.Model(pixels, layers.RandomFlip()(pixels)))
    assert [node.op for node in graph] == ["input", "opaque"]


def test_an_export_leaves_them_out_as_predict_does(tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Conv2D(2, 3)(layers.RandomFlip(name="mirror")(image)))
    assert tfold.export(model, tmp_path / "plain.tflite").parity < 1e-5
    tfold.export(tfold.fold(model).model, tmp_path / "folded.tflite")
    assert [op.kind for op in read(tmp_path / "plain.tflite").ops] == ["CONV_2D"]
