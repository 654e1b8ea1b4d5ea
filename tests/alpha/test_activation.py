import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.alpha import AlphaActivation, AlphaPenalty
from tfold.alpha.constraint import UnitInterval

RECTIFIERS = ["relu", "relu6", "leaky_relu", "elu", "selu", "celu"]
SMOOTH = ["sigmoid", "tanh", "swish", "silu", "gelu", "mish", "softplus", "softsign", "log_sigmoid", "exponential"]
NAMES = [*RECTIFIERS, *SMOOTH, "hard_swish", "hard_silu", "hard_sigmoid", "hard_tanh", "linear"]
LAYERS = [
    keras.layers.ReLU(max_value=6.0),
    keras.layers.ReLU(negative_slope=0.2, threshold=0.5),
    keras.layers.LeakyReLU(negative_slope=0.1),
    keras.layers.ELU(alpha=0.7),
    keras.layers.Activation("swish"),
]
X = np.linspace(-12, 12, 97).astype("float32")[None]


def value(layer, x=X):
    return keras.ops.convert_to_numpy(layer(x))


def at(activation, alpha, **kwargs):
    return AlphaActivation(activation, alpha_initializer=keras.initializers.Constant(alpha), **kwargs)


@pytest.mark.parametrize("activation", NAMES + LAYERS, ids=str)
def test_ends_are_exact_and_the_middle_is_the_mixture(activation):
    sigma = keras.ops.convert_to_numpy(keras.activations.get(activation)(keras.ops.convert_to_tensor(X)))
    np.testing.assert_array_equal(value(AlphaActivation(activation)), sigma)
    np.testing.assert_array_equal(value(at(activation, 1.0)), X)
    np.testing.assert_allclose(value(at(activation, 0.3)), 0.3 * X + 0.7 * sigma, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", NAMES + LAYERS, ids=str)
def test_config_round_trip(activation):
    layer = at(activation, 0.25, alpha_regularizer=AlphaPenalty(0.1, p=3, cost=2), name="mine", fused=True)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    copy = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(value(copy), value(layer))
    assert copy.get_config() == layer.get_config()
    assert (copy.name, copy.fused) == ("mine", True)


def test_weights():
    layer = AlphaActivation("relu")
    assert layer.alpha is None
    layer.build((None, 3))
    assert [weight.name for weight in layer.trainable_weights] == ["alpha"]
    assert layer.alpha.shape == () and float(layer.alpha) == 0.0 and not layer.non_trainable_weights
    layer = AlphaActivation("relu", alpha_regularizer=AlphaPenalty())
    layer.build((None, 3))
    assert [weight.name for weight in layer.non_trainable_weights] == ["strength"]


@given(st.floats(-10, 10, width=32, allow_subnormal=False))
def test_constraint_keeps_alpha_between_0_and_1(alpha):
    assert float(UnitInterval()(np.float32(alpha))) == min(max(alpha, 0.0), 1.0)


def test_constraint_holds_in_training():
    for target, end in ((-5.0, 1.0), (5.0, 0.0)):  # σ(−x) = 0: α·(−1) is drawn to the target, and beyond the end
        model = keras.Sequential([keras.layers.Input((1,)), at("relu", 0.5)])
        model.compile(keras.optimizers.SGD(1.0), "mse")
        model.fit(-np.ones((4, 1)), np.full((4, 1), target), epochs=2, verbose=0)
        assert float(model.layers[0].alpha) == end


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision(policy):
    layer = at("relu", 0.25, dtype=policy)
    y = layer(X)
    assert layer.alpha.dtype == "float32"
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    expected = np.where(X > 0, X, 0.25 * X)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")), expected, rtol=1e-2)
    assert layer.compute_output_spec(keras.KerasTensor((2, 3))).dtype == layer.compute_dtype


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has float64 only where it is switched on")
def test_float64():
    layer = at("relu", 0.25, dtype="float64")
    third = np.array([[-1.0 / 3.0]])
    np.testing.assert_array_equal(value(layer, third), 0.25 * third)
    assert layer.alpha.dtype == "float64"


def test_overflow_makes_no_nan():
    infinite = np.array([[np.inf, -np.inf]], "float16")
    np.testing.assert_array_equal(value(at("relu6", 0.0, dtype="mixed_float16"), infinite), [[6.0, 0.0]])
    np.testing.assert_array_equal(value(at("relu", 1.0, dtype="mixed_float16"), infinite), infinite)
    np.testing.assert_array_equal(value(at("exponential", 1.0), np.array([[200.0]], "float32")), [[200.0]])


def test_mixed_float16_trains():
    keras.utils.set_random_seed(0)
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential(
        [
            keras.layers.Input((64, 64, 1)),
            keras.layers.Conv2D(8, 3, dtype=policy),
            at("relu", 0.5, alpha_regularizer=AlphaPenalty(0.25), dtype=policy),
            keras.layers.GlobalAveragePooling2D(dtype=policy),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    x = np.random.default_rng(0).normal(size=(16, 64, 64, 1))
    history = model.fit(x, np.ones(16), epochs=4, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]
    assert 0 <= float(model.layers[1].alpha) <= 1 and float(model.layers[1].alpha) != 0.5


def test_masks_pass_through():
    layer = AlphaActivation("relu")
    x = keras.layers.Masking()(np.array([[[0.0], [-1.0]]], "float32"))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.compute_mask(x, x._keras_mask)), [[False, True]])


def test_original():
    assert type(at(keras.layers.ReLU(6.0), 0.5, name="a").original()) is keras.layers.ReLU
    assert at("tanh", 0.5, name="a").original().get_config()["activation"] == "tanh"
    assert at(keras.layers.ReLU(6.0), 0.5, name="a").original().name == "a"


@keras.saving.register_keras_serializable(package="test")
def half_of_it(x):
    return x[..., ::2]


@pytest.mark.parametrize(
    "activation, message",
    [
        ("softmax", "elementwise"),
        ("log_softmax", "elementwise"),
        (keras.layers.Softmax(), "elementwise"),
        (keras.layers.Activation("softmax"), "elementwise"),
        ("glu", "elementwise"),
        (keras.layers.PReLU(), "without weights"),
        ("no_such_thing", "no_such_thing"),
    ],
)
def test_refuses(activation, message):
    with pytest.raises(ValueError, match=message):
        AlphaActivation(activation)


def test_refuses_an_activation_that_changes_the_shape():
    with pytest.raises(ValueError, match="keeps the shape.*Received: layer 'mine'.*skip='mine'"):
        AlphaActivation(half_of_it, name="mine")(np.ones((2, 4), "float32"))


@pytest.mark.parametrize("activation", NAMES + LAYERS, ids=str)
def test_training_computes_what_inference_does(activation):
    layer = at(activation, 0.3)
    np.testing.assert_allclose(layer(X, training=True), layer(X, training=False), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "activation, takes_over",
    [
        ("relu", True),
        ("relu6", True),
        (keras.layers.ReLU(max_value=2.5), True),
        (keras.layers.Activation("relu"), True),
        (keras.layers.ReLU(threshold=1.0), False),
        (keras.layers.ReLU(negative_slope=0.1), False),
        ("leaky_relu", False),
        ("swish", False),
    ],
    ids=str,
)
def test_which_a_batch_norm_in_front_can_do(activation, takes_over):
    assert at(activation, 0.3).tfold_takes_over() == takes_over
