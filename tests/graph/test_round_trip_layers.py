"""capture → build gives the same network back, whatever layers it is made of, and their settings."""
import keras
import numpy as np
import pytest
from keras import layers, ops

from tfold.graph.build import build
from tfold.graph.capture import capture

ARCHITECTURES = {}


def architecture(function):
    ARCHITECTURES[function.__name__] = function
    return function


@keras.saving.register_keras_serializable(package="tests")
class Scaled(layers.Layer):
    """A custom layer that keeps Keras' rules: registered, with a get_config()."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.offset = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="offset")

    def call(self, x, twice=False):
        y = x * self.factor + self.offset
        return y * 2 if twice else y

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class Unregistered(Scaled):
    """The same without registration: the class is at hand, so nothing needs to look it up."""


def wave(x):
    return ops.sin(x)


@architecture
def attention_with_keywords():
    query, value = keras.Input((6, 8)), keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 4)(query=query, value=value, key=value)
    return keras.Model([query, value], layers.LayerNormalization()(x + query))


@architecture
def lambda_layer():
    x = keras.Input((4,))
    factor = 3.0  # a closure: no copy of the code alone would do
    return keras.Model(x, layers.Dense(2)(layers.Lambda(lambda t: t * factor, output_shape=(4,))(x)))


@architecture
def custom_layers():
    x = keras.Input((4,))
    y = Unregistered(0.5)(Scaled(2.0)(x, twice=True))
    return keras.Model(x, layers.Dense(3, activation=wave)(y))


@architecture
def recurrent_with_states():
    x = keras.Input((6, 3))
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    y = layers.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    return keras.Model(x, layers.Bidirectional(layers.GRU(3))(y))


@architecture
def embedding_with_mask():
    x = keras.Input((7,), dtype="int32")
    y = layers.Dropout(0.5)(layers.Embedding(5, 4, mask_zero=True)(x))
    y = layers.Dense(4, activation="relu")(y)
    return keras.Model(x, [layers.LSTM(3)(y), layers.GlobalAveragePooling1D()(y)])


@architecture
def separable_and_transposed():
    x = keras.Input((9, 8, 2))
    y = layers.SeparableConv2D(4, 3, depth_multiplier=2, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(y)
    return keras.Model(x, layers.Conv2DTranspose(2, 2, dilation_rate=2, activation="elu")(y))


@architecture
def causal_and_grouped():
    x = keras.Input((12, 4))
    y = layers.Conv1D(4, 3, dilation_rate=2, padding="causal", activation="swish")(x)
    return keras.Model(x, layers.DepthwiseConv1D(3, strides=2, padding="same")(layers.Conv1D(6, 2, groups=2)(y)))


@architecture
def three_dimensions():
    x = keras.Input((5, 6, 4, 2))
    y = layers.ZeroPadding3D(((0, 1), (2, 0), (1, 1)))(x)
    y = layers.BatchNormalization()(layers.Conv3D(3, (3, 2, 1), strides=(1, 2, 1))(y))
    return keras.Model(x, layers.MaxPooling3D(2, padding="same")(y))


@architecture
def batch_norms_of_other_kinds():
    x = keras.Input((5, 4, 3))
    y = layers.BatchNormalization(axis=1)(x)
    y = layers.BatchNormalization()(y, training=True) + layers.BatchNormalization(axis=3)(y)
    return keras.Model(x, layers.BatchNormalization(axis=-1, scale=False, center=False)(y))


@architecture
def activations():
    x = keras.Input((5, 3))
    y = layers.PReLU(alpha_initializer="random_normal", shared_axes=[1])(x)
    for function in ("relu6", "leaky_relu", "elu", "selu", "hard_swish", "mish", "softplus", "log_softmax", wave):
        y = layers.Dense(3, activation=function)(y)
    for layer in (layers.ReLU(4.0, 0.1, 0.2), layers.LeakyReLU(0.3), layers.ELU(0.5), layers.Softmax(axis=1)):
        y = layers.Dense(3, activation=layer)(layer(y))
    return keras.Model(x, layers.Activation("linear")(y))


@architecture
def activation_with_weights_as_a_function():
    x = keras.Input((5,))
    model = keras.Model(x, layers.Dense(3, activation=layers.PReLU(alpha_initializer="ones"))(x))
    return model


@architecture
def adapted_normalization():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3.0, 5.0, size=(50, 4)))
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(layers.Rescaling(0.1, 1.0)(normalization(x))))


@architecture
def time_distributed():
    x = keras.Input((3, 6, 2))
    return keras.Model(x, layers.TimeDistributed(layers.Conv1D(4, 3, activation="relu"))(x))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layers(name, round_trip):
    round_trip(ARCHITECTURES[name]())


def test_layer_settings_survive():
    x = keras.Input((5,), name="x")
    y = layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.5), bias_constraint="non_neg", name="dense")(x)
    y = layers.BatchNormalization(trainable=False, momentum=0.5, name="norm")(y)
    model = build(capture(keras.Model(x, layers.Dropout(0.3, name="drop")(y))))
    assert [layer.name for layer in model.layers] == ["x", "dense", "norm", "drop"]
    dense, norm, drop = model.layers[1:]
    assert float(dense.kernel_regularizer.l2) == 0.5
    assert isinstance(dense.bias_constraint, keras.constraints.NonNeg)
    assert (norm.trainable, norm.momentum, drop.rate) == (False, 0.5, 0.3)


def test_the_copy_saves_and_loads_where_tfold_is_absent(tmp_path):
    model = build(capture(ARCHITECTURES["separable_and_transposed"]()))
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 2))
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(x), again(x))
    assert all(type(layer).__module__.startswith("keras.") for layer in again.layers)
