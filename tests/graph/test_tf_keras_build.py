"""tf_keras: capture → build gives the same network back, saved and loaded; and Keras 3 networks become tf_keras ones.

`round_trip` in conftest.py is the comparison.
"""
import keras
import numpy as np
import pytest

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.graph.family import family_of
from tfold.sampling import random_input

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
L = tf_keras.layers

NETWORKS = {}


def network(function):
    NETWORKS[function.__name__] = function
    return function


@network
def sequential():
    return tf_keras.Sequential([
        tf_keras.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.BatchNormalization(), L.Dropout(0.5),
        L.Flatten(), L.Dense(3, activation="softmax")])


@network
def sequential_without_input_layer():
    model = tf_keras.Sequential([L.Dense(4, activation="gelu"), tf_keras.Sequential([L.Dense(2), L.ReLU()])])
    model.build((None, 5))
    return model


@network
def shared_layer():
    x, shared = tf_keras.Input((5,)), L.Dense(5, activation="tanh")
    return tf_keras.Model(x, shared(shared(x)) + shared(x))


@network
def nested_in_nested_called_with_a_dict_and_a_list():
    inputs = {"b": tf_keras.Input((4,), name="first"), "a": tf_keras.Input((4,), name="second")}
    inner = tf_keras.Model(inputs, [L.Dense(4)(inputs["a"]) - inputs["b"], inputs["a"]])
    x, y = tf_keras.Input((4,), name="x"), tf_keras.Input((4,), name="y")
    middle = tf_keras.Model([x, y], L.Multiply()(inner({"a": y, "b": L.BatchNormalization()(x)})))
    u = tf_keras.Input((4,))
    return tf_keras.Model(u, [middle([u, L.ReLU()(u)]), middle({"y": u, "x": u * 2.0})])


@network
def dict_inputs_and_outputs():
    inputs = {"b": tf_keras.Input((4,), name="b"), "a": tf_keras.Input((3,), name="a")}
    x = L.Concatenate()([inputs["a"], inputs["b"]])
    return tf_keras.Model(inputs, {"z": L.Dense(2)(x), "y": [L.Dense(1)(x), x]})


@network
def one_tensor_as_several_outputs():
    x = tf_keras.Input((4,))
    y = L.Dense(3)(x)
    return tf_keras.Model(x, (y, y, x))


@network
def tensors_in_other_arguments():
    x, y = tf_keras.Input((6, 4)), tf_keras.Input((5, 4))
    attended = L.MultiHeadAttention(2, 3)(x, value=y, key=y)
    state = L.Dense(3)(L.Flatten()(y))
    return tf_keras.Model([x, y], [attended, L.GRU(3)(x, initial_state=state), tf.maximum(x, y=attended)])


@network
def masks():
    x = tf_keras.Input((6,), dtype="int32")
    y = L.Embedding(2, 4, mask_zero=True)(x)
    return tf_keras.Model(x, [L.LSTM(3)(y), L.GlobalAveragePooling1D()(y)])


@network
def from_the_middle_of_another_model():
    x = tf_keras.Input((8, 3))
    middle = L.Conv1D(4, 3)(x)
    return tf_keras.Model(middle, L.Dense(2)(L.BatchNormalization()(middle)))


@network
def subclass_with_the_functional_constructor():
    class Trainer(tf_keras.Model):
        def train_step(self, data):
            raise NotImplementedError

    x = tf_keras.Input((4,))
    return Trainer(x, L.Dense(2)(x))


@network
def fixed_batch_and_unknown_size():
    x = tf_keras.Input((None, None, 3), batch_size=2)
    y = L.Conv2D(4, 3, strides=2, padding="same")(x)
    return tf_keras.Model(x, L.GlobalMaxPooling2D(keepdims=True)(L.AveragePooling2D(3, 2, "same")(y)))


@network
def integers_into_a_nested_model_of_floats():
    inner = tf_keras.Input((4,))
    inner = tf_keras.Model(inner, L.Dense(4)(inner * 300 - 5))
    x = tf_keras.Input((4,), dtype="uint8")
    return tf_keras.Model(x, L.Dense(2)(inner(x)))


@network
def mixed_precision_with_a_float_output():
    x = tf_keras.Input((5,))
    y = L.Dropout(0.5, dtype="mixed_float16")(L.Dense(4, activation="relu", dtype="mixed_float16")(x))
    return tf_keras.Model(x, L.Activation("linear", dtype="float32")(y * 2))


@network
def layers_and_functions_that_are_walls():
    x = tf_keras.Input((4, 5, 3))
    y = L.Lambda(lambda t: t * 2)(tf.clip_by_value(x, -1.0, 1.0))
    return tf_keras.Model(x, [L.PReLU()(y), L.TimeDistributed(L.Dense(2))(y), tf.reduce_mean(y, [1, 2]),
                              *tf.split(x, 3, axis=-1), x[:, ::2], x[..., 0], 2 / (tf.abs(x) + 1)])


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, round_trip):
    round_trip(NETWORKS[name]())


@pytest.mark.parametrize("extension", ["h5", "keras"])
def test_saved_and_loaded(extension, tmp_path):
    x = tf_keras.Input((4, 5, 3))
    y = tf.nn.relu(x / 127.5 - 1.0)[:, :, :, 1:]
    first = tf_keras.Model(x, [L.Conv2D(3, 3, name="conv")(tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])), y * y])
    numbers = random_input(first)
    for again in (build(capture(first)), build(capture(first), "float64")):
        again.save(tmp_path / f"model.{extension}")
        loaded = tf_keras.models.load_model(tmp_path / f"model.{extension}")
        for model in (loaded, build(capture(loaded))):
            for a, b in zip(again(numbers), model(numbers), strict=True):
                np.testing.assert_array_equal(a, b)


APPLICATIONS = ("MobileNetV2", "MobileNetV3Small", "ResNet50V2", "EfficientNetB0", "DenseNet121")


def application(k, name, randomize):
    k.backend.clear_session()
    k.utils.set_random_seed(0)  # rounding, of which there is much in deep networks, is then always the same
    return randomize(getattr(k.applications, name)(
        weights=None, classes=5, classifier_activation=None, input_shape=(32, 32, 3)))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name, round_trip, randomize):
    model = application(tf_keras, name, randomize)
    again = round_trip(model)
    assert {layer.name for layer in again.layers} == {layer.name for layer in model.layers}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_folded_keras_3_networks_become_tf_keras_ones(name, randomize, relative_difference, tmp_path):
    folded = tfold.fold(application(keras, name, randomize), verify=False).model
    legacy = build(capture(folded), family="tf_keras")
    assert isinstance(legacy, tf_keras.Model)
    x = random_input(folded, batch=2)
    assert relative_difference(folded, legacy, x) <= 1e-6
    assert [layer.name for layer in folded.layers if layer.weights] == [
        layer.name for layer in legacy.layers if layer.weights]
    legacy.save(tmp_path / "legacy.h5")
    assert relative_difference(legacy, tf_keras.models.load_model(tmp_path / "legacy.h5"), x) == 0
    if name != "MobileNetV3Small":
        assert relative_difference(folded, build(capture(legacy), family="keras"), x) <= 1e-6


def test_a_new_graph_is_of_the_family_it_came_from():
    model = tf_keras.Sequential([tf_keras.Input((3,)), L.Dense(2)])
    assert family_of(build(capture(model))).name == capture(model).copy().family == "tf_keras"
    with pytest.raises(tfold.BadInputError, match="keras or tf_keras. Received: family='torch'"):
        build(capture(model), family="torch")
