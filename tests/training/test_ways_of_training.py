"""Restructured models in all ways in which Keras trains; each against the stock model in the same way."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfold
from tfold.training.kernels import load

layers = keras.layers
ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(16, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, 16)


def network():
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.Activation("relu6")(layers.Add()([x, y]))
    x = layers.Concatenate()([x, layers.Conv2D(3, 1)(x)])
    x = layers.LeakyReLU(negative_slope=0.1)(layers.BatchNormalization(scale=False)(x))
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(4, dtype="float32", activation="softmax")(x))


@contextlib.contextmanager
def policy(name):
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def losses(model, optimizer=None, batch=8, **compiling):
    keras.utils.set_random_seed(2)
    model.compile(keras.optimizers.SGD(0.05, **(optimizer or {})), "sparse_categorical_crossentropy", **compiling)
    return model.fit(IMAGES, LABELS, batch_size=batch, epochs=2, shuffle=False, verbose=0).history["loss"]


def same_averages(stock, fast, within):
    for a, b in zip(stock.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=within, atol=within)


MADE = {
    "python": {"kernels": "python"},
    "python, low": {"kernels": "python", "memory": "low"},
    "compiled": {"kernels": "compiled"},
    "compiled, low": {"kernels": "compiled", "memory": "low"},
}


@pytest.fixture(params=MADE)
def arguments(request):
    if request.param.startswith("compiled"):
        request.getfixturevalue("kernels")
    return MADE[request.param]


@pytest.fixture(scope="module")
def stock_losses():
    found = {}
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        with policy(name):
            found[name] = losses(network())
    return found


@pytest.mark.parametrize("name, within", [("float32", 1e-5), ("mixed_bfloat16", 2e-2), ("mixed_float16", 2e-3)])
def test_fit(name, within, arguments, stock_losses):
    with policy(name):
        fast = tfold.restructure_batch_norm(network(), **arguments)
        np.testing.assert_allclose(losses(fast), stock_losses[name], rtol=within)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_averages_in_half_precision(name, engine, request):
    """Weights of half precision too: their last digit may differ."""
    if engine == "compiled":
        request.getfixturevalue("kernels")
    x = keras.Input((4, 4, 3), dtype=name)
    stock = keras.Model(x, layers.ReLU(dtype=name)(layers.BatchNormalization(dtype=name)(x)))
    fast = tfold.restructure_batch_norm(stock, kernels=engine)
    data = tf.constant(RNG.uniform(0, 3, (2, 4, 4, 3)), name)
    found = [tf.cast(model(data, training=True), "float32") for model in (stock, fast)]
    np.testing.assert_allclose(*found, rtol=1e-2, atol=1e-2)
    for a, b in zip(stock.get_weights(), fast.get_weights(), strict=True):
        last_digit = 2.0**-10 if name == "float16" else 2.0**-7
        np.testing.assert_allclose(b.astype("float32"), a.astype("float32"), rtol=last_digit)


@pytest.mark.parametrize(
    "memory, optimizer, options",
    [
        ("low", {"gradient_accumulation_steps": 2}, {}),
        ("normal", {}, {"steps_per_execution": 2}),
        ("normal", {}, {"run_eagerly": True}),
        ("low", {}, {"run_eagerly": True}),
        ("normal", {"clipnorm": 1.0, "use_ema": True}, {}),
    ],
    ids=["accumulation, low", "steps_per_execution", "eager", "eager, low", "clipnorm and ema"],
)
def test_compiled_in_other_ways(memory, optimizer, options, kernels):
    stock = network()
    fast = tfold.restructure_batch_norm(stock, memory=memory)
    np.testing.assert_allclose(losses(fast, optimizer, 4, **options), losses(stock, optimizer, 4, **options), rtol=1e-5)
    same_averages(stock, fast, 1e-4)


def test_float64_stays_stock():
    with policy("float64"):
        stock = network()
        with pytest.warns(RuntimeWarning, match="keeps 4 of 4 .* float64"):
            fast = tfold.restructure_batch_norm(stock)
        assert losses(fast) == losses(stock)


def test_an_own_training_step(kernels):
    class Own(keras.Model):
        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, self(x, training=True)))
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
            )
            return {"loss": loss}

    found = []
    for make in (lambda m: m, tfold.restructure_batch_norm):
        model = make(network())
        own = Own(model.inputs, model.outputs)
        own.compile(keras.optimizers.SGD(0.05))
        history = own.fit(IMAGES, LABELS, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        found.append(history["loss"])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_without_state(arguments):
    stock = network()
    fast = tfold.restructure_batch_norm(stock, **arguments)
    found = []
    for model in (stock, fast):
        before = [w.copy() for w in model.get_weights()]
        trainable = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        others = [tf.convert_to_tensor(v) for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            y, state = model.stateless_call(trainable, others, IMAGES, training=True)
            loss = tf.reduce_sum(y * y)
        found.append([y, *state, *tape.gradient(loss, trainable)])
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_evaluate_between_epochs(kernels):
    stock = network()
    fast = tfold.restructure_batch_norm(stock)
    found = []
    for model in (stock, fast):
        model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        options = {"validation_data": (IMAGES, LABELS), "batch_size": 8, "shuffle": False, "verbose": 0}
        found.append(model.fit(IMAGES, LABELS, epochs=2, **options).history)
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-3, atol=1e-4)


def in_a_process(code, **changes):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **changes}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


MIRRORED = """
import json, sys, warnings
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, tfold
from tfold.training.engine import choose
L = keras.layers
rng = np.random.default_rng(0)
x, y = rng.normal(size=(8, 6, 6, 3)).astype("float32"), rng.normal(size=(8, 2))

