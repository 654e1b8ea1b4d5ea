"""EfficientNet-lite: the authors' numbers, the layers of keras.applications' EfficientNet, and its arguments."""
import inspect
from math import prod

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.applications import efficientnet as keras_efficientnet

import tfold
from tfold import zoo
from tfold.errors import BadInputError
from tfold.graph.capture import capture
from tfold.passes.figures import figures

# Trainable parameters: efficientnet_lite_builder_test.py of the authors. MACs in millions: their README; they come from
# TensorFlow's profiler on the training graph, where a batch norm takes three multiply-adds for each value.
# number: (size, trainable parameters, all parameters, depth, MACs of linear layers, the authors' MACs in millions)
KNOWN = {
    0: (224, 4652008, 4694024, 50, 385187552, 407),
    1: (240, 5416680, 5470344, 65, 600185232, 631),
    2: (260, 6092072, 6150168, 65, 859736272, 899),
    3: (280, 8197096, 8273768, 74, 1383321872, 1440),
    4: (300, 13006568, 13118936, 92, 2553034336, 2640),
}


def lite(number=0, **options):
    return getattr(zoo, f"EfficientNetLite{number}")(**options)


@pytest.fixture(scope="module")
def small():
    return lite(input_shape=(32, 32, 3), classes=10)


@pytest.mark.parametrize("number", KNOWN)
def test_the_numbers_of_the_authors(number):
    size, trainable, parameters, depth, macs, published = KNOWN[number]
    model = lite(number)
    assert model.name == f"efficientnet-lite{number}"
    assert model.input_shape == (None, size, size, 3) and model.output_shape == (None, 1000)
    assert sum(prod(weight.shape) for weight in model.trainable_weights) == trainable
    found = figures(capture(model))
    assert (found.parameters, found.depth, found.macs) == (parameters, depth, macs)
    normalized = sum(prod(layer.output.shape[1:]) for layer in of_kind(model, layers.BatchNormalization))
    assert (macs + 3 * normalized) / 1e6 == pytest.approx(published, rel=0.005)
    drops = [layer.rate for layer in of_kind(model, layers.Dropout)]
    assert drops[-1] == (0.2 if number < 2 else 0.3)
    assert drops[:-1] == sorted(drops[:-1]) and drops[0] > 0 and 0.15 < drops[-2] < 0.2
    norms = of_kind(model, layers.BatchNormalization)
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.99, 1e-3)}


