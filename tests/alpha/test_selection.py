import keras
import pytest

from tfold.alpha import alphas, prefold
from tfold.errors import BadInputError


def test_only_and_skip_by_name(make):
    model = make("nested")
    everything = ["middle/inner/first_alpha", "middle/inner/elu", "middle/last"]
    assert list(alphas(prefold(model, only="elu"))) == ["middle/inner/elu"]
    assert list(alphas(prefold(model, only=["middle/inner/first", "last"]))) == [everything[0], everything[2]]
    assert list(alphas(prefold(model, only="middle"))) == everything
    assert list(alphas(prefold(model, skip="inner"))) == ["middle/last"]
    assert list(alphas(prefold(model, only="middle", skip=["elu", "head"]))) == [everything[0], everything[2]]


def test_only_and_skip_by_predicate(make):
    model = make("functional")
    assert list(alphas(prefold(model, only=lambda layer: isinstance(layer, keras.layers.Dense)))) == ["b_alpha"]
    assert list(alphas(prefold(model, skip=lambda layer: "relu" in layer.name))) == ["b_alpha", "leaky"]


def test_a_name_overrides_the_rules_for_last_activations_and_gates(make):
    assert list(alphas(prefold(make("functional"), only="out"))) == ["out"]
    assert list(alphas(prefold(make("squeeze_excite"), only=["gate", "hard", "project"]))) == [
        "gate_alpha",
        "hard",
        "project_alpha",
    ]
    with pytest.raises(BadInputError, match="last activation"):
        prefold(make("functional"), only=lambda layer: layer.name == "out")


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"only": "relu"}, "`only`.*Received: 'relu'.*Did you mean 'relu6'"),
        ({"skip": ["leaky", "lekay"]}, "`skip`.*Received: 'lekay'.*'leaky'"),
        ({"costs": {"zzzzzz": 1.0}}, "`costs`.*Received: 'zzzzzz'.*summary"),
        ({"only": "add"}, "Received: 'add'.*no activation"),
        ({"only": "prelu"}, "Received: 'prelu'"),
        ({"costs": {"leaky": -1.0}}, "cost"),
    ],
)
def test_refuses_names(make, kwargs, message):
    with pytest.raises(BadInputError, match=message):
        prefold(make("functional"), **kwargs)


def test_activations_with_weights_of_their_own_get_none():
    x = keras.Input((4, 4, 2))
    y = keras.layers.PReLU(name="learned")(keras.layers.Conv2D(2, 3)(x))
    model = keras.Model(x, keras.layers.Conv2D(2, 2)(keras.layers.ReLU(name="plain")(y)))
    assert list(alphas(prefold(model))) == ["plain"]
    with pytest.raises(BadInputError, match="'learned' .it has weights of its own"):
        prefold(model, only=["plain", "learned"])


def test_never_a_softmax(make):
    with pytest.raises(BadInputError, match="softmax.*Received: only='predictions'"):
        prefold(make("sequential"), only="predictions")
