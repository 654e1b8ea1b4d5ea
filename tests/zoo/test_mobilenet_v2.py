"""MobileNetV2: that of keras.applications, at widths and sizes that it does not have, and its weights."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import zoo
from tfold.errors import BadInputError, TfoldError
from tfold.graph.capture import capture
from tfold.passes.figures import figures
from tfold.zoo.pieces import divisible_by_8


@pytest.fixture(scope="module")
def theirs(randomize):
    """keras.applications' network: what stands for its published weights."""
    return randomize(keras.applications.MobileNetV2((96, 96, 3), 0.35, weights=None))


@pytest.fixture(scope="module")
def small():
    return zoo.MobileNetV2(0.35, (32, 32, 3), classes=10, small_images=True)


def configs(model):
    """(kind, configuration) of all layers but the input; what Keras names by counting has no number."""
    return [(type(layer).__name__, {**layer.get_config(), "name": layer.name.rstrip("_0123456789")})
            for layer in model.layers[1:]]


@pytest.mark.parametrize("width, side", [(1.0, 96), (0.75, 77), (1.4, 32)])
def test_it_is_the_network_of_keras_applications(width, side, randomize):
    shape = (side, side, 3)
    expected = keras.applications.MobileNetV2(shape, width, weights=None, classes=10, classifier_activation=None)
    model = zoo.MobileNetV2(width, shape, classes=10, classifier_activation=None)
    assert configs(model) == configs(expected) and model.name == expected.name
    assert [layer.name for layer in model.layers if layer.weights] == [
        layer.name for layer in expected.layers if layer.weights]
    if width <= 1:
        model.set_weights(randomize(expected).get_weights())
        x = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype("float32")
        np.testing.assert_allclose(model(x), expected(x), rtol=1e-4, atol=1e-4 * float(np.abs(expected(x)).max()))


def test_channels_are_divisible_by_8():
    assert [divisible_by_8(n) for n in (1, 11, 11.2, 12, 24, 107, 140, 35.5)] == [8, 16, 16, 16, 24, 104, 144, 32]


def test_the_numbers_of_the_paper():
    found = figures(capture(zoo.MobileNetV2()))  # table 4: 3.4 M parameters, 300 M multiply-adds; Keras: 3,538,984
    assert found.parameters == 3_538_984 and found.macs == pytest.approx(300e6, rel=0.01) and found.depth == 53


def test_small_images_keep_their_pixels(small):
    sides = [small.get_layer(name).output.shape[1] for name in (
        "Conv1_relu", "block_2_add", "block_3_project_BN", "block_6_project_BN", "block_12_add", "out_relu")]
    assert sides == [32, 32, 16, 8, 8, 4]
    assert not [layer for layer in small.layers if layer.name == "block_1_pad"]
    large = zoo.MobileNetV2(0.35, (32, 32, 3), classes=10)
    assert [weight.shape for weight in small.weights] == [weight.shape for weight in large.weights]
    assert large.get_layer("out_relu").output.shape[1] == 1


def test_other_arguments():
    free = zoo.MobileNetV2(0.56, include_top=False, name="mine")
    assert free.get_layer("expanded_conv_project").filters == 8  # of 16 · 0.56 = 8.96: keras.applications cuts it first
    assert free.input_shape == (None, None, None, 3) and free.name == "mine"
    assert free(np.zeros((1, 64, 96, 3))).shape == (1, 2, 3, 1280)
    x = keras.Input((32, 32, 1))
    for pooling in ("avg", "max"):
        model = zoo.MobileNetV2(0.1, input_tensor=x, include_top=False, pooling=pooling)
        assert model.inputs[0] is x and model.output_shape == (None, 1280)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds[-1] == "GlobalMaxPooling2D"
    assert zoo.MobileNetV2(2, (32, 32, 3)).get_layer("out_relu").output.shape[-1] == 2560


def test_it_folds(small, fold_checked):
    after = fold_checked(small).report.after
    assert after.batch_norms == 0 and after.depth == 53


# Weights


def test_weights_of_keras_applications(theirs, write_legacy_h5, tmp_path, same_weights):
    path = write_legacy_h5(tmp_path / "mobilenet.h5", theirs)
    model = zoo.MobileNetV2(0.35, (96, 96, 3), weights=path)
    assert same_weights(model, theirs)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 96, 96, 3)).astype("float32")
    np.testing.assert_allclose(model(x), theirs(x), rtol=1e-4, atol=1e-7)
    with pytest.raises(BadInputError, match="mobilenet.h5 for 'mobilenetv2_0.50_96', which does not fit: "):
        zoo.MobileNetV2(0.5, (96, 96, 3), weights=path)