def of_kind(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_the_layers_have_the_names_of_keras_applications(small):
    names = {layer.name for layer in small.layers[1:]}
    whole = {layer.name for layer in keras.applications.EfficientNetB0(weights=None).layers[1:]}
    assert names - whole <= {"rescaling"}
    assert all("_se_" in name or name.endswith("_pad") or "rescaling" in name or "normalization" in name
               for name in whole - names)


def test_it_computes_what_keras_efficientnet_without_its_extras_computes(small, randomize):
    """Keras pads by itself what is "same" padding here, and its blocks can do without squeeze-and-excitation."""
    blocks = [{**block, "se_ratio": 0} for block in keras_efficientnet.DEFAULT_BLOCKS_ARGS]
    theirs = randomize(keras_efficientnet.EfficientNet(
        1.0, 1.0, 32, activation="relu6", blocks_args=blocks, weights=None, input_shape=(32, 32, 3), classes=10))
    for layer in small.layers:
        if layer.weights:
            layer.set_weights(theirs.get_layer(layer.name).get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    expected = theirs(x * 255).numpy()  # it starts with ÷ 255, an identity Normalization follows
    np.testing.assert_allclose(small(x * 128 + 127), expected, rtol=1e-3, atol=1e-5)
    assert expected.std() > 1e-3


def test_the_preprocessing_can_be_left_out(small):
    outside = lite(include_preprocessing=False, input_shape=(32, 32, 3), classes=10)
    names = [layer.name for layer in small.layers[1:]]
    assert [layer.name for layer in outside.layers[1:]] == names[1:] and names[0] == "rescaling"
    outside.set_weights(small.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(outside((pixels - 127) / 128), small(pixels), rtol=1e-4, atol=1e-6)


def test_no_batch_norm_is_left_of_it(fold_checked):
    model = lite(input_shape=(64, 64, 3), classes=5, classifier_activation=None)
    after = fold_checked(model).report.after
    assert after.batch_norms == 0 and after.depth == 50


def test_its_activations_can_be_learned_away(small):
    f_alpha = tfold.prefold(small, skip="stem_activation")
    assert len(of_kind(f_alpha, tfold.AlphaActivation)) >= 32


# Arguments


def test_the_arguments_are_those_of_keras_applications():
    ours = inspect.signature(zoo.EfficientNetLite3).parameters
    theirs = inspect.signature(keras.applications.EfficientNetV2B0).parameters  # which has include_preprocessing too
    assert list(ours) == list(theirs)
    different = {name for name in ours if ours[name].default != theirs[name].default}
    assert different == {"weights", "name"} and ours["weights"].default is None
    assert ours["name"].default == "efficientnet-lite3"
    assert zoo.EfficientNetLite3.__name__ == "EfficientNetLite3" and "8.2 M" in zoo.EfficientNetLite3.__doc__


def test_without_the_top():
    free = lite(include_top=False)
    assert free.input_shape == (None, None, None, 3) and free.output_shape == (None, None, None, 1280)
    assert free(np.zeros((1, 40, 70, 3))).shape == (1, 2, 3, 1280)
    for pooling in ("avg", "max"):
        pooled = lite(include_top=False, pooling=pooling, input_shape=(32, 48, 1), name="mine")
        assert pooled.output_shape == (None, 1280) and pooled.layers[-1].name == f"{pooling}_pool"
        assert pooled.name == "mine"


def test_classes_and_activation(small):
    assert small.output_shape == (None, 10) and small.layers[-1].activation is keras.activations.softmax
    logits = lite(input_shape=[32, 32, 3], classes=1, classifier_activation=None, pooling="avg")
    assert logits.output_shape == (None, 1) and logits.layers[-1].activation is keras.activations.linear


def test_on_a_tensor():
    x = keras.Input((40, 40, 1))
    y = layers.Concatenate()([x, x, x])
    model = lite(input_tensor=y, classes=3)
    assert model.inputs[0] is x and model.output_shape == (None, 3)
    assert lite(input_tensor=x, input_shape=(40, 40, 1), include_top=False).inputs[0] is x


def test_weights_from_a_file(small, tmp_path):
    path = tmp_path / "lite.weights.h5"
    small.save_weights(path)
    again = lite(weights=path, input_shape=(32, 32, 3), classes=10)
    assert all(np.array_equal(a, b) for a, b in zip(small.get_weights(), again.get_weights(), strict=True))
    words = "Received: .*lite.weights.h5 for 'efficientnet-lite0', which does not fit: .*predictions"
    with pytest.raises(BadInputError, match=words) as found:
        lite(weights=str(path), input_shape=(32, 32, 3), classes=7)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("options, words", [
    ({"weights": "ImageNet"}, """None, "imagenet" or a file or a checkpoint .* Received: weights='ImageNet'"""),
    ({"weights": "no/such/file.weights.h5"}, "Received: weights='no/such/file.weights.h5'"),
    ({"weights": 3}, "weights=3"),
    ({"pooling": "average", "include_top": False}, "pooling='average'"),
    ({"classes": 0}, "classes=0"),
    ({"classes": 10.0}, "classes=10.0"),
    ({"classes": True}, "classes=True"),
    ({"classifier_activation": "softmaxx", "input_shape": (32, 32, 3)}, "classifier_activation='softmaxx'"),
    ({"input_shape": (31, 32, 3)}, "32×32 pixels at least. Received: input_shape=\\(31, 32, 3\\)"),
    ({"input_shape": (None, None, 3)}, "With the top the input has a fixed size"),
    ({"input_shape": (None, None, 3, 1), "include_top": False}, "\\(height, width, channels\\)"),
    ({"input_shape": (32, 32)}, "\\(height, width, channels\\). Received: input_shape=\\(32, 32\\)"),
    ({"input_shape": (32, 32, None)}, "\\(height, width, channels\\)"),
    ({"input_shape": (32, 32, 0)}, "\\(height, width, channels\\)"),
    ({"input_shape": 32}, "input_shape=32"),
    ({"input_tensor": np.zeros((1, 32, 32, 3))}, "input_tensor of type ndarray"),
    ({"input_tensor": keras.Input((8,))}, "\\(height, width, channels\\)"),
    ({"input_tensor": keras.Input((32, 32, 3)), "input_shape": (64, 64, 3)}, "input_shape is that of input_tensor"),
])
def test_arguments_that_cannot_be(options, words):
    with pytest.raises(BadInputError, match=words) as found:
        lite(**options)
    assert "\n" not in str(found.value) and "Received: " in str(found.value)
