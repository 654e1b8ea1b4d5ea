"""capture → build gives the same network back, whatever it is made of, and leaves the caller's alone."""
import keras
import numpy as np
import pytest
from keras import layers, ops

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.verification import random_input

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
def sequential():
    return keras.Sequential([
        keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
        layers.Dropout(0.5), layers.Flatten(), layers.Dense(3, activation="softmax")])


@architecture
def sequential_without_input_layer():
    model = keras.Sequential([layers.Dense(4, activation="gelu"), layers.Dense(2)])
    model.build((None, 5))
    return model


@architecture
def sequential_of_sequentials():
    block = keras.Sequential([layers.Conv1D(4, 3), layers.ReLU()])
    return keras.Sequential([keras.Input((9, 2)), block, keras.Sequential([layers.LSTM(3), layers.Dense(2)])])


@architecture
def shared_layer():
    x = keras.Input((5,))
    shared = layers.Dense(5, activation="tanh")
    return keras.Model(x, shared(shared(x)) + shared(x))


@architecture
def nested_called_twice():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6), layers.BatchNormalization(), layers.ReLU()])
    a, b = keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([inner(a), inner(inner(b))])))


@architecture
def nested_in_nested_with_two_inputs():
    a, b = keras.Input((4,)), keras.Input((4,))
    first = keras.Model([a, b], [layers.Add()([layers.Dense(4)(a), b]), a])
    x, y = keras.Input((4,)), keras.Input((4,))
    p, q = first([y, x])
    middle = keras.Model([x, y], layers.Multiply()([p, layers.Dense(4)(q)]))
    u = keras.Input((4,))
    return keras.Model(u, middle([u, layers.ReLU()(u)]))


@architecture
def dict_inputs_and_outputs():
    inputs = {"b": keras.Input((4,), name="b"), "a": keras.Input((3,), name="a")}
    x = layers.Concatenate()([inputs["a"], inputs["b"]])
    return keras.Model(inputs, {"z": layers.Dense(2)(x), "y": [layers.Dense(1)(x), x]})


@architecture
def nested_called_with_a_dict():
    inputs = {"b": keras.Input((4,), name="b"), "a": keras.Input((4,), name="a")}
    inner = keras.Model(inputs, layers.Dense(2)(inputs["a"]) + layers.Dense(2)(inputs["b"]))
    x, y = keras.Input((4,)), keras.Input((4,))
    return keras.Model([x, y], inner({"a": y, "b": x}))


@architecture
def tuple_of_outputs():
    x = keras.Input((4,))
    return keras.Model(x, (layers.Dense(3)(x), layers.Dense(2)(x)))


@architecture
def one_tensor_as_several_outputs():
    x = keras.Input((4,))
    y = layers.Dense(3)(x)
    return keras.Model(x, [y, y, x])


@architecture
def operators_and_operations():
    x = keras.Input((6, 6, 2))
    y = ops.transpose(x, (0, 2, 1, 3))[:, 1:, ::2]
    y = ops.concatenate([y, 2.0 - y, y ** 2], axis=-1)
    a, b = ops.split(y, 2, axis=-1)
    y = ops.relu(a) * b + a / (ops.abs(b) + 1)
    return keras.Model(x, ops.einsum("bhwc,bhwd->bcd", y, a) + ops.mean(y, axis=(1, 2))[:, None])


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
def unknown_size():
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    return keras.Model(x, layers.GlobalMaxPooling2D(keepdims=True)(layers.AveragePooling2D(3, 2, "same")(y)))


@architecture
def mixed_precision_with_a_float_output():
    x = keras.Input((5,))
    y = layers.Dense(4, activation="relu", dtype="mixed_float16")(x)
    y = layers.Dropout(0.5, dtype="mixed_float16")(y)
    return keras.Model(x, layers.Activation("linear", dtype="float32")(y))


@architecture
def adapted_normalization():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3.0, 5.0, size=(50, 4)))
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(layers.Rescaling(0.1, 1.0)(normalization(x))))


@architecture
def layers_that_another_model_used_before():
    other = keras.Sequential([keras.Input((8, 3)), layers.Conv1D(4, 3, name="conv"), layers.BatchNormalization()])
    x = y = keras.Input((12, 3))
    for layer in other.layers:
        y = layer(y)
    return keras.Model(x, y)


@architecture
def from_the_middle_of_another_model():
    x = keras.Input((8, 3))
    middle = layers.Conv1D(4, 3)(x)
    return keras.Model(middle, layers.Dense(2)(layers.BatchNormalization()(middle)))


