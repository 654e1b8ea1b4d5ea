"""One-rule graphs of linear layers one behind the other: what becomes one layer, and what keeps two apart."""
import pytest
from keras import layers as L

from tfold import reasons

VECTOR, ROW, ODD, EVEN, CUBE = (5,), (9, 3), (9, 7, 3), (8, 10, 4), (5, 6, 4, 2)


def same(filters, window=3, name=None, **settings):
    return L.Conv2D(filters, window, padding="same", name=name, **settings)


def dw(window=3, **settings):
    return L.DepthwiseConv2D(window, **settings)


VALID = {  # no padding behind the first: always exact
    "conv, conv": (ODD, [L.Conv2D(4, 3), L.Conv2D(5, 3)], "Conv2D"),
    "conv same, conv": (ODD, [same(4, name="a"), L.Conv2D(5, 3, name="b")], "ZeroPadding2D Conv2D",
                        (reasons.PADDING_STAYS, "a+b")),
    "conv of an even window same, conv": (
        ODD, [same(4, 2, name="a"), L.Conv2D(5, 2, name="b")], "ZeroPadding2D Conv2D", (reasons.PADDING_STAYS, "a+b")),
    "conv same, conv of stride 3, where zeros are read on one side": (
        EVEN, [same(4, name="a"), L.Conv2D(5, 1, strides=3, name="b")], "ZeroPadding2D Conv2D",
        (reasons.PADDING_STAYS, "a+b")),
    "conv1d, conv1d": (ROW, [L.Conv1D(4, 3), L.Conv1D(5, 2)], "Conv1D"),
    "conv3d, conv3d": (CUBE, [L.Conv3D(4, 2), L.Conv3D(3, (2, 3, 1))], "Conv3D"),
    "conv of 1×3, conv of 3×1": (ODD, [L.Conv2D(4, (1, 3)), L.Conv2D(5, (3, 1))], "Conv2D"),
    "conv without bias, conv without bias": (
        ODD, [L.Conv2D(4, 3, use_bias=False), L.Conv2D(5, 3, use_bias=False)], "Conv2D"),
    "conv of stride 2, conv at odd size": (ODD, [L.Conv2D(4, 3, 2), L.Conv2D(5, 2)], "Conv2D"),
    "conv of stride 2, conv at even size": (EVEN, [L.Conv2D(4, 3, 2), L.Conv2D(5, 2)], "Conv2D"),
    "conv, conv of stride 2": (EVEN, [L.Conv2D(4, 3), L.Conv2D(5, 2, strides=2)], "Conv2D"),
    "conv of stride 2, conv of stride 2": (EVEN, [L.Conv2D(4, 2, 2), L.Conv2D(5, 2, strides=2)], "Conv2D"),
    "conv of strides 2 and 1, conv of strides 1 and 3": (
        EVEN, [L.Conv2D(4, 2, (2, 1)), L.Conv2D(5, 2, strides=(1, 3))], "Conv2D"),
    "dilated conv, conv": (EVEN, [L.Conv2D(4, 2, dilation_rate=3), L.Conv2D(5, 2)], "Conv2D"),
    "conv, dilated conv": (EVEN, [L.Conv2D(4, 2), L.Conv2D(5, 2, dilation_rate=2)], "Conv2D"),
    "dilated conv, dilated conv": (
        EVEN, [L.Conv2D(4, 2, dilation_rate=2), L.Conv2D(5, 2, dilation_rate=2)], "Conv2D"),
    "conv of stride 2, dilated conv": (EVEN, [L.Conv2D(4, 2, 2), L.Conv2D(5, 2, dilation_rate=2)], "Conv2D"),
    "grouped conv, grouped conv": (EVEN, [L.Conv2D(8, 3, groups=4), L.Conv2D(4, 2, groups=2)], "Conv2D"),
    "grouped conv, conv": (EVEN, [L.Conv2D(8, 3, groups=4), L.Conv2D(3, 2)], "Conv2D"),
    "conv, grouped conv": (EVEN, [L.Conv2D(8, 3), L.Conv2D(4, 2, groups=2)], "Conv2D"),
    "depthwise, depthwise": (EVEN, [dw(), dw(2)], "DepthwiseConv2D"),
    "depthwise of multiplier 2, depthwise of multiplier 3": (
        EVEN, [dw(depth_multiplier=2), dw(2, depth_multiplier=3)], "DepthwiseConv2D"),
    "depthwise of stride 2, depthwise of stride 2": (EVEN, [dw(2, strides=2), dw(2, strides=2)], "DepthwiseConv2D"),
    "depthwise, conv": (EVEN, [dw(), L.Conv2D(3, 2)], "Conv2D"),
    "conv, depthwise of multiplier 2": (EVEN, [L.Conv2D(3, 2), dw(depth_multiplier=2)], "Conv2D"),
    "depthwise1d, conv1d": (ROW, [L.DepthwiseConv1D(3), L.Conv1D(4, 1)], "Conv1D"),
    "separable, conv": (EVEN, [L.SeparableConv2D(4, 3), L.Conv2D(3, 2)], "Conv2D"),
    "separable1d of multiplier 2, dense": (ROW, [L.SeparableConv1D(4, 3, depth_multiplier=2), L.Dense(3)], "Conv1D"),
    "dense, dense": (VECTOR, [L.Dense(3), L.Dense(4)], "Dense"),
    "dense without bias, dense": (VECTOR, [L.Dense(3, use_bias=False), L.Dense(4)], "Dense"),
    "five dense": (VECTOR, [L.Dense(n) for n in (3, 6, 2, 4, 3)], "Dense"),
    "dense, dense on a feature map": (ODD, [L.Dense(4), L.Dense(3)], "Dense"),
    "dense, dense on a sequence": (ROW, [L.Dense(4), L.Dense(3)], "Dense"),
    "dense, conv": (ODD, [L.Dense(4), L.Conv2D(3, 3)], "Conv2D"),
    "conv, dense": (ODD, [L.Conv2D(3, 3), L.Dense(4)], "Conv2D"),
    "conv1d, dense": (ROW, [L.Conv1D(3, 3), L.Dense(4)], "Conv1D"),
    "conv over all pixels, 1×1": (ODD, [L.Conv2D(4, (9, 7)), L.Conv2D(3, 1)], "Conv2D"),
    "conv, 1×1, conv, 1×1": (ODD, [L.Conv2D(4, 3), L.Conv2D(5, 1), L.Conv2D(3, 3), L.Conv2D(2, 1)], "Conv2D"),
}

