"""Scales for 8 bits: the function stays, the noise falls, and its two parts are its derivative."""
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import tfold
from tfold.graph.capture import capture
from tfold.graph.ir import Ref
from tfold.passes.equalize import Range, _classes, _Noise, equalize
from tfold.passes.gauge import Gauge


def uneven(model, seed=0):
    """Channels whose ranges differ by a factor of a hundred, as merging and folding may leave them."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and "depthwise" not in layer.name:
            layer.kernel.assign(layer.kernel * np.exp(rng.uniform(-2.3, 2.3, layer.filters)))
        if hasattr(layer, "bias") and layer.bias is not None:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def network(activation):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = before = layers.Conv2D(6, 3, activation=activation, padding="same", name="first")(x)
    x = layers.DepthwiseConv2D(3, activation=activation, padding="same", name="depthwise")(x)
    x = layers.Add(name="add")([layers.Conv2D(6, 1, name="third")(x), before])
    pooled = layers.MaxPooling2D(2, name="pool")(x), layers.AveragePooling2D(2, name="mean")(x)
    x = layers.Concatenate(name="concat")(list(pooled))
    x = layers.Conv2D(4, 3, name="last")(x)
    return uneven(keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="uneven"))


IMAGES = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", None])
def test_the_network_computes_the_same(activation):
    model = network(activation)
    weights = [weight.copy() for weight in model.get_weights()]
    result = tfold.equalize_channels(model, IMAGES)
    np.testing.assert_allclose(result.model(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5 * np.abs(model(IMAGES)).max())
    assert result.gain > 3 and result.channels > 10
    assert result.verification.worst.relative < 1e-5
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert {layer.name for layer in model.layers} <= {layer.name for layer in result.model.layers}


def test_int8_gains_what_the_model_promises(tmp_path):
    """Not only by our formula: the files of the converter, with real roundings, are compared."""
    model = network("relu")
    even = tfold.equalize_channels(model, IMAGES).model
    before, after = (tfold.export(each, tmp_path / f"{name}.tflite", "int8", IMAGES, tolerance=9).comparison
                     for name, each in (("plain", model), ("even", even)))
    assert after.worst.decibels > before.worst.decibels + 1.5


@pytest.mark.parametrize("activation", ["relu6", "sigmoid", "tanh"])
def test_what_has_a_fixed_point_keeps_its_scale(activation):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 1, name="second")(layers.Conv2D(5, 1, activation=activation, name="first")(x))
    result = tfold.equalize_channels(uneven(keras.Model(x, y)), IMAGES)
    assert (result.channels, result.gain) == (0, 0.0)


def test_a_network_that_needs_none_stays_as_it_is():
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 1)(layers.ReLU()(x))
    result = tfold.equalize_channels(keras.Model(x, y), IMAGES)
    assert result.gain == 0.0


def test_products_and_shared_layers_keep_together():
    x = keras.Input((8, 8, 3))
    shared = layers.Conv2D(4, 1, name="shared")
    a, b = shared(x), shared(layers.ReLU()(x))
    y = layers.Multiply()([a, layers.Activation("sigmoid")(b)])
    model = uneven(keras.Model(x, layers.Conv2D(2, 1, name="last")(layers.Add()([y, layers.Conv2D(4, 1)(x)]))))
    result = tfold.equalize_channels(model, IMAGES)
    np.testing.assert_allclose(result.model(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)
    assert len(result.model.layers) == len(model.layers)


def test_a_border_map_lets_scales_pass(randomize):
    """What folding leaves behind merged layers is part of their bias, and comes back as it was."""
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", name="b")(layers.Conv2D(6, 1, name="a")(x))
    y = layers.Conv2D(2, 1, name="end")(layers.ReLU(name="relu")(y))
    folded = tfold.fold(uneven(keras.Model(x, y)), policy="always").model
    assert [op.name for op in folded.operations if "border" in op.name] == ["a-b_border"]
    result = tfold.equalize_channels(folded, IMAGES)
    assert result.channels == 4
    assert [op.name for op in result.model.operations] == [op.name for op in folded.operations]
    expected = folded(IMAGES)
    np.testing.assert_allclose(result.model(IMAGES), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("shape, expected", [((1, 8, 8, 3), "opaque"), ((8, 8, 3), "opaque"), ((8, 1, 3), None),
                                             ((3,), None), ((2, 8, 8, 3), None)])
def test_what_is_a_border_map(shape, expected):
    x = keras.Input((8, 8, 3), batch_size=2)
    constant = np.random.default_rng(0).normal(size=shape).astype("float32")
    graph = capture(keras.Model(x, layers.Conv2D(2, 1)(x + constant)))
    maps = [node.attrs["adds"] for node in graph if "adds" in node.attrs]
    assert len(maps) == (expected is not None)
    if maps:
        np.testing.assert_array_equal(maps[0], constant.reshape(8, 8, 3))


def test_a_sample_without_numbers_is_refused():
    bad = IMAGES.copy()
    bad[3] = np.nan
    with pytest.raises(tfold.BadInputError, match="NaN or infinity at .* on the sample"):
        tfold.equalize_channels(network("relu"), bad)
    with pytest.raises(tfold.BadInputError, match="as the model takes them. Received: "):
        tfold.equalize_channels(network("relu"), {"nothing": IMAGES})


@pytest.fixture(scope="module")
def noise():
    """The noise of a small network with random ranges, for random numbers of it."""
    graph = capture(network("relu"))
    gauge, rng = Gauge(graph), np.random.default_rng(1)
    ranges = {Ref(node.name): Range(*rng.uniform(0.1, 5, (3, node.shape[-1]))) for node in graph}
    classes, free = _classes(graph, gauge)
    return _Noise(graph, gauge, ranges, classes, free), graph, ranges


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), wide=st.floats(0.01, 3))
def test_the_two_parts_are_the_derivative(noise, seed, wide):
    """d noise ÷ d u_c = 2·(what grows − what falls), by finite differences in float64."""
    found, _, _ = noise
    rng = np.random.default_rng(seed)
    u, direction = rng.normal(scale=wide, size=(2, len(found.free))) * found.free
    direction /= np.linalg.norm(direction)
    _, falls, grows = found.at(u)
    step = 1e-5
    slope = (found.at(u + step * direction)[0] - found.at(u - step * direction)[0]) / (2 * step)
    assert slope == pytest.approx(2 * (grows - falls) @ direction, rel=1e-4, abs=1e-12)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), at=st.floats(0, 1))
def test_it_is_convex(noise, seed, at):
    """So that what is found is the one minimum."""
    found, _, _ = noise
    a, b = np.random.default_rng(seed).normal(scale=2, size=(2, len(found.free))) * found.free
    between = found.at(at * a + (1 - at) * b)[0]
    assert between <= at * found.at(a)[0] + (1 - at) * found.at(b)[0] + 1e-12


def test_no_other_scales_are_better(noise):
    found, graph, ranges = noise
    best = found.smallest()
    least = found.at(best)[0]
    rng = np.random.default_rng(0)
    for wide in (0.01, 0.1, 1.0):
        for _ in range(50):
            assert found.at(best + rng.normal(scale=wide, size=len(best)) * found.free)[0] >= least * (1 - 1e-3)
    assert equalize(graph, ranges).gain == pytest.approx(10 * np.log10(found.at(np.zeros(len(best)))[0] / least))


def test_ranges_grow_by_as_much_as_the_form_says():
    model = network("relu")
    result = tfold.equalize_channels(model, IMAGES)
    probe = keras.Model(model.inputs, model.get_layer("third").output)
    other = keras.Model(result.model.inputs, result.model.get_layer("third").output)
    ratio = np.abs(other(IMAGES)).max((0, 1, 2)) / np.abs(probe(IMAGES)).max((0, 1, 2))
    assert ratio.max() / ratio.min() > 2  # channels have moved towards one another
    spread = [np.ptp(np.log(np.abs(each(IMAGES)).max((0, 1, 2)))) for each in (probe, other)]
    assert spread[1] < spread[0]
