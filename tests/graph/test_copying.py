"""A layer is copied by its configuration, with its weights; what cannot be copied is named."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture


class Forgetful(layers.Layer):
    """A layer whose get_config() leaves out what its __init__() needs, and the number of its weights."""

    def __init__(self, count, needed, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape):
        for i in range(self.count):
            self.add_weight(shape=(), name=f"weight_{i}")

    def call(self, x):
        return x

    def get_config(self):
        return {"name": self.name}


class ForgetfulButBuildable(Forgetful):
    def __init__(self, count=1, needed=None, **kwargs):
        super().__init__(count, needed, **kwargs)


@pytest.mark.parametrize("kind, words", [
    (Forgetful, r"Received: 'stubborn' \(Forgetful\), which fails with.*get_config"),
    (ForgetfulButBuildable, "Received: 'stubborn' with 2 of them, whose copy has 1"),
])
def test_a_layer_that_cannot_be_copied_is_named(kind, words):
    x = keras.Input((4,))
    model = keras.Model(x, kind(2, 1, name="stubborn")(x))
    with pytest.raises(tfold.TfoldError, match=words):
        build(capture(model))


def test_the_weights_of_an_activation_are_copied_too():
    x = keras.Input((5,))
    model = keras.Model(x, layers.Dense(3, activation=layers.PReLU())(x))
    numbers = np.random.default_rng(0).normal(size=(2, 5))
    model(numbers)  # only now Keras builds the PReLU
    model.layers[1].activation.alpha.assign([0.1, 0.2, 0.3])
    again = build(capture(model))
    np.testing.assert_array_equal(again(numbers), model(numbers))
    assert again.layers[1].activation is not model.layers[1].activation
