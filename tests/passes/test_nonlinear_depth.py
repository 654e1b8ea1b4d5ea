"""Linear layers in a row count as one map, on the longest path."""
import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfold
from tfold.alpha.reading import alpha_layers
from tfold.errors import BadInputError
from tfold.graph.capture import capture
from tfold.zoo import CifarResNet, CifarVGG, MnistMLP

L = keras.layers


KINDS = {
    "linear": lambda: L.Conv2D(2, 1), "depthwise": lambda: L.DepthwiseConv2D(3, padding="same"),
    "norm": L.BatchNormalization, "scale": lambda: L.Rescaling(2.0), "drop": lambda: L.Dropout(0.1),
    "average": lambda: L.AveragePooling2D(1), "max": lambda: L.MaxPooling2D(1), "relu": L.ReLU,
}


def chain(words):
    x = image = keras.Input((8, 8, 2))
    for word in words:
        x = KINDS[word]()(x)
    return keras.Model(image, x)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=7))
def test_a_chain_has_as_many_maps_as_runs_of_linear_layers(words):
    text = "".join({"linear": "L", "depthwise": "L", "relu": " ", "max": " "}.get(word, "") for word in words)
    assert tfold.nonlinear_depth(chain(words)) == len(text.split())


def test_the_longest_path_counts():
    image = keras.Input((4,))
    short = L.Dense(3)(image)
    long = L.Dense(3)(L.ReLU()(L.Dense(3)(L.Dense(5)(image))))
    assert tfold.nonlinear_depth(keras.Model(image, short)) == 1
    assert tfold.nonlinear_depth(keras.Model(image, L.Add()([short, long]))) == 2
    assert tfold.nonlinear_depth(keras.Model(image, L.Dense(1)(L.ReLU()(L.Add()([short, long]))))) == 3
    # A product of two tensors is linear in neither path.
    assert tfold.nonlinear_depth(keras.Model(image, L.Dense(1)(L.Multiply()([short, short])))) == 2


@pytest.mark.parametrize("model, depth", [(CifarResNet(20), 20), (MnistMLP(7), 7), (CifarVGG(16), 14)])
def test_networks_of_the_papers_have_the_depth_of_their_names(model, depth):
    """VGG16 on CIFAR has 13 convolutions and one classifier."""
    assert tfold.nonlinear_depth(model) == depth


def test_each_alpha_above_the_threshold_takes_one_away():
    f_alpha = tfold.prefold(CifarResNet(20), skip=["relu_0"])
    for number, layer in enumerate(alpha_layers(f_alpha).values()):
        layer.alpha.assign(0.95 if number % 2 else 0.3)
    assert tfold.nonlinear_depth(f_alpha) == 20 - 9
    assert tfold.nonlinear_depth(f_alpha, threshold=0.97) == 20
    assert tfold.nonlinear_depth(f_alpha, threshold=0.2) == 2
    assert tfold.nonlinear_depth(tfold.fold(f_alpha, verify=False).model) == 20 - 9


def test_a_border_map_separates_nothing():
    """A merged inverted residual adds a constant to its border pixels, in an operation of its own."""
    image = keras.Input((8, 8, 4))
    x = L.ReLU(name="first")(L.Conv2D(4, 3, padding="same")(image))
    y = L.ReLU(name="a")(L.Conv2D(24, 1, bias_initializer="ones")(x))
    y = L.ReLU(name="b")(L.DepthwiseConv2D(3, padding="same", bias_initializer="ones")(y))
    x = L.ReLU(name="last")(L.Conv2D(24, 1)(L.add([x, L.Conv2D(4, 1)(y)])))
    f_alpha = tfold.prefold(keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x))), only=["a", "b"])
    for layer in alpha_layers(f_alpha).values():
        layer.alpha.assign(1.0)
    folded = tfold.fold(f_alpha).model
    assert any("adds" in node.attrs for node in capture(folded))
    assert tfold.nonlinear_depth(folded) == tfold.nonlinear_depth(f_alpha) == 3


def test_a_softmax_behind_the_last_layer_separates_nothing():
    image = keras.Input((4,))
    assert tfold.nonlinear_depth(keras.Model(image, L.Dense(3, activation="softmax")(image))) == 1


def test_a_threshold_is_checked():
    with pytest.raises(BadInputError, match="threshold"):
        tfold.nonlinear_depth(MnistMLP(2), threshold=1)
