"""One-rule graphs of pooling: averages are linear and can be taken first, a maximum keeps layers apart."""
import pytest
from keras import layers as L

from tfold import reasons

ROW, ODD, EVEN, CUBE, OPEN = (8, 3), (9, 7, 3), (8, 10, 4), (6, 6, 4, 2), (None, None, 4)
BN = L.BatchNormalization


def conv(filters=4, window=3, name=None, **settings):
    return L.Conv2D(filters, window, name=name, **settings)


def average(window=2, strides=None, **settings):
    return L.AveragePooling2D(window, strides, **settings)


def every(**settings):
    return L.GlobalAveragePooling2D(**settings)


# Under "macs": the average first, where it leaves fewer pixels to work on; as a part of the window it would cost more.
APART = reasons.COSTS_MORE, "a b"
FIRST = {
    "1×1, average": (EVEN, [conv(6, 1, "b"), average(name="a")], "AveragePooling2D Conv2D", APART),
    "1×1, average same at odd size": (ODD, [conv(6, 1), average(padding="same")], "AveragePooling2D Conv2D"),
    "1×1, average same over 3 by 2": (EVEN, [conv(6, 1), average(3, 2, padding="same")], "AveragePooling2D Conv2D"),
    "dense, average": (EVEN, [L.Dense(6, name="b"), average(name="a")], "AveragePooling2D Dense", APART),
    "1×1, average of a row": (ROW, [L.Conv1D(6, 1, name="b"), L.AveragePooling1D(2, name="a")],
                              "AveragePooling1D Conv1D", APART),
    "1×1, average of a volume": (CUBE, [L.Conv3D(3, 1, name="b"), L.AveragePooling3D(2, name="a")],
                                 "AveragePooling3D Conv3D", APART),
    "1×1, global average": (EVEN, [conv(6, 1), every()], "GlobalAveragePooling2D Dense"),
    "1×1, global average that keeps axes": (EVEN, [conv(6, 1), every(keepdims=True)], "GlobalAveragePooling2D Conv2D"),
    "1×1, global average, dense": (EVEN, [conv(6, 1), every(), L.Dense(3)], "GlobalAveragePooling2D Dense"),
    "1×1, bn, global average, dense": (EVEN, [conv(6, 1), BN(), every(), L.Dense(3)], "GlobalAveragePooling2D Dense"),
    "dense of a row, global average": (ROW, [L.Dense(6), L.GlobalAveragePooling1D()], "GlobalAveragePooling1D Dense"),
    "1×1, dropout, average": (EVEN, [conv(6, 1, "b"), L.Dropout(0.5), average(name="a")], "AveragePooling2D Conv2D",
                              APART),
    "bn, average, conv same": (EVEN, [BN(), average(name="a"), conv(padding="same", name="b")],
                               "AveragePooling2D Conv2D Add", APART),
    "bn, global average, dense": (EVEN, [BN(), every(), L.Dense(3)], "GlobalAveragePooling2D Dense"),
    "rescaling, global average, dense": (
        EVEN, [L.Rescaling(1 / 127.5, -1.0), every(), L.Dense(3)], "GlobalAveragePooling2D Dense"),
    "bn, global average, relu": (EVEN, [BN(name="bn"), every(), L.ReLU()],
                                 "GlobalAveragePooling2D BatchNormalization ReLU", (reasons.GRAPH_BOUNDARY, "bn")),
    "1×1, average, average": (
        EVEN, [conv(6, 1, "b"), average(name="z"), average(name="a")], "AveragePooling2D AveragePooling2D Conv2D",
        APART, (reasons.NO_LINEAR_LAYER, "z a")),
    "1×1 at an open size, average": (OPEN, [conv(6, 1, "b"), average(name="a")], "AveragePooling2D Conv2D", APART),
    "1×1 at an open size, global average": (OPEN, [conv(6, 1), every()], "GlobalAveragePooling2D Dense"),
    "relu, 1×1, global average, relu": (
        EVEN, [L.ReLU(), conv(6, 1), every(), L.ReLU()], "ReLU GlobalAveragePooling2D Dense ReLU"),
    "1×1 with relu, average": (EVEN, [conv(6, 1, activation="relu"), average()], "Conv2D AveragePooling2D"),
    "1×1 of stride 2, average": (EVEN, [conv(6, 1, "a", strides=2), average(name="b")], "Conv2D AveragePooling2D",
                                 APART),
    "grouped 1×1, average": (EVEN, [conv(8, 1, "a", groups=2), average(name="b")], "Conv2D"),
    "1×1 read elsewhere too, average": (
        EVEN, lambda x: (lambda y: [average()(y), L.ReLU()(y)])(conv(6, 1)(x)), "Conv2D AveragePooling2D ReLU"),
    "depthwise 1×1, global average": (
        EVEN, [L.DepthwiseConv2D(1), every()], "DepthwiseConv2D GlobalAveragePooling2D"),
    "conv, global average, dense": (EVEN, [conv(), every(), L.Dense(3)], "Conv2D GlobalAveragePooling2D Dense"),
}

