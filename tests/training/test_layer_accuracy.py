"""One batch norm, and what shares its sweep, against the same formula in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tfold
from tfold.alpha import AlphaActivation

layers = keras.layers
INFINITE = float("inf")


def sigma_alpha(activation):
    return AlphaActivation(activation, alpha_initializer=keras.initializers.Constant(0.3))


# What makes the layer, then slope and limit: slope·v + (1 − slope)·min(max(v, 0), limit).
ACTIVATIONS = {
    "none": (None, 1.0, INFINITE),
    "relu": (lambda: layers.ReLU(), 0.0, INFINITE),
    "relu6": (lambda: layers.Activation("relu6"), 0.0, 6.0),
    "relu to 2.5": (lambda: layers.ReLU(max_value=2.5), 0.0, 2.5),
    "leaky relu": (lambda: layers.LeakyReLU(negative_slope=0.3), 0.3, INFINITE),
    "alpha of relu": (lambda: sigma_alpha("relu"), 0.3, INFINITE),
    "alpha of relu6": (lambda: sigma_alpha(layers.ReLU(max_value=6)), 0.3, 6.0),
}
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
PARTS = st.one_of(st.integers(1, 70).map(lambda n: [n]), st.lists(st.integers(1, 24), min_size=2, max_size=3))


@pytest.fixture(params=["python", "compiled"])
def engine(request):
    if request.param == "compiled":
        request.getfixturevalue("kernels")
    return request.param


def network(pixels, parts, make, residual="none", **options):
    """Parts, one behind another in the channels ─ batch norm ─ (Add) ─ (activation)."""
    inputs = [keras.Input((*pixels, width)) for width in parts]
    y = layers.Concatenate()(inputs) if len(parts) > 1 else inputs[0]
    y = layers.BatchNormalization(momentum=0.5, name="bn", **options)(y)
    if residual != "none":
        inputs.append(keras.Input((*pixels, sum(parts))))
        y = layers.Add()([y, inputs[-1]] if residual == "right" else [inputs[-1], y])
    return keras.Model(inputs, make()(y) if make else y)


def trained(model, x, dy):
    """(y, gradients by inputs, gradients by weights) of one training step that hands `dy` back."""
    x = [tf.constant(part, "float32") for part in x]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x, training=True)
        loss = tf.reduce_sum(y * tf.constant(dy, y.dtype))
    by_inputs, by_weights = tape.gradient(loss, (x, model.trainable_variables))
    return y.numpy(), [g.numpy() for g in by_inputs], {
        v.name: g.numpy() for v, g in zip(model.trainable_variables, by_weights, strict=True)
    }


def reference(x, residual, gamma, beta, epsilon, slope, limit, dy):
    """All of it in float64; `dy` is set to 0 in place where a kink is near."""
    x, residual, gamma, beta, slope = (tf.constant(t, "float64") for t in (x, residual, gamma, beta, slope))
    with tf.GradientTape() as tape:
        tape.watch([x, residual, gamma, beta, slope])
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        normal = (x - mean) / tf.sqrt(variance + epsilon)
        v = gamma * normal + beta + residual
        clipped = tf.clip_by_value(v, 0.0, limit)
        y = slope * v + (1 - slope) * clipped
        if slope != 1:
            dy[(abs(v.numpy()) < 1e-4) | (abs(v.numpy() - limit) < 1e-4)] = 0
        loss = tf.reduce_sum(y * dy)
    found = dict(zip(("x", "residual", "gamma", "beta", "alpha"),
                     tape.gradient(loss, [x, residual, gamma, beta, slope], unconnected_gradients="zero"), strict=True))
    # What an error is measured by: sums may cancel, so their largest terms stand in where these are larger.
    scale = abs(gamma) / tf.sqrt(variance + epsilon)
    terms = {"x": tf.reduce_max(scale) * abs(dy).max(), "residual": abs(dy).max(),
             "gamma": tf.reduce_max(abs(dy * normal)), "beta": abs(dy).max(), "alpha": tf.reduce_max(abs(dy * v))}
    return y.numpy(), {k: g.numpy() for k, g in found.items()}, {k: float(t) for k, t in terms.items()}, mean, variance


def close(found, expected, within, least=0.0):
    largest = max(abs(expected).max(), float(least), 1e-30)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= within * largest, abs(found - expected).max() / largest


@pytest.mark.parametrize("activation", ACTIVATIONS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SHAPES, PARTS, st.sampled_from(["none", "left", "right"]), st.booleans(), st.booleans(),
       st.sampled_from([0, 3, 1000]), st.integers(0, 1000))
def test_against_float64(engine, activation, shape, parts, residual, scale, center, offset, seed):
    make, slope, limit = ACTIVATIONS[activation]
    if engine == "python":
        offset = min(offset, 3)  # its mean is rounded: see below
    rng = np.random.default_rng(seed)
    channels = sum(parts)
    x = (2 * rng.normal(size=(*shape, channels)) + offset).astype("float32")
    r = rng.normal(size=x.shape).astype("float32") if residual != "none" else np.zeros(x.shape)
    dy = rng.normal(size=x.shape)
    gamma = rng.normal(size=channels).astype("float32") if scale else np.ones(channels)
    beta = rng.normal(size=channels).astype("float32") if center else np.zeros(channels)
    y, gradients, terms, mean, variance = reference(x, r, gamma, beta, 1e-3, slope, limit, dy)

    stock = network(shape[1:], parts, make, residual, scale=scale, center=center)
    start = [*([gamma] if scale else []), *([beta] if center else []), rng.normal(size=channels), np.ones(channels)]
    stock.get_layer("bn").set_weights(start)
    model = tfold.restructure_batch_norm(stock, kernels=engine)
    inputs = [*np.split(x, np.cumsum(parts)[:-1], axis=-1), *([r] if residual != "none" else [])]
    found, by_inputs, by_weights = trained(model, inputs, dy)

    close(found, y, 5e-6)
    close(np.concatenate(by_inputs[: len(parts)], -1), gradients["x"], 5e-6, terms["x"])
    if residual != "none":
        close(by_inputs[-1], gradients["residual"], 5e-6)
    learns = {"gamma": scale, "beta": center, "alpha": activation.startswith("alpha")}
    assert set(by_weights) == {name for name, does in learns.items() if does}
    for name, gradient in by_weights.items():
        close(gradient, gradients[name], 5e-5, terms[name])
    moving_mean, moving_variance = model.get_layer("bn").get_weights()[-2:]
    close(moving_mean, 0.5 * start[-2] + 0.5 * mean.numpy(), 2e-6)
    close(moving_variance, 0.5 + 0.5 * variance.numpy(), 2e-5)  # the batch's own: divided by n, not by n − 1


def test_a_mean_far_from_0(engine):
    """TensorFlow's operation rounds the mean to float32, as stock Keras does; ours does not."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, 5, 5, 6)) + 1000).astype("float32")
    dy = rng.normal(size=x.shape)
    y, gradients, _, _, variance = reference(x, 0 * x, np.ones(6), np.zeros(6), 1e-3, 0.0, INFINITE, dy)
    stock = network((5, 5), [6], ACTIVATIONS["relu"][0])
    fast = tfold.restructure_batch_norm(stock, kernels=engine)
    errors = []
    for model in (stock, fast):
        found, (dx,), _ = trained(model, [x], dy)
        errors.append((abs(found - y).max() / y.max(), abs(dx - gradients["x"]).max() / abs(gradients["x"]).max()))
        close(model.get_layer("bn").get_weights()[-1], 0.5 + 0.5 * variance.numpy(), 1e-4)
    assert all(mine <= max(2 * its, 5e-6) for its, mine in zip(*errors, strict=True)), errors
    if engine == "compiled":
        assert max(errors[1]) <= 5e-6


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_pixel_in_all(engine, activation):
    make, slope, limit = ACTIVATIONS[activation]
    stock = network((1, 1), [5], make)
    beta = np.array([-3, -0.5, 0.5, 3, 7], "float32")
    stock.get_layer("bn").set_weights([np.ones(5), beta, np.zeros(5), np.ones(5)])
    x = np.arange(5, dtype="float32").reshape(1, 1, 1, 5)
    model = tfold.restructure_batch_norm(stock, kernels=engine)
    found, (dx,), by_weights = trained(model, [x], np.ones(x.shape))
    np.testing.assert_allclose(found.ravel(), slope * beta + (1 - slope) * np.clip(beta, 0, limit), rtol=1e-6)
    np.testing.assert_allclose(dx.ravel(), np.zeros(5), atol=1e-5)
    np.testing.assert_allclose(by_weights["gamma"], np.zeros(5), atol=1e-6)
    np.testing.assert_array_equal(model.get_layer("bn").get_weights()[2], x.ravel() / 2)
    np.testing.assert_array_equal(model.get_layer("bn").get_weights()[3], np.full(5, 0.5))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "residual"])
