"""One-rule graphs of batch norms: beside every kind of layer, several in a row, several readers, and what keeps one."""
import keras
import numpy as np
import pytest
from keras import layers as L

import tfold
from tfold import reasons

VECTOR, ROW, ODD, EVEN, CUBE = (5,), (9, 3), (9, 7, 3), (8, 10, 4), (5, 6, 4, 2)


def norm(**settings):
    return L.BatchNormalization(name="bn", **settings)


def same(filters, window=3, **settings):
    return L.Conv2D(filters, window, padding="same", **settings)


BEHIND = {
    "conv1d, bn": (ROW, [L.Conv1D(4, 3), norm()], "Conv1D"),
    "conv1d same, bn": (ROW, [L.Conv1D(4, 3, padding="same"), norm()], "Conv1D"),
    "conv1d causal, bn": (ROW, [L.Conv1D(4, 3, padding="causal", name="a"), norm()], "ZeroPadding1D Conv1D",
                          (reasons.PADDING_STAYS, "a")),
    "conv2d, bn": (ODD, [L.Conv2D(4, 3), norm()], "Conv2D"),
    "conv2d without bias, bn": (ODD, [L.Conv2D(4, 3, use_bias=False), norm()], "Conv2D"),
    "conv2d same, bn": (ODD, [same(4), norm()], "Conv2D"),
    "conv2d strided same at odd size, bn": (ODD, [same(4, strides=2), norm()], "Conv2D"),
    "conv2d strided same at even size, bn": (EVEN, [same(4, strides=2), norm()], "Conv2D"),
    "conv2d dilated same, bn": (ODD, [same(4, dilation_rate=2), norm()], "Conv2D"),
    "conv2d grouped, bn": (EVEN, [L.Conv2D(6, 3, groups=2), norm()], "Conv2D"),
    "conv3d same, bn": (CUBE, [L.Conv3D(3, 3, padding="same"), norm()], "Conv3D"),
    "depthwise1d, bn": (ROW, [L.DepthwiseConv1D(3), norm()], "DepthwiseConv1D"),
    "depthwise, bn": (ODD, [L.DepthwiseConv2D(3, padding="same"), norm()], "DepthwiseConv2D"),
    "depthwise of multiplier 2, bn": (EVEN, [L.DepthwiseConv2D(3, depth_multiplier=2), norm()], "DepthwiseConv2D"),
    "depthwise strided, bn": (EVEN, [L.DepthwiseConv2D(3, 2, padding="same"), norm()], "DepthwiseConv2D"),
    "separable, bn": (ODD, [L.SeparableConv2D(4, 3, padding="same"), norm()], "Conv2D"),
    "transposed, bn": (ODD, [L.Conv2DTranspose(4, 3, strides=2, padding="same"), norm()], "Conv2DTranspose"),
    "transposed1d, bn": (ROW, [L.Conv1DTranspose(4, 3, strides=3), norm()], "Conv1DTranspose"),
    "dense, bn": (VECTOR, [L.Dense(4), norm()], "Dense"),
    "dense on a feature map, bn": (ODD, [L.Dense(4), norm()], "Dense"),
    "conv, bn, relu": (ODD, [same(4), norm(), L.ReLU()], "Conv2D ReLU"),
    "conv, bn without center": (ODD, [same(4), norm(center=False)], "Conv2D"),
    "conv, bn without scale": (ODD, [same(4), norm(scale=False)], "Conv2D"),
    "conv, bn without either, large epsilon": (ODD, [same(4), norm(center=False, scale=False, epsilon=1.0)], "Conv2D"),
    "conv, synchronized bn": (ODD, [same(4), norm(synchronized=True)], "Conv2D"),
    "conv, axis given as a number": (ODD, [same(4), norm(axis=3)], "Conv2D"),
    "conv, dropout, bn": (ODD, [same(4), L.SpatialDropout2D(0.5), norm()], "Conv2D"),
    "conv, bn, bn": (ODD, [same(4), L.BatchNormalization(), norm()], "Conv2D"),
}