POINTWISE = {  # 1×1 beside a zero-padded window
    "1×1, conv same": (ODD, [L.Conv2D(4, 1), same(5)], "Conv2D Add"),
    "1×1 without bias, conv same": (ODD, [L.Conv2D(4, 1, use_bias=False), same(5)], "Conv2D"),
    "1×1, conv same of an even window": (ODD, [L.Conv2D(4, 1), same(5, 2)], "Conv2D Add"),
    "1×1, conv same of stride 2 at odd size": (ODD, [L.Conv2D(4, 1), same(5, strides=2)], "Conv2D Add"),
    "1×1, conv same of stride 2 at even size": (EVEN, [L.Conv2D(4, 1), same(5, strides=2)], "Conv2D Add"),
    "1×1, dilated conv same": (ODD, [L.Conv2D(4, 1), same(5, dilation_rate=2)], "Conv2D Add"),
    "1×1, grouped conv same": (EVEN, [L.Conv2D(4, 1), same(6, groups=2)], "Conv2D Add"),
    "1×1, depthwise same": (ODD, [L.Conv2D(4, 1), dw(padding="same")], "Conv2D Add"),
    "1×1 of stride 2, conv same": (ODD, [L.Conv2D(4, 1, 2, use_bias=False), same(5)], "Conv2D"),
    "1×1 of stride 2, conv same at even size": (
        EVEN, [L.Conv2D(4, 1, strides=2, use_bias=False, name="a"), same(5, name="b")], "ZeroPadding2D Conv2D",
        (reasons.PADDING_STAYS, "a+b")),
    "dense, conv same": (ODD, [L.Dense(4), same(5)], "Conv2D Add"),
    "dense, conv1d same": (ROW, [L.Dense(4), L.Conv1D(5, 3, padding="same")], "Conv1D Add"),
    "1×1×1, conv3d same": (CUBE, [L.Conv3D(4, 1), L.Conv3D(3, 3, padding="same")], "Conv3D Add"),
    "conv same, 1×1": (ODD, [same(4), L.Conv2D(5, 1)], "Conv2D"),
    "conv same of stride 2, 1×1": (EVEN, [same(4, strides=2), L.Conv2D(5, 1)], "Conv2D"),
    "conv same, 1×1 of stride 2 at odd size": (ODD, [same(4), L.Conv2D(5, 1, strides=2)], "Conv2D"),
    "conv same, 1×1 of stride 2 at even size": (
        EVEN, [same(4, name="a"), L.Conv2D(5, 1, strides=2, name="b")], "ZeroPadding2D Conv2D",
        (reasons.PADDING_STAYS, "a+b")),
    "depthwise same, 1×1": (ODD, [dw(padding="same"), L.Conv2D(5, 1)], "Conv2D"),
    "1×1, depthwise same, 1×1": (ODD, [L.Conv2D(6, 1), dw(padding="same"), L.Conv2D(2, 1)], "Conv2D Add"),
    "1×1, depthwise same, 1×1 without biases": (
        ODD, [L.Conv2D(6, 1, use_bias=False), dw(padding="same", use_bias=False), L.Conv2D(2, 1)], "Conv2D"),
    "1×1, depthwise same of stride 2, 1×1, relu": (
        EVEN, [L.Conv2D(6, 1), dw(padding="same", strides=2), L.Conv2D(6, 1), L.ReLU()], "Conv2D Add ReLU"),
    "1×1, conv1d causal": (ROW, [L.Conv1D(4, 1, name="a"), L.Conv1D(5, 3, padding="causal", name="b")],
                           "ZeroPadding1D Conv1D Add", (reasons.PADDING_STAYS, "a+b")),
    "1×1 without bias, dilated conv1d causal": (
        ROW, [L.Conv1D(4, 1, use_bias=False, name="a"), L.Conv1D(5, 2, padding="causal", dilation_rate=3, name="b")],
        "ZeroPadding1D Conv1D", (reasons.PADDING_STAYS, "a+b")),
    "conv1d causal, conv1d causal": (
        ROW, [L.Conv1D(4, 3, padding="causal", name="a"), L.Conv1D(4, 3, padding="causal", name="b")],
        "ZeroPadding1D Conv1D Add", (reasons.PADDING_STAYS, "a+b")),
    "conv1d causal, dense": (ROW, [L.Conv1D(4, 3, padding="causal", name="a"), L.Dense(5, name="b")],
                             "ZeroPadding1D Conv1D", (reasons.PADDING_STAYS, "a+b")),
}

