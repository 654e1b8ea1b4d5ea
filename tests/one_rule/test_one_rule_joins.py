"""One-rule graphs of sums, differences, concatenations, slices and products of linear branches."""
import keras
import pytest
from keras import layers as L

from tfold import reasons

VECTOR, ROW, ODD, EVEN, CUBE = (5,), (9, 3), (9, 7, 3), (8, 10, 4), (5, 6, 4, 2)
BN = L.BatchNormalization


def conv(filters=3, window=3, name=None, **settings):
    return L.Conv2D(filters, window, name=name, **{"padding": "same"} | settings)


def dw(window=3, **settings):
    return L.DepthwiseConv2D(window, **{"padding": "same"} | settings)


def seq(*layers):
    """The layers, one behind the other, as a function."""
    def apply(x):
        for layer in layers:
            x = layer(x)
        return x
    return apply


def added(*tensors, **settings):
    return L.Add(name="s", **settings)(list(tensors))


def again(x, block, times=2):
    for _ in range(times):
        x = block(x)
    return x


SKIPS = {
    "x + conv(x)": (ODD, lambda x: L.Add()([x, conv()(x)]), "Conv2D"),
    "conv(x) + x by operator": (ODD, lambda x: conv()(x) + x, "Conv2D"),
    "conv(x) + x by ops.add": (ODD, lambda x: keras.ops.add(conv()(x), x), "Conv2D"),
    "x + conv1d(x)": (ROW, lambda x: x + L.Conv1D(3, 3, padding="same")(x), "Conv1D"),
    "x + conv1d causal(x)": (ROW, lambda x: x + L.Conv1D(3, 3, padding="causal", name="a")(x), "ZeroPadding1D Conv1D",
                             (reasons.PADDING_STAYS, "a")),
    "x + conv3d(x)": (CUBE, lambda x: x + L.Conv3D(2, 3, padding="same")(x), "Conv3D"),
    "x + dense(x)": (VECTOR, lambda x: x + L.Dense(5)(x), "Dense"),
    "x + 1×1(x)": (ODD, lambda x: x + conv(3, 1)(x), "Conv2D"),
    "x + depthwise(x)": (EVEN, lambda x: x + dw()(x), "DepthwiseConv2D"),
    "x + grouped conv(x)": (EVEN, lambda x: x + conv(4, groups=2)(x), "Conv2D"),
    "x + dilated conv(x)": (EVEN, lambda x: x + conv(4, dilation_rate=2)(x), "Conv2D"),
    "x + conv of an even window(x)": (ODD, lambda x: x + conv(3, 2)(x), "Conv2D"),
    "x + separable(x)": (ODD, lambda x: x + L.SeparableConv2D(3, 3, padding="same")(x), "Conv2D"),
    "x + bn(conv(x))": (ODD, lambda x: x + BN()(conv()(x)), "Conv2D"),
    "bn(x) + conv(x)": (ODD, lambda x: BN()(x) + conv()(x), "Conv2D"),
    "x + bn(x)": (ODD, lambda x: x + BN(name="bn")(x), "BatchNormalization", (reasons.GRAPH_BOUNDARY, "bn")),
    "x + x": (ODD, lambda x: L.Add(name="twice")([x, x]), "Add", (reasons.COSTS_MORE, "twice")),
    "conv of x + x": (ODD, lambda x: conv()(x + x), "Conv2D"),
    "dense(x) + dense(x) of the same tensor": (VECTOR, lambda x: (lambda y: y + y)(L.Dense(4)(x)), "Dense"),
    "x + 1×1(depthwise(1×1(x)))": (
        ODD, lambda x: x + seq(conv(6, 1), dw(), conv(3, 1))(x), "Conv2D Add"),
    "x + 1×1(depthwise(1×1(x))) without bias in front": (
        ODD, lambda x: x + seq(conv(6, 1, use_bias=False), dw(), conv(3, 1))(x), "Conv2D"),
    "x + conv(conv(x))": (
        ODD, lambda x: x + conv(name="b")(conv(4, name="a")(x)), "Conv2D Conv2D Add",
        (reasons.BORDER_NOT_EXACT, "a b")),
    "residual of residuals": (
        VECTOR, lambda x: x + again(x, lambda y: y + L.Dense(5)(y)), "Dense"),
    "three residuals of dense": (VECTOR, lambda x: again(x, lambda y: y + L.Dense(5)(L.Dense(7)(y)), 3), "Dense"),
    "two residuals of 1×1": (ODD, lambda x: again(x, lambda y: y + conv(3, 1)(y)), "Conv2D"),
    "relu between two residuals": (
        ODD, lambda x: again(x, lambda y: L.ReLU()(y + conv()(y))), "Conv2D ReLU Conv2D ReLU"),
    "x + relu(conv(x))": (ODD, lambda x: x + L.ReLU()(conv()(x)), "Conv2D ReLU Add"),
    "x + conv with relu(x)": (ODD, lambda x: x + conv(activation="relu")(x), "Conv2D Add"),
    "relu(x) + conv(x)": (ODD, lambda x: L.ReLU()(x) + conv()(x), "ReLU Conv2D Add"),
    "relu(x) + conv(relu(x))": (
        ODD, lambda x: (lambda y: y + conv()(y))(L.ReLU()(x)), "ReLU Conv2D"),
}

