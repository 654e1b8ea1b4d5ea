"""One-rule graphs of what keeps linear layers apart: unknown layers, shared weights, outputs, number types."""
import keras
import pytest
from keras import layers as L

from tfold import reasons

VECTOR, ROW, ODD = (6,), (9, 6), (9, 7, 3)
BN = L.BatchNormalization


@keras.saving.register_keras_serializable("one_rule")
class Doubled(keras.layers.Layer):
    """A layer of a user's own."""

    def call(self, x):
        return x + x


@keras.saving.register_keras_serializable("one_rule")
class OwnDense(keras.layers.Dense):
    """A dense layer that computes something else."""

    def call(self, x, training=None):
        return super().call(x) ** 2


def dense(name=None, units=6, **settings):
    return L.Dense(units, name=name, **settings)


def conv(name=None, filters=4, window=3, **settings):
    return L.Conv2D(filters, window, name=name, **settings)


def between(wall, ops, *refusals, shape=ROW):
    """Two dense layers with a wall between."""
    return shape, lambda x: dense("b")(wall(dense("a")(x))), f"Dense {ops} Dense", *refusals


def unknown(name):
    return [(reasons.UNKNOWN_LAYER, f"a {name}"), (reasons.UNKNOWN_LAYER, f"{name} b")]


WALLS = {
    "Lambda": between(L.Lambda(lambda x: 2 * x), "Lambda"),
    "custom layer": between(Doubled(), "Doubled"),
    "custom dense": between(OwnDense(6, name="own"), "OwnDense", *unknown("own")),
    "LayerNormalization": between(L.LayerNormalization(), "LayerNormalization"),
    "GroupNormalization": between(L.GroupNormalization(2), "GroupNormalization"),
    "UnitNormalization": between(L.UnitNormalization(), "UnitNormalization"),
    "PReLU": between(L.PReLU(), "PReLU"),
    "LeakyReLU": between(L.LeakyReLU(), "LeakyReLU"),
    "Softmax": between(L.Softmax(), "Softmax"),
    "sigmoid": between(keras.ops.sigmoid, "Sigmoid"),
    "LSTM": between(L.LSTM(6, return_sequences=True, name="lstm"), "LSTM", *unknown("lstm")),
    "self-attention": between(
        lambda y: L.MultiHeadAttention(2, 3, name="attention")(y, y), "MultiHeadAttention", *unknown("attention")),
    "Embedding": ((7,), lambda x: dense("b")(L.Embedding(5, 4)(x)), "Embedding Dense"),
    "EinsumDense": between(L.EinsumDense("abc,cd->abd", (None, 6), name="einsum"), "EinsumDense", *unknown("einsum")),
    "TimeDistributed LSTM": between(
        L.TimeDistributed(L.LSTM(6), name="each"), "Reshape LSTM Reshape", *unknown("each"), shape=(9, 5, 6)),
    "TimeDistributed dense": (ROW, lambda x: dense("b")(L.TimeDistributed(dense())(dense("a")(x))), "Dense"),
    "Bidirectional": between(
        L.Bidirectional(L.GRU(3, return_sequences=True), name="both"), "Bidirectional", *unknown("both")),
    "SpectralNormalization": between(L.SpectralNormalization(dense(), name="sn"), "SpectralNormalization",
                                     *unknown("sn")),
    "ops.square": between(keras.ops.square, "Square"),
    "ops.mean over the row": between(lambda y: keras.ops.mean(y, axis=1), "Mean"),
    "ops.flip": between(lambda y: keras.ops.flip(y, 1), "Flip"),
    "Masking": between(L.Masking(), "Masking"),
    "RepeatVector": between(L.RepeatVector(3), "RepeatVector", shape=VECTOR),
    "dot product attention": (ROW, lambda x: (lambda y: L.Attention()([y, y]))(dense("a")(x)), "Dense Attention"),
    "channels first conv": (
        ODD, lambda x: conv("b", data_format="channels_first")(conv("a", padding="same")(x)), 
        "Conv2D Permute Conv2D Permute", (reasons.PIXELS_MOVE, "a b")),
    "pool channels first": (
        ODD, lambda x: L.AveragePooling2D(2, data_format="channels_first")(conv("a")(x)),
        "Conv2D Permute AveragePooling2D Permute"),
    "flatten and reshape back": (ODD, [L.Conv2D(4, 1, name="a"), L.Flatten(), L.Reshape((9, 7, 4)), conv("b")],
                           "Conv2D Flatten Reshape Conv2D", (reasons.PIXELS_MOVE, "a b")),
    "lora": (VECTOR, lambda x: dense("b")(lora(dense("a"))(x)), "Dense Dense", (reasons.UNKNOWN_LAYER, "a b")),
    "int8 weights": (VECTOR, lambda x: dense("b")(dense("a", dtype="int8_from_float32")(x)), "Dense Dense",
                     (reasons.UNKNOWN_LAYER, "a b")),
}


def lora(layer):
    layer.build((None, 6))
    layer.enable_lora(2)
    return layer


def nested(*layers, shape=VECTOR, name="inner"):
    return keras.Sequential([keras.Input(shape), *layers], name=name)


def twice(layer):
    return lambda x: layer(layer(x))


