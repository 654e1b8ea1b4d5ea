"""Activations given as functions of TensorFlow, of JAX, of the user's own, as partials and as layers."""
import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import tfold
from tfold.errors import BadInputError
from tfold.graph import activations, functions, spellings

X = np.random.default_rng(0).normal(0, 2, (2, 6, 6, 3)).astype("float32")


def network(activation):
    x = keras.Input((6, 6, 3))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, activation=activation)(x))
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 2)(y))))


def named(x):
    return ops.maximum(x, 0.1 * x)


def test_functions_of_frameworks_compute_what_they_are_read_as():
    import jax.nn  # noqa: F401  (its functions are known where it is loaded)

    x = np.linspace(-6, 6, 49).astype("float32").reshape(1, -1)
    tables = [entry for table in spellings._tables() for entry in table]
    assert len(tables) > 80
    for function, (fn, params) in tables:
        received = np.asarray(ops.convert_to_numpy(function(x)))
        np.testing.assert_allclose(received, functions.compute(fn, params, x), atol=1e-5, err_msg=str(function))


@pytest.mark.parametrize("function, expected", [
    (tf.nn.relu, "relu"), (tf.nn.swish, "silu"), (tf.nn.softmax, "softmax"), (tf.nn.gelu, "gelu"), (tf.tanh, "tanh"),
    (ops.silu, "silu"),
])
def test_a_known_function_is_saved_under_its_keras_name(function, expected, tmp_path):
    model = network(function)
    result = tfold.fold(model)
    assert result.report.after.batch_norms == 0
    result.model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert keras.activations.serialize(again.layers[1].activation) == expected
    np.testing.assert_allclose(again(X), model(X), atol=1e-4)


@pytest.mark.parametrize("activation", [
    functools.partial(keras.activations.relu, max_value=2.0), functools.partial(tf.nn.leaky_relu, alpha=0.3),
    functools.partial(keras.activations.elu, alpha=0.3), functools.partial(keras.activations.gelu, approximate=True),
    functools.partial(keras.activations.celu, alpha=0.5), functools.partial(ops.hard_shrink, threshold=0.2), ops.gelu,
    layers.ELU(0.3), layers.ReLU(4, 0.1, 0.5), layers.LeakyReLU(0.2),
], ids=range(10))
def test_settings_of_an_activation_survive_all_ways(activation, tmp_path):
    model = network(activation)
    expected = np.asarray(model(X))
    for made in (tfold.fold(model).model, tfold.restructure_batch_norm(model)):
        made.save(tmp_path / "m.keras")
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras")(X), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*lambda")
class Own(layers.Layer):
    """A class that Keras is not told of."""

    def call(self, x):
        return ops.maximum(x, 0.1 * x)


@pytest.mark.parametrize("activation", [named, lambda x: ops.maximum(x, 0.1 * x), tf.nn.swish, Own(),
                                        functools.partial(keras.activations.relu, max_value=2.0)])
def test_alphas_of_functions(activation):
    model = network(activation)
    f_alpha = tfold.prefold(model)
    np.testing.assert_allclose(f_alpha(X), model(X), atol=1e-5)
    assert len(tfold.alphas(f_alpha)) == 1
    np.testing.assert_allclose(tfold.settle(f_alpha)(X), model(X), atol=1e-5)
    np.testing.assert_allclose(tfold.fold(f_alpha).model(X), model(X), atol=1e-4)


def test_functions_inside_wrappers_and_recurrent_layers():
    x = keras.Input((5, 3))
    y = layers.LSTM(4, activation=named, recurrent_activation=tf.nn.sigmoid, return_sequences=True)(x)
    with keras.utils.custom_object_scope({"named": named}):
        y = layers.Bidirectional(layers.GRU(3, activation=named, return_sequences=True))(y)
    y = layers.BatchNormalization()(layers.Dense(3)(y))
    model = keras.Model(x, layers.TimeDistributed(layers.Dense(2, activation=named))(y))
    x = X[:, 0, :5]
    np.testing.assert_allclose(tfold.fold(model).model(x), model(x), atol=1e-5)


def test_a_function_that_cannot_be_written_down_is_refused_by_name():
    model = network(functools.partial(named))
    for step in (tfold.fold, tfold.prefold, tfold.restructure_batch_norm):
        with pytest.raises(BadInputError, match=r"Received: 'conv2d\w*' \(Conv2D\).*partial"):
            step(model)


def test_a_sequential_model_with_a_setting_that_no_layer_says():
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, activation=ops.gelu), layers.Flatten()])
    np.testing.assert_allclose(tfold.fold(model).model(X), model(X), atol=1e-6)
    assert np.abs(np.asarray(model(X)) - network_gelu(model)).max() > 1e-4


def network_gelu(model):
    """What the model computes with the exact function of the same name."""
    conv = model.layers[0]
    return np.asarray(layers.Flatten()(keras.activations.gelu(ops.conv(X, conv.kernel) + conv.bias)))


def test_elu_after_a_fold_is_written_to_a_file_and_exported(tmp_path):
    x = keras.Input((6, 6, 3))
    y = layers.ELU(alpha=0.3)(layers.BatchNormalization()(layers.Conv2D(4, 3, activation=layers.ELU(0.5))(x)))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    f_alpha = tfold.prefold(model)
    for made in (tfold.fold(model).model, tfold.fold(f_alpha).model, tfold.settle(f_alpha)):
        made.save(tmp_path / "m.keras")
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "m.keras")(X), model(X), atol=1e-5)
    tfold.export(tfold.fold(model).model, tmp_path / "m.tflite")


def test_tf_keras_functions():
    import tf_keras

    x = tf_keras.Input((6, 6, 3))
    for activation in (tf.nn.swish, tf.nn.softmax, functools.partial(tf.nn.leaky_relu, alpha=0.3), named_tf):
        y = tf_keras.layers.Conv2D(4, 3, activation=activation)(x)
        y = tf_keras.layers.Activation(activation)(tf_keras.layers.BatchNormalization()(y))
        model = tf_keras.Model(x, tf_keras.layers.Dense(2)(tf_keras.layers.Flatten()(y)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folded = tfold.fold(model).model
        np.testing.assert_allclose(folded(X), model(X), atol=1e-4)


def named_tf(x):
    return tf.maximum(x, 0.1 * x)


def test_read_function_of_a_partial_and_of_an_unknown_one():
    assert activations.read_function(functools.partial(tf.nn.silu, beta=2.0))[0] == "custom"
    assert activations.read_function(named) == ("custom", {"function": named})
