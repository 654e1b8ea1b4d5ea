"""What capture reads: ops, maps, walls; and what it refuses to read."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.graph.capture import capture


def ops_of(*stack, shape=(8, 8, 4), **kwargs):
    """The ops of the graph of a chain of layers, without the input."""
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y, **kwargs)
    return [node.op for node in capture(keras.Model(x, y))][1:]


@pytest.mark.parametrize("layer, ops", [
    (layers.Conv2D(3, 3), ["linear"]),
    (layers.Conv2D(3, 3, activation="relu"), ["linear", "activation"]),
    (layers.DepthwiseConv2D(3), ["linear"]),
    (layers.SeparableConv2D(3, 3, activation="relu"), ["linear", "linear", "activation"]),
    (layers.Conv2DTranspose(3, 3), ["linear"]),
    (layers.Dense(3), ["linear"]),
    (layers.BatchNormalization(), ["affine"]),
    (layers.ReLU(6.0), ["activation"]),
    (layers.Activation("linear"), ["identity"]),
    (layers.Dropout(0.5), ["identity"]),
    (layers.SpatialDropout2D(0.5), ["identity"]),
    (layers.GaussianNoise(0.5), ["identity"]),
    (layers.MaxPooling2D(), ["pool"]),
    (layers.GlobalAveragePooling2D(), ["pool"]),
    (layers.ZeroPadding2D(), ["pad"]),
    (tfold.AlphaActivation("relu"), ["alpha"]),
])
def test_what_a_layer_is(layer, ops):
    assert ops_of(layer) == ops


@pytest.mark.parametrize("layer", [
    layers.BatchNormalization(axis=1),
    layers.PReLU(),
    layers.LayerNormalization(),
    layers.Dense(3, activation=layers.PReLU()),
    layers.TimeDistributed(layers.Lambda(lambda x: x)),
    layers.Lambda(lambda x: x),
    layers.Conv2D(3, 3, data_format="channels_first", activation="softmax"),
])
def test_walls(layer):
    assert ops_of(layer) == ["opaque"]


def test_channels_first_is_read_as_channels_last():
    assert ops_of(layers.Conv2D(3, 3, data_format="channels_first")) == ["permute", "linear", "permute"]
    assert ops_of(layers.ZeroPadding2D(data_format="channels_first")) == ["permute", "pad", "permute"]


def test_what_is_called_at_each_step_is_read_as_what_it_is_on_the_whole_tensor():
    assert ops_of(layers.TimeDistributed(layers.Dense(3))) == ["linear"]


@pytest.mark.parametrize("layer", [layers.Dropout(0.5), layers.BatchNormalization()])
def test_training_true_makes_a_wall_and_false_does_not(layer):
    assert ops_of(layer, training=True) == ["opaque"]
    assert ops_of(layer, training=False) != ["opaque"]


def test_a_layer_of_a_users_own_is_a_wall_even_if_it_looks_like_ours():
    class Conv2D(layers.Conv2D):
        def call(self, x):
            return super().call(x) * 2

    assert ops_of(Conv2D(3, 3)) == ["opaque"]


def test_quantized_and_lora_layers_are_walls():
    for prepare in (lambda layer: layer.quantize("int8"), lambda layer: layer.enable_lora(1)):
        x = keras.Input((4,))
        dense = layers.Dense(3)
        model = keras.Model(x, dense(x))
        prepare(dense)
        assert [node.op for node in capture(model)] == ["input", "opaque"]


def test_products_broadcast_and_sums_do_not():
    x = keras.Input((4, 4, 3))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    model = keras.Model(x, [layers.Add()([x, gate]), x + gate, x * gate, x + x, layers.Add()([x, x])])
    ops = [node.op for node in capture(model) if node.op not in ("input", "pool")]
    assert sorted(ops) == ["add", "add", "multiply", "opaque", "opaque"]


def test_a_cast_is_not_nothing():
    x = keras.Input((4,))
    y = layers.Dense(3, dtype="mixed_float16")(x)
    for layer, op in ((layers.Activation("linear", dtype="float32"), "opaque"),
                      (layers.Dropout(0.5, dtype="mixed_float16"), "identity")):
        assert list(capture(keras.Model(x, layer(y))))[-1].op == op


@pytest.mark.parametrize("layer, size, padding, strides", [
    (layers.Conv2D(3, 3, padding="same"), 8, ((1, 1), (1, 1)), (1, 1)),
    (layers.Conv2D(3, 3, padding="same", strides=2), 8, ((0, 1), (0, 1)), (2, 2)),
    (layers.Conv2D(3, 3, padding="same", strides=2), 9, ((1, 1), (1, 1)), (2, 2)),
    (layers.Conv2D(3, 3, padding="same", strides=2), None, None, (2, 2)),
    (layers.Conv2D(3, 3, padding="same", dilation_rate=2), None, ((2, 2), (2, 2)), (1, 1)),
    (layers.Conv2D(3, (2, 4)), 8, ((0, 0), (0, 0)), (1, 1)),
])
def test_padding_is_read_for_each_side(layer, size, padding, strides):
    x = keras.Input((size, size, 3))
    linear = list(capture(keras.Model(x, layer(x))))[1].map
    assert (linear.padding, linear.strides) == (padding, strides)


def test_causal_padding_stands_in_front():
    x = keras.Input((8, 3))
    model = keras.Model(x, layers.Conv1D(3, 3, dilation_rate=2, padding="causal")(x))
    assert list(capture(model))[1].map.padding == ((4, 0),)


@pytest.mark.parametrize("build", [
    lambda x: layers.Conv2D(5, 3, strides=2, padding="same")(x),
    lambda x: layers.Conv2D(6, (2, 3), groups=2, dilation_rate=2)(x),
    lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x),
    lambda x: layers.SeparableConv2D(5, 3, depth_multiplier=3)(x),
    lambda x: layers.Dense(5)(x),
    lambda x: layers.BatchNormalization()(x),
])
def test_the_maps_compute_what_the_layer_computes(build, randomize):
    inputs = keras.Input((7, 8, 4))
    model = randomize(keras.Model(inputs, build(inputs)))
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 4)).astype("float32")
    y = x
    for node in list(capture(model))[1:]:
        y = node.map.apply(y) if node.op == "linear" else node.attrs["affine"](y)
    np.testing.assert_allclose(y, model(x).numpy(), rtol=1e-4, atol=1e-5)


def test_shared_calls_are_nodes_of_their_own_that_know_it():
    x = keras.Input((4,))
    shared, inner = layers.Dense(4), keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    graph = capture(keras.Model(x, [shared(shared(x)), inner(inner(x)), layers.Dense(4)(x)]))
    assert [node.shared for node in graph if node.op == "linear"].count(True) == 4
    assert [node.shared for node in graph if node.op == "linear"].count(False) == 1


def test_a_layer_used_once_here_and_once_elsewhere_is_not_shared():
    layer, x = layers.Dense(4), keras.Input((4,))
    keras.Model(x, layer(x))
    y = keras.Input((4,))
    assert not any(node.shared for node in capture(keras.Model(y, layer(y))))


def test_a_shared_separable_convolution_stays_whole():
    x = keras.Input((8, 8, 3))
    layer = layers.SeparableConv2D(3, 3, padding="same")
    assert [node.op for node in capture(keras.Model(x, layer(layer(x))))] == ["input", "opaque", "opaque"]


def test_the_text_form_names_layers_windows_and_shapes():
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(x)
    text = str(capture(keras.Model(x, y, name="net")))
    assert text.splitlines()[0] == "graph net"
    assert "kernel 3×3×3×4 strides (2, 2) padding ((0, 1), (0, 1))(image) → 4×4×4" in text
    assert "activation relu(stem)" in text


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


class Overridden(keras.Sequential):
    def call(self, x):
        return super().call(x) * 2


def nan_weights():
    model = keras.Sequential([keras.Input((3,)), keras.Sequential([layers.Dense(2, name="inner")])])
    model.layers[0].layers[0].bias.assign([np.nan, 0.0])
    return model


@pytest.mark.parametrize("model, words", [
    (lambda: Subclassed(), "Received: 'mine', a subclassed model"),
    (lambda: Overridden([keras.Input((3,)), layers.Dense(2)], name="over"), "Received: 'over', a subclassed model"),
    (lambda: keras.Sequential([layers.Dense(2)], name="loose"), "Received: 'loose', which is not built.*keras.Input"),
    (lambda: keras.Sequential(name="empty"), "Received: 'empty', which is not built"),
    (nan_weights, "Received: NaN or infinity in .*inner/bias"),
    (lambda: "model.keras", r"Received: builtins.str.*load_model"),
    (lambda: layers.Dense(2), "Received: keras.*Dense"),
    (lambda: None, "Received: builtins.NoneType"),
])
def test_what_cannot_be_read_is_said_in_one_sentence(model, words):
    for function in (capture, tfold.fold):
        with pytest.raises(tfold.BadInputError, match=words):
            function(model())


def test_a_subclassed_model_inside_is_a_wall():
    x = keras.Input((3,))
    graph = capture(keras.Model(x, layers.Dense(2)(Subclassed()(x))))
    assert [node.op for node in graph] == ["input", "opaque", "linear"]
