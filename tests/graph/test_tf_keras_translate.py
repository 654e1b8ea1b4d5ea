"""Keras 3 networks built as tf_keras models, and back: layers, operations, activations, and what has no twin."""
import keras
import numpy as np
import pytest
from keras import layers, ops

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.graph.family import family_of
from tfold.sampling import random_input

tf_keras = pytest.importorskip("tf_keras")
CHANNELS = np.array([0.5, -2.0, 3.0], "float32")

LAYERS = {
    "convolution": lambda: layers.Conv2D(6, 3, groups=3, kernel_regularizer="l2", bias_constraint="non_neg"),
    "hard swish inside": lambda: layers.Conv2D(4, 3, activation="hard_silu"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="silu", trainable=False),
    "separable": lambda: layers.SeparableConv2D(3, 3, activation="relu6"),
    "transposed": lambda: layers.Conv2DTranspose(4, 3, 2, "same", output_padding=1),
    "batch norm": lambda: layers.BatchNormalization(momentum=0.9, scale=False),
    "batch norm over rows": lambda: layers.BatchNormalization(axis=1),
    "leaky": lambda: layers.LeakyReLU(0.1),
    "prelu": lambda: layers.PReLU(shared_axes=[1, 2], alpha_initializer="uniform"),
    "rescaling": lambda: layers.Rescaling([1.0, 2.0, 3.0], 1.0),
    "normalization": lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 3.0]),
    "adapted normalization": lambda: layers.Normalization(),
    "layer norm": lambda: layers.LayerNormalization(),
    "resizing": lambda: layers.Resizing(8, 8),
    "upsampling": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "wrapper": lambda: layers.TimeDistributed(layers.Dense(3, activation="silu")),
    "recurrent": lambda: layers.Bidirectional(layers.ConvLSTM1D(2, 3)),
    "dropout": lambda: layers.SpatialDropout2D(0.5),
    **{name: lambda name=name: layers.Activation(name) for name in (
        "hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "log_softmax", "silu", "relu6")},
}
OPERATIONS = {
    "preprocessing": lambda x: x / 127.5 - 1.0,
    "affine": lambda x: [1 - x, ops.add(CHANNELS, x), x / ops.convert_to_tensor(CHANNELS), -x],
    "hard swish": lambda x: x * ops.relu6(x + 3.0) * (1.0 / 6.0),
    "constants in other places": lambda x: [2 / (ops.abs(x) + 1), x ** 2, x + np.ones((1, 4, 5, 3), "float32")],
    "joins": lambda x: [x - ops.relu(x), x + x, ops.maximum(x, 0.0)],
    "shapes": lambda x: [ops.reshape(x, (-1, 20, 3)), ops.transpose(x, (0, 2, 1, 3)), ops.concatenate([x, -x], -1)],
    "padding": lambda x: [ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=v) for v in (0, 2.5)],
    "channels": lambda x: [x[..., 1:], x[:, :, :, -1:]],
    "broadcast": lambda x: x + layers.GlobalAveragePooling2D(keepdims=True)(x),
}
ONE_WAY = {
    "gate": lambda x: x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)),
    "indices": lambda x: [x[..., ::2], x[:, None, ..., 1], ops.concatenate([x, -x], 0)],
    "settings": lambda x: [ops.clip(x, 0, 6), ops.expand_dims(x, 1), ops.stack([x, x], 1), *ops.split(x, 3, -1)],
}


def model_of(function):
    x = keras.Input((4, 5, 3), name="x")
    return keras.Model(x, function(x))


def crossed(model, relative_difference, tmp_path):
    """The tf_keras model of a Keras 3 model, found to compute the same, saved and loaded too."""
    legacy = build(capture(model), family="tf_keras")
    x = random_input(model, batch=2)
    assert relative_difference(model, legacy, x) <= 1e-6
    assert legacy.count_params() == model.count_params()
    for extension in ("h5", "keras"):
        legacy.save(tmp_path / f"legacy.{extension}")
        loaded = tf_keras.models.load_model(tmp_path / f"legacy.{extension}")
        assert relative_difference(legacy, loaded, x) == 0
    return legacy


