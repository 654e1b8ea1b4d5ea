"""fold() from end to end: the networks of keras.applications, α networks, the report, what it refuses to take."""
import json

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import reasons
from tfold.folding import fold_plan
from tfold.sampling import random_input

APPLICATIONS = {
    "MobileNet": {"input_shape": (96, 96, 3)},
    "MobileNetV2": {"input_shape": (96, 96, 3)},
    "ResNet50": {"input_shape": (64, 64, 3), "include_top": False},
    "VGG16": {"input_shape": (48, 48, 3), "include_top": False},
    "EfficientNetB0": {"input_shape": (64, 64, 3), "include_top": False},
    "InceptionV3": {"input_shape": (75, 75, 3), "include_top": False},
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications_lose_every_batch_norm_and_nothing_else(name, randomize):
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None, **APPLICATIONS[name])
    rng = np.random.default_rng(0)
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:  # random statistics, mild enough for float32 over fifty layers
        n = norm.moving_mean.shape[0]
        norm.moving_mean.assign(rng.normal(scale=0.1, size=n))
        norm.moving_variance.assign(rng.uniform(0.5, 2, n))
        norm.beta.assign(rng.normal(scale=0.1, size=n))
        if norm.scale:
            norm.gamma.assign(rng.uniform(0.5, 1.5, n) * rng.choice([-1, 1], n))
    weights = [w.copy() for w in model.get_weights()]

    result = tfold.fold(model)

    assert not any(isinstance(layer, layers.BatchNormalization) for layer in result.model.layers)
    x = random_input(model, seed=7)
    before, after = model(x, training=False).numpy(), result.model(x, training=False).numpy()
    assert np.abs(before - after).max() / np.abs(before).max() <= 1e-5
    report = result.report
    assert (report.before.batch_norms, report.after.batch_norms) == (len(norms), 0)
    assert report.before.parameters == model.count_params()
    assert report.after.parameters == result.model.count_params()
    assert report.verification.worst.relative <= 1e-5
    assert len(report.verification.compared) > len(norms)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights, strict=True))


def test_the_figures_of_mobilenet_v2():
    """As published: 300 million multiply-accumulates, 3.5 million parameters; 53 linear layers deep."""
    keras.backend.clear_session()
    report = fold_plan(keras.applications.MobileNetV2(weights=None))
    assert report.before.macs == pytest.approx(300.77e6, rel=1e-4)
    assert report.before.parameters == 3_538_984
    assert (report.before.depth, report.before.batch_norms, report.after.batch_norms) == (53, 52, 0)
    assert report.after.macs == report.before.macs


def test_a_deep_network_of_ones_is_one_dense_layer():
    x = y = keras.Input((16,))
    for _ in range(10):
        y = tfold.AlphaActivation("relu", alpha_initializer="ones")(layers.Dense(16)(y))
    model = keras.Model(x, y)
    result = tfold.fold(model)
    assert [type(layer).__name__ for layer in result.model.layers] == ["InputLayer", "Dense"]
    assert (result.report.before.depth, result.report.after.depth) == (10, 1)
    assert tfold.effective_depth(model) == 1


def inverted_residuals(alphas):
    """Two inverted residuals with skips between a stem and a classifier: 1 + 2·3 + 1 linear layers."""
    alphas = iter(alphas)

    def conv(layer, x, active=True):
        y = layers.BatchNormalization()(layer(x))
        return tfold.AlphaActivation(
            "relu6", alpha_initializer=keras.initializers.Constant(next(alphas)))(y) if active else y

    x = keras.Input((12, 12, 3))
    y = layers.ReLU(6.0)(conv(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False), x, False))
    for _ in range(2):
        z = conv(layers.Conv2D(24, 1, use_bias=False), y)
        z = conv(layers.DepthwiseConv2D(3, padding="same", use_bias=False), z)
        z = conv(layers.Conv2D(8, 1, use_bias=False), z, False)
        y = layers.Add()([y, z])
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    return keras.Model(x, layers.Dense(5, activation="softmax")(y))