WINDOWS = {  # a window in front of zeros
    f"{name}, {other}": (shape, [first, second], ops, (reasons.BORDER_NOT_EXACT, "a b"))
    for name, other, shape, first, second, ops in [
        ("conv", "conv same", ODD, L.Conv2D(4, 3, name="a"), same(5, name="b"), "Conv2D Conv2D"),
        ("conv same", "conv same", ODD, same(4, name="a"), same(5, name="b"), "Conv2D Conv2D"),
        ("conv same", "conv same of stride 2", ODD, same(4, name="a"), same(5, name="b", strides=2), "Conv2D Conv2D"),
        ("conv same", "depthwise same", ODD, same(4, name="a"), dw(name="b", padding="same"),
         "Conv2D DepthwiseConv2D"),
        ("depthwise same", "depthwise same", ODD, dw(name="a", padding="same"), dw(name="b", padding="same"),
         "DepthwiseConv2D DepthwiseConv2D"),
        ("conv without bias", "conv same", ODD, L.Conv2D(4, 3, name="a", use_bias=False), same(5, name="b"),
         "Conv2D Conv2D"),
        ("conv3d", "conv3d same", CUBE, L.Conv3D(4, 2, name="a"), L.Conv3D(4, 3, name="b", padding="same"),
         "Conv3D Conv3D"),
        ("conv1d causal", "conv1d same", ROW, L.Conv1D(4, 3, name="a", padding="causal"),
         L.Conv1D(4, 3, name="b", padding="same"), "Conv1D Conv1D"),
    ]
}

