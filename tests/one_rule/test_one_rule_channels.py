"""One-rule graphs of channels: concatenations and slices of linear branches, products, gates."""
import keras
import numpy as np
import pytest
from keras import layers as L

from tfold import reasons

VECTOR, ROW, ODD, EVEN = (6,), (9, 4), (9, 7, 4), (8, 10, 4)
BN = L.BatchNormalization


def conv(filters=3, window=3, name=None, **settings):
    return L.Conv2D(filters, window, name=name, **{"padding": "same"} | settings)


def concat(*tensors, **settings):
    return L.Concatenate(**settings)(list(tensors))


CONCATENATIONS = {
    "concat of convs": (ODD, lambda x: concat(conv()(x), conv(2)(x)), "Conv2D"),
    "concat of convs of 1, 3 and 5": (ODD, lambda x: concat(*(conv(2, n)(x) for n in (1, 3, 5))), "Conv2D"),
    "concat of convs of stride 2 at odd size": (
        ODD, lambda x: concat(conv(strides=2)(x), conv(2, 1, strides=2)(x)), "Conv2D"),
    "concat of convs of stride 2 at even size": (
        EVEN, lambda x: concat(conv(strides=2)(x), conv(2, 1, strides=2)(x)), "Conv2D"),
    "concat of dense": (VECTOR, lambda x: concat(L.Dense(3)(x), L.Dense(2)(x)), "Dense"),
    "concat of dense on a sequence": (ROW, lambda x: concat(L.Dense(3)(x), L.Dense(2)(x)), "Dense"),
    "concat of x and conv(x)": (ODD, lambda x: concat(x, conv()(x)), "Conv2D"),
    "concat of depthwise and conv": (
        ODD, lambda x: concat(L.DepthwiseConv2D(3, padding="same")(x), conv()(x)), "Conv2D"),
    "concat of x and bn(x), conv": (ODD, lambda x: conv()(concat(x, BN()(x))), "Conv2D Add"),
    "concat of x and x, conv": (ODD, lambda x: conv()(concat(x, x)), "Conv2D"),
    "concat of 1×1 convs, 3×3": (ODD, lambda x: conv(3)(concat(conv(2, 1)(x), conv(3, 1)(x))), "Conv2D Add"),
    "concat of 3×3 convs, 1×1": (ODD, lambda x: conv(3, 1)(concat(conv(2)(x), conv(3)(x))), "Conv2D"),
    "concat of 3×3 convs, 3×3": (
        ODD, lambda x: conv(3, name="c")(concat(conv(2, name="a")(x), conv(3, name="b")(x))),
        "Conv2D Conv2D", (reasons.BORDER_NOT_EXACT, "a+b c")),
    "concat of dense, dense": (VECTOR, lambda x: L.Dense(2)(concat(L.Dense(3)(x), L.Dense(2)(x))), "Dense"),
    "concat in a concat": (VECTOR, lambda x: concat(L.Dense(3)(x), concat(L.Dense(2)(x), x)), "Dense"),
    "concat of sums": (VECTOR, lambda x: concat(x + L.Dense(6)(x), L.Dense(2)(x)), "Dense"),
    "concat, bn, relu": (ODD, lambda x: L.ReLU()(BN()(concat(conv(2)(x), conv(3, 1)(x)))), "Conv2D ReLU"),
    "dense block of two": (
        ODD, lambda x: (lambda y: concat(y, conv(2, name="b")(y)))(concat(x, conv(2, name="a")(x))),
        "Conv2D Conv2D", (reasons.BORDER_NOT_EXACT, "a b")),
    "concat by rows": (ODD, lambda x: concat(conv(3)(x), conv(3)(x), axis=1), "Conv2D Conv2D Concatenate"),
    "concat of convs of x and of z": ([ODD, ODD], lambda x, z: concat(conv()(x), conv()(z)),
                                      "Conv2D Conv2D Concatenate"),
    "concat of two convs of x and one of z": (
        [ODD, ODD], lambda x, z: concat(conv()(x), conv(2)(x), conv()(z)), "Conv2D Conv2D Concatenate"),
    "concat of convs of x, z, x": (
        [ODD, ODD], lambda x, z: concat(conv()(x), conv()(z), conv()(x)), "Conv2D Conv2D Conv2D Concatenate"),
    "concat with a relu": (ODD, lambda x: concat(conv()(x), L.ReLU()(conv()(x))), "Conv2D Conv2D ReLU Concatenate"),
    "relu behind a concat": (ODD, lambda x: L.ReLU()(concat(conv()(x), conv(2)(x))), "Conv2D ReLU"),
    "convs with relus into a concat": (
        ODD, lambda x: concat(conv(activation="relu")(x), conv(2, activation="relu")(x)),
        "Conv2D Conv2D Concatenate"),
    "inception: convs and a pool": (
        ODD, lambda x: concat(conv(2, 1)(x), conv(2)(x), L.MaxPooling2D(3, 1, padding="same")(x)),
        "Conv2D MaxPooling2D Concatenate"),
    "inception: an average pool and a 1×1": (
        ODD, lambda x: concat(conv(2)(x), conv(2, 1)(L.AveragePooling2D(3, 1, padding="same")(x))),
        "AveragePooling2D Conv2D Conv2D Concatenate"),
}

