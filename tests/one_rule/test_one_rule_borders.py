"""One-rule graphs of zero padding: layers that pad, "same" at odd and even sizes, merges that differ at the border."""
import keras
import pytest
from keras import layers as L

from tfold import reasons

ROW, ODD, EVEN, CUBE, OPEN = (9, 3), (9, 7, 3), (8, 10, 4), (5, 6, 4, 2), (None, None, 3)
CONV_STAYS = reasons.PADDING_STAYS, "conv"


def pad(*sides):
    return L.ZeroPadding2D(*sides)


def conv(filters=4, window=3, **settings):
    return L.Conv2D(filters, window, **{"name": "conv"} | settings)


PADDING = {
    "padding of 1, conv": (ODD, [pad(1), conv()], "Conv2D"),
    "padding of 2, conv": (ODD, [pad(2), conv()], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of 2, conv of 5": (ODD, [pad(2), conv(4, 5)], "Conv2D"),
    "padding of 2, dilated conv": (ODD, [pad(2), conv(dilation_rate=2)], "Conv2D"),
    "padding of 1, conv same": (ODD, [pad(1), conv(padding="same")], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of 1, 1×1": (ODD, [pad(1), conv(4, 1)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding behind, conv of 2": (ODD, [pad(((0, 1), (0, 1))), conv(4, 2)], "Conv2D"),
    "padding before, conv of 2": (ODD, [pad(((1, 0), (1, 0))), conv(4, 2)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of one axis, conv": (ODD, [pad((1, 0)), conv(4, (3, 1))], "Conv2D"),
    "lopsided padding, conv": (ODD, [pad(((2, 0), (1, 3))), conv()], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of 1, conv of stride 2 at odd size": (ODD, [pad(1), conv(strides=2)], "Conv2D"),
    "padding of 1, conv of stride 2 at even size": (
        EVEN, [pad(1), conv(strides=2)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding behind, conv of stride 2 at even size": (EVEN, [pad(((0, 1), (0, 1))), conv(strides=2)], "Conv2D"),
    "padding behind, conv of stride 2 at odd size": (
        ODD, [pad(((0, 1), (0, 1))), conv(strides=2)], "Conv2D"),
    "padding of 2, conv of 5 and stride 2 at odd size": (ODD, [pad(2), conv(4, 5, strides=2)], "Conv2D"),
    "padding of 3, conv of 7 and stride 2 at even size": (
        EVEN, [pad(3), conv(4, 7, strides=2)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of 1, conv of stride 3": (EVEN, [pad(1), conv(strides=3)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "padding of 1, depthwise of stride 2 at odd size": (
        ODD, [pad(1), L.DepthwiseConv2D(3, strides=2)], "DepthwiseConv2D"),
    "padding of 1, grouped conv": (EVEN, [pad(1), conv(6, groups=2)], "Conv2D"),
    "padding of 1, separable": (ODD, [pad(1), L.SeparableConv2D(4, 3)], "Conv2D"),
    "padding1d of 1, conv1d": (ROW, [L.ZeroPadding1D(1), L.Conv1D(4, 3)], "Conv1D"),
    "padding1d before, conv1d": (ROW, [L.ZeroPadding1D((2, 0)), L.Conv1D(4, 3, name="conv")], "ZeroPadding1D Conv1D",
                                 CONV_STAYS),
    "padding3d of 1, conv3d": (CUBE, [L.ZeroPadding3D(1), L.Conv3D(3, 3)], "Conv3D"),
    "padding, padding, conv": (ODD, [pad(1), pad(1), conv(4, 5)], "Conv2D"),
    "padding, dropout, conv": (ODD, [pad(1), L.Dropout(0.5), conv()], "Conv2D"),
    "padding, bn, conv": (ODD, [pad(1), L.BatchNormalization(), conv()], "Conv2D"),
    "padding, conv, 1×1": (ODD, [pad(1), conv(), L.Dense(2)], "Conv2D"),
    "1×1, padding, conv": (ODD, [L.Dense(6), pad(1), conv()], "Conv2D Add"),
    "1×1 without bias, padding, conv": (ODD, [L.Dense(6, use_bias=False), pad(1), conv()], "Conv2D"),
    "conv, padding, 1×1": (ODD, [conv(), pad(1), L.Conv2D(2, 1, name="b")], "Conv2D ZeroPadding2D Conv2D",
                           (reasons.BORDER_NOT_EXACT, "conv b"), (reasons.PADDING_STAYS, "b")),
    "conv, padding, conv": (ODD, [conv(), pad(1), L.Conv2D(2, 3, name="b")], "Conv2D Conv2D",
                            (reasons.BORDER_NOT_EXACT, "conv b")),
    "padding alone": (ODD, [pad(1)], "ZeroPadding2D"),
    "padding, dense": (ODD, [pad(1), L.Dense(4)], "ZeroPadding2D Dense"),
    "padding, transposed": (ODD, [pad(1), L.Conv2DTranspose(4, 3)], "ZeroPadding2D Conv2DTranspose"),
    "padding, max pool": (EVEN, [pad(1), L.MaxPooling2D(3, 2)], "ZeroPadding2D MaxPooling2D"),
    "padding, relu, conv": (ODD, [pad(1), L.ReLU(), conv()], "ZeroPadding2D ReLU Conv2D"),
    "padding read by two convs": (
        ODD, lambda x: (lambda y: [conv(name="a")(y), conv(4, 3, name="b")(y)])(pad(1)(x)), "Conv2D Conv2D"),
    "padding read by two convs that are added": (
        ODD, lambda x: (lambda y: conv(name="a")(y) + conv(4, 3, name="b")(y))(pad(1)(x)), "Conv2D"),
    "padding read by a conv and a pool": (
        ODD, lambda x: (lambda y: [conv()(y), L.MaxPooling2D()(y)])(pad(1)(x)), "ZeroPadding2D Conv2D MaxPooling2D"),
    "padding that is an output": (ODD, lambda x: (lambda y: [conv()(y), y])(pad(1)(x)), "ZeroPadding2D Conv2D"),
    "padding of ops with zeros, conv": (
        ODD, lambda x: conv()(keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])), "Conv2D"),
    "padding of ops with ones, conv": (
        ODD, lambda x: conv()(keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.0)), "Pad Conv2D"),
    "padding of ops by reflection, conv": (
        ODD, lambda x: conv()(keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")), "Pad Conv2D"),
}

UNKNOWN = reasons.UNKNOWN_SIZE, "a b"
OPEN_SIZES = {
    "conv, bn": (OPEN, [conv(padding="same"), L.BatchNormalization()], "Conv2D"),
    "bn, conv": (OPEN, [L.BatchNormalization(), conv()], "Conv2D"),
    "bn, conv same": (OPEN, [L.BatchNormalization(name="bn"), conv(padding="same")], "BatchNormalization Conv2D",
                      (reasons.BORDER_NOT_EXACT, "bn", "an addition"), (reasons.UNKNOWN_SIZE, "bn conv")),
    "padding of 1, conv": (OPEN, [pad(1), conv()], "Conv2D"),
    "padding of 1, conv of stride 2": (OPEN, [pad(1), conv(strides=2)], "ZeroPadding2D Conv2D", CONV_STAYS),
    "1×1, conv": (OPEN, [L.Conv2D(4, 1), conv()], "Conv2D"),
    "1×1, conv same": (OPEN, [L.Conv2D(4, 1, name="a"), conv(name="b", padding="same")], "Conv2D Conv2D", UNKNOWN),
    "1×1 without bias, conv same": (OPEN, [L.Conv2D(4, 1, use_bias=False), conv(padding="same")], "Conv2D"),
    "1×1 without bias, conv same of stride 2": (
        OPEN, [L.Conv2D(4, 1, use_bias=False, name="a"), conv(name="b", padding="same", strides=2)], "Conv2D Conv2D",
        UNKNOWN),
    "conv same of stride 2, 1×1": (
        OPEN, [conv(name="a", padding="same", strides=2), L.Conv2D(4, 1, name="b")], "Conv2D Conv2D", UNKNOWN),
    "conv same of stride 2, bn": (OPEN, [conv(padding="same", strides=2), L.BatchNormalization()], "Conv2D"),
    "conv same, conv same": (OPEN, [conv(name="a", padding="same"), conv(name="b", padding="same")], "Conv2D Conv2D",
                             (reasons.BORDER_NOT_EXACT, "a b")),
    "x + conv(x)": (OPEN, lambda x: x + conv(3, padding="same")(x), "Conv2D"),
    "x + conv(x) of one open axis": ((None, 6, 3), lambda x: x + conv(3, padding="same")(x), "Conv2D"),
    "conv1d, conv1d": ((None, 3), [L.Conv1D(4, 3), L.Conv1D(4, 3)], "Conv1D"),
    "conv1d causal, dense": (
        (None, 3), [L.Conv1D(4, 3, padding="causal", name="a"), L.Dense(4, name="b")], "ZeroPadding1D Conv1D",
        (reasons.PADDING_STAYS, "a+b")),
    "dense, conv1d causal": (
        (None, 3), [L.Dense(4, name="a"), L.Conv1D(4, 3, padding="causal", name="b")], "Dense Conv1D", UNKNOWN),
}
ALL = PADDING | {f"open size: {name}": case for name, case in OPEN_SIZES.items()}


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)


def window(name, filters=4, size=3, kind=L.Conv2D, **settings):
    size = (filters, size) if kind is L.Conv2D else (size,)
    return kind(*size, name=name, **{"padding": "same"} | settings)


APPROXIMATE = {  # (shape, layers, ops, pixels on each side of each axis that differ)
    "conv, conv same": (ODD, [window("a", padding="valid"), window("b")], "ZeroPadding2D Conv2D", 1),
    "conv same, conv same": (ODD, [window("a"), window("b")], "Conv2D", 1),
    "conv same, conv same of 5": (EVEN, [window("a"), window("b", size=5)], "Conv2D", 2),
    "conv same, depthwise same": (ODD, [window("a"), window("b", kind=L.DepthwiseConv2D)], "Conv2D", 1),
    "three convs same": (EVEN, [window("a"), window("b"), window("c")], "Conv2D", 2),
    "conv same, conv same of stride 2 at odd size": (ODD, [window("a"), window("b", strides=2)], "Conv2D", 1),
    "conv same, conv same of stride 2 at even size": (
        EVEN, [window("a"), window("b", strides=2)], "Conv2D", 1),
    "x + conv same of conv same": (ODD, lambda x: x + window("b", filters=3)(window("a")(x)), "Conv2D", 1),
    "two residuals": (
        EVEN, lambda x: (lambda y: y + window("b")(y))(x + window("a")(x)), "Conv2D", 1),
    "conv same, conv same, 1×1": (ODD, [window("a"), window("b"), L.Conv2D(3, 1)], "Conv2D", 1),
    "conv1d same, conv1d same": (
        ROW, [L.Conv1D(4, 3, padding="same", name="a"), L.Conv1D(4, 3, padding="same", name="b")], "Conv1D", 1),
}


@pytest.mark.parametrize("case", APPROXIMATE.values(), ids=APPROXIMATE)
def test_merged_although_the_border_differs(case, made, fold_checked, ops_of, errors):
    shape, network, ops, width = case
    model = made(shape, network)
    result = fold_checked(model, tolerance=2, policy="always", border="approximate")
    assert ops_of(result.model) == ops.split()
    [merged] = result.report.verification.approximate
    assert merged.node == model.operations[-1].name
    assert merged.interior <= 1e-5 < 1e-4 < merged.border
    border, inside = errors(model, result.model, width)
    assert inside <= 1e-5 < 1e-4 < border


def test_the_border_is_exact_where_it_can_be_although_it_need_not(one_rule):
    result = one_rule(ODD, [L.Conv2D(4, 1), window("b")], "Conv2D Add", border="approximate")
    assert result.report.verification.approximate == ()