@architecture
def subclass_with_the_functional_constructor():
    class Trainer(keras.Model):
        def train_step(self, data):
            raise NotImplementedError

    x = keras.Input((4,))
    return Trainer(x, layers.Dense(2)(x))


@architecture
def time_distributed():
    x = keras.Input((3, 6, 2))
    return keras.Model(x, layers.TimeDistributed(layers.Conv1D(4, 3, activation="relu"))(x))


@architecture
def fixed_batch():
    x = keras.Input((6, 2), batch_size=3)
    return keras.Model(x, layers.Conv1D(2, 3, padding="same")(x) + x)


def outputs(model, x):
    return [keras.ops.convert_to_numpy(t) for t in keras.tree.flatten(model(x, training=False))]


def calls(model):
    """How often each layer was called, in any model: Keras would count the calls of a careless capture."""
    found = {}
    for layer in model.layers:
        found[layer.name] = len(layer._inbound_nodes)
        if hasattr(layer, "layers"):
            found |= {f"{layer.name}/{key}": n for key, n in calls(layer).items()}
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_round_trip(name, randomize):
    model = randomize(ARCHITECTURES[name]())
    x = random_input(model, batch=2)
    expected = outputs(model, x)
    weights, config, called = [w.copy() for w in model.get_weights()], model.get_config(), calls(model)

    graph = capture(model)
    again = build(graph)

    received = outputs(again, x)
    assert [a.shape for a in received] == [e.shape for e in expected]
    assert [a.dtype for a in received] == [e.dtype for e in expected]
    for e, a in zip(expected, received, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-6, atol=1e-6 * max(np.abs(e).max(), 1))
    assert again.name == model.name
    assert again.count_params() == model.count_params()
    # The caller's model is as it was.
    assert calls(model) == called
    assert str(model.get_config()) == str(config)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))
    for e, a in zip(expected, outputs(model, x), strict=True):
        np.testing.assert_array_equal(e, a)
    assert not {id(w) for w in model.weights} & {id(w) for w in again.weights}
    assert [t.shape for t in again.inputs] == [t.shape for t in model.inputs]
    if not isinstance(model, keras.Sequential):
        assert [layer.name for layer in again.layers][0] == [layer.name for layer in model.layers][0]
        assert again.output_names == model.output_names
        assert type(again.output) is type(model.output)


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


def test_a_shared_layer_is_shared_again():
    model = ARCHITECTURES["shared_layer"]()
    assert sum(isinstance(layer, layers.Dense) for layer in build(capture(model)).layers) == 1


def test_the_copy_saves_and_loads_where_tfold_is_absent(tmp_path):
    model = build(capture(ARCHITECTURES["separable_and_transposed"]()))
    model.save(tmp_path / "model.keras")
    x = random_input(model)
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(model, x)[0], outputs(again, x)[0])
    assert all(type(layer).__module__.startswith("keras.") for layer in again.layers)


class Forgetful(layers.Layer):
    """A layer whose get_config() leaves out what its __init__() needs, and the number of its weights."""

    def __init__(self, count, needed, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape):
        for i in range(self.count):
            self.add_weight(shape=(), name=f"weight_{i}")

    def call(self, x):
        return x

    def get_config(self):
        return {"name": self.name}


class ForgetfulButBuildable(Forgetful):
    def __init__(self, count=1, needed=None, **kwargs):
        super().__init__(count, needed, **kwargs)


@pytest.mark.parametrize("kind, words", [
    (Forgetful, r"Received: 'stubborn' \(Forgetful\), which fails with.*get_config"),
    (ForgetfulButBuildable, "Received: 'stubborn' with 2 of them, whose copy has 1"),
])
def test_a_layer_that_cannot_be_copied_is_named(kind, words):
    x = keras.Input((4,))
    model = keras.Model(x, kind(2, 1, name="stubborn")(x))
    with pytest.raises(tfold.TfoldError, match=words):
        build(capture(model))


def test_the_weights_of_an_activation_are_copied_too():
    x = keras.Input((5,))
    model = keras.Model(x, layers.Dense(3, activation=layers.PReLU())(x))
    numbers = np.random.default_rng(0).normal(size=(2, 5))
    model(numbers)  # only now Keras builds the PReLU
    model.layers[1].activation.alpha.assign([0.1, 0.2, 0.3])
    again = build(capture(model))
    np.testing.assert_array_equal(again(numbers), model(numbers))
    assert again.layers[1].activation is not model.layers[1].activation
