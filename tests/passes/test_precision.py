"""A fold may not cost digits: a channel that never varied goes through a scale of 1e7, and is to stay 0 behind it."""
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import passes, reasons
from tfold.graph.capture import capture
from tfold.passes.precision import LARGEST_SHIFT, mark_imprecise
from tfold.passes.preprocessing import adapted_to
from tfold.sampling import adapted_inputs

SHAPE = (8, 8, 4)


def screenshots(shape=SHAPE, constant=254.0, count=16):
    """Random pixels, whose last channel is the same in all images."""
    x = np.random.default_rng(0).uniform(0, 255, (count, *shape)).astype("float32")
    x[..., -1] = constant
    return x


def normalization(data, family=keras, **settings):
    layer = family.layers.Normalization(**settings)
    layer.adapt(data)
    return layer


def narrow_norm(data, family=keras):
    """A batch norm that was trained on such data, with an ε so small that it has a scale of 1e6."""
    norm = family.layers.BatchNormalization(epsilon=1e-12)
    norm.build((None, *data.shape[1:]))
    axes = tuple(range(data.ndim - 1))
    ones = np.ones(data.shape[-1])
    norm.set_weights([ones, 0 * ones, data.mean(axes, dtype="float64"), data.var(axes, dtype="float64")])
    return norm


READERS = {
    "conv": lambda L: [L.Conv2D(4, 3, use_bias=False)],
    "padded conv": lambda L: [L.Conv2D(4, 3, padding="same")],
    "padding, conv": lambda L: [L.ZeroPadding2D(1), L.Conv2D(4, 3)],
    "depthwise": lambda L: [L.DepthwiseConv2D(3, depth_multiplier=2)],
    "separable": lambda L: [L.SeparableConv2D(4, 3)],
    "transposed": lambda L: [L.Conv2DTranspose(4, 3, strides=2)],
    "dense on a feature map": lambda L: [L.Dense(4)],
    "dense on pixels in a row": lambda L: [L.Flatten(), L.Dense(4)],
    "another batch norm": lambda L: [L.BatchNormalization(), L.Conv2D(4, 1)],
    "average pool, conv": lambda L: [L.AveragePooling2D(2), L.Conv2D(4, 1)],
    "a linear run": lambda L: [L.Conv2D(4, 1), L.DepthwiseConv2D(3), L.Conv2D(4, 1)],
}


def folded_error(model, x, **options):
    """max |a − b| ÷ max |a| of a model and its fold on data, and the fold's result."""
    result = tfold.fold(model, **options)
    before, after = (np.asarray(each(x, training=False), np.float64) for each in (model, result.model))
    return np.abs(before - after).max() / np.abs(before).max(), result


@pytest.mark.parametrize("reader", READERS)
def test_a_channel_that_never_varied_stays_zero(reader, randomize):
    x = screenshots()
    y = inputs = keras.Input(SHAPE)
    for layer in (normalization(x, name="adapted"), *READERS[reader](layers)):
        y = layer(y)
    model = randomize(keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU()(y)) if len(y.shape) > 2 else y))
    error, result = folded_error(model, x, policy="always")
    assert error < 1e-5
    [refusal] = [entry for entry in result.report.refusals if "adapted" in entry.nodes]
    assert refusal.reason == reasons.IMPRECISE and "in channel 3 it takes off 3e+09 times the spread" in refusal.detail


@pytest.mark.parametrize("place", ["first", "behind a pool", "behind a constant channel of a convolution"])
@pytest.mark.parametrize("family", ["keras", "tf_keras"])
def test_a_batch_norm_with_hardly_any_variance(place, family, randomize):
    family = pytest.importorskip(family)
    L, x = family.layers, screenshots()
    y = inputs = family.Input(SHAPE)
    if place == "behind a constant channel of a convolution":
        y = L.DepthwiseConv2D(3, name="before")(y)
    elif place != "first":
        y = L.MaxPooling2D(2)(y)
    data = np.asarray(family.Model(inputs, y)(x)) if place != "first" else x
    y = narrow_norm(data, family)(y)
    y = L.BatchNormalization(name="other")(L.Conv2D(4, 3, name="behind")(L.ReLU()(L.Conv2D(4, 1)(y))))
    model = family.Model(inputs, L.GlobalAveragePooling2D()(y))
    model.get_layer("other").set_weights([np.full(4, v) for v in (0.7, 0.1, 0.2, 1.5)])
    error, result = folded_error(model, x)
    assert error < 1e-5
    assert result.report.after.batch_norms == 1  # the other one goes
    assert [entry.reason for entry in result.report.refusals if entry.rule == "fold_batch_norm"] == [reasons.IMPRECISE]


def test_a_batch_norm_whose_mean_is_the_bias_before_it_goes(randomize):
    """The mean is a thousand deviations, but nothing is left of it where the bias takes it in."""
    x = keras.Input((4,))
    model = keras.Model(x, layers.BatchNormalization(name="bn")(layers.Dense(3, name="dense")(x)))
    model.get_layer("dense").set_weights([np.eye(4, 3), np.full(3, 3e3)])
    model.get_layer("bn").set_weights([np.ones(3), np.zeros(3), np.full(3, 3e3), np.ones(3)])
    assert tfold.fold(model).report.after.batch_norms == 0