@pytest.mark.parametrize("alphas, depth", [
    ([0, 0, 0, 0], 8),
    ([1, 1, 0, 0], 6),  # a block whose two activations are gone is one 3×3 convolution
    ([0, 0, 1, 1], 6),
    ([1, 0, 0, 0], 7),  # 1×1 and depthwise merge
    ([0, 1, 0, 0], 7),
    ([1, 1, 1, 1], 4),  # two 3×3 convolutions: the second's padding keeps them apart
])
def test_depth_of_inverted_residuals(alphas, depth, fold_checked):
    model = inverted_residuals(alphas)
    result = fold_checked(model, policy="always")
    assert result.report.before.depth == 8
    assert result.report.after.depth == tfold.effective_depth(result.model) == depth
    assert result.report.after.batch_norms == 0
    assert not any(isinstance(layer, tfold.AlphaActivation) for layer in result.model.layers)


def test_the_threshold_counts():
    model = inverted_residuals([0.95, 0.95, 0.4, 0.4])
    assert [tfold.effective_depth(model, threshold) for threshold in (0.3, 0.9, 0.99)] == [
        fold_plan(model, threshold).after.depth for threshold in (0.3, 0.9, 0.99)]
    assert tfold.effective_depth(model, 0.3) < tfold.effective_depth(model, 0.9) < tfold.effective_depth(model, 0.99)


def test_alphas_between_the_ends_are_compared_with_the_settled_network(randomize, relative_difference):
    keras.utils.set_random_seed(0)
    model = randomize(inverted_residuals([0.95, 0.95, 0.4, 0.4]))
    result = tfold.fold(model)
    x = random_input(model)
    assert relative_difference(tfold.settle(model), result.model, x) <= 1e-5
    assert relative_difference(model, result.model, x) > 1e-3


def test_prefolded_and_untrained_folds_to_the_same_network(randomize, relative_difference):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    y = layers.Dense(3)(layers.Flatten()(layers.ReLU(name="relu")(layers.BatchNormalization()(y))))
    model = randomize(keras.Model(x, y))
    folded, again = tfold.fold(model), tfold.fold(tfold.prefold(model))
    assert relative_difference(folded.model, again.model, random_input(model)) <= 1e-6
    assert folded.report.after == again.report.after


def test_the_report_says_what_was_done_what_not_and_where_everything_is():
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, name="conv")(x)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.MaxPooling2D(name="pool")(layers.ReLU(6.0, name="relu6")(y))
    y = layers.BatchNormalization(name="stays")(y)
    model = keras.Model(x, layers.Dropout(0.5)(layers.PReLU(name="prelu")(y)))
    report = tfold.fold(model).report
    [done], [refused] = report.folded, report.refusals
    assert (done.rule, done.nodes, done.reason) == ("fold_batch_norm", ("conv", "norm"), None)
    assert (refused.nodes, refused.reason) == (("stays",), reasons.ACTIVATION_BETWEEN)
    assert refused.detail == "relu6 is not linear; prelu is an output of the network; a multiplication stays of it"
    assert report.homes["conv"] == report.homes["norm"] == "conv"
    assert report.homes["stays"] == "stays"
    text = str(report)
    assert "batch norms               2 → 1" in text
    assert "conv → norm: folded into conv" in text
    assert "refused (1)" in text
    document = json.loads(json.dumps(report.to_json()))
    assert document["before"]["batch_norms"] == 2
    assert document["folded"][0]["nodes"] == ["conv", "norm"]
    assert document["verification"]["compared"] == 2


def test_every_layer_with_weights_has_a_home(fold_checked):
    model = inverted_residuals([1, 1, 0, 1])
    report = fold_checked(model, policy="always").report
    heavy = {layer.name for layer in model.layers
             if layer.weights and not isinstance(layer, tfold.AlphaActivation)}
    assert heavy <= set(report.homes)


def test_the_plan_is_the_report_without_a_model():
    model = inverted_residuals([1, 1, 0, 0])
    plan, report = fold_plan(model, policy="always"), tfold.fold(model, policy="always").report
    assert plan.to_json() | {"verification": None} == report.to_json() | {"verification": None}
    assert plan.verification is None


def test_macs_are_unknown_where_the_size_is():
    x = keras.Input((None, None, 3))
    report = tfold.fold(keras.Model(x, layers.Conv2D(4, 3)(x))).report
    assert report.before.macs is None
    assert "unknown" in str(report)


def test_unknown_layers_with_matrices_count_as_one_layer_deep_frozen_or_not():
    x = keras.Input((5, 3))
    model = keras.Model(x, layers.Dense(2)(layers.LSTM(4, trainable=False)(x)))
    assert fold_plan(model).before.depth == 2