def test_of_a_published_file_the_features_are_taken_where_the_classes_are_others(
        theirs, write_legacy_h5, tmp_path, same_weights):
    """What the error of a failed download advises to fetch by hand."""
    whole = write_legacy_h5(tmp_path / "whole.h5", theirs)
    no_top = write_legacy_h5(tmp_path / "no_top.h5", keras.Model(theirs.input, theirs.get_layer("out_relu").output))
    for path in (whole, no_top):
        ten = zoo.MobileNetV2(0.35, (32, 32, 3), classes=10, weights=path, small_images=True)
        assert same_weights(ten, theirs, leave_out=["predictions"]) and ten.output_shape == (None, 10)
        assert same_weights(zoo.MobileNetV2(0.35, (96, 96, 3), include_top=False, weights=path), theirs)
        with pytest.raises(BadInputError, match="which does not fit: "):
            zoo.MobileNetV2(0.5, (96, 96, 3), classes=10, weights=path)
    with pytest.raises(BadInputError, match="no_top.h5 for .*, which does not fit: "):
        zoo.MobileNetV2(0.35, (96, 96, 3), weights=no_top)  # all 1000 classes are wanted, and none may stay random
    less = write_legacy_h5(tmp_path / "less.h5", keras.Model(theirs.input, theirs.get_layer("block_5_add").output))
    with pytest.raises(BadInputError, match="it has no layer block_6_expand"):
        zoo.MobileNetV2(0.35, (96, 96, 3), classes=10, weights=less)


def test_weights_that_save_weights_wrote(small, tmp_path, same_weights):
    path = tmp_path / "small.weights.h5"
    small.save_weights(path)
    assert same_weights(zoo.MobileNetV2(0.35, (32, 32, 3), classes=10, weights=str(path), small_images=True), small)
    with pytest.raises(BadInputError, match="which does not fit: .*predictions"):
        zoo.MobileNetV2(0.35, (32, 32, 3), classes=7, weights=path)


@pytest.fixture
def published(theirs, write_legacy_h5, tmp_path, monkeypatch):
    """A folder with the two files of one width and size, for the download to find."""
    folder = tmp_path / "published"
    folder.mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96"
    write_legacy_h5(folder / f"{name}.h5", theirs)
    features = keras.Model(theirs.input, theirs.get_layer("out_relu").output)
    write_legacy_h5(folder / f"{name}_no_top.h5", features)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", folder.as_uri() + "/")
    return folder


def test_imagenet_is_downloaded(published, theirs, same_weights, tmp_path):
    assert same_weights(zoo.MobileNetV2(0.35, (96, 96, 3), weights="imagenet"), theirs)
    ten = zoo.MobileNetV2(0.35, (96, 96, 3), classes=10, weights="imagenet", small_images=True)
    assert same_weights(ten, theirs, leave_out=["predictions"])
    assert ten.output_shape == (None, 10)
    [kept] = [path for path in (tmp_path / "home").rglob("*_96.h5")]
    kept.write_bytes(kept.read_bytes()[:9000])
    with pytest.raises(BadInputError, match=f"delete {kept}, and it is fetched again"):
        zoo.MobileNetV2(0.35, (96, 96, 3), weights="imagenet")
    before = layers.Conv2D(3, 1)(keras.Input((96, 96, 1)))  # of the caller, with weights of its own
    no_top = published / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    for weights in ("imagenet", no_top):  # as the error of a failed download advises
        features = zoo.MobileNetV2(0.35, input_tensor=before, include_top=False, weights=weights)
        assert np.array_equal(features.get_layer("Conv_1").kernel, theirs.get_layer("Conv_1").kernel)