def test_what_is_written_by_hand_is_seen_too(randomize):
    x = screenshots()
    mean, deviation = x.mean((0, 1, 2), dtype="float64"), np.maximum(x.std((0, 1, 2), dtype="float64"), 1e-7)
    inputs = keras.Input(SHAPE)
    y = (inputs - mean.astype("float32")) / deviation.astype("float32")
    y = layers.BatchNormalization()(layers.Conv2D(4, 3)(y))
    model = randomize(keras.Model(inputs, layers.GlobalAveragePooling2D()(y)))
    y0, y1 = (np.asarray(each(x)) for each in (model, tfold.fold(model, sample=x[:2]).model))
    assert np.abs(y0 - y1).max() < 1e-5 * np.abs(y0).max()


def test_columns_of_a_table(randomize):
    """A constant column, one that is always zero, and a year, whose mean lies 400 deviations from zero."""
    x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
    x[:, 1], x[:, 2], x[:, 3] = 7.0, 0.0, 2000 + np.arange(64) % 15
    columns = [keras.Input((1,), name=f"column_{i}") for i in range(5)]
    y = normalization(x, name="adapted")(layers.Concatenate()(columns))
    y = layers.Dense(1)(layers.ReLU()(layers.BatchNormalization()(layers.Dense(8)(y))))
    model = randomize(keras.Model(columns, y))
    error, result = folded_error(model, [x[:, i : i + 1] for i in range(5)])
    assert error < 1e-5 and result.report.after.batch_norms == 0
    assert any("(as adapted)" in each.node for each in result.report.verification.compared)


def test_ordinary_preprocessing_still_goes(randomize):
    x = np.random.default_rng(0).uniform(0, 1, (16, 8, 8, 3)).astype("float32")
    inputs = keras.Input((8, 8, 3))
    y = normalization(x, name="adapted")(layers.Rescaling(1 / 255)(inputs))
    model = randomize(keras.Model(inputs, layers.BatchNormalization()(layers.Conv2D(4, 3)(y))))
    result = tfold.fold(model)
    assert [type(layer).__name__ for layer in result.model.layers] == ["InputLayer", "Conv2D"]


def test_folding_again_costs_nothing_either(randomize):
    x = screenshots()
    inputs = keras.Input(SHAPE)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3)(normalization(x)(inputs)))
    model = randomize(keras.Model(inputs, y))
    once = tfold.fold(model).model
    error, result = folded_error(once, x)
    assert error < 1e-5 and result.report.folded == []


def test_the_bound_is_a_number_of_spreads():
    """A tensor at just under and just over the bound, in the type of the layer."""
    for dtype in ("float32", "float16", "float64"):
        for factor, stays in ((0.9, False), (1.1, True)):
            inputs = keras.Input((2,), dtype=dtype)
            given = {"mean": [0.0, factor * LARGEST_SHIFT[dtype]], "variance": [1.0, 1.0], "dtype": dtype}
            y = layers.Dense(2, dtype=dtype, kernel_initializer="ones")(layers.Normalization(**given)(inputs))
            graph = capture(keras.Model(inputs, y))
            mark_imprecise(graph, None, None)
            assert any("stays" in node.attrs for node in graph) == stays


def test_inputs_as_the_first_layers_were_adapted():
    x = screenshots(shape=(3,), count=64)
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, normalization(x)(layers.Rescaling(2.0, 1.0)(inputs)))
    mean, deviation = adapted_to(capture(model))["x"]
    np.testing.assert_allclose(mean, (x.mean(0, dtype="float64") - 1) / 2, rtol=1e-6)
    assert deviation[2] == 0 and (deviation[:2] > 30).all()
    [made] = adapted_inputs(model, [(mean, deviation)])
    assert made.dtype == "float32" and (made[:, 2] == np.float32(mean[2])).all()
    assert adapted_inputs(model, [(np.zeros(3), np.full(3, 100.0))]) == []  # random pixels are like that
    assert adapted_inputs(model, [None]) == []


def test_a_fold_that_is_wrong_on_such_inputs_alone_is_found(randomize, monkeypatch):
    """On random input the constant channel hides all others: what is wrong with them shows where it is at its mean."""
    x = screenshots()
    inputs = keras.Input(SHAPE)
    y = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(normalization(x)(inputs)))
    model = randomize(keras.Model(inputs, y))

    def wrong(graph, report, options):
        passes.mark_imprecise(graph, report, options)
        passes.absorb(graph, report, options)
        kernel = np.array(graph["bn"].map.kernel)
        kernel[:, :, :3] *= 1.01
        graph["bn"].attrs["map"] = replace(graph["bn"].map, kernel=kernel)

    monkeypatch.setattr(passes, "ALL_PASSES", (wrong,))
    with pytest.raises(tfold.ParityError, match="Received: bn"):
        tfold.fold(model)


@pytest.mark.parametrize("kind", ["normalization", "batch norm"])
def test_it_exports_in_floats_and_in_integers(kind, randomize, tmp_path):
    x = screenshots(count=32)
    inputs = keras.Input(SHAPE)
    y = (normalization(x) if kind == "normalization" else narrow_norm(x))(inputs)
    y = layers.BatchNormalization(name="bn")(layers.Conv2D(8, 3)(y))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(y))))
    model.get_layer("bn").set_weights([np.full(8, value) for value in (0.7, 0.1, 0.2, 1.5)])
    folded = tfold.fold(model).model
    files = [tmp_path / name for name in ("float.tflite", "int8.tflite")]
    if kind == "normalization":  # a batch norm computes s·x + t in Keras itself, and s·x is 3e8 here
        assert tfold.export(folded, files[0], sample=x[:4]).parity < 1e-5
    assert tfold.export(folded, files[1], "int8", x).parity < 0.05