@pytest.mark.parametrize("options, words", [
    ({"threshold": 0}, "0 < threshold < 1. Received: threshold=0"),
    ({"threshold": 1.0}, "Received: threshold=1.0"),
    ({"threshold": float("nan")}, "Received: threshold=nan"),
    ({"policy": "fastest"}, "policy is one of latency, macs, always, or .*Received: policy='fastest'"),
    ({"border": "wrong"}, "border is exact or approximate. Received: border='wrong'"),
])
def test_options_out_of_range(options, words):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(tfold.BadInputError, match=words):
        tfold.fold(model, **options)


def test_the_folded_model_trains_saves_and_loads(tmp_path):
    model = inverted_residuals([1, 1, 0, 1])
    folded = tfold.fold(model).model
    x, y = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype("float32"), np.arange(8) % 5
    folded.compile("sgd", "sparse_categorical_crossentropy")
    before = [w.copy() for w in folded.get_weights()]
    folded.fit(x, y, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, folded.get_weights(), strict=True))
    folded.save(tmp_path / "folded.keras")
    again = keras.saving.load_model(tmp_path / "folded.keras")
    np.testing.assert_array_equal(again(x), folded(x))


def test_folding_what_was_folded_changes_nothing():
    folded = tfold.fold(inverted_residuals([1, 1, 0, 1])).model
    report = tfold.fold(folded).report
    assert report.folded == []
    assert report.before == report.after


def test_homes_are_layers_of_the_folded_model(randomize):
    x = keras.Input((8, 8, 3))
    y = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(x)))
    y = layers.Dropout(0.5, name="drop")(layers.Dense(3, name="a")(layers.Flatten(name="flat")(y)))
    model = randomize(keras.Model(x, layers.Dense(2, activation="softmax", name="b")(y)))
    result = tfold.fold(model, policy="always")
    assert result.report.homes == {
        "conv": "conv", "bn": "conv", "relu": "relu", "flat": "flat", "a": "a-b", "b": "a-b"}
    for home in result.report.homes.values():
        result.model.get_layer(home)


def test_several_outputs_keep_their_names(randomize):
    x = keras.Input((4,))
    left = layers.BatchNormalization(name="left")(layers.Dense(3)(x))
    right = layers.Dropout(0.5, name="right")(layers.Dense(2)(layers.Dense(8)(x)))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.ReLU()], name="third")
    model = randomize(keras.Model(x, [left, right, inner(x)]))
    folded = tfold.fold(model, policy="always").model
    assert folded.output_names == model.output_names == ["left", "right", "third"]
    folded.compile("sgd", loss={"left": "mse", "right": "mae", "third": "mse"})
    values = np.ones((2, 4)), [np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 2))]
    folded.fit(*values, verbose=0)


@pytest.mark.parametrize("first", [
    lambda: layers.Resizing(5, 5), lambda: layers.CenterCrop(5, 5), lambda: layers.RandomCrop(5, 5),
    lambda: layers.RandomFlip()])
def test_behind_layers_that_augment_or_resize(randomize, first):
    """Keras keeps their training=True with the call; passed on, batch norms would take the statistics of the batch."""
    x = keras.Input((6, 6, 3))
    y = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(first()(x)))
    model = randomize(keras.Model(x, layers.ReLU()(y)))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == 0
    values = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    expected = np.asarray(model(values, training=False))
    np.testing.assert_allclose(np.asarray(result.model(values, training=False)), expected, rtol=0, atol=1e-5)


def test_number_types_are_not_mixed(randomize):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, dtype="mixed_float16", name="conv")(x)
    model = randomize(keras.Model(x, layers.BatchNormalization(name="bn", dtype="float32")(y)))
    result = tfold.fold(model)
    assert [entry.reason for entry in result.report.refusals] == [reasons.DIFFERENT_TYPES]
    assert result.model.output.dtype == "float32" and result.report.after.batch_norms == 1


@pytest.mark.parametrize("threshold", [0, 1, "0.9", None, float("nan"), True])
def test_thresholds_that_are_none(threshold):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)])
    for use in (tfold.fold, tfold.settle, lambda _, threshold: tfold.callbacks.AlphaLogger(threshold)):
        with pytest.raises(tfold.BadInputError, match="0 < threshold < 1. Received: threshold="):
            use(model, threshold=threshold)
