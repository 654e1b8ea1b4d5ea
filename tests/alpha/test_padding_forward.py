"""prefold(padding="forward"): F_α differs from F at the border alone, and what later merges merges exactly."""

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import reasons
from tfold.alpha import alpha_layers, alphas, prefold, settle
from tfold.alpha.padding import segments
from tfold.errors import BadInputError


def conv(filters, name, window=3, **kwargs):
    return layers.Conv2D(filters, window, **{"padding": "same", "name": name, **kwargs})


def basic_block(shape=(9, 8, 4), strides=(1, 1), skip=True):
    """conv ─ bn ─ relu ─ conv ─ bn, + x."""
    x = keras.Input(shape)
    y = layers.BatchNormalization()(conv(6, "a", strides=strides[0])(x))
    y = layers.Activation("relu", name="relu")(y)
    y = layers.BatchNormalization()(conv(4, "b", strides=strides[1])(y))
    if skip:
        size = strides[0] * strides[1]
        y = layers.Add(name="sum")([y, x if size == 1 else conv(4, "shortcut", 1, strides=size)(x)])
    return keras.Model(x, y)


def chain(*stack, shape=(18, 17, 4)):
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def inverted_residual():
    x = keras.Input((7, 8, 2))
    y = layers.BatchNormalization()(layers.Conv2D(8, 1, name="expand")(x))
    y = layers.Activation("relu6", name="relu_1")(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise", activation="relu6")(y)
    y = layers.Conv2D(2, 1, name="project")(y)
    return keras.Model(x, layers.Add(name="sum")([x, y]))


def causal():
    return chain(
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="a", activation="relu"),
        layers.Conv1D(4, 2, padding="causal", name="b"),
        shape=(9, 3),
    )


def padded():
    return chain(
        layers.ZeroPadding2D(((1, 0), (0, 2)), name="front"),
        conv(4, "a", padding="valid", strides=2),
        layers.ReLU(name="relu"),
        layers.ZeroPadding2D(((0, 1), (0, 1)), name="between"),
        layers.Dropout(0.2),
        conv(4, "b", padding="valid", strides=2),
    )


def settled_chain():
    """One of each that may stand between, and an α that is there already."""
    return chain(
        layers.SeparableConv2D(4, 3, padding="same", name="a"),
        tfold.AlphaActivation("relu", name="old"),
        conv(3, "b", (1, 3), activation="swish", groups=1),
        layers.SpatialDropout2D(0.1),
        layers.BatchNormalization(),
        conv(4, "c", dilation_rate=2),
    )


MERGE = {  # network, zeros of the first convolution, window and strides of what is left
    "basic block": (basic_block, ((2, 2), (2, 2)), (5, 5), (1, 1)),
    "strides in the first": (lambda: basic_block(strides=(2, 1)), ((3, 3), (2, 3)), (7, 7), (2, 2)),
    "strides in the second": (lambda: basic_block(strides=(1, 2)), ((2, 2), (1, 2)), (5, 5), (2, 2)),
    "strides in both": (lambda: basic_block((9, 12, 4), (2, 2)), ((3, 3), (0, 3)), (7, 7), (4, 4)),
    "no skip": (lambda: basic_block((8, 11, 4), (2, 1), skip=False), ((2, 3), (3, 3)), (7, 7), (2, 2)),
    "inverted residual": (inverted_residual, ((1, 1), (1, 1)), (3, 3), (1, 1)),
    "causal": (causal, ((5, 0),), (6,), (1,)),
    "padding layers": (padded, ((1, 2), (0, 4)), (7, 7), (4, 4)),
    "all kinds": (settled_chain, ((3, 3), (4, 4)), (7, 9), (1, 1)),
}


def forward(model, **options):
    f_alpha = prefold(model, padding="forward", **options)
    for layer in alpha_layers(f_alpha).values():
        layer.alpha.assign(1.0)
    return f_alpha


@pytest.mark.parametrize("name", MERGE)
def test_merges_exactly_into_one_layer(name, fold_checked, randomize):
    make, padding, window, strides = MERGE[name]
    model = make()
    assert [segment.padding for segment in segments(model)] == [padding]
    f_alpha = forward(model)
    assert f_alpha.output_shape == model.output_shape
    result = fold_checked(f_alpha, policy="always")
    (merged,) = (layer for layer in result.model.layers if layer.weights)
    assert merged.kernel_size == window and merged.strides == strides, result.report
    assert {entry.reason for entry in result.report.refusals} <= {reasons.PADDING_STAYS}
    assert "border map" not in str(result.report)
    # Settling alone leaves the same function, in stock layers.
    same = randomize(settle(f_alpha))
    assert fold_checked(same, policy="always").report.after.depth == 1


def test_without_it_the_border_is_not_exact(fold_checked):
    f_alpha = prefold(basic_block())
    f_alpha.get_layer("relu").alpha.assign(1.0)
    report = fold_checked(f_alpha, policy="always").report
    assert {entry.reason for entry in report.refusals} == {reasons.BORDER_NOT_EXACT}
    assert report.after.depth == 2


@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("shape", [(16, 17, 4), (19, 18, 4)])
def test_only_the_border_changes(shape, strides, randomize):
    model = randomize(basic_block(shape, strides))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    before, after = np.array(model(x)), np.array(prefold(model, padding="forward")(x))
    assert before.shape == after.shape
    # Only the outer ring of the second convolution's windows saw its zeros.
    np.testing.assert_allclose(after[:, 1:-1, 1:-1], before[:, 1:-1, 1:-1], rtol=1e-4, atol=1e-4)
    assert np.abs(after - before).max() > 1e-2