BEFORE = {
    "bn, conv1d": (ROW, [norm(), L.Conv1D(4, 3)], "Conv1D"),
    "bn, conv1d same": (ROW, [norm(), L.Conv1D(4, 3, padding="same")], "Conv1D Add"),
    "bn, conv1d causal": (ROW, [norm(), L.Conv1D(4, 3, padding="causal", name="a")], "ZeroPadding1D Conv1D Add",
                          (reasons.PADDING_STAYS, "a")),
    "bn, conv2d": (ODD, [norm(), L.Conv2D(4, 3)], "Conv2D"),
    "bn, conv2d strided": (ODD, [norm(), L.Conv2D(4, 3, strides=2)], "Conv2D"),
    "bn, conv2d dilated": (ODD, [norm(), L.Conv2D(4, 3, dilation_rate=2)], "Conv2D"),
    "bn, conv2d 1×1 same": (ODD, [norm(), same(4, 1)], "Conv2D"),
    "bn, conv2d same": (ODD, [norm(), same(4)], "Conv2D Add"),
    "bn, conv2d same of an even window": (ODD, [norm(), same(4, 2)], "Conv2D Add"),
    "bn, conv2d strided same at odd size": (ODD, [norm(), same(4, strides=2)], "Conv2D Add"),
    "bn, conv2d strided same at even size": (EVEN, [norm(), same(4, strides=2)], "Conv2D Add"),
    "bn, conv2d same, relu": (ODD, [norm(), same(4), L.ReLU()], "Conv2D Add ReLU"),
    "bn, conv2d same with relu": (ODD, [norm(), same(4, activation="relu")], "Conv2D Add Activation"),
    "bn, conv2d grouped": (EVEN, [norm(), L.Conv2D(6, 3, groups=2)], "Conv2D"),
    "bn, conv2d grouped same": (EVEN, [norm(), same(6, groups=2)], "Conv2D Add"),
    "bn, conv3d same": (CUBE, [norm(), L.Conv3D(3, 3, padding="same")], "Conv3D Add"),
    "bn, depthwise of multiplier 2": (EVEN, [norm(), L.DepthwiseConv2D(3, depth_multiplier=2)], "DepthwiseConv2D"),
    "bn, depthwise same": (EVEN, [norm(), L.DepthwiseConv2D(3, padding="same")], "DepthwiseConv2D Add"),
    "bn, separable": (ODD, [norm(), L.SeparableConv2D(4, 3)], "Conv2D"),
    "bn, dense": (VECTOR, [norm(), L.Dense(4)], "Dense"),
    "bn, dense on a feature map": (ODD, [norm(), L.Dense(4)], "Dense"),
    "bn, bn, conv": (ODD, [L.BatchNormalization(), norm(), L.Conv2D(4, 3)], "Conv2D"),
    "bn, bn": (ODD, [norm(), L.BatchNormalization()], "BatchNormalization", (reasons.GRAPH_BOUNDARY, "bn")),
    "bn, conv, bn": (ODD, [L.BatchNormalization(), same(4), norm()], "Conv2D Add"),
    "bn, zero padding, conv": (ODD, [norm(), L.ZeroPadding2D(1), L.Conv2D(4, 3)], "Conv2D Add"),
    "bn, transposed": (ODD, [norm(), L.Conv2DTranspose(4, 3, name="up")], "BatchNormalization Conv2DTranspose",
                       (reasons.TRANSPOSED, "bn", "an addition"), (reasons.TRANSPOSED, "bn up")),
    "relu, bn, dense": (VECTOR, [L.ReLU(), norm(), L.Dense(4)], "ReLU Dense"),
}

MAXIMUM = reasons.NEGATIVE_SCALE, "bn", "a multiplication"
BOUNDARY = reasons.GRAPH_BOUNDARY, "bn"

