"""capture → build gives every network of keras.applications back: same outputs, same weights, same layer names.

Each stands at the smallest input that it takes. Whatever Keras adds is taken up by itself, at 32 × 32 pixels. Of
families with many sizes the smallest is tested, and NASNetLarge as the deepest; the others by `make test ARGS=--every`.
"""
import inspect
import zlib

import keras
import numpy as np
import pytest
from keras import applications, layers

from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.sampling import random_input

SMALLEST = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}  # all others: 32
NO_ARCHITECTURES = {"decode_predictions", "preprocess_input"}
VARIANTS = {"MobileNetV3Small, minimalistic": {"minimalistic": True}, "MobileNet, two multipliers": {
    "alpha": 0.5, "depth_multiplier": 2}}


def functions_of(module):
    return {name for name, value in vars(module).items() if callable(value)} - NO_ARCHITECTURES


def submodules():
    return [value for value in vars(applications).values() if inspect.ismodule(value)]


LARGER = {  # made of the same parts as a smaller one
    "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge", "DenseNet169", "DenseNet201",
    *(f"EfficientNetB{i}" for i in range(1, 8)), *(f"EfficientNetV2{i}" for i in ("B1", "B2", "B3", "M", "L")),
    "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2"}
ARCHITECTURES = sorted(functions_of(applications))


def test_no_architecture_hides_in_a_submodule():
    """The list is Keras' own, so it cannot miss one, unless Keras moves them."""
    assert len(ARCHITECTURES) >= 40 and len(submodules()) >= 15
    assert set().union(*map(functions_of, submodules())) <= set(ARCHITECTURES)
    assert {*SMALLEST, *LARGER} <= set(ARCHITECTURES)


@pytest.fixture(autouse=True)
def memory():
    """The largest take 6 GB; what one leaves behind would add to the next."""
    yield
    keras.backend.clear_session()  # collects garbage, too


def make(name):
    """The network with random numbers in all its weights, also in those that Keras begins with 0, 1 or 1e-6.

    Its outputs are the logits: a softmax of large numbers is 0 0 1 0 0, whatever went wrong before.
    """
    architecture, options = getattr(applications, name.split(",")[0]), VARIANTS.get(name, {})
    size = SMALLEST.get(name, 32)
    model = architecture(
        weights=None, classes=5, classifier_activation=None, input_shape=(size, size, 3), **options)
    rng = np.random.default_rng(0)
    for layer in leaves(model):
        for variable in layer.weights:
            randomize(layer, variable, rng)
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def leaves(model):
    for layer in model.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else [layer]


def randomize(layer, variable, rng):
    """Chosen so that the signal neither dies nor drowns in the biases, however deep the network."""
    shape, name = variable.shape, variable.name
    if name == "depthwise_kernel" or isinstance(layer, layers.DepthwiseConv2D) and name == "kernel":
        # Keras counts all channels as inputs of each, and begins with numbers far too small.
        variable.assign(rng.normal(scale=1 / np.sqrt(np.prod(shape[:-2])), size=shape))
    elif "kernel" in name:
        if layer.activation is keras.activations.relu:
            variable.assign(variable * 2**0.5)  # ReLU halves the variance
    elif "variance" in name:
        variable.assign(rng.uniform(0.25, 0.75, shape))  # the same, where a batch norm precedes it
    elif name == "gamma":
        variable.assign(rng.uniform(0.5, 1.5, shape))
    elif "float" in variable.dtype:
        variable.assign(rng.normal(scale=0.05, size=shape))


def numbers(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def digests(model):
    """A checksum of every weight: copies of the largest would take more than a gigabyte."""
    return [zlib.crc32(np.ascontiguousarray(keras.ops.convert_to_numpy(weight))) for weight in model.weights]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.size] * (name in LARGER)) for name in (*ARCHITECTURES, *VARIANTS)])
def test_round_trip(name):
    model = make(name)
    x = random_input(model, batch=2)
    expected = numbers(model, x)
    # Only an output that depends on the input can show a mistake.
    assert np.isfinite(expected).all() and np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    weights = digests(model)

    again = build(capture(model))

    received = numbers(again, x)
    assert received.dtype == expected.dtype
    assert np.abs(received - expected).max() <= 1e-6 * np.abs(expected).max()
    assert again.count_params() == model.count_params()
    assert_same_names(model, again)
    assert digests(model) == weights


def assert_same_names(model, again):
    """Of all layers, those of nested models too.

    Their order may be another that follows the connections. A separable convolution becomes two layers, of which the
    second bears its name.
    """
    split = {f"{layer.name}_depthwise" for layer in leaves(model) if isinstance(layer, layers.SeparableConv2D)}
    assert {layer.name for layer in again.layers} - split == {layer.name for layer in leaves(model)}
    assert again.name == model.name
    assert again.output_names == model.output_names
