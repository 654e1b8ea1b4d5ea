"""capture → build gives the same network back, however its layers are connected.

`round_trip` in conftest.py is the comparison; what single layers and operations are made of is tested beside this.
"""
import keras
import pytest
from keras import layers

from tfold.graph.build import build
from tfold.graph.capture import capture

ARCHITECTURES = {}


def architecture(function):
    ARCHITECTURES[function.__name__] = function
    return function


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
def fixed_batch():
    x = keras.Input((6, 2), batch_size=3)
    return keras.Model(x, layers.Conv1D(2, 3, padding="same")(x) + x)


@architecture
def integers_into_a_nested_model_of_floats():
    x = keras.Input((4,), dtype="uint8")
    inner = keras.Input((4,))
    inner = keras.Model(inner, layers.Dense(4)(inner * 300 - 5))
    return keras.Model(x, layers.Dense(2)(inner(x)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks(name, round_trip):
    round_trip(ARCHITECTURES[name]())


def test_a_shared_layer_is_shared_again():
    model = ARCHITECTURES["shared_layer"]()
    assert sum(isinstance(layer, layers.Dense) for layer in build(capture(model)).layers) == 1
