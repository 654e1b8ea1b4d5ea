import keras
import numpy as np
import pytest

from tfold.alpha import AlphaActivation, alphas, prefold, settle
from tfold.graph.calls import is_graph_model

layers = keras.layers


def is_stock(model):
    return all(
        is_stock(layer) if is_graph_model(layer) else type(layer).__module__.startswith("keras.")
        for layer in model.layers
    )


def test_all_at_0_gives_the_network_back(model, outputs_of):
    settled = settle(prefold(model))
    for old, new in zip(outputs_of(model), outputs_of(settled), strict=True):
        np.testing.assert_array_equal(old, new)
    assert alphas(settled) == {} and is_stock(settled) and settled.count_params() == model.count_params()
    if model.name != "operations":  # operations come back as Activation layers
        # A shared activation comes back as a layer for each place.
        names = [layer.name for layer in settled.layers if layer.name != "act_1"]
        assert names == [layer.name for layer in model.layers]


def test_all_at_1_leaves_the_linear_layers(model, outputs_of, set_alphas):
    f_alpha = prefold(model)
    set_alphas(f_alpha, 1.0)
    settled = settle(f_alpha)
    for old, new in zip(outputs_of(f_alpha), outputs_of(settled), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-6, atol=1e-7)
    assert not {name.split("/")[-1] for name in alphas(f_alpha)} & {layer.name for layer in settled.layers}


@pytest.mark.parametrize("values", [(0.35,), (0.95, 0.2), (1e-7, 0.5, 0.89)])
def test_leaky_is_exact(model, outputs_of, set_alphas, values):
    f_alpha = prefold(model)
    set_alphas(f_alpha, *values)
    settled = settle(f_alpha, leaky=True)
    set_alphas(f_alpha, *[1.0 if value > 0.9 else value for value in values])
    for old, new in zip(outputs_of(f_alpha), outputs_of(settled), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-5, atol=1e-6)
    assert is_stock(settled)


def test_threshold_decides(make, outputs_of, set_alphas):
    f_alpha = prefold(make("functional"))
    set_alphas(f_alpha, 0.5, 0.7, 0.1)
    settled = settle(f_alpha, threshold=0.6)
    assert settled.get_layer("b").activation is keras.activations.linear
    assert settled.get_layer("relu6").max_value == 6
    set_alphas(f_alpha, 0.0, 1.0, 0.0)
    np.testing.assert_array_equal(outputs_of(f_alpha)[0], outputs_of(settled)[0])


def test_the_slope_of_relus(make, set_alphas):
    model = keras.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(3, activation="relu", name="a"),
            layers.Dense(3),
            layers.LeakyReLU(negative_slope=0.5, name="b"),
            layers.Dense(3),
            layers.ReLU(max_value=6, name="c"),
            layers.Dense(3),
        ]
    )
    f_alpha = prefold(model)
    set_alphas(f_alpha, 0.25)
    settled = settle(f_alpha, leaky=True)
    assert settled.get_layer("a_alpha").negative_slope == 0.25
    assert settled.get_layer("b").negative_slope == 0.625
    assert isinstance(settled.get_layer("c"), keras.Model)


def test_an_output_keeps_its_name(make, set_alphas):
    f_alpha = prefold(make("functional"), only="out")
    set_alphas(f_alpha, 1.0)
    settled = settle(f_alpha)
    assert settled.output_names == ["out"] and settled.get_layer("out").activation is keras.activations.linear


def test_activation_goes_back_only_where_nothing_else_reads_the_layer(outputs_of, set_alphas):
    x = keras.Input((3,))
    y = layers.Dense(3, name="a")(x)
    z = AlphaActivation("relu", fused=True, name="a_alpha")(y)
    model = keras.Model(x, layers.Dense(2)(layers.Concatenate()([y, z])))
    settled = settle(model)
    assert settled.get_layer("a").activation is keras.activations.linear
    assert settled.get_layer("a_alpha").activation is keras.activations.relu
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(settled)[0])


def test_a_model_without_alpha_is_copied(make, outputs_of):
    model = make("functional")
    settled = settle(model)
    assert settled is not model
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(settled)[0])


@pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1, "high", float("nan")])
def test_refuses_thresholds(make, threshold):
    with pytest.raises(ValueError, match="0 < threshold < 1.*Received"):
        settle(prefold(make("functional")), threshold=threshold)


def test_refuses_nan(make, set_alphas):
    f_alpha = prefold(make("functional"))
    set_alphas(f_alpha, 0.2, float("nan"), 0.1)
    with pytest.raises(ValueError, match=r"NaN in \['b_alpha'\].*lower learning rate"):
        settle(f_alpha)


def test_what_stands_in_for_stock_layers_is_stock_again(make, outputs_of, set_alphas):
    from tfold.training import restructure_batch_norm

    model = make("sequential")
    f_alpha = restructure_batch_norm(prefold(model), memory="low")  # the convolutions too
    assert hasattr(f_alpha.get_layer("bn"), "_tfold_stock")
    settled = settle(f_alpha)
    for layer in settled.layers:
        assert type(layer) is getattr(layers, type(layer).__name__)
    np.testing.assert_array_equal(outputs_of(settled)[0], outputs_of(model)[0])
    assert settled.get_layer("depthwise").activation is keras.activations.swish
    set_alphas(f_alpha, 1.0)
    assert all(type(layer) is getattr(layers, type(layer).__name__) for layer in settle(f_alpha).layers)