def test_weights_names_and_the_callers_model(randomize):
    model = randomize(padded())
    weights, config = [w.copy() for w in model.get_weights()], str(model.get_config())
    f_alpha = prefold(model, padding="forward")
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    assert str(model.get_config()) == config
    for name in ("a", "b"):
        for old, new in zip(model.get_layer(name).get_weights(), f_alpha.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    assert [layer.name for layer in f_alpha.layers[1:]] == ["front", "a", "relu", model.layers[5].name, "b"]
    assert f_alpha.get_layer("front").padding == ((1, 2), (0, 4))
    added = prefold(basic_block(), padding="forward").get_layer("a_padding")
    assert isinstance(added, layers.ZeroPadding2D) and added.padding == ((2, 2), (2, 2))


def test_a_name_that_is_taken_and_padding_that_is_same():
    model = chain(conv(4, "a", padding="valid"), layers.ReLU(name="a_padding"), conv(4, "b"))
    f_alpha = prefold(model, padding="forward")
    assert [layer.name for layer in f_alpha.layers[1:]] == ["a", "a_padding", "b"]
    assert [f_alpha.get_layer(name).padding for name in "ab"] == ["same", "valid"]
    model = chain(conv(4, "a"), layers.ReLU(name="a_padding"), conv(4, "b"))
    assert prefold(model, padding="forward").layers[1].name == "a_padding_1"


def test_padding_in_front_that_others_read_stays(fold_checked):
    x = keras.Input((9, 8, 4))
    front = layers.ZeroPadding2D(name="front")(x)
    y = conv(4, "b")(layers.ReLU()(conv(4, "a", padding="valid")(front)))
    model = keras.Model(x, layers.Add()([y, conv(4, "c", padding="valid")(front)]))
    f_alpha = forward(model)
    assert f_alpha.get_layer("front").padding == ((1, 1), (1, 1))
    assert [f_alpha.get_layer(name).padding for name in "abc"] == ["same", "valid", "valid"]
    assert fold_checked(f_alpha, policy="always").report.after.depth == 1


def test_trains_and_survives_saving(tmp_path):
    keras.utils.set_random_seed(0)
    f_alpha = prefold(basic_block(), padding="forward")
    x = np.random.default_rng(0).normal(size=(8, 9, 8, 4)).astype("float32")
    f_alpha.compile("sgd", "mse")
    f_alpha.fit(x, x, epochs=1, verbose=0)
    f_alpha.get_layer("relu").alpha.assign(1.0)
    f_alpha.save(tmp_path / "f.keras")
    loaded = keras.models.load_model(tmp_path / "f.keras")
    np.testing.assert_allclose(loaded(x), f_alpha(x), rtol=1e-5, atol=1e-5)
    assert tfold.fold(loaded, policy="always").report.after.depth == 1


def test_tied_activations_share_their_alpha(fold_checked):
    f_alpha = forward(inverted_residual(), tie=[["relu_1", "depthwise"]], only=["relu_1", "depthwise"])
    assert list(alphas(f_alpha)) == ["relu_1"]
    assert fold_checked(f_alpha, policy="always").report.after.depth == 1


def test_unknown_sizes_without_strides(fold_checked):
    model = chain(conv(4, "a"), layers.ReLU(), conv(4, "b"), shape=(None, None, 4))
    assert forward(model).output_shape == (None, None, None, 4)
    assert fold_checked(forward(model), policy="always").report.after.depth == 1


@pytest.mark.parametrize("sequential", [False, True])
def test_nested_models(sequential, fold_checked, randomize):
    stack = [conv(5, "a"), layers.ReLU(name="relu"), conv(4, "b"), layers.ReLU(name="end")]
    inner = keras.Sequential([keras.Input((18, 17, 4)), *stack]) if sequential else chain(*stack)
    model = randomize(chain(inner, layers.Flatten(), layers.Dense(2)))
    (segment,) = segments(model)
    assert segment.convolutions == (f"{inner.name}/a", f"{inner.name}/b")
    assert fold_checked(forward(model), policy="always").report.after.depth == 2


def test_a_segment_ends_before_all_of_it_would_be_border(fold_checked):
    stack = [conv(4, name, strides=2 if name == "a" else 1, activation="relu") for name in "abcdef"]
    model = chain(*stack, layers.GlobalAveragePooling2D(), layers.Dense(2), shape=(16, 16, 4))
    # Behind the first stride every convolution brings 2 · 2 zeros: two make half of the 16 pixels.
    assert [segment.convolutions for segment in segments(model)] == [("a", "b", "c"), ("d", "e", "f")]
    assert fold_checked(forward(model), policy="always").report.after.depth == 3
    tiny = chain(conv(4, "a"), layers.ReLU(), conv(4, "b"), shape=(3, 3, 4))
    assert segments(tiny) == []


@pytest.mark.parametrize("padding", ["same", None, True, "Forward"])
def test_other_words(padding):
    with pytest.raises(BadInputError, match="padding is one of keep, forward. Received: padding="):
        prefold(basic_block(), padding=padding)


def test_random_sizes():
    """Whatever strides, windows and sizes: the output has the size that it had, so additions behind it still fit."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        stack = []
        for _ in range(3):
            options = [{"strides": 2}, {"dilation_rate": 2}, {}, {}][rng.integers(4)]
            stack.append(conv(2, None, tuple(rng.integers(1, 5, 2).tolist()), activation="relu", **options))
            stack.append(layers.ZeroPadding2D(rng.integers(0, 3, (2, 2)).tolist()))
        model = chain(*stack, layers.Flatten(), layers.Dense(1), shape=(*rng.integers(9, 20, 2).tolist(), 2))
        assert forward(model).count_params() == prefold(model).count_params()
