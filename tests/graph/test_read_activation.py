"""Activations written as layers, by name, and as operations: one spelling in the IR; and masks, which change some."""
import keras
import pytest
from keras import activations, layers, ops

RELU = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}


@pytest.mark.parametrize("function, fn, params", [
    (ops.relu, "relu", RELU), (layers.Activation("relu"), "relu", RELU), (layers.ReLU(), "relu", RELU),
    (ops.relu6, "relu", {**RELU, "max_value": 6.0}), (layers.Activation("relu6"), "relu", {**RELU, "max_value": 6.0}),
    (lambda x: ops.leaky_relu(x, 0.25), "relu", {**RELU, "negative_slope": 0.25}),
    (activations.leaky_relu, "relu", {**RELU, "negative_slope": 0.2}),
    (layers.LeakyReLU(0.25), "relu", {**RELU, "negative_slope": 0.25}),
    (lambda x: activations.relu(x, 0.1, 6, 0.5), "relu", {"max_value": 6.0, "negative_slope": 0.1, "threshold": 0.5}),
    (ops.sigmoid, "sigmoid", {}), (activations.sigmoid, "sigmoid", {}), (ops.tanh, "tanh", {}),
    (ops.silu, "silu", {}), (ops.swish, "silu", {}), (layers.Activation("swish"), "silu", {}),
    (ops.hard_sigmoid, "hard_sigmoid", {}), (ops.hard_swish, "hard_silu", {}), (ops.softplus, "softplus", {}),
    (ops.softsign, "softsign", {}), (ops.selu, "selu", {}), (ops.exp, "exponential", {}),
    (ops.log_sigmoid, "log_sigmoid", {}), (ops.hard_tanh, "hard_tanh", {}), (ops.tanh_shrink, "tanh_shrink", {}),
    (ops.elu, "elu", {"alpha": 1.0}), (lambda x: ops.elu(x, 0.5), "elu", {"alpha": 0.5}), (ops.celu, "celu", {}),
    (ops.squareplus, "squareplus", {}), (ops.soft_shrink, "soft_shrink", {}), (ops.hard_shrink, "hard_shrink", {}),
    (activations.gelu, "gelu", {}), (lambda x: ops.gelu(x, approximate=False), "gelu", {}),
    (ops.softmax, "softmax", {"axis": -1}), (lambda x: ops.softmax(x, axis=1), "softmax", {"axis": 1}),
    (layers.Softmax(axis=1), "softmax", {"axis": 1}), (ops.log_softmax, "log_softmax", {}),
])
def test_what_is_read(function, fn, params, last, run_agrees):
    node = last(function)
    assert (node.op, node.attrs["fn"], node.attrs["params"]) == ("activation", fn, params)
    x = keras.Input((4, 5, 3))
    rounded = fn == "gelu" or params.get("negative_slope")  # constants that TensorFlow keeps in float32
    run_agrees(keras.Model(x, function(x)), tolerance=1e-7 if rounded else 1e-10)


@pytest.mark.parametrize("function", [
    ops.gelu, lambda x: ops.celu(x, 0.5), lambda x: ops.squareplus(x, 2), lambda x: ops.soft_shrink(x, 0.1),
    lambda x: ops.log_softmax(x, axis=1), layers.PReLU(), ops.sin, lambda x: ops.maximum(x, 0),
])
def test_what_is_not(function, last):
    assert last(function).op == "opaque"


@pytest.mark.parametrize("layer", [layers.GlobalAveragePooling1D, layers.Softmax])
def test_what_leaves_out_masked_steps_is_a_wall_behind_a_mask(layer):
    from tfold.graph.capture import capture

    class Own(layers.Layer):
        def compute_mask(self, x, mask=None):
            return ops.any(x > 0, axis=-1)

        def call(self, x):
            return x

    for first in (layers.Masking(), Own(), layers.Dense(3)):
        x = keras.Input((6, 3))
        graph = capture(keras.Model(x, layer()(layers.BatchNormalization()(first(x)))))
        assert (list(graph)[-1].op == "opaque") == (not isinstance(first, layers.Dense))
