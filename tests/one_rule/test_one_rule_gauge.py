"""One-rule graphs of batch norms that go although layers stand between, because tensors are stored in another form."""
import keras
import numpy as np
import pytest
from keras import layers as L
from keras.src.applications.convnext import LayerScale
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

import tfold
from tfold import reasons

ODD, EVEN, OPEN = (9, 7, 3), (8, 10, 4), (None, None, 3)
TWO = [ODD, ODD]


def positive(name="bn", **settings):
    """A batch norm whose scale, 1/σ, is positive in each channel."""
    return L.BatchNormalization(name=name, scale=False, **settings)


def signed(name="bn", **settings):
    """A batch norm whose scale is negative in some channels."""
    return L.BatchNormalization(name=name, **settings)


def one(name=None, filters=4, **settings):
    return L.Conv2D(filters, 1, name=name, **settings)


def same(name=None, filters=4, **settings):
    return L.Conv2D(filters, 3, padding="same", name=name, **settings)


def seq(*layers):
    """The layers, one behind the other, as a function."""
    def apply(x):
        for layer in layers:
            x = layer(x)
        return x
    return apply


def read(maker, *readers):
    """What a layer makes, read by several."""
    return lambda x: (lambda y: [reader(y) for reader in readers])(maker(x))


def head(norm, activation=None):
    """A batch norm, an activation and a convolution that takes in the scale."""
    return seq(norm, activation or L.ReLU(), one(f"{norm.name}_conv"))


def gated(x, gate):
    return L.Multiply(name="times")([x, gate])


def sigmoid(x):
    return L.Activation("sigmoid")(x)