@pytest.mark.parametrize("width, shape, options, name", [
    (1, (96, 96, 3), {}, "1.0_96.h5"),
    (0.5, (192, 160, 3), {}, "0.5_224.h5"),
    (0.75, (100, 100, 3), {"classes": 3}, "0.75_224_no_top.h5"),
    (1.4, (96, 96, 3), {}, "1.4_224.h5"),
    (1.3, None, {"include_top": False}, "1.3_224_no_top.h5"),
])
def test_without_a_connection(width, shape, options, name, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", "http://127.0.0.1:9")
    words = f"http://127.0.0.1:9/.*kernels_{name}: .* fetch https://storage.googleapis.com/.*_{name} by hand"
    with pytest.raises(TfoldError, match=words):
        zoo.MobileNetV2(width, shape, weights="imagenet", **options)


def test_values_that_are_no_numbers(small, write_legacy_h5, tmp_path):
    broken = keras.models.clone_model(small)
    broken.get_layer("block_5_project").kernel.assign(np.full((1, 1, 96, 16), np.inf))
    path = write_legacy_h5(tmp_path / "broken.h5", broken)
    with pytest.raises(BadInputError, match="finite numbers. .* in block_5_project/kernel"):
        zoo.MobileNetV2(0.35, (32, 32, 3), classes=10, weights=path)


def test_a_cut_file(small, write_legacy_h5, tmp_path):
    path = write_legacy_h5(tmp_path / "cut.h5", small)
    path.write_bytes(path.read_bytes()[:99999])
    with pytest.raises(BadInputError, match="cut.h5 for 'mobilenetv2_0.35_32', which does not fit: .*truncated"):
        zoo.MobileNetV2(0.35, (32, 32, 3), classes=10, weights=path)


@pytest.mark.parametrize("options, words", [
    ({"width": 0}, "width is a number above 0. Received: width=0"),
    ({"width": "1.0"}, "width='1.0'"),
    ({"width": float("nan")}, "width=nan"),
    ({"width": 0.6, "weights": "imagenet"}, "exist for the widths 0.35, 0.5, 0.75, 1.0, 1.3, 1.4. Received: width=0.6"),
    ({"weights": "no/such.h5"}, "weights is None, \"imagenet\" or a file that exists. Received: weights='no/such.h5'"),
    ({"weights": "."}, "weights='.'"),
    ({"classes": 0}, "classes=0"),
    ({"pooling": "mean"}, "pooling='mean'"),
    ({"input_shape": (28, 28, 1)}, "32×32 pixels at least"),
    ({"classifier_activation": "softmaxx", "input_shape": (32, 32, 3), "width": 0.1}, "'softmaxx'"),
])
def test_arguments_that_cannot_be(options, words):
    with pytest.raises(BadInputError, match=words) as found:
        zoo.MobileNetV2(**options)
    assert "\n" not in str(found.value) and "Received: " in str(found.value)


# The activations of its blocks


BLOCKS = [["expanded_conv_depthwise_relu"]] + [
    [f"block_{i}_expand_relu", f"block_{i}_depthwise_relu"] for i in range(1, 17)]


def test_the_activations_of_each_block(small, theirs):
    assert zoo.inverted_residual_activations(small) == zoo.inverted_residual_activations(theirs) == BLOCKS


def test_the_activations_of_each_block_of_efficientnet():
    found = zoo.inverted_residual_activations(zoo.EfficientNetLite1(input_shape=(32, 32, 3)))
    letters = {1: "a", 2: "abc", 3: "abc", 4: "abcd", 5: "abcd", 6: "abcde", 7: "a"}
    names = [f"block{i}{letter}" for i, of in letters.items() for letter in of]
    assert found == [["block1a_activation"]] + [[f"{n}_expand_activation", f"{n}_activation"] for n in names[1:]]


def test_each_block_can_have_one_alpha(small):
    blocks = zoo.inverted_residual_activations(small)
    f_alpha = tfold.prefold(small, only=sum(blocks, []), tie=[block for block in blocks if len(block) > 1])
    assert len({id(layer) for layer in f_alpha.layers if isinstance(layer, tfold.AlphaActivation)}) == 17


def test_other_networks_have_no_such_blocks():
    x = keras.Input((8, 8, 3))
    y = layers.ReLU(name="block1a_expand_activation")(layers.Conv2D(4, 3, name="block1a_expand_conv")(x))
    fused = keras.Model(x, layers.Conv2D(4, 1, name="block1a_project_conv")(y), name="fused")
    for model in (zoo.MnistMLP(), fused, keras.Sequential([fused], name="nested")):
        with pytest.raises(BadInputError, match=f"EfficientNet-lite. Received: '{model.name}', which has no such"):
            zoo.inverted_residual_activations(model)
    with pytest.raises(BadInputError, match="Received: 'int'"):
        zoo.inverted_residual_activations(3)
