"""Data on another scale than a network takes: before a fold, and after one that took the scaling in."""
import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

import tfold
from tfold.tflite.model_samples import scales_itself

PIXELS = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3))
DATA = {"pixels": PIXELS.astype("uint8"), "float pixels": PIXELS.astype("float32"),
        "0 to 1": (PIXELS / 255).astype("float32"), "-1 to 1": (PIXELS / 127.5 - 1).astype("float32")}


def network(first, keras_=keras):
    image = keras_.Input((8, 8, 3))
    x = keras_.layers.Conv2D(4, 3, use_bias=False)(first(image))
    x = keras_.layers.ReLU()(keras_.layers.BatchNormalization()(x))
    return keras_.Model(image, keras_.layers.Dense(2)(keras_.layers.GlobalAveragePooling2D()(x)))


SCALING = {
    "Rescaling": lambda: network(layers.Rescaling(1 / 127.5, -1)),
    "Normalization by channel": lambda: network(
        layers.Normalization(mean=[120.0, 115.0, 100.0], variance=[3000.0, 3200.0, 3400.0])),
    "x / 255 - 1": lambda: network(lambda x: x / 255 - 1),
    "a nested model": lambda: network(keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255)])),
    "tf_keras": lambda: network(tf_keras.layers.Rescaling(1 / 255), tf_keras),
}


def warned(model, data, report=None, **how):
    found = tfold.representative_samples(model, data, report=report, **how).warnings
    return [each for each in found if "scale" in each]


@pytest.mark.parametrize("name", SCALING)
@pytest.mark.parametrize("state", ["as trained", "folded", "kept"])
def test_pixels_are_right_and_what_is_scaled_already_is_odd(name, state):
    model, report = SCALING[name](), None
    if state != "as trained":
        folded = tfold.fold(model, preprocessing="fold" if state == "folded" else "keep", verify=False)
        model, report = folded.model, folded.report
    assert scales_itself(model, report)
    for data in ("pixels", "float pixels"):
        assert not warned(model, DATA[data], report), data
    for data in ("0 to 1", "-1 to 1"):
        assert "scales them itself" in warned(model, DATA[data], report)[0], data
    assert "scales it once more" in warned(model, DATA["pixels"], report, scale=(-1, 1))[0]


def test_a_network_without_scaling_is_as_before_the_fold():
    folded = tfold.fold(network(lambda x: x), verify=False)
    for report in (None, folded.report, folded.report.to_json()):
        assert "does not scale them" in warned(folded.model, DATA["pixels"], report)[0]
        assert not warned(folded.model, DATA["-1 to 1"], report)


def test_a_factor_within_the_network_is_no_scaling_of_its_input():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Rescaling(1 / 100)(layers.Conv2D(2, 3)(image)))
    assert not scales_itself(model)


def test_a_folder_of_images_needs_no_scale_behind_a_fold(tmp_path):
    for number, picture in enumerate(DATA["pixels"][:4]):
        keras.utils.save_img(tmp_path / f"{number}.png", picture, scale=False)
    folded = tfold.fold(SCALING["Rescaling"](), verify=False)
    read = tfold.representative_samples(folded.model, tmp_path, calibrates=False, report=folded.report)
    assert read.inputs[next(iter(read.inputs))].max() > 200 and not read.warnings
    with pytest.raises(tfold.BadInputError, match="Images are scaled as told"):
        tfold.representative_samples(folded.model, tmp_path)
