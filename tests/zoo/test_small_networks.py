"""The networks for MNIST and CIFAR: the sizes that their papers state, their names, and what is refused."""
from math import prod

import keras
import pytest

import tfold
from tfold import zoo
from tfold.errors import BadInputError
from tfold.graph.capture import capture
from tfold.passes.figures import figures


def trainable(model, leave_out="nothing"):
    return sum(prod(weight.shape) for layer in model.layers if leave_out not in layer.name
               for weight in layer.trainable_weights)


def names_of(model, kind):
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


# MLP


@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_the_mlp_has_as_many_linear_layers_as_it_says(depth):
    model = zoo.MnistMLP(depth)
    hidden = range(1, depth)
    assert [layer.name for layer in model.layers] == [
        "image", "flatten", *(name for i in hidden for name in (f"dense_{i}", f"relu_{i}")), "logits"]
    assert figures(capture(model)).depth == depth and model.name == f"mlp{depth}"
    first = 784 * 256 + 256 if depth > 1 else 0
    assert trainable(model) == first + max(depth - 2, 0) * (256 * 256 + 256) + (256 if depth > 1 else 784) * 10 + 10


def test_the_mlp_with_other_arguments():
    model = zoo.MnistMLP(3, 7, 2, (4, 5, 6), "tanh", "mine")
    assert model.output_shape == (None, 2) and model.input_shape == (None, 4, 5, 6) and model.name == "mine"
    assert names_of(model, keras.layers.Activation) == ["tanh_1", "tanh_2"]
    own = zoo.MnistMLP(2, activation=keras.activations.gelu).get_layer("activation_1")
    assert own.activation is keras.activations.gelu


def test_an_mlp_without_its_activations_is_one_layer():
    f_alpha = tfold.prefold(zoo.MnistMLP(4, 16, input_shape=(6, 6)), only=["relu_1", "relu_2", "relu_3"])
    for layer in f_alpha.layers:
        if isinstance(layer, tfold.AlphaActivation):
            layer.alpha.assign(1.0)
    assert tfold.fold(f_alpha, policy="always").report.after.depth == 1


# VGG


# Trainable parameters: 9 · in · out of each convolution, 2 · out of each batch norm, and 512 · 10 + 10. With the biases
# of github.com/kuangliu/pytorch-cifar it would be 9,231,114, 9,416,010, 14,728,266 and 20,040,522.
@pytest.mark.parametrize("depth, parameters", [(11, 9_228_362), (13, 9_413_066), (16, 14_724_042), (19, 20_035_018)])
def test_vgg_has_the_size_of_the_original(depth, parameters):
    model = zoo.CifarVGG(depth)
    assert trainable(model) == parameters and model.name == f"vgg{depth}"
    assert len(names_of(model, keras.layers.Conv2D)) == depth - 3 and figures(capture(model)).depth == depth - 2
    assert model.get_layer("block5_pool").output.shape == (None, 1, 1, 512)


def test_the_layers_of_vgg():
    model = zoo.CifarVGG(16, classes=100)
    names = [layer.name for layer in model.layers]
    assert names[:8] == ["image", "block1_conv1", "block1_bn1", "block1_relu1", "block1_conv2", "block1_bn2",
                         "block1_relu2", "block1_pool"]
    assert names[-6:] == ["block5_conv3", "block5_bn3", "block5_relu3", "block5_pool", "average", "logits"]
    assert model.output_shape == (None, 100)
    assert zoo.CifarVGG(11, input_shape=(64, 64, 1)).get_layer("logits").kernel.shape == (512, 10)


# ResNet


@pytest.mark.parametrize("depth, exact, published", [
    (20, 269_722, 0.27), (32, 464_154, 0.46), (44, 658_586, 0.66), (56, 853_018, 0.85)])
def test_resnet_has_the_parameters_of_table_6(depth, exact, published):
    model = zoo.CifarResNet(depth)
    assert trainable(model, leave_out="shortcut") == exact and round(exact / 1e6, 2) == published
    assert trainable(model) - exact == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64 == 2752


@pytest.fixture
def channels_first():
    before = keras.backend.image_data_format()
    keras.backend.set_image_data_format("channels_first")
    yield
    keras.backend.set_image_data_format(before)


def test_resnet_with_the_channels_first_is_the_same_network(channels_first):
    first = zoo.CifarResNet(8, input_shape=(3, 32, 48))
    keras.backend.set_image_data_format("channels_last")
    last = zoo.CifarResNet(8, input_shape=(32, 48, 3))
    assert first.get_layer("stage3_block1_add").output.shape == (None, 64, 8, 12)
    assert [weight.shape for weight in first.weights] == [weight.shape for weight in last.weights]
    assert {layer.axis for layer in first.layers if isinstance(layer, keras.layers.BatchNormalization)} == {1}


@pytest.mark.parametrize("make, words", [
    (lambda: zoo.MnistMLP(0), "depth=0. The paper has 2 to 10"),
    (lambda: zoo.MnistMLP(2.0), "depth=2.0"),
    (lambda: zoo.MnistMLP(width=True), "width=True"),
    (lambda: zoo.MnistMLP(classes=0), "classes=0"),
    (lambda: zoo.MnistMLP(activation="reluu"), "activation='reluu'"),
    (lambda: zoo.MnistMLP(input_shape=784), "input_shape=784"),
    (lambda: zoo.MnistMLP(input_shape=(None, 28)), "MNIST has"),
    (lambda: zoo.MnistMLP(input_shape=()), "MNIST has"),
    (lambda: zoo.CifarVGG(12), "depth is 11, 13, 16 or 19. Received: depth=12"),
    (lambda: zoo.CifarVGG([16]), r"depth=\[16\]"),
    (lambda: zoo.CifarVGG(classes=-1), "classes=-1"),
    (lambda: zoo.CifarVGG(input_shape=(28, 28, 1)), "32×32 pixels at least"),
    (lambda: zoo.CifarVGG(input_shape=(None, None, 3)), "fixed size"),
    (lambda: zoo.CifarResNet(21), "6·n \\+ 2"),
    (lambda: zoo.CifarResNet(2), "6·n \\+ 2"),
    (lambda: zoo.CifarResNet("20"), "depth='20'"),
    (lambda: zoo.CifarResNet(classes="10"), "classes='10'"),
    (lambda: zoo.CifarResNet(input_shape=(28, 28)), r"input_shape is \(height, width, channels\)"),
    (lambda: zoo.CifarResNet(input_shape=(16, 16, 3)), "32×32 pixels at least"),
])
def test_arguments_that_cannot_be(make, words):
    with pytest.raises(BadInputError, match=words) as found:
        make()
    assert "\n" not in str(found.value) and "Received: " in str(found.value)