@pytest.mark.parametrize("name", [*LAYERS, *OPERATIONS])
def test_there_and_back(name, randomize, relative_difference, tmp_path):
    model = randomize(model_of(LAYERS[name]() if name in LAYERS else OPERATIONS[name]))
    legacy = crossed(model, relative_difference, tmp_path)
    back = build(capture(legacy), family="keras")
    assert isinstance(back, keras.Model)
    assert relative_difference(model, back, random_input(model, batch=2)) <= 1e-6


@pytest.mark.parametrize("name", ONE_WAY)
def test_there(name, relative_difference, tmp_path):
    crossed(model_of(ONE_WAY[name]), relative_difference, tmp_path)


def test_settings_go_along():
    x = keras.Input((4, 4, 3))
    conv = layers.Conv2D(2, 1, kernel_regularizer=keras.regularizers.L2(0.03), trainable=False, name="conv")
    legacy = build(capture(keras.Model(x, conv(x))), family="tf_keras").get_layer("conv")
    assert not legacy.trainable and legacy.kernel_regularizer.l2 == pytest.approx(0.03)
    assert family_of(legacy).name == "tf_keras"


def test_shared_layers_and_structures_stay(relative_difference, tmp_path):
    inputs = {"b": keras.Input((4,), name="b"), "a": keras.Input((4,), name="a")}
    shared = layers.Dense(4, activation="hard_silu", name="shared")
    model = keras.Model(inputs, {"z": shared(inputs["a"]), "y": [shared(inputs["b"]), shared(shared(inputs["a"]))]})
    legacy = crossed(model, relative_difference, tmp_path)
    assert sum(isinstance(layer, tf_keras.layers.Dense) for layer in legacy.layers) == 1
    assert sorted(legacy.input) == ["a", "b"] and sorted(legacy.output) == ["y", "z"]


def test_the_border_map_is_an_added_constant(randomize, relative_difference, tmp_path):
    x = keras.Input((9, 9, 4))
    y = layers.Conv2D(4, 3, padding="same", name="b")(layers.Conv2D(6, 1, name="a")(x))
    folded = tfold.fold(randomize(keras.Model(x, y)), policy="always").model
    legacy = crossed(folded, relative_difference, tmp_path)
    assert [layer.name for layer in legacy.layers][1:] == ["a-b", "a-b_border"]


class Mine(layers.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize("function, words", [
    (layers.RMSNormalization(name="rms"), r"'rms' \(RMSNormalization\). It has no RMSNormalization layer"),
    (Mine(name="mine"), r"'mine' \(Mine\). Its code is your own"),
    (layers.Lambda(lambda x: x, name="code"), r"'code' \(Lambda\). Its code is your own"),
    (layers.Dense(2, lora_rank=2, name="lora"), r"'lora' \(Dense\). Its Dense takes no lora_rank=2"),
    (layers.Resizing(8, 8, pad_to_aspect_ratio=True, name="pad"), "'pad'.*takes no pad_to_aspect_ratio=True"),
    (layers.Activation("celu", name="curve"), "'curve', with the activation celu"),
    (layers.Activation(lambda x: x, name="own"), "'own', with an activation function of your own"),
    (layers.ConvLSTM1D(2, 3, recurrent_activation="hard_sigmoid", name="rnn"), "'rnn'.*no activation hard_sigmoid"),
    (lambda x: ops.einsum("bhwc,bhwd->bcd", x, x), "'einsum.*', Einsum, which tfold does not know there"),
    (lambda x: ops.split(x, [1], -1), "'split.*', Split, which tfold does not know there"),
])
def test_what_has_no_twin_is_named(function, words):
    with pytest.raises(tfold.BadInputError, match=words):
        build(capture(model_of(function)), family="tf_keras")


def test_what_has_no_twin_in_keras_3_is_named():
    x = tf_keras.Input((4, 4, 3))
    for layer, words in (
        (tf_keras.layers.ThresholdedReLU(name="step"), "'step'.*no ThresholdedReLU layer"),
        (tf_keras.layers.Dense(2, activation="hard_sigmoid", name="hard"), "'hard.*', with an activation function"),
    ):
        with pytest.raises(tfold.BadInputError, match=words):
            build(capture(tf_keras.Model(x, layer(x))), family="keras")
