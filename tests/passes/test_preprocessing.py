"""Preprocessing that is kept, for a network that is to be trained further."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import reasons
from tfold.errors import BadInputError
from tfold.folding import fold_plan

PIXELS = keras.Input((6, 6, 3), name="pixels")


def network(scaled):
    """conv ─ bn ─ ReLU ─ dense behind `scaled`, with a ReLU that stays."""
    x = layers.Conv2D(4, 3, padding="same", name="conv")(scaled)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn")(x))
    model = keras.Model(PIXELS, layers.Dense(2, name="logits")(layers.Flatten(name="flat")(x)))
    rng = np.random.default_rng(0)
    model.get_layer("bn").set_weights(rng.uniform(0.5, 1.5, (4, 4)))
    return model


def normalized():
    layer = layers.Normalization(mean=[100, 120, 90], variance=[900, 1600, 2500], name="scale")
    return layer(PIXELS)


def batch_normalized():
    layer = layers.BatchNormalization(name="scale")
    x = layer(PIXELS)
    layer.set_weights([np.ones(3), np.zeros(3), np.full(3, 120.0), np.full(3, 3600.0)])
    return x


SCALED = {
    "rescaling": lambda: layers.Rescaling(1 / 127.5, -1, name="scale")(PIXELS),
    "behind padding": lambda: layers.Rescaling(1 / 255, name="scale")(layers.ZeroPadding2D(1)(PIXELS)),
    "behind a resizing": lambda: layers.Rescaling(1 / 255, name="scale")(layers.Resizing(5, 5)(PIXELS)),
    "a normalization": normalized,
    "a batch norm": batch_normalized,
    "an operator": lambda: PIXELS / 255,
}


@pytest.mark.parametrize("scaled", SCALED.values(), ids=SCALED)
def test_what_scales_the_input_stays(scaled):
    model = network(scaled())
    kept, folded = tfold.fold(model, preprocessing="keep"), tfold.fold(model)
    conv = model.get_layer("conv").get_weights()[0], kept.model.get_layer("conv").get_weights()[0]
    bn = [np.asarray(w) for w in model.get_layer("bn").get_weights()]
    np.testing.assert_allclose(conv[1], conv[0] * bn[0] / np.sqrt(bn[3] + 1e-3), rtol=1e-5)
    assert not np.allclose(folded.model.get_layer("conv").get_weights()[0], conv[1], rtol=0.5)
    [entry] = [each for each in kept.report.refusals if each.reason == reasons.PREPROCESSING]
    assert "the network is to be trained further" in str(entry)
    assert kept.report.scaling == () and folded.report.scaling == entry.nodes
    assert "not for further training" in str(folded.report) and "not for further" not in str(kept.report)
    assert folded.report.to_json()["scaling"] == list(entry.nodes)
    again = tfold.fold(kept.model).model
    pixels = np.random.default_rng(1).uniform(0, 255, (4, 6, 6, 3)).astype("float32")
    expected = np.asarray(model(pixels, training=False))
    for each in (kept.model, folded.model, again):
        received = np.asarray(each(pixels, training=False))
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert fold_plan(model, preprocessing="keep").refusals == kept.report.refusals


def test_behind_the_first_layer_everything_folds_as_before():
    x = layers.Rescaling(1 / 255, name="later")(layers.Conv2D(4, 1, name="first")(PIXELS))
    model = keras.Model(PIXELS, layers.ReLU(max_value=6)(layers.Conv2D(2, 1, name="second")(x)))
    kept = tfold.fold(model, preprocessing="keep")
    assert kept.report.after == tfold.fold(model).report.after and not kept.report.scaling
    assert not any(each.reason == reasons.PREPROCESSING for each in kept.report.refusals)


def test_small_numbers_are_no_danger():
    model = network(layers.Rescaling(2.0, -1, name="scale")(PIXELS))
    assert tfold.fold(model).report.scaling == ()


def test_it_trains_on():
    """An SGD step that suits the network suits the folded one, with its preprocessing; without, it destroys it."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (64, 6, 6, 3)).astype("float32")
    y = (x.mean(axis=(1, 2, 3)) > 127.5).astype(int)
    losses = {}
    for preprocessing in ("keep", "fold"):
        model = tfold.fold(network(SCALED["rescaling"]()), preprocessing=preprocessing).model
        model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        before = model.evaluate(x, y, verbose=0)
        losses[preprocessing] = model.fit(x, y, epochs=3, verbose=0).history["loss"][-1] / before
    assert losses["keep"] < 1 < losses["fold"] or np.isnan(losses["fold"])


def test_another_word_is_an_error():
    with pytest.raises(BadInputError, match="preprocessing is fold or keep. Received: preprocessing='no'"):
        tfold.fold(network(PIXELS), preprocessing="no")
