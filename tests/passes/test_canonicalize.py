"""Settling α, dropping what does nothing, padding into convolutions."""
import keras
import pytest
from keras import layers

import tfold
from tfold.graph.capture import capture


def chain(*stack, shape=(8, 8, 3)):
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def kinds_of(model):
    return [type(layer).__name__ for layer in model.layers][1:]


def with_alpha(alpha, activation="relu", **kwargs):
    return tfold.AlphaActivation(activation, alpha_initializer=keras.initializers.Constant(alpha), **kwargs)


@pytest.mark.parametrize("alpha, threshold, kinds", [
    (1.0, 0.9, ["Flatten", "Dense"]),
    (0.0, 0.9, ["Flatten", "Dense", "Activation", "Dense"]),
    (0.91, 0.9, ["Flatten", "Dense"]),
    (0.9, 0.9, ["Flatten", "Dense", "Activation", "Dense"]),
    (0.6, 0.5, ["Flatten", "Dense"]),
])
def test_the_threshold_decides(alpha, threshold, kinds):
    model = chain(layers.Flatten(), layers.Dense(4), with_alpha(alpha), layers.Dense(2))
    result = tfold.fold(model, threshold=threshold, policy="always")
    assert kinds_of(result.model) == kinds
    settled = [entry for entry in result.report.folded if entry.rule == "settle_alpha"]
    assert len(settled) == (alpha > threshold)


def test_an_activation_that_came_from_a_layer_goes_back_into_it():
    model = chain(layers.Conv2D(4, 3), with_alpha(0.0, fused=True))
    [conv] = tfold.fold(model).model.layers[1:]
    assert conv.activation is keras.activations.relu


@pytest.mark.parametrize("activation", ["tanh", "relu6", "gelu", layers.LeakyReLU(0.3), layers.ReLU(6.0, 0.1)])
def test_the_activation_that_comes_back_is_the_one_it_was(activation, fold_checked):
    model = chain(layers.Dense(4), with_alpha(0.0, activation), layers.Dense(3, activation="softmax"))
    assert fold_checked(model).report.after.depth == 2


def test_one_call_of_a_shared_layer_with_an_activation_behind(fold_checked):
    """The layer's other call has none: it must not get one."""
    x, shared = keras.Input((5,)), layers.Dense(5)
    model = keras.Model(x, shared(with_alpha(0.0, fused=True)(shared(x))))
    assert kinds_of(fold_checked(model).model) == ["Dense", "Activation"]


def test_what_does_nothing_goes(fold_checked):
    model = chain(layers.Dropout(0.5), layers.Conv2D(3, 3), layers.GaussianNoise(1.0), layers.Activation("linear"))
    assert kinds_of(fold_checked(model).model) == ["Conv2D"]


def test_what_no_output_depends_on_goes(fold_checked):
    x = keras.Input((5,))
    y = layers.Dense(4)(x)
    inner = keras.Model(x, [layers.Dense(3)(y), layers.LSTM(2)(layers.Reshape((2, 2))(y))])
    z = keras.Input((5,))
    result = fold_checked(keras.Model(z, layers.Dense(2)(inner(z)[0])), policy="always")
    assert kinds_of(result.model) == ["Dense"]
    assert result.report.refusals == []


def test_padding_meets_its_convolution_once_a_batch_norm_between_is_gone(fold_checked):
    x = keras.Input((8, 8, 3))
    y = layers.BatchNormalization()(layers.ZeroPadding2D(1)(x))
    assert kinds_of(fold_checked(keras.Model(x, layers.Conv2D(4, 3)(y))).model) == ["Conv2D"]


def test_what_changes_the_type_stays():
    x = keras.Input((4,))
    y = layers.Dense(3, dtype="mixed_float16")(x)
    model = keras.Model(x, layers.Activation("linear", dtype="float32")(y))
    assert tfold.fold(model).model.output.dtype == "float32"


@pytest.mark.parametrize("pad, conv, same", [
    (((1, 1), (1, 1)), layers.Conv2D(4, 3), True),
    (((0, 1), (0, 1)), layers.Conv2D(4, 3, strides=2), True),
    (((1, 1), (1, 1)), layers.Conv2D(4, 3, strides=2), False),
    (((2, 0), (1, 3)), layers.DepthwiseConv2D(3), False),
    (((1, 0), (0, 1)), layers.Conv2D(4, 3, padding="same"), False),
])
def test_padding_goes_into_the_convolution(pad, conv, same, fold_checked):
    model = chain(layers.ZeroPadding2D(pad), conv)
    result = fold_checked(model)
    kinds = kinds_of(result.model)
    assert kinds == [type(conv).__name__] if same else ["ZeroPadding2D", type(conv).__name__]
    assert "padding moved into the convolution" in str(result.report)


@pytest.mark.parametrize("readers", [
    lambda y: [layers.Conv2D(4, 3)(y), layers.MaxPooling2D()(y)],
    lambda y: [layers.Conv2D(4, 3)(y), y],
    lambda y: [layers.Conv2DTranspose(4, 3)(y)],
    lambda y: [layers.Dense(4)(y)],
])
def test_padding_that_others_read_too_stays(readers, fold_checked):
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, readers(layers.ZeroPadding2D(1)(x)))
    result = fold_checked(model)
    assert "pad" in [node.op for node in capture(result.model)]
    assert result.report.folded == []


def test_padding_goes_into_every_reader(fold_checked):
    x = keras.Input((8, 8, 3))
    y = layers.ZeroPadding2D(1)(x)
    result = fold_checked(keras.Model(x, [layers.Conv2D(4, 3)(y), layers.Conv2D(2, 3, activation="relu")(y)]))
    assert kinds_of(result.model) == ["Conv2D", "Conv2D"]


def test_layers_made_beside_take_no_name_of_the_networks(fold_checked):
    x = keras.Input((8, 8, 3))
    y = layers.ZeroPadding2D(((0, 2), (1, 1)), name="zeros")(x)
    y = layers.Conv2D(3, 3, name="conv")(y)
    result = fold_checked(keras.Model(x, layers.ReLU(name="conv_pad")(y)))
    names = [layer.name for layer in result.model.layers]
    assert len(set(names)) == len(names)
    assert isinstance(result.model.get_layer("conv_pad"), layers.ReLU)