STAYS = "Conv2D BatchNormalization ReLU ReLU Conv2D Conv2D"
READERS = {  # of one tensor
    "bn + relu, and a 1×1": (
        ODD, read(one("a"), head(positive()), one("b")), "Conv2D ReLU Conv2D Conv2D",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "bn of any sign + relu, and a 1×1": (
        ODD, read(one("a"), head(signed()), one("b")), "Conv2D ReLU Conv2D Conv2D",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "bn + relu, and a same conv, which gets a border map": (
        ODD, read(one("a"), head(positive()), same("b")), "Conv2D ReLU Conv2D Conv2D Add",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "bn + relu, and a same conv at an open size": (
        OPEN, read(one("a"), head(positive()), same("b")), "Conv2D BatchNormalization ReLU Conv2D Conv2D",
        (reasons.BORDER_NOT_EXACT, "bn", "an addition"), (reasons.SEVERAL_CONSUMERS, "a b")),
    "bn + relu, and a max pool + conv": (
        EVEN, read(one(), head(positive()), seq(L.MaxPooling2D(), one())), "Conv2D ReLU MaxPooling2D Conv2D Conv2D"),
    "bn of any sign + relu, and a max pool + conv": (
        EVEN, read(one(), head(signed()), seq(L.MaxPooling2D(), one())),
        "Conv2D BatchNormalization ReLU MaxPooling2D Conv2D Conv2D",
        (reasons.NEGATIVE_SCALE, "bn", "a multiplication")),
    "bn of any sign + relu, and a max pool of one pixel + conv": (
        EVEN, read(one(), head(signed()), seq(L.MaxPooling2D(1, 2), one())),
        "Conv2D ReLU MaxPooling2D Conv2D Conv2D"),
    "bn + relu, and a relu + conv": (
        ODD, read(one(), head(positive()), seq(L.ReLU(), one())), STAYS,
        (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "bn of any sign + relu, and a relu + conv": (
        ODD, read(one(), head(signed()), seq(L.ReLU(), one())), STAYS, (reasons.NEGATIVE_SCALE, "bn")),
    "two bns + relu": (
        ODD, read(one(), head(positive("a")), head(positive("b"))), STAYS, (reasons.COMPETES, "b", "an addition")),
    "two bns + relu, one of any sign": (
        ODD, read(one(), head(positive("a")), head(signed("b"))), STAYS, (reasons.COMPETES, "b")),
    "two bns + relu, one behind a relu": (
        ODD, read(one(), head(positive("a")), seq(L.ReLU(), head(positive("b")))),
        "Conv2D ReLU BatchNormalization BatchNormalization ReLU ReLU Conv2D Conv2D",
        (reasons.ACTIVATION_BETWEEN, "a", "an addition"), (reasons.ACTIVATION_BETWEEN, "b", "an addition")),
    "three bns, two of them before a conv": (
        ODD, read(one("s"), head(positive("a")), seq(signed("b"), one("c")), seq(signed("d"), one("e"))),
        "Conv2D ReLU Conv2D Conv2D Conv2D", (reasons.SEVERAL_CONSUMERS, "s c"), (reasons.SEVERAL_CONSUMERS, "s e")),
    "bn + relu, and the output": (
        ODD, read(one(), head(positive()), L.Identity()), "Conv2D BatchNormalization ReLU Conv2D",
        (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "bn + conv, and the output": (
        ODD, read(one("a"), seq(positive(), one("b")), L.Identity()), "Conv2D Conv2D",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "the input: bn + conv, and the output": (ODD, lambda x: [x, one()(signed()(x))], "Conv2D"),
    "the input: bn + relu + conv, and the output": (
        ODD, lambda x: [x, head(positive())(x)], "BatchNormalization ReLU Conv2D",
        (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
}

THROUGH = {  # activations behind two batch norms that compete: does the second lose its scale?
    name: (ODD, read(one(), head(positive("a"), make()), head(positive("b"), make())),
           f"Conv2D BatchNormalization {op} {op} Conv2D Conv2D", (reasons.COMPETES, "b", *half))
    for name, make, op, half in [
        ("relu", L.ReLU, "ReLU", ["an addition"]),
        ("leaky relu", L.LeakyReLU, "LeakyReLU", ["an addition"]),
        ("prelu", L.PReLU, "PReLU", ["an addition"]),
        ("relu with a negative slope", lambda: L.ReLU(negative_slope=0.2), "ReLU", ["an addition"]),
        ("relu with a threshold", lambda: L.ReLU(threshold=0.5), "ReLU", []),
        ("relu6", lambda: L.ReLU(6.0), "ReLU", []),
        ("sigmoid", lambda: L.Activation("sigmoid"), "Activation", []),
        ("swish", lambda: L.Activation("swish"), "Activation", []),
        ("softmax", L.Softmax, "Softmax", []),
    ]
}

GATES = {
    "bn of any sign on a product, conv": (
        ODD, lambda x: one()(signed()(gated(L.ReLU()(x), sigmoid(x)))), "ReLU Activation Multiply Conv2D"),
    "bn on a product, relu, conv": (
        ODD, lambda x: head(positive())(gated(L.ReLU()(x), sigmoid(x))),
        "ReLU Activation Multiply BatchNormalization ReLU Conv2D", (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "bn of any sign on what is gated": (
        ODD, lambda x: one()(gated(signed()(L.ReLU()(x)), sigmoid(x))),
        "ReLU BatchNormalization Activation Multiply Conv2D", (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "bn of any sign on the gate": (
        ODD, lambda x: one()(gated(L.ReLU()(x), signed()(sigmoid(x)))),
        "Activation ReLU BatchNormalization Multiply Conv2D", (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "bn on a gate of one channel": (
        ODD, lambda x: one()(gated(L.ReLU()(x), signed()(sigmoid(one(filters=1)(x))))),
        "Conv2D Activation ReLU BatchNormalization Multiply Conv2D", (reasons.ACTIVATION_BETWEEN, "bn")),
    "scale on what is gated": (
        ODD, lambda x: one()(gated(LayerScale(0.5, 3)(L.ReLU()(x)), sigmoid(x))), "ReLU Activation Multiply Conv2D"),
    "scale on both": (
        ODD, lambda x: one()(gated(LayerScale(0.5, 3)(L.ReLU()(x)), LayerScale(0.3, 3)(sigmoid(x)))),
        "ReLU Activation Multiply Conv2D"),
    "scale on the gate of an output": (
        ODD, lambda x: gated(L.ReLU()(x), LayerScale(0.5, 3, name="s")(sigmoid(x))),
        "Activation ReLU LayerScale Multiply", (reasons.ACTIVATION_BETWEEN, "s", "a multiplication")),
}


def siamese(*layers):
    return lambda x, z: L.Subtract()([seq(*layers)(x), seq(*layers)(z)])


def shared_conv(first, second):
    return lambda x, z: (lambda conv: [first(conv(x)), second(conv(z))])(same("c"))


SHARED = {
    "siamese: conv, bn, relu, conv": (
        TWO, siamese(same(), signed(), L.ReLU(), one()), "Conv2D ReLU Conv2D Subtract"),
    "siamese: relu, bn, conv": (TWO, siamese(L.ReLU(), signed(), one()), "ReLU Conv2D Subtract"),
    "siamese: relu, bn, relu": (TWO, siamese(L.ReLU(), signed(), L.ReLU()), "ReLU BatchNormalization ReLU Subtract",
                                (reasons.GRAPH_BOUNDARY, "bn")),
    "one bn behind two convs": (
        TWO, lambda x, z: (lambda bn: [L.ReLU()(bn(same()(x))), L.ReLU()(bn(same()(z)))])(signed()),
        "Conv2D Conv2D ReLU ReLU"),
    "a shared conv, the same bn": (
        TWO, lambda x, z: (lambda bn: shared_conv(seq(bn, L.ReLU()), seq(bn, L.ReLU()))(x, z))(signed()),
        "Conv2D ReLU ReLU"),
    "a shared conv, two bns": (
        TWO, shared_conv(seq(signed("a"), L.ReLU()), seq(signed("b"), L.ReLU())),
        "Conv2D BatchNormalization ReLU ReLU", (reasons.COMPETES, "b")),
    "a shared conv, two bns with convs behind": (
        TWO, shared_conv(head(positive("a")), head(positive("b"))), STAYS, (reasons.COMPETES, "b", "an addition")),
    "a shared conv, one bn": (
        TWO, shared_conv(head(positive("a")), L.ReLU()), "Conv2D BatchNormalization ReLU Conv2D ReLU",
        (reasons.SHARED_WEIGHTS, "a", "an addition")),
    "a shared conv, one behind the other": (
        ODD, lambda x: (lambda conv: seq(conv, signed("a"), L.ReLU(), conv, signed("b"), L.ReLU())(x))(same("c", 3)),
        "Conv2D ReLU BatchNormalization ReLU", (reasons.COMPETES, "b")),
}


def alpha(value):
    return tfold.AlphaActivation("relu", alpha_initializer=keras.initializers.Constant(value))


RESIDUALS = {
    "layer scale behind a conv": (ODD, [one(), LayerScale(0.5, 4), L.ReLU()], "Conv2D ReLU"),
    "layer scale of a ConvNeXt block": (
        EVEN, lambda x: x + LayerScale(1e-6, 4)(one()(L.Activation("gelu")(one(filters=8)(x)))),
        "Conv2D Activation Conv2D Add"),
    "layer scale through a relu": (
        ODD, [L.ReLU(), LayerScale(0.5, 3), L.ReLU(), one()], "ReLU ReLU Conv2D"),
    "negative layer scale, relu": (
        ODD, [L.ReLU(), LayerScale(-0.5, 3, name="s"), L.ReLU(), one()], "ReLU LayerScale ReLU Conv2D",
        (reasons.NEGATIVE_SCALE, "s", "a multiplication")),
    "x + 0.17·conv(x)": (ODD, lambda x: CustomScaleLayer(0.17)([x, one(None, 3)(x)]), "Conv2D"),
    "x + 0.17·conv(relu(x)), relu": (
        ODD, lambda x: L.ReLU()(CustomScaleLayer(0.17)([x, one(None, 3)(L.ReLU()(x))])), "ReLU Conv2D Add ReLU"),
    "conv(x) + 0.17·conv(z), bn, relu": (
        TWO, lambda x, z: L.ReLU()(signed()(CustomScaleLayer(0.17)([one()(x), one()(z)]))), "Conv2D Conv2D Add ReLU"),
    "branch without its activation": (
        ODD, lambda x: x + seq(same(), signed("a"), alpha(1.0), one(None, 3), signed("b"))(x), "Conv2D"),
    "branch without its activation that begins with bn": (
        ODD, lambda x: x + seq(signed(), alpha(1.0), one(None, 3))(x), "Conv2D"),
    "branch with its activation": (
        ODD, lambda x: x + seq(same(), signed("a"), alpha(0.0), one(None, 3), signed("b"))(x),
        "Conv2D Activation Conv2D Add"),
    "branch with its activation that begins with bn": (
        ODD, lambda x: x + seq(positive(), alpha(0.0), one(None, 3))(x), "BatchNormalization Activation Conv2D Add",
        (reasons.ACTIVATION_BETWEEN, "bn", "an addition")),
    "two blocks, bn first": (
        ODD, lambda x: (lambda y: y + head(positive("b"))(y))(same()(x) + head(signed("a"))(same()(x))),
        "Conv2D ReLU Conv2D Conv2D Add ReLU Conv2D Add"),
}
ALL = READERS | THROUGH | GATES | SHARED | RESIDUALS


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)


ZERO, LARGE = {"gamma": [1, 0, 2, 0.5]}, {"gamma": [1, 2, 2, 0.5], "beta": [1e5, 0, 0, 0]}
NUMBERS = {  # (shapes, network, weights of bn, ops, refusals)
    "scale of 0, conv in front": (ODD, [same(), signed(), L.ReLU()], ZERO, "Conv2D ReLU"),
    "scale of 0, conv behind": (EVEN, [L.ReLU(), signed(), one()], ZERO, "ReLU Conv2D"),
    "scale of 0, conv in front read elsewhere too": (
        ODD, read(one("a"), head(signed()), one("b")), ZERO, "Conv2D BatchNormalization ReLU Conv2D Conv2D",
        (reasons.NOT_INVERTIBLE, "bn"), (reasons.SEVERAL_CONSUMERS, "a b")),
    "scale of 0, sum in front read elsewhere too": (
        TWO, lambda x, z: read(L.Add(), head(signed()), one())([same()(x), same()(z)]), ZERO,
        "Conv2D Conv2D Add BatchNormalization ReLU Conv2D Conv2D", (reasons.NOT_INVERTIBLE, "bn")),
    "large shift": (ODD, [same(), signed(), L.ReLU()], LARGE, "Conv2D ReLU"),
    "large shift, conv in front read elsewhere too": (
        ODD, read(one("a"), head(signed()), one("b")), LARGE, "Conv2D BatchNormalization ReLU Conv2D Conv2D",
        (reasons.IMPRECISE, "bn"), (reasons.SEVERAL_CONSUMERS, "a b")),
    "large shift behind a pool, conv in front read elsewhere too": (
        EVEN, read(one("a"), seq(L.AveragePooling2D(2, name="pool"), head(signed())), one("b")), LARGE,
        "Conv2D AveragePooling2D BatchNormalization ReLU Conv2D Conv2D",
        (reasons.IMPRECISE, "bn"), (reasons.SEVERAL_CONSUMERS, "a b"), (reasons.NO_LINEAR_LAYER, "pool bn")),
}


@pytest.mark.parametrize("case", NUMBERS.values(), ids=NUMBERS)
def test_numbers(case, made, randomize, ops_of, said, errors):
    shapes, network, weights, ops, *refusals = case
    keras.utils.set_random_seed(0)
    model = randomize(made(shapes, network))
    for name, values in weights.items():
        getattr(model.get_layer("bn"), name).assign(np.array(values, float))
    result = tfold.fold(model, policy="always")
    assert ops_of(result.model) == ops.split()
    assert said(result) == sorted(refusals)
    assert max(errors(model, result.model)) <= 1e-5
