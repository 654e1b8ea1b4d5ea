"""Parts of a network that are zero everywhere, or constant: the file loads in every format, and is near Keras."""
import itertools

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.measure import available_runtimes, run_tflite
from tfold.tflite.scale_limits import widened

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(20, *SHAPE)).astype("float32")
NEVER = keras.initializers.Constant(-1e4)


SEEDS = itertools.count()  # convolutions that are alike would become one


def conv(channels=4, **more):
    kernel = keras.initializers.RandomNormal(0, 0.3, seed=next(SEEDS))
    return layers.Conv2D(channels, 3, padding="same", kernel_initializer=kernel, **more)


def dead(x, channels=4):
    return conv(channels, activation="relu", bias_initializer=NEVER)(x)


def zero_gamma(x):
    return layers.BatchNormalization(gamma_initializer="zeros")(conv(use_bias=False)(x))


def residual(x):
    x = conv(activation="relu")(x)
    for _ in range(3):
        x = layers.ReLU()(x + zero_gamma(layers.ReLU()(conv()(x))))
    return x


def gated(x):
    gate = layers.Dense(4, activation="relu", bias_initializer=NEVER)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return conv(4)(x) * gate


NETWORKS = {
    "a ReLU that never fires, before a sum": lambda x: conv()(x) + conv()(dead(x)),
    "before a concatenation": lambda x: layers.Concatenate()([conv(2)(x), conv(2)(dead(x))]),
    "before a depthwise layer": lambda x: conv()(x) + layers.DepthwiseConv2D(3, padding="same")(dead(x)),
    "before a transposed convolution": lambda x: conv()(x) + layers.Conv2DTranspose(4, 3, padding="same")(dead(x)),
    "before pooling": lambda x: layers.MaxPooling2D()(conv()(x)) + layers.AveragePooling2D(2)(dead(x)),
    "two of them": lambda x: conv()(x) + layers.LeakyReLU()(dead(x) + dead(x)),
    "a residual network as it begins": residual,
    "a gate that is shut": lambda x: gated(x) + conv()(x),
    "an output that is zero": lambda x: layers.Dense(3)(layers.GlobalAveragePooling2D()(dead(x))),
    "an output that is constant": lambda x: layers.Dense(3, bias_initializer="ones")(
        layers.GlobalAveragePooling2D()(dead(x))),
    "a kernel of zeros": lambda x: conv()(x) + conv(4, trainable=False)(x) * 0.0,
    "numbers that are almost nothing": lambda x: conv()(x) + conv()(dead(x) + 1e-7 * conv()(x)),
    "a constant beside which all is nothing": lambda x: layers.ReLU()(conv()(x) - 1e4) + conv()(x),
    "a constant that is almost nothing": lambda x: conv()(x) + 1e-6,
    "almost nothing in each channel": lambda x: layers.ReLU()(conv()(x) + np.float32([1e-7, -1e-8, 1e-9, 0])),
    "large numbers": lambda x: 1e5 * conv()(x) + conv()(dead(x)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_loads_and_is_near(name, tmp_path):
    x = keras.Input(SHAPE)
    model = keras.Model(x, NETWORKS[name](x))
    for quantize, allowed in (("int8", 0.1), ("int16", 0.02)):
        done = tfold.export(model, tmp_path / f"{quantize}.tflite", quantize, IMAGES, sample=IMAGES[:2])
        assert done.parity < allowed, quantize


@pytest.mark.parametrize("quantize, allowed", [("int8", 0.1), ("int16", 0.02), ("dynamic", 0.05), ("float16", 1e-2)])
def test_every_format_of_a_folded_residual_network(quantize, allowed, tmp_path):
    x = keras.Input(SHAPE)
    model = tfold.fold(keras.Model(x, residual(x))).model
    data = IMAGES if quantize.startswith("int") else None
    assert tfold.export(model, tmp_path / "m.tflite", quantize, data).parity < allowed


@pytest.mark.skipif(not available_runtimes()["tflite-runtime"].version, reason="needs the runtime")
def test_the_older_runtime_loads_it(tmp_path):
    x = keras.Input(SHAPE)
    model = keras.Model(x, residual(x))
    tfold.export(model, tmp_path / "m.tflite", "int8", IMAGES)
    (output,) = run_tflite(tmp_path / "m.tflite", IMAGES[:1], runtime="tflite-runtime").values()
    assert np.abs(output - model(IMAGES[:1])).max() < 0.1 * np.abs(output).max()


def test_a_range_is_widened_as_little_as_possible_and_keeps_its_zero():
    ops = [("CONV_2D", [0, 9, 8], [1], 1.27), ("ADD", [0, 1], [2], None)]
    found = widened({0: (-1.0, 1.55), 1: (0.0, 0.0), 2: (-1.0, 1.55)}, ops)
    assert found[0] == (-1.0, 1.55) and found[2] == (-1.0, 1.55)
    assert found[1] == pytest.approx((0.0, 2.55 / 256))  # of the sum's step
    narrow = widened({0: (-1.0, 1.55), 1: (-1e-9, 3e-9)}, ops[:1])[1]
    assert narrow[1] - narrow[0] == pytest.approx(2.55 * 0.01 / 64) and narrow[1] / narrow[0] == pytest.approx(-3)


def test_ranges_that_are_wide_enough_stay():
    ranges = {0: (-1.0, 1.0), 1: (0.0, 0.01), 2: (-0.5, 1.0), 3: (0.0, 0.3)}
    ops = [("CONV_2D", [0, 9], [1], 0.1), ("ADD", [0, 1], [2], None), ("MEAN", [2], [3], None)]
    assert widened(ranges, ops) == ranges
