"""Inputs at the edges: one channel, none at all, whole numbers, dead channels, batch norms out of sight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfold
import tfold.training.engine

layers = keras.layers


@pytest.fixture(params=["python", "compiled"])
def engine(request):
    if request.param == "compiled":
        request.getfixturevalue("kernels")
    return request.param


def step(model, *x):
    """Outputs, gradients and moving averages of a training step."""
    with tf.GradientTape() as tape:
        y = model(x if len(x) > 1 else x[0], training=True)
        loss = tf.reduce_sum(tf.sin(tf.cast(tf.range(tf.size(y)), "float32")) * tf.reshape(y, [-1]))
    gradients = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(value) for value in (y, *gradients, *model.non_trainable_variables)]


def assert_same_step(stock, fast, *x, within=2e-5):
    for expected, found in zip(step(stock, *x), step(fast, *x), strict=True):
        assert found.shape == expected.shape and np.isfinite(found).all()
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        np.testing.assert_allclose(found, expected, rtol=0, atol=within * scale)


@pytest.mark.parametrize("batch", (1, 5, 7, 13))
@pytest.mark.parametrize("channels", (1, 3))
def test_a_rest_of_many_pixels(engine, batch, channels):
    x = keras.Input((28, 28, channels))
    stock = keras.Model(x, layers.ReLU()(layers.BatchNormalization()(x)))
    images = np.random.default_rng(batch).normal(size=(batch, 28, 28, channels)).astype("float32")
    assert_same_step(stock, tfold.restructure_batch_norm(stock), images)


def test_no_channels_at_all(engine):
    x = keras.Input((4, 4, 0))
    stock = keras.Model(x, layers.BatchNormalization()(x))
    assert_same_step(stock, tfold.restructure_batch_norm(stock), np.zeros((2, 4, 4, 0), "float32"))


def test_whole_numbers(engine, monkeypatch):
    x = keras.Input((6, 6, 3), dtype="uint8")
    stock = keras.Model(x, layers.ReLU()(layers.BatchNormalization()(x)))
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3)).astype("uint8")
    monkeypatch.setattr(tfold.training.engine, "_SAID", set())
    with pytest.warns(RuntimeWarning, match="its input is neither float32"):
        assert_same_step(stock, tfold.restructure_batch_norm(stock), images)


def test_whole_numbers_beside_others_in_a_concatenation(engine):
    x, y = keras.Input((6, 6, 3), dtype="int32"), keras.Input((6, 6, 2))
    stock = keras.Model([x, y], layers.BatchNormalization()(layers.Concatenate()([x, y])))
    rng = np.random.default_rng(0)
    numbers, images = rng.integers(0, 9, (4, 6, 6, 3)).astype("int32"), rng.normal(size=(4, 6, 6, 2)).astype("float32")
    assert_same_step(stock, tfold.restructure_batch_norm(stock), numbers, images)


@pytest.mark.parametrize("limit", (None, 2.5, 6.0))
def test_dead_channels_pass_no_gradient(engine, limit):
    """γ = 0 and β = 0 put every number on the kink, where stock Keras' gradient is 0."""
    x = keras.Input((5, 5, 4))
    stock = keras.Model(x, layers.ReLU(max_value=limit)(layers.BatchNormalization(gamma_initializer="zeros")(x)))
    images = np.random.default_rng(0).normal(size=(3, 5, 5, 4)).astype("float32")
    assert_same_step(stock, tfold.restructure_batch_norm(stock), images)
    assert all(np.all(gradient == 0) for gradient in step(tfold.restructure_batch_norm(stock), images)[1:3])


def test_an_activation_that_is_changed_afterwards(engine):
    x = keras.Input((5, 5, 4))
    stock = keras.Model(x, layers.Activation("relu", name="act")(layers.BatchNormalization()(x)))
    fast = tfold.restructure_batch_norm(stock)
    for model in (stock, fast):
        model.get_layer("act").activation = keras.activations.gelu
    assert_same_step(stock, fast, np.random.default_rng(0).normal(size=(3, 5, 5, 4)).astype("float32"))


def test_alpha_has_second_derivatives_in_front_of_which_no_batch_norm_stands(kernels):
    x = keras.Input((5,))
    network = keras.Model(x, layers.Dense(1)(layers.Dense(4, activation="relu")(x)))
    f_alpha = tfold.prefold(network)
    next(layer for layer in f_alpha.layers if isinstance(layer, tfold.AlphaActivation)).alpha.assign(0.3)
    features = tf.constant(np.random.default_rng(0).normal(size=(8, 5)), "float32")

    def penalty_gradients(model):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(features)
                y = tf.reduce_sum(tf.sin(model(features, training=True)))
            penalty = tf.reduce_sum(inner.gradient(y, features) ** 2)
        gradients = outer.gradient(penalty, model.trainable_variables)
        return [np.asarray(g) for g in gradients if g is not None]

    expected = penalty_gradients(tfold.restore_batch_norm(f_alpha))
    for wanted, found in zip(expected, penalty_gradients(f_alpha), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert any(np.abs(wanted).max() > 0 for wanted in expected)


def test_second_derivatives_of_batch_norm_are_had_from_stock_layers(kernels):
    x = keras.Input((5, 5, 3))
    f_alpha = tfold.prefold(keras.Model(x, layers.Conv2D(2, 1)(layers.ReLU()(layers.BatchNormalization()(x)))))
    images = tf.constant(np.random.default_rng(0).normal(size=(4, 5, 5, 3)), "float32")

    def second(model):
        with tf.GradientTape() as outer:
            outer.watch(images)
            with tf.GradientTape() as inner:
                inner.watch(images)
                y = tf.reduce_sum(tf.sin(model(images, training=True)))
            penalty = tf.reduce_sum(inner.gradient(y, images) ** 2)
        return outer.gradient(penalty, images)

    with pytest.raises(Exception, match=r"first derivatives only.*tfold\.restore_batch_norm\(model\)"):
        second(f_alpha)
    assert np.abs(second(tfold.restore_batch_norm(f_alpha))).max() > 0


@keras.saving.register_keras_serializable(package="test")
class Block(layers.Layer):
    """A user's layer with a batch norm in it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = [layers.Conv2D(2, 1), layers.BatchNormalization(name="inner_bn")]

    def call(self, x, training=None):
        return self.inner[1](self.inner[0](x), training=training)


def within_a_wrapper():
    return layers.TimeDistributed(keras.Sequential([layers.Conv2D(2, 1), layers.BatchNormalization(name="inner_bn")]))


@pytest.mark.parametrize(("make", "shape"), [(Block, (4, 4, 3)), (within_a_wrapper, (2, 4, 4, 3))])
def test_batch_norms_out_of_sight_are_named(make, shape):
    x = keras.Input(shape)
    model = keras.Model(x, make()(x), name="net")
    with pytest.warns(RuntimeWarning, match=r"'net' keeps 1 of 1 batch norms.*inner_bn': it stands inside a layer"):
        tfold.restructure_batch_norm(model)