TRANSPOSED = {
    "transposed, 1×1": (ODD, [L.Conv2DTranspose(4, 3, 2, padding="same"), L.Conv2D(5, 1)], "Conv2DTranspose"),
    "transposed, dense": (ODD, [L.Conv2DTranspose(4, 3, 2), L.Dense(5)], "Conv2DTranspose"),
    "1×1 without bias, transposed": (
        ODD, [L.Conv2D(4, 1, use_bias=False), L.Conv2DTranspose(5, 3, 2)], "Conv2DTranspose"),
    "1×1, transposed": (ODD, [L.Conv2D(4, 1, name="a"), L.Conv2DTranspose(5, 3, 2, name="b")],
                        "Conv2D Conv2DTranspose", (reasons.TRANSPOSED, "a b")),
    "transposed, conv": (ODD, [L.Conv2DTranspose(4, 3, 2, name="a"), L.Conv2D(5, 3, name="b")],
                         "Conv2DTranspose Conv2D", (reasons.TRANSPOSED, "a b")),
    "transposed, transposed": (ODD, [L.Conv2DTranspose(4, 3, 2, name="a"), L.Conv2DTranspose(5, 2, 2, name="b")],
                               "Conv2DTranspose Conv2DTranspose", (reasons.TRANSPOSED, "a b")),
    "transposed1d, 1×1": (ROW, [L.Conv1DTranspose(4, 3, 2, padding="same"), L.Conv1D(5, 1)], "Conv1DTranspose"),
    "transposed3d, dense": (CUBE, [L.Conv3DTranspose(3, 2), L.Dense(2)], "Conv3DTranspose"),
}

BETWEEN = {
    "dense, dropout, dense": (VECTOR, [L.Dense(4), L.Dropout(0.5), L.Dense(3)], "Dense"),
    "dense, identity, dense": (VECTOR, [L.Dense(4), L.Identity(), L.Dense(3)], "Dense"),
    "dense, noise, dense": (VECTOR, [L.Dense(4), L.GaussianNoise(1.0), L.Dense(3)], "Dense"),
    "dense, linear activation, dense": (VECTOR, [L.Dense(4), L.Activation("linear"), L.Dense(3)], "Dense"),
    "dense with linear activation, dense": (VECTOR, [L.Dense(4, activation="linear"), L.Dense(3)], "Dense"),
    "dense, relu, dense": (VECTOR, [L.Dense(4), L.ReLU(), L.Dense(3)], "Dense ReLU Dense"),
    "dense with relu, dense": (VECTOR, [L.Dense(4, activation="relu"), L.Dense(3)], "Dense Dense"),
    "conv, spatial dropout, conv": (ODD, [L.Conv2D(4, 3), L.SpatialDropout2D(0.5), L.Conv2D(3, 3)], "Conv2D"),
    "conv, bn, dropout, conv same": (
        ODD, [L.Conv2D(4, 1), L.BatchNormalization(), L.Dropout(0.1), same(3)], "Conv2D Add"),
}

MOVED = {  # linear too, but nothing that a convolution does
    f"dense, {type(layer).__name__.lower()}, dense": (
        ODD, [L.Dense(4, name="a"), layer, L.Dense(3, name="b")], f"Dense {type(layer).__name__} Dense",
        (reasons.PIXELS_MOVE, "a b"))
    for layer in (L.Flatten(), L.Reshape((63, 4)), L.Permute((2, 1, 3)), L.Cropping2D(1), L.UpSampling2D(2))
}
ALL = VALID | POINTWISE | WINDOWS | TRANSPOSED | BETWEEN | MOVED


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)