SUMS = {
    "RepVGG block": (ODD, lambda x: L.ReLU()(BN()(x) + BN()(conv(use_bias=False)(x)) + BN()(conv(3, 1)(x))),
                     "Conv2D ReLU"),
    "RepVGG block by Add": (ODD, lambda x: L.ReLU()(L.Add()([BN()(x), BN()(conv()(x)), BN()(conv(3, 1)(x))])),
                            "Conv2D ReLU"),
    "RepVGG block of stride 2 at odd size": (
        ODD, lambda x: L.Add()([BN()(conv(4, strides=2)(x)), BN()(conv(4, 1, strides=2)(x))]), "Conv2D"),
    "RepVGG block of stride 2 at even size": (
        EVEN, lambda x: L.Add()([conv(4, strides=2)(x), conv(4, 1, strides=2)(x)]), "Conv2D"),
    "3×3 + 5×5": (ODD, lambda x: conv()(x) + conv(3, 5)(x), "Conv2D"),
    "1×3 + 3×1": (ODD, lambda x: conv(3, (1, 3))(x) + conv(3, (3, 1))(x), "Conv2D"),
    "2×2 + 3×3": (ODD, lambda x: conv(3, 2)(x) + conv(3, 3)(x), "Conv2D"),
    "3×3 + dilated 3×3": (EVEN, lambda x: conv()(x) + conv(dilation_rate=2)(x), "Conv2D"),
    "3×3 + depthwise 3×3": (EVEN, lambda x: conv(4)(x) + dw()(x), "Conv2D"),
    "depthwise 3×3 + depthwise 5×5": (EVEN, lambda x: dw()(x) + dw(5)(x), "DepthwiseConv2D"),
    "conv + dense": (ODD, lambda x: conv(4)(x) + L.Dense(4)(x), "Conv2D"),
    "conv valid + conv valid of the same size": (
        ODD, lambda x: L.Conv2D(3, (1, 3))(L.Conv2D(3, (3, 1))(x)) + L.Conv2D(3, 3)(x), "Conv2D"),
    "a + b + c by operators": (ODD, lambda x: conv()(x) + conv(3, 1)(x) + conv(3, 5)(x), "Conv2D"),
    "a + (b + c) by operators": (ODD, lambda x: conv()(x) + (conv(3, 1)(x) + conv(3, 5)(x)), "Conv2D"),
    "sum of a list by operators": (VECTOR, lambda x: sum([L.Dense(4)(x) for _ in range(3)]), "Dense"),
    "transposed + transposed": (
        ODD, lambda x: L.Add(name="s")([L.Conv2DTranspose(3, 3, name=name)(x) for name in "ab"]),
        "Conv2DTranspose Conv2DTranspose Add", (reasons.TRANSPOSED, "a b s")),
    "a(x) + b(z)": ([ODD, ODD], lambda x, z: conv()(x) + conv()(z), "Conv2D Conv2D Add"),
    "a(x) + b(x) + z": ([ODD, ODD], lambda x, z: L.Add()([conv()(x), conv(3, 1)(x), z]), "Conv2D Add"),
    "a(x) + z + b(x)": ([ODD, ODD], lambda x, z: L.Add()([conv()(x), z, conv(3, 1)(x)]), "Conv2D Add"),
    "a(x) + z + b(x) by operators": ([ODD, ODD], lambda x, z: conv()(x) + z + conv(3, 1)(x), "Conv2D Add"),
    "a(x) + c(z) + b(x) + d(z)": (
        [ODD, ODD], lambda x, z: L.Add()([conv()(x), conv()(z), conv(3, 1)(x), conv(3, 1)(z)]), "Conv2D Conv2D Add"),
    "x + z + a(x)": ([ODD, ODD], lambda x, z: x + z + conv()(x), "Conv2D Add"),
    "x + z + x": ([ODD, ODD], lambda x, z: x + z + x, "Add Add"),
    "a(x) + b(x) + relu(x)": (ODD, lambda x: conv()(x) + conv(3, 1)(x) + L.ReLU()(x), "Conv2D ReLU Add"),
    "conv(x) + a vector that broadcasts": (
        [ODD, (1, 1, 3)], lambda x, z: conv()(x) + conv(3, 1)(z), "Conv2D Conv2D Add"),
    "conv(x) + its own average that broadcasts": (
        ODD, lambda x: (lambda y: y + L.GlobalAveragePooling2D(keepdims=True)(y))(conv()(x)),
        "Conv2D GlobalAveragePooling2D Add"),
    "conv, then the sum of two convs": (
        ODD, lambda x: (lambda y: conv(3, 1)(y) + conv(3, 1)(y))(conv(2)(x)), "Conv2D"),
    "the sum of two convs, then a 1×1": (ODD, lambda x: conv(4, 1)(conv()(x) + conv(3, 1)(x)), "Conv2D"),
    "the sum of two convs, then a same conv": (
        ODD, lambda x: conv(4, name="c")(L.Add(name="s")([conv(name="a")(x), conv(3, 1, name="b")(x)])),
        "Conv2D Conv2D", (reasons.BORDER_NOT_EXACT, "a+b c")),
    "a(x) − b(x)": (ODD, lambda x: L.Subtract()([conv()(x), conv(3, 1)(x)]), "Conv2D"),
    "x − conv(x) by operator": (ODD, lambda x: x - conv()(x), "Conv2D"),
    "x − x's average pool": (ODD, lambda x: x - L.AveragePooling2D(3, 1, padding="same")(x),
                             "AveragePooling2D Subtract"),
    "mean of x and conv(x)": (ODD, lambda x: L.Average()([x, conv()(x)]), "Conv2D"),
    "mean of three convs": (ODD, lambda x: L.Average()([conv()(x), conv(3, 1)(x), conv(3, 5)(x)]), "Conv2D"),
    "half of x + conv(x)": (ODD, lambda x: (x + conv()(x)) * 0.5, "Conv2D"),
    "0.3·x + 0.7·conv(x)": (ODD, lambda x: 0.3 * x + 0.7 * conv()(x), "Conv2D"),
    "conv(x) − x + conv(x)": (ODD, lambda x: conv()(x) - x + conv(3, 1)(x), "Conv2D"),
    "a(x) − b(z)": ([ODD, ODD], lambda x, z: conv()(x) - conv()(z), "Conv2D Conv2D Subtract"),
    "maximum of two convs": (ODD, lambda x: L.Maximum()([conv()(x), conv(3, 1)(x)]), "Conv2D Conv2D Maximum"),
}

