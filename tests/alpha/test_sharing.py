"""One activation object at many places: an α for each place, or a warning that says why not."""
import warnings

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.alpha import alpha_layers


def shared_relu(fused=False):
    """Three blocks, all with one ReLU object; or with one convolution that has its activation inside."""
    x = y = keras.Input((6, 6, 4))
    relu, drop = layers.ReLU(name="relu"), layers.Dropout(0.1)
    conv = layers.Conv2D(4, 1, activation="relu", name="conv")
    for _ in range(3):
        y = conv(y) if fused else drop(relu(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y))))
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(y)), name="net")


def test_each_place_has_an_alpha_of_its_own(outputs_of):
    model = shared_relu()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f_alpha = tfold.prefold(model)
    assert list(tfold.alphas(f_alpha)) == ["relu", "relu_1", "relu_2"]
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(f_alpha)[0])
    alpha_layers(f_alpha)["relu_1"].alpha.assign(1.0)
    settled = tfold.settle(f_alpha)
    assert [layer.name for layer in settled.layers if isinstance(layer, layers.ReLU)] == ["relu", "relu_2"]
    assert tfold.fold(f_alpha).report.after.batch_norms == 0
    assert [layer.name for layer in model.layers].count("relu") == 1
    assert len(model.get_layer("relu")._inbound_nodes) == 3


def test_the_name_of_a_shared_activation_means_all_of_its_places():
    model = shared_relu()
    f_alpha = tfold.prefold(model, tfold.AlphaPenalty(0.5), costs={"relu": 3.0}, only="relu")
    assert [layer.alpha_regularizer.cost for layer in alpha_layers(f_alpha).values()] == [3.0] * 3
    assert len(tfold.alphas(tfold.prefold(model, only=lambda layer: layer is model.get_layer("relu")))) == 3
    with pytest.raises(tfold.errors.BadInputError, match="skipped"):
        tfold.prefold(model, skip="relu")


def test_an_activation_inside_a_shared_layer_keeps_one_alpha_and_a_warning_says_so():
    with pytest.warns(UserWarning, match="one α stands for all places of 'conv' in 'net'"):
        assert list(tfold.alphas(tfold.prefold(shared_relu(fused=True)))) == ["conv_alpha"]


def test_an_activation_shared_inside_a_model_that_is_called_twice():
    inner_x = keras.Input((6, 6, 4))
    relu = layers.Activation("relu6", name="six")
    inner = keras.Model(inner_x, relu(layers.Conv2D(4, 1)(relu(layers.Conv2D(4, 1)(inner_x)))), name="inner")
    x = keras.Input((6, 6, 4))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(inner(inner(x)))), name="outer")
    with pytest.warns(UserWarning, match="'six', 'six_1' in 'outer'"):
        f_alpha = tfold.prefold(model)
    assert list(tfold.alphas(f_alpha)) == ["inner/six", "inner/six_1"]


def test_the_last_place_alone_is_left_without_alpha():
    relu, x = layers.ReLU(name="relu"), keras.Input((8,))
    model = keras.Model(x, relu(layers.Dense(3)(relu(layers.Dense(5)(x)))))
    assert list(tfold.alphas(tfold.prefold(model))) == ["relu"]
