"""Channels that a batch norm multiplies by zero: silenced where they come from, if nobody else reads them."""
import keras
import numpy as np
import pytest
from keras import layers as L

from tfold import reasons


def conv(filters=4, **settings):
    return L.Conv2D(filters, 3, padding="same", **settings)


def model_of(network):
    """A batch norm "bn" of random numbers, a ReLU and a convolution behind `network`; every other γ is 0."""
    x = keras.Input((12, 12, 3))
    y = network(x)
    y, others = y if isinstance(y, tuple) else (y, ())
    norm = L.BatchNormalization(name="bn")
    outputs = conv()(L.ReLU()(norm(y)))
    n, rng = y.shape[-1], np.random.default_rng(0)
    gamma = rng.uniform(0.5, 1.5, n) * (np.arange(n) % 2)
    norm.set_weights([gamma, rng.normal(size=n), rng.normal(size=n), rng.uniform(0.5, 2, n)])
    model = keras.Model(x, [outputs, *others])
    for layer in model.layers:
        if isinstance(layer, L.Conv2D):
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


GO = {
    "average pool": lambda x: L.AveragePooling2D(3)(conv()(x)),
    "max pool": lambda x: L.MaxPooling2D(2)(conv()(x)),
    "cropping, upsampling": lambda x: L.UpSampling2D(2)(L.Cropping2D(2)(conv()(x))),
    "addition": lambda x: L.Add()([conv()(x), conv()(L.ReLU()(x))]),
    "concatenation": lambda x: L.Concatenate()([conv()(x), conv(3)(L.ReLU()(x))]),
    "padding of one side": lambda x: L.Add()([conv()(x), L.ZeroPadding2D(((0, 2), (2, 0)))(L.Conv2D(4, 3)(x))]),
}


@pytest.mark.parametrize("network", GO.values(), ids=GO)
def test_the_batch_norm_goes(network, fold_checked):
    result = fold_checked(model_of(network), as_is=True)
    assert result.report.after.batch_norms == 0 and not result.report.refusals


def test_the_report_says_where_they_became_zero(fold_checked):
    report = fold_checked(model_of(lambda x: L.AveragePooling2D(3)(conv(name="first")(x))), as_is=True).report
    assert "bn: 2 channels that it multiplies by 0 are 0 from first on" in str(report)


def _read_elsewhere(x):
    y = conv()(x)
    return L.AveragePooling2D(3)(y), (L.ReLU()(y),)


def _shared(x):
    shared = conv(3)
    return L.AveragePooling2D(3)(shared(x)), (shared(L.ReLU()(x)),)


STAY = {
    "read elsewhere": _read_elsewhere,
    "the convolution is called twice": _shared,
    "an input in the sum": lambda x: L.Add()([conv(3)(L.ReLU()(x)), x]),
    "a sigmoid between": lambda x: L.Activation("sigmoid")(conv()(x)),
}


@pytest.mark.parametrize("network", STAY.values(), ids=STAY)
def test_the_batch_norm_stays(network, fold_checked):
    result = fold_checked(model_of(network), as_is=True)
    assert result.report.after.batch_norms == 1
    [entry] = [entry for entry in result.report.refusals if entry.rule == "fold_batch_norm"]
    assert (entry.reason, entry.nodes) == (reasons.NOT_INVERTIBLE, ("bn",))
    assert "its scale is 0 in channel 0 and 1 more" in entry.detail
