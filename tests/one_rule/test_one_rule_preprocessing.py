"""One-rule graphs of arithmetic with constants: preprocessing in front of the network, and scales between layers."""
import keras
import numpy as np
import pytest
from keras import layers as L

from tfold import reasons

VECTOR, ROW, ODD, EVEN, OPEN = (5,), (9, 3), (9, 7, 3), (8, 10, 3), (None, None, 3)
MEAN, DEVIATION = [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]


def conv(filters=4, window=3, **settings):
    return L.Conv2D(filters, window, **{"name": "conv"} | settings)


def same(filters=4, window=3, **settings):
    return conv(filters, window, padding="same", **settings)


def rescale(scale=1 / 127.5, offset=-1.0):
    return L.Rescaling(scale, offset, name="rescale")


def normalize():
    return L.Normalization(mean=MEAN, variance=np.square(DEVIATION), name="normalize")


def by_channel(x):
    return (x - np.array(MEAN, "float32")) / np.array(DEVIATION, "float32")


PADDED = "Pad Conv2D"  # with the number that becomes zero
IN_FRONT = {
    "rescaling, conv": (ODD, [rescale(), conv()], "Conv2D"),
    "rescaling, conv of stride 2": (EVEN, [rescale(), conv(strides=2)], "Conv2D"),
    "rescaling, conv same": (ODD, [rescale(), same()], PADDED),
    "rescaling, conv same of stride 2 at odd size": (ODD, [rescale(), same(strides=2)], PADDED),
    "rescaling, conv same of stride 2 at even size": (EVEN, [rescale(), same(strides=2)], PADDED),
    "rescaling, dilated conv same": (ODD, [rescale(), same(dilation_rate=2)], PADDED),
    "rescaling, depthwise same": (ODD, [rescale(), L.DepthwiseConv2D(3, padding="same")], "Pad DepthwiseConv2D"),
    "rescaling, padding, conv": (ODD, [rescale(), L.ZeroPadding2D(((0, 1), (2, 1))), conv()], PADDED),
    "rescaling, conv same with relu": (ODD, [rescale(), same(activation="relu")], PADDED),
    "rescaling, conv same, bn, relu": (ODD, [rescale(), same(), L.BatchNormalization(), L.ReLU()], "Pad Conv2D ReLU"),
    "rescaling without offset, conv same": (ODD, [rescale(1 / 255, 0.0), same()], "Conv2D"),
    "rescaling by a negative number, conv same": (ODD, [rescale(-1 / 255, 1.0), same()], PADDED),
    "rescaling, conv1d same": (ROW, [rescale(), L.Conv1D(4, 3, padding="same")], "Pad Conv1D"),
    "rescaling, conv1d causal": (ROW, [rescale(), L.Conv1D(4, 3, padding="causal")], "Pad Conv1D"),
    "rescaling, dense": (VECTOR, [rescale(), L.Dense(3)], "Dense"),
    "rescaling, flatten, dense": (ODD, [rescale(), L.Flatten(), L.Dense(3)], "Flatten Dense"),
    "rescaling of each channel, conv": (
        ODD, [L.Rescaling(np.divide(1, DEVIATION), np.negative(MEAN)), conv()], "Conv2D"),
    "normalization, conv": (ODD, [normalize(), conv()], "Conv2D"),
    "normalization, conv same": (ODD, [normalize(), same()], "Conv2D Add"),
    "normalization, conv same of stride 2 at odd size": (ODD, [normalize(), same(strides=2)], "Conv2D Add"),
    "normalization, conv same of stride 2 at even size": (EVEN, [normalize(), same(strides=2)], "Conv2D Add"),
    "normalization, dense": (ROW, [normalize(), L.Dense(3)], "Dense"),
    "normalization, conv same at an open size": (
        OPEN, [normalize(), same()], "Rescaling Conv2D",
        (reasons.BORDER_NOT_EXACT, "normalize", "an addition"), (reasons.UNKNOWN_SIZE, "normalize conv")),
    "rescaling, conv same at an open size": (OPEN, [rescale(), same()], PADDED),
    "rescaling, normalization, conv same": (ODD, [rescale(), normalize(), same()], "Conv2D Add"),
    "rescaling, bn, conv": (ODD, [rescale(), L.BatchNormalization(), conv()], "Conv2D"),
    "x / 127.5 − 1, conv": (ODD, lambda x: conv()(x / 127.5 - 1), "Conv2D"),
    "x / 127.5 − 1, conv same": (ODD, lambda x: same()(x / 127.5 - 1), PADDED),
    "(x − 127.5) · 1/127.5 by ops, conv same": (
        ODD, lambda x: same()(keras.ops.multiply(keras.ops.subtract(x, 127.5), 1 / 127.5)), PADDED),
    "1 − x / 255, conv same": (ODD, lambda x: same()(1 - x / 255), PADDED),
    "−x, conv same": (ODD, lambda x: same()(-x), "Conv2D"),
    "mean and deviation of each channel, conv": (ODD, lambda x: conv()(by_channel(x)), "Conv2D"),
    "mean and deviation of each channel, conv same": (ODD, lambda x: same()(by_channel(x)), "Conv2D Add"),
    "a mean image, conv": (ODD, lambda x: conv()(x - np.ones((1, 9, 7, 3), "float32")), "Subtract Conv2D"),
    "2 ** x, conv": (ODD, lambda x: conv()(2.0 ** x), "Power Conv2D"),
    "1 / x, conv": (ODD, lambda x: conv()(1.0 / rescale(1.0, 300.0)(x)), "Rescaling TrueDivide Conv2D",
                    (reasons.UNKNOWN_LAYER, "rescale", "an addition")),
    "rescaling read by two convs": (
        ODD, lambda x: (lambda y: [conv()(y), L.Dense(2)(y)])(rescale()(x)), "Conv2D Dense"),
    "rescaling read by a conv and a pool": (
        ODD, lambda x: (lambda y: [conv()(y), L.MaxPooling2D()(y)])(rescale()(x)), "Rescaling Conv2D MaxPooling2D",
        (reasons.GRAPH_BOUNDARY, "rescale")),
    "rescaling read by a conv same and a conv": (
        ODD, lambda x: (lambda y: [same()(y), conv(name="b")(y)])(rescale()(x)), "Rescaling Conv2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "rescale", "an addition")),
    "rescaling, relu": (ODD, [rescale(), L.ReLU()], "Rescaling ReLU", (reasons.GRAPH_BOUNDARY, "rescale")),
    "rescaling, relu, conv": (ODD, [rescale(), L.ReLU(), conv()], "Rescaling ReLU Conv2D",
                              (reasons.ACTIVATION_BETWEEN, "rescale", "an addition")),
    "rescaling in front of a shared conv": (
        ODD, lambda x: (lambda shared: [shared(rescale()(x)), shared(x)])(conv()), "Rescaling Conv2D",
        (reasons.SHARED_WEIGHTS, "rescale")),
}

BETWEEN = {
    "conv, rescaling": (ODD, [conv(), rescale()], "Conv2D"),
    "conv · 2 + 1": (ODD, lambda x: conv()(x) * 2.0 + 1.0, "Conv2D"),
    "dense / 3": (VECTOR, lambda x: L.Dense(4)(x) / 3.0, "Dense"),
    "conv same · 2 + 1, conv": (ODD, lambda x: conv(name="b")(same()(x) * 2.0 + 1.0), "ZeroPadding2D Conv2D",
                            (reasons.PADDING_STAYS, "conv+b")),
    "1×1, rescaling, conv same": (ODD, [L.Dense(4), rescale(0.5, 2.0), same()], "Conv2D Add"),
    "relu, rescaling, conv": (ODD, [L.ReLU(), rescale(0.5, 2.0), conv()], "ReLU Conv2D"),
    "relu, rescaling, conv same": (ODD, [L.ReLU(), rescale(0.5, 2.0), same()], "ReLU Pad Conv2D"),
    "relu, rescaling without offset, conv same": (ODD, [L.ReLU(), rescale(0.5, 0.0), same()], "ReLU Conv2D"),
    "conv, rescaling, relu": (ODD, [conv(), rescale(0.5, 2.0), L.ReLU()], "Conv2D ReLU"),
    "conv, rescaling, rescaling, relu": (ODD, [conv(), L.Rescaling(3.0), rescale(0.5, 2.0), L.ReLU()], "Conv2D ReLU"),
    "conv scaled by zero": (ODD, lambda x: conv()(x) * 0.0, "Conv2D"),
    "rescaling by zero, conv same": (ODD, [rescale(0.0, 2.0), same()], "Conv2D Add"),
    "conv + 3, relu6, · 1/6, conv": (
        ODD, lambda x: same(name="b")(L.ReLU(6.0)(conv()(x) + 3.0) * (1 / 6)), "Conv2D ReLU Conv2D"),
    "conv + 3, relu6, · 1/6 − 1, conv same": (
        ODD, lambda x: same(name="b")(L.ReLU(6.0)(conv()(x) + 3.0) * (1 / 6) - 1.0), "Conv2D ReLU Pad Conv2D"),
    "transposed, rescaling": (ODD, [L.Conv2DTranspose(4, 3, 2), rescale()], "Conv2DTranspose"),
    "rescaling without offset, transposed": (ODD, [rescale(0.5, 0.0), L.Conv2DTranspose(4, 3, 2)], "Conv2DTranspose"),
    "conv as float16, rescaling": (
        ODD, [conv(dtype="float16"), rescale(0.5, 2.0)], "Conv2D Rescaling", (reasons.DIFFERENT_TYPES, "rescale")),
    "1 − dense with sigmoid, dense": (
        VECTOR, lambda x: L.Dense(3)(1.0 - L.Dense(4, activation="sigmoid")(x)), "Dense Dense"),
}

TYPES = {  # (type of the input, network, ops)
    # What casts pixels is kept: a convolution takes no integers.
    "uint8, rescaling, conv": ("uint8", [rescale(), conv()], "Rescaling Conv2D"),
    "uint8, rescaling, conv same": ("uint8", [rescale(), same()], "Rescaling Conv2D"),
    "uint8, normalization, conv same": ("uint8", [normalize(), same()], "Normalization Conv2D"),
    "uint8, rescaling, normalization, conv same": (
        "uint8", [rescale(), normalize(), same()], "Rescaling Conv2D Add"),
    "uint8, x / 255, conv": ("uint8", lambda x: conv()(x / 255), "TrueDivide Conv2D"),
    "uint8, x / 127.5 − 1, conv same": ("uint8", lambda x: same()(x / 127.5 - 1), "TrueDivide Pad Conv2D"),
    "int32, cast, · 2, conv": ("int32", lambda x: conv()(keras.ops.cast(x, "float32") * 2.0), "Cast Conv2D"),
    "float64, rescaling, conv": ("float64", [rescale(), conv()], "Conv2D"),
}
ALL = IN_FRONT | BETWEEN | {name: (ODD, *case[1:]) for name, case in TYPES.items()}


@pytest.mark.parametrize("name", ALL)
def test_one_rule(name, one_rule):
    dtype = TYPES[name][0] if name in TYPES else "float32"
    result = one_rule(*ALL[name], dtype=dtype)
    assert result.model.input.dtype == dtype


def test_the_padding_is_what_becomes_zero(one_rule):
    result = one_rule(ODD, [rescale(1 / 127.5, -1.0), same()], PADDED)
    assert "whose padding is now 127.5" in str(result.report)