SLICES = {
    "conv, slice": (ODD, lambda x: conv(6)(x)[..., 1:4], "Conv2D"),
    "slice, conv": (ODD, lambda x: conv()(x[..., 1:3]), "Conv2D"),
    "slice of all axes, conv": (ODD, lambda x: conv()(x[:, :, :, :2]), "Conv2D"),
    "slice, dense": (VECTOR, lambda x: L.Dense(3)(x[:, 2:]), "Dense"),
    "dense, slice, dense": (VECTOR, lambda x: L.Dense(2)(L.Dense(4)(x)[:, :2]), "Dense"),
    "bn, slice, conv": (ODD, lambda x: conv()(BN()(x)[..., 1:3]), "Conv2D Add"),
    "conv, slice, relu": (ODD, lambda x: L.ReLU()(conv(6)(x)[..., 1:4]), "Conv2D ReLU"),
    "slices of one conv, put together": (
        ODD, lambda x: (lambda y: concat(y[..., :2], y[..., 2:]))(conv()(x)), "Conv2D"),
    "channels of x swapped, conv": (ODD, lambda x: conv()(concat(x[..., 2:], x[..., :2])), "Conv2D"),
    "grouped by hand": (
        EVEN, lambda x: concat(conv(2)(x[..., :2]), conv(3)(x[..., 2:])), "Conv2D"),
    "half passes through": (EVEN, lambda x: concat(x[..., :2], conv(2)(x[..., 2:])), "Conv2D"),
    "slice read by two": (
        EVEN, lambda x: (lambda y: [conv()(y), L.ReLU()(y)])(x[..., :2]), "GetItem Conv2D ReLU"),
    "slice of every other channel, conv": (ODD, lambda x: conv()(x[..., ::2]), "GetItem Conv2D"),
    "slice of pixels, conv": (ODD, lambda x: conv()(x[:, 1:6]), "GetItem Conv2D"),
    "split in two by ops, convs": (
        EVEN, lambda x: concat(*(conv(2)(part) for part in keras.ops.split(x, 2, axis=-1))),
        "Split Conv2D Conv2D Concatenate"),
    "slice alone": (ODD, lambda x: x[..., :2], "GetItem"),
}


def gate(x, *layers):
    """x · gate(average of x), as squeeze and excitation does."""
    y = L.GlobalAveragePooling2D(keepdims=True)(x)
    for layer in layers:
        y = layer(y)
    return L.Multiply()([x, y])


