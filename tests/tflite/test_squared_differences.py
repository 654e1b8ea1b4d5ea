"""Transformers in integers: layer normalization and attention, with float_fallback for what has no integer form."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.tflite.contents import read


@pytest.fixture(scope="module")
def transformer():
    image = keras.Input((8, 8, 3))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 2, strides=2)(image))
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4)(y, y)
    x = x + layers.Dense(8)(layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x)))
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize("quantize, allowed", [("int8", 0.1), ("int16", 0.03)])
def test_a_transformer_works_with_float_fallback(transformer, quantize, allowed, tmp_path):
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype("float32")
    done = tfold.export(transformer, tmp_path / "m.tflite", quantize, images, float_fallback=True)
    assert done.parity < allowed
    contents = read(tmp_path / "m.tflite")
    found = {(op.kind, contents.tensors[op.outputs[0]].dtype) for op in contents.ops}
    assert ("SQUARED_DIFFERENCE", "int16") not in found
    assert ("FULLY_CONNECTED", quantize) in found


def test_the_difference_squared_stays_in_integers(tmp_path):
    """int16 alone, without the float ops of a layer normalization."""
    a, b = keras.Input((8,)), keras.Input((8,))
    model = keras.Model([a, b], keras.ops.square(a - b) + layers.Dense(8)(a))
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(20, 8)).astype("float32") for _ in range(2)]
    done = tfold.export(model, tmp_path / "m.tflite", "int16", data)
    assert done.parity < 0.01