APART = {  # sums of linear branches of one tensor that stay
    "a branch is an output too": (
        ODD, lambda x: (lambda y: [added(conv(name="a")(x), y), y])(conv(3, 1, "b")(x)), "Conv2D Conv2D Add",
        (reasons.SEVERAL_CONSUMERS, "a b s")),
    "a branch is read by a relu too": (
        ODD, lambda x: (lambda y: [added(conv(name="a")(x), y), L.ReLU()(y)])(conv(3, 1, "b")(x)),
        "Conv2D Conv2D Add ReLU", (reasons.SEVERAL_CONSUMERS, "a b s")),
    "a layer is called twice": (ODD, lambda x: (lambda f: added(f(x), f(x)))(conv(name="a")), "Conv2D Add",
                                (reasons.SHARED_WEIGHTS, "a s")),
    "a branch crops": (ODD, lambda x: added(L.Cropping2D(1, name="a")(x), L.Conv2D(3, 3, name="b")(x)),
                       "Cropping2D Conv2D Add", (reasons.PIXELS_MOVE, "a b s")),
    "a branch is of another type": (
        VECTOR, lambda x: added(x, L.Dense(5, name="a")(x), dtype="float64"), "Dense Add",
        (reasons.DIFFERENT_TYPES, "a s")),
}
ALL = SKIPS | SUMS | APART


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)