# Under "always": one layer of all that is linear.
ONE = {
    "average, 1×1": (EVEN, [average(), conv(6, 1)], "Conv2D"),
    "average, conv": (EVEN, [average(), conv()], "Conv2D"),
    "average of stride 1, conv": (EVEN, [average(3, 1), conv()], "Conv2D"),
    "conv, average": (EVEN, [conv(), average()], "Conv2D"),
    "conv same, average": (EVEN, [conv(padding="same"), average()], "Conv2D"),
    "conv same, average over 3 by 2": (
        ODD, [conv(padding="same", name="a"), average(3, 2)], "ZeroPadding2D Conv2D", (reasons.PADDING_STAYS, "a")),
    "conv of stride 2, average": (EVEN, [conv(strides=2), average()], "Conv2D"),
    "depthwise, average": (EVEN, [L.DepthwiseConv2D(3), average()], "DepthwiseConv2D"),
    "average, depthwise": (EVEN, [average(), L.DepthwiseConv2D(3)], "DepthwiseConv2D"),
    "conv1d, average": (ROW, [L.Conv1D(4, 3), L.AveragePooling1D(2)], "Conv1D"),
    "conv3d, average": (CUBE, [L.Conv3D(3, 3), L.AveragePooling3D(2)], "Conv3D"),
    "conv, average, conv": (EVEN, [conv(), average(), conv(3, 2)], "Conv2D"),
    "conv, bn, average, 1×1": (EVEN, [conv(), BN(), average(), conv(3, 1)], "Conv2D"),
    "x averaged + conv of stride 2": (
        EVEN, lambda x: average()(x) + conv(4, 3, strides=2, padding="same")(x), "Conv2D"),
    "concat of average and conv of stride 2": (
        EVEN, lambda x: L.Concatenate()([average()(x), conv(3, strides=2, padding="same")(x)]), "Conv2D"),
    "average that reads all, conv same": (EVEN, [average(), conv(padding="same")], "Conv2D"),
    "average that leaves a row over, conv same": (
        ODD, [average(name="a"), conv(padding="same", name="b")], "AveragePooling2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "a b")),
    "average over 3 by 2, conv same": (
        EVEN, [average(3, 2, name="a"), conv(padding="same", name="b")], "AveragePooling2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "a b")),
    "average same, conv": (EVEN, [average(3, 1, padding="same"), conv()], "AveragePooling2D Conv2D"),
    "conv, average same": (EVEN, [conv(), average(3, 2, padding="same")], "Conv2D AveragePooling2D"),
    "average same that pads nothing, conv": (EVEN, [average(2, 2, padding="same"), conv()], "Conv2D"),
    "average, average": (EVEN, [average(name="a"), average(name="b")], "AveragePooling2D AveragePooling2D",
                         (reasons.NO_LINEAR_LAYER, "a b")),
    "average alone": (EVEN, [average()], "AveragePooling2D"),
    "average read by a conv and a relu": (
        EVEN, lambda x: (lambda y: [conv()(y), L.ReLU()(y)])(average()(x)), "AveragePooling2D Conv2D ReLU"),
}

MAXIMUM = {
    "conv, max, conv": (EVEN, [conv(), L.MaxPooling2D(), conv()], "Conv2D MaxPooling2D Conv2D"),
    "1×1, max, 1×1": (EVEN, [conv(6, 1), L.MaxPooling2D(), conv(4, 1)], "Conv2D MaxPooling2D Conv2D"),
    "dense, global max, dense": (EVEN, [L.Dense(6), L.GlobalMaxPooling2D(), L.Dense(3)],
                                 "Dense GlobalMaxPooling2D Dense"),
    "conv, bn, max": (EVEN, [conv(), BN(), L.MaxPooling2D()], "Conv2D MaxPooling2D"),
    "conv, max, relu": (EVEN, [conv(), L.MaxPooling2D(), L.ReLU()], "Conv2D MaxPooling2D ReLU"),
    "max, padding, conv": (EVEN, [L.MaxPooling2D(), L.ZeroPadding2D(1), conv()], "MaxPooling2D Conv2D"),
    "max of x + conv(x)": (
        EVEN, lambda x: L.MaxPooling2D()(x + conv(4, padding="same")(x)), "Conv2D MaxPooling2D"),
    "max(x) + conv of stride 2": (
        EVEN, lambda x: L.MaxPooling2D()(x) + conv(4, strides=2, padding="same")(x), "MaxPooling2D Conv2D Add"),
    "average, max": (EVEN, [average(), L.MaxPooling2D()], "AveragePooling2D MaxPooling2D"),
    "conv1d, global max": (ROW, [L.Conv1D(4, 3), L.GlobalMaxPooling1D()], "Conv1D GlobalMaxPooling1D"),
}


@pytest.mark.parametrize("case", FIRST.values(), ids=FIRST)
def test_the_average_comes_first(case, one_rule):
    one_rule(*case, policy="macs")


@pytest.mark.parametrize("case", (ONE | MAXIMUM).values(), ids=ONE | MAXIMUM)
def test_one_rule(case, one_rule):
    one_rule(*case)