THREE, SIXTH = L.Rescaling(1.0, 3.0, name="three"), L.Rescaling(1 / 6, name="sixth")


PRODUCTS = {
    "product of two convs": (ODD, lambda x: L.Multiply()([conv()(x), conv()(x)]), "Conv2D Conv2D Multiply"),
    "product of x and conv(x)": (ODD, lambda x: x * conv(4)(x), "Conv2D Multiply"),
    "x squared, conv": (ODD, lambda x: conv()(x * x), "Multiply Conv2D"),
    "product, bn": (ODD, lambda x: BN(name="bn")(L.Multiply()([conv()(x), conv()(x)])),
                    "Conv2D Conv2D Multiply BatchNormalization", (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "squeeze and excite, conv": (
        ODD, lambda x: conv()(gate(x, conv(2, 1, activation="relu"), conv(4, 1, activation="sigmoid"))),
        "GlobalAveragePooling2D Conv2D Conv2D Multiply Conv2D"),
    "linear gate of two 1×1": (
        ODD, lambda x: gate(x, conv(2, 1), conv(4, 1)), "GlobalAveragePooling2D Conv2D Multiply"),
    "hard sigmoid by constants in a gate": (
        ODD, lambda x: conv(3, 1)(gate(x, conv(4, 1), lambda y: L.ReLU(6.0)(y + 3.0) * (1 / 6))),
        "GlobalAveragePooling2D Conv2D ReLU Multiply Conv2D"),
    "hard swish by constants": (
        ODD, lambda x: (lambda y: conv(3, 1)(y * SIXTH(L.ReLU(6.0)(THREE(y)))))(conv(4)(x)),
        "Conv2D Rescaling ReLU Rescaling Multiply Conv2D",  # one HARD_SWISH in TFLite
        (reasons.PART_OF_ACTIVATION, "three"), (reasons.PART_OF_ACTIVATION, "sixth")),
    "gate that is an output": (
        ODD, lambda x: gate(x, conv(4, 1), lambda y: SIXTH(L.ReLU(6.0)(y + 3.0))),
        "GlobalAveragePooling2D Conv2D ReLU Rescaling Multiply",
        (reasons.ACTIVATION_BETWEEN, "sixth", "a multiplication")),
    "scaled gate in front of bn and conv": (
        ODD, lambda x: conv(3, 1)(BN()(gate(x, conv(4, 1), lambda y: L.ReLU(6.0)(y) * (1 / 6)))),
        "GlobalAveragePooling2D Conv2D ReLU Multiply Conv2D"),
    "product read by two convs": (
        ODD, lambda x: (lambda y: [conv(3, 1)(y), conv(2, 1)(y)])(gate(x, lambda y: L.ReLU(6.0)(y) * (1 / 6))),
        "GlobalAveragePooling2D ReLU Multiply Conv2D Conv2D"),
    "product read by a conv and a relu": (
        ODD, lambda x: (lambda y: [conv(3, 1)(y), L.ReLU()(y)])(gate(x, L.ReLU(6.0), SIXTH)),
        "GlobalAveragePooling2D ReLU Rescaling Multiply Conv2D ReLU",
        (reasons.ACTIVATION_BETWEEN, "sixth", "a multiplication")),
    "product with a constant, conv": (ODD, lambda x: conv()(x * 2.0), "Conv2D"),
    "product with a vector of constants, conv": (
        ODD, lambda x: conv()(x * np.array([1.0, 2.0, 0.5, -1.0], "float32")), "Conv2D"),
    "dot product": (VECTOR, lambda x: L.Dot(1)([L.Dense(3)(x), L.Dense(3)(x)]), "Dense Dense Dot"),
    "matmul of dense layers": (ROW, lambda x: keras.ops.matmul(L.Dense(9)(x), L.Dense(3)(x)), "Dense Dense Matmul"),
}
ALL = CONCATENATIONS | SLICES | PRODUCTS


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)
