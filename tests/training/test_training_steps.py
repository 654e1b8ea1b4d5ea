"""Training steps of small networks: loss, gradients and moving averages are as near to float64 as stock Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfold

layers = keras.layers


def conv(x, filters, size=3, **options):
    return layers.Conv2D(filters, size, padding="same", use_bias=False, **options)(x)


def resnet():
    """Add behind a batch norm, in both places, and of two of them; ReLU; an activation="relu" in front."""
    image = keras.Input((6, 6, 3))
    x = layers.ReLU()(layers.BatchNormalization()(conv(image, 6)))
    y = layers.Activation("relu")(layers.BatchNormalization(scale=False)(conv(x, 6)))
    x = layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(conv(y, 6))]))
    y = layers.ReLU()(layers.BatchNormalization(center=False)(conv(x, 8, strides=2)))
    y = layers.BatchNormalization()(conv(y, 8, activation="relu"))
    shortcut = layers.BatchNormalization()(conv(x, 8, 1, strides=2))
    x = layers.Activation("relu")(layers.Add()([y, shortcut]))
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)), name="resnet")


def densenet():
    """Concatenations in concatenations that only batch norms read."""
    image = keras.Input((6, 6, 3))
    x = conv(image, 6)
    for _ in range(2):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.ReLU()(layers.BatchNormalization()(conv(y, 6, 1)))
        x = layers.Concatenate()([x, conv(y, 4)])
    y = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(2)(conv(y, 7, 1))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(5)(layers.Flatten()(x)), name="densenet")


def mobilenet():
    """Depthwise, separable and transposed convolutions; ReLU6, leaky ReLU; sums without an activation."""
    image = keras.Input((6, 6, 3))
    x = layers.LeakyReLU(negative_slope=0.1)(layers.BatchNormalization()(conv(image, 6)))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(conv(x, 12, 1)))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    y = layers.Activation("relu6")(layers.BatchNormalization()(y))
    x = layers.Add()([x, layers.BatchNormalization()(conv(y, 6, 1))])
    x = layers.SeparableConv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU(max_value=2)(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    return keras.Model(image, layers.Dense(5)(layers.Flatten()(x)), name="mobilenet")


def step_of(model, images, labels, eager=False):
    """(loss, gradients, moving averages) of one training step, in float64."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=model.compute_dtype)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        return loss, tape.gradient(loss, model.trainable_variables)

    loss, gradients = (step if eager else tf.function(step))(tf.constant(images, model.compute_dtype), labels)
    tensors = [loss, *gradients, *model.non_trainable_variables]
    return [np.asarray(keras.ops.convert_to_numpy(t), "float64") for t in tensors]


def distance(found, reference):
    return max(abs(a - b).max() / max(abs(b).max(), 1e-6) for a, b in zip(found, reference, strict=True))


@pytest.fixture(scope="module", params=[resnet, densenet, mobilenet], ids=lambda make: make.__name__)
def case(request, randomize):
    """A stock model with its weights, images and labels, a float64 step, and how far off stock float32 is."""
    keras.utils.set_random_seed(1)
    model = randomize(request.param(), seed=1)
    weights = [w.copy() for w in model.get_weights()]
    keras.config.set_dtype_policy("float64")
    try:
        precise = request.param()
    finally:
        keras.config.set_dtype_policy("float32")
    precise.set_weights(weights)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(4, 6, 6, 3)).astype("float32"), rng.integers(0, 5, 4)
    reference = step_of(precise, images, labels, eager=True)
    stock = distance(step_of(model, images, labels, eager=True), reference)
    model.set_weights(weights)
    return model, images, labels, reference, stock


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize("memory", ["normal", "low"])
@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_no_further_from_float64_than_stock(case, request, engine, memory, eager):
    if engine == "compiled":
        request.getfixturevalue("kernels")
    model, images, labels, reference, stock = case
    fast = tfold.restructure_batch_norm(model, memory=memory, kernels=engine)
    assert distance(step_of(fast, images, labels, eager), reference) <= 2 * stock + 3e-6


def test_the_reference_is_one(case):
    """Float32 is near enough for the comparison above to mean something, and not the same."""
    assert 1e-8 < case[-1] < 1e-4


def test_the_same_again(case, kernels):
    """Results do not depend on how threads share the work."""
    model, images, labels, *_ = case
    steps = [step_of(tfold.restructure_batch_norm(model), images, labels, eager=True) for _ in range(2)]
    for one, other in zip(*steps, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
