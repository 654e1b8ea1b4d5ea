"""Boxes and scores in one int8 tensor: what is lost in some channels is said, and only that."""
import json

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.tflite.compare_files import compare
from tfold.tflite.lost_channels import lost_channels

IMAGES = np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype("float32")


def heads(image, scores=1.0, bias=0.0, scale=320.0):
    """(n, 16, 4) boxes in pixels and (n, 16, 2) scores."""
    x = layers.Conv2D(6, 4, strides=4, kernel_initializer=keras.initializers.RandomNormal(0, 0.3, seed=3))(image)
    x = layers.Reshape((16, 6))(x)
    return keras.ops.sigmoid(x[..., :4]) * scale, keras.ops.sigmoid(x[..., 4:] * scores + bias)


def detector(finish=lambda boxes, scores: keras.ops.concatenate([boxes, scores], -1), **how):
    image = keras.Input((16, 16, 3))
    return keras.Model(image, finish(*heads(image, **how)))


def exported(model, path, quantize="int8", **options):
    return tfold.export(model, path, quantize, IMAGES if quantize.startswith("int") else None, tolerance=2.0, **options)


VARIANTS = {
    "channels last": (detector, 2, (4, 5)),
    "channels first": (lambda: detector(lambda b, s: keras.ops.transpose(keras.ops.concatenate([b, s], -1), (0, 2, 1))),
                       1, (4, 5)),
    "scores first": (lambda: detector(lambda b, s: keras.ops.concatenate([s, b], -1)), 2, (0, 1)),
    "scores near zero": (lambda: detector(bias=-5.0), 2, (4, 5)),
    "coarse, not gone": (lambda: detector(scale=80.0), 2, (4, 5)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_scores_beside_boxes(name, tmp_path):
    make, axis, channels = VARIANTS[name]
    done = exported(make(), tmp_path / "m.tflite")
    [output] = done.comparison.outputs
    assert (output.lost.axis, output.lost.channels, output.lost.total) == (axis, channels, 6)
    assert output.lost.left <= 5 and output.lost.same > 0.2 and output.decibels > 25
    [warning] = [each for each in done.warnings if "very different size" in each]
    assert f"channels {channels[0]}, {channels[1]} (2 of 6 along axis {axis})" in warning
    assert "value" in str(done.comparison) and str(output.lost) in str(done.comparison)
    assert json.loads(json.dumps(done.to_json()))["comparison"]["outputs"][0]["lost"]["channels"] == list(channels)


@pytest.mark.parametrize("options", [{"output_type": "uint8"}, {"output_type": "int8", "input_type": "int8"}])
def test_integers_at_the_end(options, tmp_path):
    assert exported(detector(), tmp_path / "m.tflite", **options).comparison.worst.lost.channels == (4, 5)


def test_parity_says_it_of_a_file(tmp_path):
    model = detector()
    exported(model, tmp_path / "int8.tflite")
    exported(model, tmp_path / "float32.tflite", "float32")
    found = compare(model, [tmp_path / "float32.tflite", tmp_path / "int8.tflite"], IMAGES)
    assert [each.outputs[0].lost is None for each in found.with_keras.values()] == [True, False]
    assert "channels 4, 5" in str(found) and "very different size" in str(found)


@pytest.mark.parametrize("finish, quantize", [
    (lambda boxes, scores: keras.ops.concatenate([boxes, scores], -1), "float32"),
    (lambda boxes, scores: keras.ops.concatenate([boxes, scores], -1), "dynamic"),
    (lambda boxes, scores: keras.ops.concatenate([boxes, scores], -1), "int16"),
    (lambda boxes, scores: [boxes, scores], "int8"),  # each has its own steps
    (lambda boxes, scores: keras.ops.concatenate([boxes / 320, scores], -1), "int8"),
    (lambda boxes, scores: keras.ops.concatenate([boxes, scores * 0 + 0.5], -1), "int8"),  # constant
])
def test_nothing_is_said_where_nothing_is_lost(finish, quantize, tmp_path):
    done = exported(detector(finish), tmp_path / "m.tflite", quantize)
    assert all(each.lost is None for each in done.comparison.outputs)


def test_what_is_lost_between_the_layers(tmp_path):
    """Joined and taken apart again: each output has steps of its own, and the scores are one number."""
    def finish(boxes, scores):
        joined = layers.Concatenate()([boxes, 0.5 + 0.01 * scores])
        mixed = layers.Permute((2, 1))(layers.Permute((2, 1))(joined))
        return [mixed[..., :4], mixed[..., 4:]]

    boxes, scores = exported(detector(finish), tmp_path / "m.tflite").comparison.outputs
    assert boxes.lost is None and scores.lost.channels == (0, 1) and scores.lost.left == 1


CLASSIFIERS = {
    "softmax of many classes": lambda y: layers.Dense(200, activation="softmax")(y),
    "a certain softmax": lambda y: layers.Softmax()(20 * layers.Dense(10)(y)),
    "logits": lambda y: layers.Dense(50)(y),
    "sigmoids of rare classes": lambda y: layers.Dense(20, activation="sigmoid",
                                                       bias_initializer=keras.initializers.Constant(-6))(y),
    "features": lambda y: layers.Dense(64, activation="relu")(y),
    "one number": lambda y: layers.Dense(1)(y),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_are_no_false_alarm(name, tmp_path):
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, CLASSIFIERS[name](layers.Flatten()(layers.Conv2D(8, 5, strides=3)(image))))
    done = exported(model, tmp_path / "m.tflite")
    assert done.comparison.worst.lost is None


def test_the_numbers():
    expected = np.zeros((10, 3))
    expected[:, 0], expected[:, 1] = np.linspace(0, 255, 10), np.linspace(0, 0.9, 10)
    lost = lost_channels(expected, np.round(expected), 1.0)
    assert (lost.channels, lost.lowest, lost.highest, lost.step) == ((1,), 0.0, 0.9, 1.0)
    assert (lost.left, lost.same) == (2, 0.6)
    assert lost_channels(expected, expected, 1.0) is None
    assert lost_channels(expected[:1], np.round(expected[:1]), 1.0) is None  # one sample shows no variety
