import keras
import numpy as np
import pytest
from keras import layers

from tfold.alpha import alphas, prefold, settle
from tfold.errors import BadInputError


def inverted_residual(second="relu6"):
    x = keras.Input((6, 6, 2))
    y = layers.Conv2D(8, 1, activation="relu6", name="expand")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Activation(second, name="act")(y)
    y = layers.Conv2D(2, 1, name="project")(y)
    return keras.Model(x, layers.Dense(2, activation="relu", name="head")(layers.Add()([x, y])))


IMAGES = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")


def test_a_group_has_one_alpha():
    model = inverted_residual()
    f_alpha = prefold(model, tie=[["expand", "act"]])
    assert list(alphas(f_alpha)) == ["expand_alpha"]
    np.testing.assert_array_equal(f_alpha(IMAGES), model(IMAGES))


def test_both_go_when_it_is_one_and_both_stay_when_it_is_not():
    model = inverted_residual()
    f_alpha = prefold(model, tie=[["expand", "act"]])
    np.testing.assert_allclose(settle(f_alpha)(IMAGES), model(IMAGES), rtol=1e-6, atol=1e-6)
    f_alpha.get_layer("expand_alpha").alpha.assign(1.0)
    linear = settle(f_alpha)
    kinds = {type(layer).__name__ for layer in linear.layers}
    assert "ReLU" not in kinds and "Activation" not in kinds and "AlphaActivation" not in kinds
    assert linear.get_layer("expand").activation is keras.activations.linear


def test_survives_saving(tmp_path):
    f_alpha = prefold(inverted_residual(), tie=[["expand", "act"]])
    f_alpha.get_layer("expand_alpha").alpha.assign(0.5)
    f_alpha.save(tmp_path / "f.keras")
    loaded = keras.models.load_model(tmp_path / "f.keras")
    assert alphas(loaded) == {"expand_alpha": 0.5}
    np.testing.assert_allclose(loaded(IMAGES), f_alpha(IMAGES), rtol=1e-6)


def test_in_a_sequential_model():
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, "relu", name=f"d{i}") for i in range(4))])
    f_alpha = prefold(model, tie=[["d0", "d2"]])
    assert list(alphas(f_alpha)) == ["d0_alpha", "d1_alpha"]
    x = IMAGES.reshape(-1, 4)
    np.testing.assert_allclose(f_alpha(x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    "tie, message",
    [
        (["expand", "act"], "groups of at least two names"),
        ([["expand"]], "groups of at least two names"),
        ([["expand", "nothing"]], "nothing"),
        ([["expand", "head"]], "'head', which gets none"),
        ([["expand", "act"], ["act", "expand"]], "in two"),
    ],
)
def test_refuses(tie, message):
    with pytest.raises(BadInputError, match=message):
        prefold(inverted_residual(), tie=tie)


def test_refuses_activations_that_differ():
    with pytest.raises(BadInputError, match="which differ"):
        prefold(inverted_residual("tanh"), tie=[["expand", "act"]])
