"""Batch norms that stay Keras' own: one warning says why, and the result is stock Keras' all the same."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfold.training import engine, restructure_batch_norm
from tfold.training.places import refusal

layers = keras.layers


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(engine, "_SAID", set())


@keras.saving.register_keras_serializable(package="test")
class OwnBatchNormalization(layers.BatchNormalization):
    """A user's class."""

    def call(self, inputs, **kwargs):
        return 2 * super().call(inputs, **kwargs)


def with_bn(make, shape=(4, 4, 3)):
    x = keras.Input(shape)
    y = make(x)
    return keras.Model(x, layers.ReLU()(y), name="net")


REFUSED = {
    "of rank 2": (lambda: with_bn(layers.BatchNormalization(name="bn"), (3,)), "its input has rank 2, not 4"),
    "of rank 3": (lambda: with_bn(layers.BatchNormalization(name="bn"), (4, 3)), "its input has rank 3, not 4"),
    "of rank 5": (lambda: with_bn(layers.BatchNormalization(name="bn"), (2, 4, 4, 3)), "its input has rank 5, not 4"),
    "axis": (lambda: with_bn(layers.BatchNormalization(axis=1, name="bn")), "it normalizes axis 1, not the last"),
    "renorm": (lambda: with_bn(layers.BatchNormalization(renorm=True, name="bn")), r"renormalizes \(renorm=True\)"),
    "synchronized": (
        lambda: with_bn(layers.BatchNormalization(synchronized=True, name="bn")),
        r"it is synchronized over replicas \(synchronized=True\)",
    ),
    "float64": (lambda: with_bn(layers.BatchNormalization(dtype="float64", name="bn")), "it computes in float64"),
    "a subclass": (
        lambda: with_bn(OwnBatchNormalization(name="bn")),
        "its class is OwnBatchNormalization, which may compute something else",
    ),
}


def same_training_step(stock, fast, x, within=1e-5):
    found = []
    for model in (stock, fast):
        with tf.GradientTape() as tape:
            y = model(x, training=True)
            loss = tf.reduce_sum(y * y)
        found.append([y, *tape.gradient(loss, model.trainable_variables), *model.non_trainable_variables])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=within, atol=within)


def data(model):
    return np.random.default_rng(0).normal(size=(3, *model.inputs[0].shape[1:])).astype("float32")


@pytest.mark.parametrize("kind", REFUSED)
def test_each_reason(kind, kernels):
    make, reason = REFUSED[kind]
    stock = make()
    message = f"restructure_batch_norm: 'net' keeps 1 of 1 batch norms as stock Keras has them: 'bn': .*{reason}"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        fast = restructure_batch_norm(stock)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert type(fast.get_layer("bn")) is type(stock.get_layer("bn"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same_training_step(stock, fast, data(stock), 0)


def test_an_unknown_rank():
    assert refusal(layers.BatchNormalization(), None) == "its input has an unknown rank, not 4"


def test_all_are_named_with_their_paths():
    inner = keras.Sequential(
        [layers.Input((4, 4, 3)), layers.Conv2D(3, 1), layers.BatchNormalization(axis=1, name="a")], name="inner"
    )
    x = keras.Input((4, 4, 3))
    y = layers.BatchNormalization(name="good")(inner(x))
    y = layers.BatchNormalization(name="b")(layers.Flatten()(y))
    with pytest.warns(RuntimeWarning, match="keeps 2 of 3 .*'inner/a': it normalizes axis 1, .*'b': .* rank 2"):
        fast = restructure_batch_norm(keras.Model(x, y))
    assert hasattr(type(fast.get_layer("good")), "_tfold_stock")
    assert not hasattr(type(fast.get_layer("b")), "_tfold_stock")


def test_nothing_to_do():
    x = keras.Input((4,))
    stock = keras.Model(x, layers.Dense(2)(x), name="plain")
    with pytest.warns(RuntimeWarning, match="'plain' has no batch norm: nothing changes"):
        fast = restructure_batch_norm(stock)
    assert fast is not stock
    np.testing.assert_array_equal(stock(np.eye(4)), fast(np.eye(4)))


def masked():
    x = keras.Input((4, 4, 3))
    y = layers.BatchNormalization()(layers.Masking(0.0)(x))
    return keras.Model(x, layers.ReLU()(y))


@pytest.mark.parametrize("how", ["python", "compiled"])
def test_masks(how, request):
    if how == "compiled":
        request.getfixturevalue("kernels")
    stock = masked()
    fast = restructure_batch_norm(stock, kernels=how)
    x = data(stock)
    x[:, 1:3] = 0.0
    with pytest.warns(RuntimeWarning, match="Batch norm is computed by stock Keras: its input has a mask") as caught:
        same_training_step(stock, fast, x, 1e-6)
        fast(x, training=True)
    assert len(caught) == 1  # once in a process
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(x, training=False)


def test_xla(kernels, randomize):
    """As model.compile(jit_compile=True) does it; nothing of tfold's can be in what XLA compiles."""
    x = keras.Input((4, 4, 3))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(3, 3)(x)))
    stock = randomize(keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 1)(y)))))
    fast = restructure_batch_norm(stock, memory="low")
    inputs, targets = data(stock), np.ones((3, 2))
    history = []
    with pytest.warns(RuntimeWarning, match=r"Keras: XLA compiles the training step \(jit_compile=True\)") as said:
        for model in (stock, fast):
            model.compile("sgd", "mse", jit_compile=True)
            history.append(model.fit(inputs, targets, epochs=2, verbose=0).history["loss"])
    assert len([w for w in said if "XLA" in str(w.message)]) == 1
    np.testing.assert_allclose(*history, rtol=1e-5)
    fast.compile("sgd", "mse", jit_compile=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(fast.fit(inputs, targets, verbose=0).history["loss"][0])


def test_a_batch_norm_that_never_trains_says_nothing():
    stock = masked()
    stock.layers[2].trainable = False
    fast = restructure_batch_norm(stock)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(data(stock), training=True)