def test_what_is_no_number_shows(engine, activation, bad, where):
    """As in stock Keras: a NaN must not vanish in a ReLU, and an average that has met one is lost."""
    stock = network((3, 3), [4], ACTIVATIONS[activation][0], "right")
    model = tfold.restructure_batch_norm(stock, kernels=engine)
    x, r = np.random.default_rng(0).normal(size=(2, 2, 3, 3, 4)).astype("float32")
    {"x": x, "residual": r}[where][0, 1, 1, 2] = bad
    expected, found = (m([x, r], training=True).numpy() for m in (stock, model))
    if where == "x" or np.isnan(bad):
        assert not np.isfinite(found[0, 1, 1, 2])
    if where == "x":
        # The whole channel is lost.
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for its, mine in zip(stock.get_layer("bn").get_weights(), model.get_layer("bn").get_weights(), strict=True):
        np.testing.assert_array_equal(np.isfinite(mine), np.isfinite(its))
        np.testing.assert_allclose(mine[np.isfinite(mine)], its[np.isfinite(its)], rtol=1e-5, atol=1e-6)


def test_a_batch_without_images(engine):
    stock = network((3, 3), [4], layers.ReLU)
    model = tfold.restructure_batch_norm(stock, kernels=engine)
    empty = np.zeros((0, 3, 3, 4), "float32")
    for network_ in (stock, model):
        assert network_([empty], training=True).shape == (0, 3, 3, 4)
        assert not np.isfinite(network_.get_layer("bn").get_weights()[2]).any()
