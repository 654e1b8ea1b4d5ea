"""Every activation function of Keras, in NumPy, at ordinary and at extreme numbers."""
import keras
import numpy as np
import pytest
from keras import layers

from tfold.graph import functions

NAMES = [
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "softplus", "softsign", "squareplus", "sigmoid",
    "log_sigmoid", "silu", "mish", "gelu", "tanh", "tanh_shrink", "exponential", "hard_sigmoid", "hard_silu",
    "hard_tanh", "hard_shrink", "soft_shrink", "sparse_plus", "sparse_sigmoid", "softmax", "log_softmax", "linear",
    "swish", "hard_swish",
]
# TensorFlow keeps the slope of a leaky ReLU and a constant of gelu in float32, whatever it computes in.
ROUNDED = {"leaky_relu": 2e-8, "gelu": 5e-5}
NUMBERS = np.concatenate([np.linspace(-8, 8, 321), [-100.0, -30.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 30.0, 100.0]])


def test_no_function_of_keras_is_forgotten():
    known = {name for name in dir(keras.activations) if callable(getattr(keras.activations, name))}
    assert known - {"serialize", "deserialize", "get", "glu", "threshold", "sparsemax"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_functions(name):
    x = NUMBERS.reshape(-1, 1) * [1.0, 0.5, -0.25]
    expected = np.asarray(keras.activations.get(name)(keras.ops.convert_to_tensor(x)))
    received = functions.compute(name, {}, x)
    assert received.dtype == np.float64 and np.isfinite(received).all()
    np.testing.assert_allclose(received, expected, rtol=ROUNDED.get(name, 1e-10), atol=1e-12)


@pytest.mark.parametrize("layer", [
    layers.ReLU(), layers.ReLU(4.0), layers.ReLU(6.0), layers.ReLU(4.0, 0.1, 0.5), layers.ReLU(None, 0.1, 0.5),
    layers.ReLU(threshold=1.0), layers.LeakyReLU(0.25), layers.LeakyReLU(1.5), layers.ELU(0.5), layers.Softmax(),
    layers.Softmax(axis=1), layers.Softmax(axis=(1, 2)), layers.Activation("mish"),
])
def test_layers(layer, run_agrees):
    x = keras.Input((4, 3))
    run_agrees(keras.Model(x, layer(4 * x)))


def test_far_from_zero_nothing_overflows_or_cancels():
    x = np.array([-1000.0, -38.0, 1000.0])
    with np.errstate(over="raise", invalid="raise"):
        assert functions.compute("gelu", {}, x)[1] < 0
        assert functions.compute("sigmoid", {}, x).tolist()[::2] == [0.0, 1.0]
        assert functions.compute("elu", {}, x).tolist() == [-1.0, -1.0, 1000.0]
        assert functions.compute("softmax", {}, x).tolist() == [0.0, 0.0, 1.0]
        np.testing.assert_allclose(functions.compute("log_softmax", {}, x), [-2000.0, -1038.0, 0.0])


def test_the_tangent_form_of_gelu():
    expected = keras.activations.gelu(keras.ops.convert_to_tensor(NUMBERS), approximate=True)
    np.testing.assert_allclose(functions.compute("gelu", {"approximate": True}, NUMBERS), expected, atol=1e-9)


def test_unknown_names():
    assert functions.knows("relu") and not functions.knows("custom")
    with pytest.raises(KeyError):
        functions.compute("custom", {}, NUMBERS)
