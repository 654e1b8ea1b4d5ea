import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold.alpha import AlphaActivation, AlphaPenalty, alpha_layers, prefold, set_strength


def fit_once(alpha, penalty):
    """The α after one step of SGD(1) on a loss that does not depend on it: α − ∂L_c/∂α."""
    start = keras.initializers.Constant(alpha)
    model = keras.Sequential(
        [keras.layers.Input((1,)), AlphaActivation("relu", alpha_initializer=start, alpha_regularizer=penalty)]
    )
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    return float(model.layers[0].alpha)


@given(
    alpha=st.floats(0, 1, width=32, allow_subnormal=False),
    strength=st.floats(0, 10),
    p=st.floats(1.01, 8),
    cost=st.floats(0, 10),
)
def test_value(alpha, strength, p, cost):
    penalty = AlphaPenalty(strength=strength, p=p, cost=cost)
    expected = strength * cost * (1 - alpha**p)
    np.testing.assert_allclose(float(penalty(np.float32(alpha))), expected, rtol=1e-3, atol=2e-5)


@settings(max_examples=5, deadline=None)
@given(alpha=st.floats(0.0625, 0.5, width=32), p=st.sampled_from([1.5, 2.0, 3.0]), cost=st.floats(0, 1))
def test_gradient(alpha, p, cost):
    expected = alpha + 0.25 * cost * p * alpha ** (p - 1)  # h' = −p·α^(p−1)
    np.testing.assert_allclose(fit_once(alpha, AlphaPenalty(0.25, p=p, cost=cost)), expected, rtol=1e-4)


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_flat_at_zero(p):
    assert fit_once(0.0, AlphaPenalty(1.0, p=p)) == 0.0


def test_one_penalty_serves_many_layers_and_is_not_bound_by_them():
    penalty = AlphaPenalty(strength=0.1)
    first, second = (AlphaActivation("relu", alpha_regularizer=penalty) for _ in range(2))
    for layer in (first, second):
        layer.build((None, 2))
    first.alpha_regularizer.strength = 0.5
    assert [float(first.strength), float(second.strength)] == [0.5, np.float32(0.1)]
    assert (penalty.strength, second.alpha_regularizer.strength) == (0.1, 0.1)


def test_losses_of_a_model(make):
    model = prefold(make("functional"), AlphaPenalty(0.5, p=2), costs={"relu6": 3.0})
    for layer in alpha_layers(model).values():
        layer.alpha.assign(0.5)
    assert sorted(float(loss) for loss in model.losses) == [0.375, 0.375, 1.125]
    set_strength(model, 1.0)
    assert sorted(float(loss) for loss in model.losses) == [0.75, 0.75, 2.25]


def test_config_says_the_strength_of_now():
    layer = AlphaActivation("relu", alpha_regularizer=AlphaPenalty(0.1))
    layer.build((None, 2))
    assert layer.get_config()["alpha_regularizer"]["config"] == {"strength": 0.1, "p": 2.0, "cost": 1.0}
    layer.strength.assign(0.75)
    assert layer.get_config()["alpha_regularizer"]["config"]["strength"] == 0.75


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"p": 1}, "p > 1.*Received: p=1"),
        ({"strength": -0.1}, "strength.*Received: strength=-0.1"),
        ({"strength": "much"}, "Received: strength='much'"),
        ({"cost": float("nan")}, "cost"),
    ],
)
def test_refuses(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AlphaPenalty(**kwargs)


def test_set_strength_refuses_a_model_without_penalties(make):
    with pytest.raises(ValueError, match="with none.*prefold"):
        set_strength(make("functional"), 0.1)