# Between it and the convolution stands what has no weights.
BESIDE = {
    "conv, average pool, bn": (EVEN, [same(4), L.AveragePooling2D(2), norm()], "Conv2D"),
    "conv, max pool, bn, relu": (EVEN, [same(4), L.MaxPooling2D(), norm(), L.ReLU()],
                                 "Conv2D MaxPooling2D BatchNormalization ReLU", MAXIMUM),
    "conv, max pool, bn of positive scale, relu": (
        EVEN, [same(4), L.MaxPooling2D(), norm(scale=False), L.ReLU()], "Conv2D MaxPooling2D ReLU"),
    "conv, max pool of one pixel, bn, relu": (
        EVEN, [same(4), L.MaxPooling2D(1, 2), norm(), L.ReLU()], "Conv2D MaxPooling2D ReLU"),
    "conv, global max, bn, relu": (EVEN, [same(4), L.GlobalMaxPooling2D(), norm(), L.ReLU()],
                                   "Conv2D GlobalMaxPooling2D BatchNormalization ReLU", MAXIMUM),
    "conv, global max, bn of positive scale, relu": (
        EVEN, [same(4), L.GlobalMaxPooling2D(), norm(scale=False), L.ReLU()], "Conv2D GlobalMaxPooling2D ReLU"),
    "conv, zero padding, bn, relu": (
        EVEN, [same(4), L.ZeroPadding2D(), norm(), L.ReLU()], "Conv2D ZeroPadding2D Add ReLU"),
    "conv, zero padding, bn, relu at an open size": (
        (None, None, 4), [same(4), L.ZeroPadding2D(), norm(), L.ReLU()],
        "Conv2D ZeroPadding2D BatchNormalization ReLU", (reasons.BORDER_NOT_EXACT, "bn", "an addition")),
    "conv, zero padding, bn without shift, relu": (
        EVEN, [same(4), L.ZeroPadding2D(), L.Rescaling([1.0, 2.0, -3.0, 4.0]), L.ReLU()], "Conv2D ZeroPadding2D ReLU"),
    "conv, zero padding, bn, conv": (
        EVEN, [same(4, name="a"), L.ZeroPadding2D(), norm(), L.Conv2D(3, 3, name="b")], "Conv2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "a b")),
    "conv, global average, bn, relu": (EVEN, [same(4), L.GlobalAveragePooling2D(), norm(), L.ReLU()],
                                       "Conv2D GlobalAveragePooling2D ReLU"),
    "relu, global average, bn, dense": (
        EVEN, [L.ReLU(), L.GlobalAveragePooling2D(), norm(), L.Dense(3)], "ReLU GlobalAveragePooling2D Dense"),
    "conv, upsampling, bn, relu": (EVEN, [same(4), L.UpSampling2D(), norm(), L.ReLU()], "Conv2D UpSampling2D ReLU"),
    "conv, bilinear upsampling, bn, relu": (
        EVEN, [same(4), L.UpSampling2D(interpolation="bilinear"), norm(), L.ReLU()], "Conv2D UpSampling2D ReLU"),
    "conv, bicubic upsampling, bn, relu": (
        EVEN, [same(4), L.UpSampling2D(interpolation="bicubic"), norm(), L.ReLU()],
        "Conv2D UpSampling2D BatchNormalization ReLU", (reasons.PIXELS_MOVE, "bn", "an addition")),
    "conv, cropping, bn, relu": (EVEN, [same(4), L.Cropping2D(), norm(), L.ReLU()], "Conv2D Cropping2D ReLU"),
    "conv, flatten, bn, relu": (EVEN, [same(4), L.Flatten(), norm(), L.ReLU()],
                                "Conv2D Flatten BatchNormalization ReLU", (reasons.PIXELS_MOVE, "bn")),
    "conv, flatten, bn, dense": (EVEN, [same(4, name="a"), L.Flatten(), norm(), L.Dense(3, name="b")],
                                 "Conv2D Flatten Dense", (reasons.PIXELS_MOVE, "a b")),
    "relu, bn, flatten, dense": (EVEN, [L.ReLU(), norm(), L.Flatten(), L.Dense(3)], "ReLU Flatten Dense"),
    "bn, flatten, dense": (EVEN, [norm(), L.Flatten(), L.Dense(3)], "Flatten Dense"),
    "bn, max pool, conv": (EVEN, [norm(), L.MaxPooling2D(), L.Conv2D(3, 3)], "BatchNormalization MaxPooling2D Conv2D",
                           MAXIMUM),
    "bn of positive scale, max pool, conv": (
        EVEN, [norm(scale=False), L.MaxPooling2D(), L.Conv2D(3, 3)], "MaxPooling2D Conv2D"),
    "bn, average pool, conv": (EVEN, [norm(), L.AveragePooling2D(2), L.Conv2D(3, 1)], "Conv2D"),
    "bn, average pool over 3 of 2, conv": (EVEN, [norm(), L.AveragePooling2D(3, 2), L.Conv2D(3, 2)], "Conv2D"),
    "bn, global average, dense": (
        EVEN, [norm(), L.GlobalAveragePooling2D(), L.Dense(3)], "GlobalAveragePooling2D Dense"),
    "x + conv(x), bn": (ODD, lambda x: norm()(L.Add()([x, same(3)(x)])), "Conv2D"),
    "concat of convs, bn": (ODD, lambda x: norm()(L.Concatenate()([same(2)(x), same(4, 1)(x)])), "Conv2D"),
    "x + relu(conv(x)), bn, relu": (
        ODD, lambda x: L.ReLU()(norm()(L.Add()([x, L.ReLU()(same(3)(x))]))),
        "Conv2D ReLU Add BatchNormalization ReLU", BOUNDARY),
    "conv of x + conv of z, bn, relu": (
        [ODD, ODD], lambda x, z: L.ReLU()(norm()(L.Add()([same(4)(x), same(4)(z)]))), "Conv2D Conv2D Add ReLU"),
    "conv of x − conv of z, bn, relu": (
        [ODD, ODD], lambda x, z: L.ReLU()(norm()(L.Subtract()([same(4)(x), same(4)(z)]))),
        "Conv2D Conv2D Subtract ReLU"),
    "concat of convs of x and z, bn, relu": (
        [ODD, ODD], lambda x, z: L.ReLU()(norm()(L.Concatenate()([same(4)(x), same(4)(z)]))),
        "Conv2D Conv2D Concatenate ReLU"),
    "concat of convs of x and z by rows, bn, relu": (
        [ODD, ODD], lambda x, z: L.ReLU()(norm()(L.Concatenate(axis=1)([same(4)(x), same(4)(z)]))),
        "Conv2D Conv2D Concatenate ReLU"),
    "concat of a conv and z, bn, relu": (
        [ODD, ODD], lambda x, z: L.ReLU()(norm()(L.Concatenate()([same(4)(x), z]))),
        "Conv2D Concatenate BatchNormalization ReLU", BOUNDARY),
    "concat of relus, bn, conv": (
        ODD, lambda x: L.Conv2D(2, 3)(norm()(L.Concatenate()([L.ReLU()(x), L.ReLU(6.0)(x)]))),
        "ReLU ReLU Concatenate Conv2D"),
}

SEVERAL_READERS = {
    "bn read by two convs": (ODD, lambda x: (lambda y: [L.Conv2D(4, 3)(y), L.Dense(2)(y)])(norm()(x)), "Conv2D Dense"),
    "bn read by a conv and a relu": (
        ODD, lambda x: (lambda y: [L.Conv2D(4, 3)(y), L.ReLU(name="r")(y)])(norm()(x)),
        "BatchNormalization Conv2D ReLU", BOUNDARY),
    "bn read by two same convs": (
        ODD, lambda x: (lambda y: [same(4)(y), same(4, 5)(y)])(norm()(x)), "BatchNormalization Conv2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "bn", "an addition")),
    "bn read by two same convs that are added": (
        ODD, lambda x: (lambda y: L.Add()([same(4)(y), same(4, 5)(y)]))(norm()(x)), "Conv2D Add"),
    "conv read by a bn and a relu": (
        ODD, lambda x: (lambda y: [norm()(y), L.ReLU()(y)])(same(4)(x)), "Conv2D BatchNormalization ReLU",
        BOUNDARY),
    "conv read by two bns": (
        ODD, lambda x: (lambda y: [norm()(y), L.BatchNormalization(name="bm")(y)])(same(4)(x)),
        "Conv2D BatchNormalization", (reasons.COMPETES, "bm")),
    "shared bn behind two convs": (ODD, lambda x: (lambda bn: [bn(same(4)(x)), bn(same(4, 1)(x))])(norm()),
                                  "Conv2D Conv2D"),
    "shared bn, one call behind a relu": (
        ODD, lambda x: (lambda bn: [bn(same(3)(x)), L.ReLU()(bn(L.ReLU()(x)))])(norm()),
        "ReLU BatchNormalization Conv2D ReLU", BOUNDARY),
    "bn on an output": (ODD, lambda x: norm()(L.ReLU()(x)), "ReLU BatchNormalization", BOUNDARY),
    "bn behind a conv, read and an output": (
        ODD, lambda x: (lambda y: [y, L.ReLU()(y)])(norm()(same(4)(x))), "Conv2D ReLU"),
    "bn before a conv, an output too": (
        ODD, lambda x: (lambda y: [y, L.Conv2D(4, 3)(y)])(norm()(x)), "BatchNormalization Conv2D",
        BOUNDARY),
    "bn of a conv that is an output too": (
        ODD, lambda x: (lambda y: [y, norm()(y)])(same(4)(x)), "Conv2D BatchNormalization",
        BOUNDARY),
}

KEPT = {
    "axis 1": (ODD, [same(4), norm(axis=1)], "Conv2D BatchNormalization", (reasons.UNKNOWN_LAYER, "bn")),
    "renorm": (ODD, [same(4), norm(renorm=True)], "Conv2D BatchNormalization", (reasons.UNKNOWN_LAYER, "bn")),
    "training=True": (ODD, lambda x: norm()(same(4)(x), training=True), "Conv2D BatchNormalization",
                      (reasons.UNKNOWN_LAYER, "bn")),
    "inside TimeDistributed, over the rows": (
        ODD, [same(4), L.TimeDistributed(L.BatchNormalization(axis=1), name="bn")],
        "Conv2D Reshape BatchNormalization Reshape",
        (reasons.UNKNOWN_LAYER, "bn")),
    "between walls": (ODD, [L.PReLU(), norm(), L.LayerNormalization()], "PReLU BatchNormalization LayerNormalization",
                      (reasons.UNKNOWN_LAYER, "bn")),
    "another number type": (ODD, [same(4), norm(dtype="float64"), L.ReLU(dtype="float64")],
                            "Conv2D BatchNormalization ReLU", (reasons.DIFFERENT_TYPES, "bn")),
}
ALL = BEHIND | BEFORE | BESIDE | SEVERAL_READERS | KEPT


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("gamma", [[0, 0, 0], [0, 1, -2], [-1, -1, -1]], ids=str)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_scales_of_zero_and_below(padding, gamma, before, errors, ops_of):
    bn, conv = norm(), L.Conv2D(3, 3, padding=padding, bias_initializer="random_normal")
    model = keras.Sequential([keras.Input(ODD), *([bn, conv] if before else [conv, bn])])
    bn.set_weights([np.array(values, float) for values in (gamma, [1, 2, 3], [0.5, 0, -0.5], [1, 0.1, 2])])
    folded = tfold.fold(model, policy="always").model
    assert ops_of(folded) == (["Conv2D", "Add"] if before and padding == "same" else ["Conv2D"])
    assert max(errors(model, folded)) <= 1e-5