def train(change):
    keras.utils.set_random_seed(0)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        i = keras.Input((6, 6, 3))
        z = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(i)))
        z = L.ReLU()(L.Add()([z, L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(z))]))
        model = change(keras.Model(i, L.Dense(2)(L.GlobalAveragePooling2D()(z))))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        loss = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    return loss, [w.ravel().tolist() for w in model.get_weights()]

changes = [lambda m: m]
for kernels in ["python", "compiled"] if choose("float32")[0] == "compiled" else ["python"]:
    for memory in ("normal", "low"):
        changes.append(lambda m, k=kernels, e=memory: tfold.restructure_batch_norm(m, kernels=k, memory=e))
print(json.dumps([train(change) for change in changes]))
"""


def test_on_two_replicas(kernels):
    (loss, weights), *others = in_a_process(MIRRORED)
    assert len(others) == 4
    for its_loss, its_weights in others:
        np.testing.assert_allclose(its_loss, loss, rtol=1e-4)
        for a, b in zip(weights, its_weights, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


JAX = """
import json, sys, warnings
import keras, numpy as np, tfold
L = keras.layers
i = keras.Input((4, 4, 3))
stock = keras.Model(i, L.Conv2D(2, 1)(L.ReLU(name="relu")(L.BatchNormalization()(i))), name="net")
x = np.random.default_rng(0).normal(size=(4, 4, 4, 3)).astype("float32")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fast = tfold.restructure_batch_norm(stock, memory="low")
    fast.compile("sgd", "mse")
    fast.fit(x, np.zeros((4, 4, 4, 2)), verbose=0)
said = [str(w.message) for w in caught if "atch norm" in str(w.message) or "batch_norm" in str(w.message)]
try:
    tfold.restructure_batch_norm(stock, kernels="compiled")
except ValueError as error:
    refused = str(error)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    f_alpha = tfold.prefold(stock)
f_alpha.compile("sgd", "mse")
f_alpha.fit(x, np.zeros((4, 4, 4, 2)), verbose=0)
print(json.dumps({
    "said": said, "refused": refused, "alphas": list(tfold.alphas(f_alpha)),
    "stock": all(type(a) is type(b) for a, b in zip(fast.layers, stock.layers)),
    "loss": float(f_alpha.evaluate(x, np.zeros((4, 4, 4, 2)), verbose=0)),
}))
"""


def test_on_another_backend(monkeypatch):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    found = in_a_process(JAX, KERAS_BACKEND="jax", **{load.VARIABLE: "off"})
    assert found["said"] == ["restructure_batch_norm: 'net' stays stock Keras: the Keras backend is not TensorFlow."]
    assert found["stock"] and found["alphas"] == ["relu"] and np.isfinite(found["loss"])
    assert "Received: the Keras backend is not TensorFlow" in found["refused"]
