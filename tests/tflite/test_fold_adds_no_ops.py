"""The .tflite file of a folded network has no more ops than that of the network as it was."""
import keras
import numpy as np
import pytest
from keras import layers as L

import tfold
from tfold.tflite.contents import read
from tfold.tflite.convert import _traced
from tfold.tflite.converter import converted
from tfold.tflite.formats import format_named

BN = L.BatchNormalization
SHAPE = (8, 8, 4)


@keras.saving.register_keras_serializable("tfold_tests")
class OwnConv(L.Layer):
    """A convolution that tfold does not read."""

    def __init__(self, filters=4, **settings):
        super().__init__(**settings)
        self.filters, self.conv = filters, L.Conv2D(filters, 3, padding="same")

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        return self.conv(x)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def chain(*stack):
    def apply(x):
        for layer in stack:
            x = layer(x)
        return x

    return apply


def called_twice(x):
    conv = L.Conv2D(8, 3)
    return L.Concatenate()([L.ReLU()(BN()(conv(x))), L.ReLU()(BN()(conv(L.Activation("tanh")(x))))])


def read_elsewhere(x):
    y = L.Conv2D(8, 3)(x)
    return L.Concatenate()([L.ReLU()(BN()(y)), L.Activation("sigmoid")(y)])


def residual(x):
    y = BN()(OwnConv()(x))
    return L.ReLU()(BN()(L.Add()([y, BN()(L.Conv2D(4, 1)(x))])))


def hard_swish(x):
    y = BN()(L.Conv2D(8, 3)(x))
    return L.Conv2D(4, 3, padding="same")(L.Multiply()([y, L.ReLU(6.0)(y + 3.0) * (1 / 6)]))


def hard_swish_in_the_end(x):
    y = BN()(L.Conv2D(8, 3)(x))
    return y * keras.ops.relu6(y + 3.0) / 6.0


def gelu(x):
    y = BN()(L.Conv2D(8, 3)(x))
    return 0.5 * y * (1.0 + keras.ops.erf(y / 1.4142135))


# What becomes of the ops, plain and folded.
NETWORKS = {
    "own conv, bn, relu": (lambda: chain(OwnConv(), BN(), L.ReLU()), 1, 1),
    "own conv, bn, sigmoid": (lambda: chain(OwnConv(), BN(), L.Activation("sigmoid")), 2, 2),
    "own conv, bn, padded conv": (lambda: chain(OwnConv(), BN(), L.Conv2D(4, 3, padding="same")), 2, 2),
    "own conv, bn, average pool": (lambda: chain(OwnConv(), BN(), L.AveragePooling2D(2)), 2, 2),
    "spectral, bn": (lambda: chain(L.SpectralNormalization(L.Conv2D(8, 3)), BN(), L.ReLU()), 1, 1),
    "own conv, arithmetic": (lambda: chain(OwnConv(), L.Rescaling(2.0, 1.0), L.Conv2D(4, 3, padding="same")), 2, 2),
    "own conv, pool, bn": (lambda: chain(OwnConv(), L.MaxPooling2D(2), BN(), L.ReLU()), 4, 3),
    "a residual of own convs": (lambda: residual, 5, 4),
    "a conv that is called twice": (lambda: called_twice, 4, 4),
    "a conv that is read elsewhere": (lambda: read_elsewhere, 5, 4),
    "bn at the input, relu": (lambda: chain(BN(), L.ReLU(), L.Conv2D(4, 3)), 3, 2),
    "bn at the input, padded conv": (lambda: chain(BN(), L.Conv2D(4, 3, padding="same")), 3, 2),
    "sum, bn": (lambda: lambda x: L.Activation("sigmoid")(BN()(L.Add()([L.Activation("tanh")(x), x]))), 5, 4),
    "concat, bn": (lambda: lambda x: L.ReLU()(BN()(L.Concatenate()([L.Activation("tanh")(x), x]))), 4, 3),
    "vectors, bn, relu": (lambda: chain(L.GlobalMaxPooling2D(), BN(), L.ReLU(), L.Dense(3)), 4, 4),
    "hard swish by hand": (lambda: hard_swish, 3, 3),
    "hard swish by hand, in the end": (lambda: hard_swish_in_the_end, 2, 2),
    "gelu by hand": (lambda: gelu, 2, 2),
}


def ops(model, path):
    content = converted(_traced(model, 1)[0], format_named(None), "float32", "float32", select_tf_ops=True)
    path.write_bytes(content)
    return [op.kind for op in read(path).ops]


@pytest.mark.parametrize("name", NETWORKS)
def test_ops(name, randomize, tmp_path):
    make, plain, folded = NETWORKS[name]
    x = keras.Input(SHAPE)
    model = randomize(keras.Model(x, make()(x)))
    before, after = ops(model, tmp_path / "plain.tflite"), ops(tfold.fold(model).model, tmp_path / "folded.tflite")
    assert len(after) <= len(before), (before, after)
    assert (len(before), len(after)) == (plain, folded), (before, after)


def test_of_tf_keras_whose_mobilenet_writes_its_activations_out(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    x = tf_keras.Input(SHAPE)
    y = tf_keras.layers.BatchNormalization()(tf_keras.layers.Conv2D(8, 3)(x))
    y = tf_keras.layers.Multiply()([y, tf_keras.layers.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)])
    model = tf_keras.Model(x, tf_keras.layers.Conv2D(4, 1)(y))
    assert ops(model, tmp_path / "plain.tflite") == ["CONV_2D", "HARD_SWISH", "CONV_2D"]
    assert ops(tfold.fold(model).model, tmp_path / "folded.tflite") == ["CONV_2D", "HARD_SWISH", "CONV_2D"]


def test_the_file_computes_what_keras_does_with_a_batch_norm_left_behind_an_own_layer(randomize, tmp_path):
    x = keras.Input(SHAPE)
    model = randomize(keras.Model(x, chain(OwnConv(name="own"), BN(name="stays"), L.ReLU())(x)))
    result = tfold.fold(model)
    assert isinstance(result.model.get_layer("stays"), BN)
    assert tfold.export(result.model, tmp_path / "folded.tflite", sample=np.ones((2, *SHAPE), "float32")).parity < 1e-5