SHARED = {
    "one dense called twice": (VECTOR, twice(dense("a")), "Dense", (reasons.SHARED_WEIGHTS, "a a")),
    "one conv called on two inputs": (
        [ODD, ODD], lambda x, z: (lambda f: f(x) + f(z))(conv("a")), "Conv2D Add"),
    "shared dense between two others": (
        VECTOR, lambda x: (lambda f: [dense("c")(f(dense("b")(x))), f(L.ReLU()(x))])(dense("a")),
        "Dense Dense ReLU Dense", (reasons.SHARED_WEIGHTS, "b a"), (reasons.SHARED_WEIGHTS, "a c")),
    "shared dense, bn": (VECTOR, lambda x: (lambda f: [BN(name="bn")(f(x)), f(L.ReLU()(x))])(dense("a")),
                         "Dense ReLU BatchNormalization", (reasons.SHARED_WEIGHTS, "bn")),
    "shared relu": (VECTOR, lambda x: (lambda r: r(dense()(r(dense()(x)))))(L.ReLU()), "Dense ReLU Dense"),
    "shared dropout": (VECTOR, lambda x: (lambda d: d(dense()(d(dense()(x)))))(L.Dropout(0.5)), "Dense"),
    "shared pool, convs": (ODD, lambda x: (lambda p: conv()(p(conv()(p(x)))))(L.AveragePooling2D(2, 1)), "Conv2D"),
    "nested model": (VECTOR, lambda x: nested(dense(), dense())(dense()(x)), "Dense"),
    "nested model in a nested model": (VECTOR, [nested(dense(), nested(dense(), dense(), name="core"))], "Dense"),
    "nested model called twice": (VECTOR, twice(nested(dense("a"), L.ReLU())), "Dense ReLU"),
    "nested model of two dense called twice": (
        VECTOR, twice(nested(dense("a"), dense("b"))), "Dense Dense", (reasons.SHARED_WEIGHTS, "a b"),
        (reasons.SHARED_WEIGHTS, "b a")),
    "nested model of dense and bn called twice": (
        VECTOR, twice(nested(dense("a"), BN(name="bn"), L.ReLU())),
        "Dense ReLU"),
    "siamese": ([ODD, ODD], lambda x, z: (lambda f: L.Subtract()([f(x), f(z)]))(
        nested(conv("a"), BN(name="bn"), shape=ODD)),
        "Conv2D Subtract"),
    "nested model called with training=False": (
        VECTOR, lambda x: nested(dense(), dense())(dense()(x), training=False), "Dense"),
}

BOUNDARY = {
    "tensor between is an output": (
        VECTOR, lambda x: (lambda y: [y, dense("b")(y)])(dense("a")(x)), "Dense Dense",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "tensor between is read by a relu": (
        VECTOR, lambda x: (lambda y: [L.ReLU()(y), dense("b")(y)])(dense("a")(x)), "Dense ReLU Dense",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "tensor between is read by two dense": (
        VECTOR, lambda x: (lambda y: [dense("b")(y), dense("c")(y)])(dense("a")(x)), "Dense Dense Dense",
        (reasons.SEVERAL_CONSUMERS, "a b"), (reasons.SEVERAL_CONSUMERS, "a c")),
    "sum that is an output too": (
        VECTOR, lambda x: (lambda y: [y, dense("b")(y)])(x + dense("a")(x)), "Dense Dense",
        (reasons.SEVERAL_CONSUMERS, "a b")),
    "the same tensor twice as output": (VECTOR, lambda x: (lambda y: [y, y])(dense()(dense()(x))), "Dense"),
    "the input as an output": (VECTOR, lambda x: [x, dense()(dense()(x))], "Dense"),
    "outputs in a dict": (VECTOR, lambda x: {"u": dense()(dense()(x)), "v": dense()(x)}, "Dense Dense"),
    "a branch that nobody reads": (VECTOR, lambda x: (dense()(x), dense()(dense()(x)))[1], "Dense"),
    "tensor given by keyword": (VECTOR, lambda x: dense()(inputs=dense()(inputs=x)), "Dense"),
    "conv given by keyword, bn by keyword": (ODD, lambda x: BN()(inputs=conv()(inputs=x), training=False), "Conv2D"),
    "dropout called with training=True": (
        VECTOR, lambda x: dense("b")(L.Dropout(1e-9)(dense("a")(x), training=True)), "Dense Dropout Dense"),
    "an activity regularizer": (VECTOR, [dense("a", activity_regularizer="l2"), dense("b")], "Dense"),
    "ActivityRegularization": (VECTOR, [dense("a"), L.ActivityRegularization(0.1), dense("b")], "Dense"),
}

TYPES = {
    "float32, float64": (VECTOR, [dense("a"), dense("b", dtype="float64")], "Dense Dense",
                         (reasons.DIFFERENT_TYPES, "a b")),
    "float64, float64": (VECTOR, [dense(dtype="float64"), dense(dtype="float64")], "Dense"),
    "cast between": (VECTOR, lambda x: dense("b", dtype="float64")(keras.ops.cast(dense("a")(x), "float64")),
                     "Dense Cast Dense"),
    "identity that casts": (VECTOR, [dense("a"), L.Activation("linear", dtype="float64"), dense("b", dtype="float64")],
                            "Dense Activation Dense"),
    "conv, bn of another type": (ODD, [conv(), BN(name="bn", dtype="float64")], "Conv2D BatchNormalization",
                                 (reasons.DIFFERENT_TYPES, "bn")),
}
ALL = WALLS | SHARED | BOUNDARY | TYPES


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_one_rule(case, one_rule):
    one_rule(*case)
