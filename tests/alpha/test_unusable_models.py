"""The models that prefold cannot take, and what it says about them."""

import keras
import pytest

from tfold.alpha import prefold
from tfold.errors import BadInputError

layers = keras.layers


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2, activation="relu")

    def call(self, x):
        return self.dense(x)


class WithCall(keras.Model):
    """Built from inputs and outputs, but computing something else."""

    def call(self, x):
        return 2 * super().call(x)


class NoConfig(layers.Layer):
    def __init__(self, function):
        super().__init__(name="secret")
        self.function = function

    def call(self, x):
        return self.function(x)


def odd_functional():
    x = keras.Input((2,))
    return WithCall(x, layers.Dense(2)(layers.Dense(2, activation="relu")(x)))


def without_config():
    x = keras.Input((2,))
    return keras.Model(x, layers.Dense(1)(layers.Dense(2, activation="relu")(NoConfig(lambda t: t)(x))))


@pytest.mark.parametrize(
    "make_model, message",
    [
        (Subclassed, "Received: .*subclassed model .Subclassed.*Rebuild it with"),
        (odd_functional, "subclassed.*WithCall"),
        (lambda: keras.Sequential([layers.Dense(2, activation="relu")]), "input shape.*not built.*keras.Input"),
        (lambda: "model.keras", "Received: builtins.str.*load_model"),
        (lambda: keras.Sequential([layers.Input((2,)), layers.Dense(2)]), "needs an activation.*it has none"),
        (without_config, "configuration.*get_config"),
    ],
)
def test_refuses_models(make_model, message):
    with pytest.raises(BadInputError, match=message):
        prefold(make_model())


def test_refuses_what_is_no_penalty(make):
    with pytest.raises(BadInputError, match="AlphaPenalty.*Received: penalty=0.25"):
        prefold(make("functional"), penalty=0.25)
