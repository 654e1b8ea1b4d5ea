"""capture → build gives operators and keras.ops back, with their constants; saved and loaded too."""
import keras
import numpy as np
import pytest
from keras import layers, ops

from tfold.graph.build import build
from tfold.graph.capture import capture

CHANNELS = np.array([0.5, -2.0, 3.0], "float32")
PER_CHANNEL = CHANNELS.reshape(1, 1, 3)

EXPRESSIONS = {
    "x + 1": lambda x: x + 1,
    "c + x": lambda x: ops.add(CHANNELS, x),
    "x - c": lambda x: x - CHANNELS,
    "1 - x": lambda x: 1 - x,
    "x * c": lambda x: x * PER_CHANNEL,
    "2 * x": lambda x: 2.0 * x,
    "x / c": lambda x: x / ops.convert_to_tensor(CHANNELS),
    "-x": lambda x: -x,
    "2 / x": lambda x: 2 / (ops.abs(x) + 1),
    "mobilenet's preprocessing": lambda x: x / 127.5 - 1.0,
    "a hard swish of its own": lambda x: x * ops.relu6(x + 3.0) * (1.0 / 6.0),
    "channels": lambda x: [x[..., 1:], x[:, :, :, -1:], x[..., ::2], x[:, 1:]],
    "pad": lambda x: [ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=value) for value in (None, 0, 2.5)],
    "reflected": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], mode="reflect"),
    "reshape": lambda x: ops.reshape(x, (-1, 20, 3)) + ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, 20, 3)),
    "concatenate": lambda x: [ops.concatenate([x, -x], axis) for axis in (0, 1, -1, 3)],
    "gate": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "activations": lambda x: [ops.gelu(x), keras.activations.gelu(x), ops.leaky_relu(x, 0.3), ops.softmax(x, axis=1),
                              keras.activations.relu(x, 0.1, 0.9, 0.2), ops.elu(x, 0.5), ops.hard_silu(x)],
    "clip": lambda x: ops.clip(x, 0, 6) + ops.maximum(x, 0),
}


def model_of(function):
    x = keras.Input((4, 5, 3), name="x")
    return keras.Model(x, function(x))


def operators_and_operations():
    x = keras.Input((6, 6, 2))
    y = ops.transpose(x, (0, 2, 1, 3))[:, 1:, ::2]
    y = ops.concatenate([y, 2.0 - y, y ** 2], axis=-1)
    a, b = ops.split(y, 2, axis=-1)
    y = ops.relu(a) * b + a / (ops.abs(b) + 1)
    return keras.Model(x, ops.einsum("bhwc,bhwd->bcd", y, a) + ops.mean(y, axis=(1, 2))[:, None])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name, round_trip, tmp_path):
    again = round_trip(model_of(EXPRESSIONS[name]))
    again.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    thrice = build(capture(loaded))
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    for model in (loaded, thrice):
        for one, other in zip(keras.tree.flatten(again(x)), keras.tree.flatten(model(x)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_many_at_once(round_trip):
    round_trip(operators_and_operations())


def test_what_a_call_was_given_is_given_again(round_trip):
    x = keras.Input((4,))
    again = round_trip(keras.Model(x, layers.BatchNormalization(name="norm")(x, training=False)))
    norm = again.get_config()["layers"][1]
    assert norm["inbound_nodes"][0]["kwargs"]["training"] is False
