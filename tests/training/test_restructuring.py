"""A restructured model is the caller's in all but speed: names, weights, configuration, files, and the way back."""

import json
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfold
from tfold.errors import BadInputError
from tfold.graph.calls import is_graph_model
from tfold.training import restore_batch_norm, restructure_batch_norm

layers = keras.layers


def branches():
    """Two inputs, two outputs, a nested model that is called twice; everything that has a stand-in."""
    block = keras.Sequential(
        [
            layers.Input((8, 8, 4)),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.BatchNormalization(name="inner_bn", momentum=0.9),
            layers.Activation("relu6", name="inner_relu"),
        ],
        name="block",
    )
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 4), name="right")
    x = layers.Conv2D(4, 3, padding="same", name="conv", kernel_regularizer="l2")(left)
    x = layers.BatchNormalization(name="bn", gamma_regularizer="l2", beta_initializer="ones", epsilon=1e-4)(x)
    x = layers.ReLU(name="relu")(layers.Add(name="add")([x, right]))
    y = layers.Concatenate(name="both")([block(x), block(right), x])
    y = layers.BatchNormalization(name="bn_2", scale=False, trainable=False)(y)
    y = layers.LeakyReLU(negative_slope=0.1, name="leaky")(y)
    y = layers.SeparableConv2D(4, 3, name="separable")(y)
    y = layers.BatchNormalization(name="bn_3", center=False)(y)
    y = layers.Conv2DTranspose(2, 2, name="transposed")(y)
    outputs = {"map": y, "label": layers.Dense(3, name="label")(layers.GlobalAveragePooling2D(name="pool")(y))}
    return keras.Model({"left": left, "right": right}, outputs, name="branches")


def chain():
    return keras.Sequential(
        [
            layers.Input((8, 8, 3), name="image"),
            layers.Conv2D(4, 3, name="conv", trainable=False),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
            layers.Conv2D(4, 3, name="conv_2"),
            layers.BatchNormalization(name="bn_2", trainable=False),
            layers.Activation("relu", name="relu_2"),
            layers.Dropout(0.5, seed=1, name="dropout"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="dense"),
        ],
        name="chain",
    )


@pytest.fixture(params=[branches, chain], ids=lambda make: make.__name__)
def stock(request, randomize):
    keras.utils.set_random_seed(0)
    return randomize(request.param())


def data_for(model, batch=2):
    rng = np.random.default_rng(3)
    # A Sequential model that was never called as a layer has no `input`.
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(lambda t: rng.normal(size=(batch, *t.shape[1:])).astype("float32"), inputs)


def outputs_of(model, training=False):
    return [np.asarray(y) for y in keras.tree.flatten(model(data_for(model), training=training))]


def same(model, other, training=False, within=0.0):
    for a, b in zip(outputs_of(model, training), outputs_of(other, training), strict=True):
        np.testing.assert_allclose(a, b, atol=within)


def flat(model):
    """All layers, those of nested models too."""
    for layer in model.layers:
        yield layer
        if is_graph_model(layer):
            yield from flat(layer)


def stock_kinds(model):
    """Whether every layer's class is the one of its name in keras.layers, not a stand-in for it."""
    return all(is_graph_model(layer) or type(layer) is getattr(layers, type(layer).__name__) for layer in flat(model))


def written(model):
    """A model as its file has it. Keras gives its own classes no `registered_name`, and does not need it."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key != "registered_name"}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(json.loads(model.to_json()))


def same_weights(model, other):
    assert [v.name for v in model.weights] == [v.name for v in other.weights]
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("memory", ["normal", "low"])
def test_names_weights_flags_and_configuration(stock, memory):
    fast = restructure_batch_norm(stock, memory=memory)
    assert type(fast) is type(stock) and fast.name == stock.name and not fast.compiled
    assert getattr(fast, "output_names", None) == getattr(stock, "output_names", None)
    same_weights(stock, fast)
    assert [v.path for v in stock.weights] == [v.path for v in fast.weights]
    for old, new in zip(flat(stock), flat(fast), strict=True):
        assert (new.name, new.trainable) == (old.name, old.trainable)
        assert type(new).__name__ == type(old).__name__ and type(new).__module__.startswith("keras.")
        assert isinstance(new, type(old))
        assert is_graph_model(new) or new.get_config() == old.get_config()
    assert written(fast) == written(stock)
    assert [v.path for v in fast.trainable_variables] == [v.path for v in stock.trainable_variables]
    replaced = {layer.name for layer in flat(fast) if hasattr(type(layer), "_tfold_stock")}
    assert {"bn", "relu", "bn_2"} <= replaced
    assert ({"conv_2", "separable", "transposed"} & replaced != set()) == (memory == "low")
    same(stock, fast)


def test_the_callers_model_is_unchanged(stock):
    stock.compile("sgd", "mse")
    weights, config = [w.copy() for w in stock.get_weights()], stock.get_config()
    fast = restructure_batch_norm(stock, memory="low")
    outputs_of(fast, training=True)
    for variable in fast.variables:
        variable.assign(variable + 1)
    for a, b in zip(weights, stock.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert str(stock.get_config()) == str(config) and stock.compiled and stock_kinds(stock)


def test_training_updates_the_same_averages_and_frozen_ones_stay(randomize, kernels):
    for make in (branches, chain):
        keras.utils.set_random_seed(0)
        stock = randomize(make())
        fast = restructure_batch_norm(stock)
        before = fast.get_layer("bn_2").get_weights()
        averages = stock.get_layer("bn").get_weights()
        for model in (stock, fast):
            keras.utils.set_random_seed(0)
            model(data_for(model), training=True)
        for a, b in zip(stock.get_weights(), fast.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(before, fast.get_layer("bn_2").get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert abs(averages[-1] - fast.get_layer("bn").get_weights()[-1]).max() > 1e-3


def test_a_frozen_batch_norm_uses_its_averages_in_training(randomize, kernels):
    x = keras.Input((4, 4, 3))
    y = layers.ReLU()(layers.BatchNormalization(trainable=False, name="bn")(x))
    model = randomize(keras.Model(x, y))
    fast = restructure_batch_norm(model)
    weights = fast.get_layer("bn").get_weights()
    np.testing.assert_array_equal(outputs_of(fast, training=True)[0], outputs_of(model)[0])
    for a, b in zip(weights, fast.get_layer("bn").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # Thawed, it is restructured.
    fast.get_layer("bn").trainable = True
    outputs_of(fast, training=True)
    assert abs(weights[-1] - fast.get_layer("bn").get_weights()[-1]).max() > 1e-3


def test_a_frozen_model_stays_frozen(stock):
    stock.trainable = False
    fast = restructure_batch_norm(stock)
    assert not fast.trainable and not fast.trainable_variables
    same(stock, fast, training=False)


@pytest.mark.parametrize("memory", ["normal", "low"])
def test_restored_is_stock_again(stock, memory):
    fast = restructure_batch_norm(stock, memory=memory)
    assert not stock_kinds(fast)
    restored = restore_batch_norm(fast)
    assert stock_kinds(restored) and type(restored) is type(stock)
    assert written(restored) == written(stock)
    same_weights(stock, restored)
    same(stock, restored)
    copy = restore_batch_norm(stock)
    assert copy is not stock
    same_weights(stock, copy)


def test_restructured_twice(stock, kernels):
    once = restructure_batch_norm(stock, memory="low")
    twice = restructure_batch_norm(once)
    plain = restructure_batch_norm(stock)
    for a, b in zip(flat(twice), flat(plain), strict=True):
        assert type(a) is type(b) and getattr(a, "hands_on", None) == getattr(b, "hands_on", None)
    same_weights(twice, stock)
    again = restructure_batch_norm(once, memory="low", kernels="python")
    assert [type(layer) for layer in flat(again)] == [type(layer) for layer in flat(once)]
    assert not any(layer.kernels for layer in flat(again) if hasattr(layer, "kernels"))
    keras.utils.set_random_seed(0)
    expected = outputs_of(plain, training=True)
    keras.utils.set_random_seed(0)
    for a, b in zip(expected, outputs_of(twice, training=True), strict=True):
        np.testing.assert_array_equal(a, b)


LOAD = """
import json, sys
import numpy as np, keras

def kinds(model):
    for layer in model.layers:
        yield from kinds(layer) if hasattr(layer, "layers") else [type(layer)]

found = {}
for path in sys.argv[1:]:
    data = dict(np.load(path.split(".")[0] + ".npz"))
    model = keras.models.load_model(path, compile=False)
    assert all(kind is getattr(keras.layers, kind.__name__) for kind in kinds(model))
    outputs = model(data if len(data) > 1 else data["only"], training=False)
    found[path] = [np.asarray(y).tolist() for y in keras.tree.flatten(outputs)]
assert not [name for name in sys.modules if name.split(".")[0] == "tfold"]
print(json.dumps(found))
"""


def test_files_need_no_tfold(tmp_path, randomize):
    """One process for all of them: it never imports tfold."""
    expected = {}
    for make in (branches, chain):
        fast = restructure_batch_norm(randomize(make()), memory="low")
        fast.compile("sgd", "mse")
        inputs = data_for(fast)
        np.savez(tmp_path / f"{fast.name}.npz", **(inputs if isinstance(inputs, dict) else {"only": inputs}))
        for name in (f"{fast.name}.keras", f"{fast.name}.h5"):
            fast.save(tmp_path / name)
            expected[name] = outputs_of(fast)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-P", "-c", LOAD, *expected]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    for name, outputs in expected.items():
        for a, b in zip(found[name], outputs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_files_load_with_tfold_too(stock, tmp_path):
    fast = restructure_batch_norm(stock)
    fast.save(tmp_path / "fast.keras")
    loaded = keras.models.load_model(tmp_path / "fast.keras")
    assert stock_kinds(loaded)
    same_weights(stock, loaded)
    again = restructure_batch_norm(loaded)
    assert [type(layer) for layer in flat(again)] == [type(layer) for layer in flat(fast)]
    for copy in (pickle.loads(pickle.dumps(fast)), keras.models.model_from_json(fast.to_json())):
        assert stock_kinds(copy)


def test_weight_files_go_both_ways(stock, tmp_path):
    fast = restructure_batch_norm(stock)
    path = tmp_path / "a.weights.h5"
    for source, target in ((stock, fast), (fast, stock)):
        source.set_weights([w + 1 for w in source.get_weights()])
        source.save_weights(path)
        target.load_weights(path)
        same_weights(source, target)


def test_cloned_by_keras(stock, kernels):
    """keras.models.clone_model knows nothing of what shares a sweep: each layer does its own work."""
    fast = restructure_batch_norm(stock)
    clone = keras.models.clone_model(fast)
    clone.set_weights(fast.get_weights())
    for training in (False, True):
        found = []
        for model in (stock, clone):
            keras.utils.set_random_seed(0)
            found.append(outputs_of(model, training))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_cut_out_of_a_restructured_model(kernels, randomize):
    """What lies between a batch norm and the activation that shares its sweep is there for who asks for it."""
    x = keras.Input((4, 4, 3))
    y = layers.Add(name="add")([layers.BatchNormalization(name="bn")(x), x])
    stock = randomize(keras.Model(x, layers.ReLU()(y)))
    fast = restructure_batch_norm(stock)
    for name in ("bn", "add"):
        parts = [keras.Model(model.inputs, model.get_layer(name).output) for model in (stock, fast)]
        same(*parts, training=True, within=1e-5)


def test_the_rest_of_tfold_sees_the_stock_model(stock, relative_difference, tmp_path):
    fast = restructure_batch_norm(stock, memory="low")
    mine, its = tfold.fold(fast), tfold.fold(stock)
    assert stock_kinds(mine.model)
    assert mine.report.after == its.report.after and mine.report.before == its.report.before
    assert [layer.name for layer in mine.model.layers] == [layer.name for layer in its.model.layers]
    assert relative_difference(its.model, mine.model, data_for(stock)) == 0
    assert tfold.effective_depth(fast) == tfold.effective_depth(stock)
    f_alpha = tfold.prefold(fast)
    assert list(tfold.alphas(f_alpha)) == list(tfold.alphas(tfold.prefold(stock)))
    same(f_alpha, stock)
    settled = tfold.settle(f_alpha)
    assert stock_kinds(settled) and written(settled) == written(tfold.settle(tfold.prefold(stock)))
    same_weights(settled, stock)
    assert stock_kinds(tfold.settle(fast))
    assert stock_kinds(fast) is False


def test_callbacks_that_save(tmp_path):
    fast = restructure_batch_norm(chain())
    x, y = np.random.default_rng(0).normal(size=(8, 8, 8, 3)), np.zeros((8, 2))
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
    ]
    fast.compile("sgd", "mse")
    fast.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    loaded = keras.models.load_model(tmp_path / "2.keras")
    assert stock_kinds(loaded)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), fast.predict(x, verbose=0))
    resumed = restructure_batch_norm(chain())
    resumed.compile("sgd", "mse")
    history = resumed.fit(x, y, epochs=3, verbose=0, callbacks=callbacks[1:])
    assert history.epoch == [2]  # it went on where the other had stopped
    onwards = restructure_batch_norm(loaded)
    onwards.compile("sgd", "mse")
    assert np.isfinite(onwards.fit(x, y, verbose=0).history["loss"][0])


def operations_in(path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    (meta,) = SavedModel.FromString(path.read_bytes()).meta_graphs
    functions = [function.node_def for function in meta.graph_def.library.function]
    return {node.op for nodes in [meta.graph_def.node, *functions] for node in nodes}


def test_export_needs_no_tfold(tmp_path, kernels):
    """Inference has no operation of ours, so a SavedModel loads where they are not built."""
    x = keras.Input((4, 4, 3))
    y = tfold.AlphaActivation("relu")(layers.Conv2D(3, 1)(layers.ReLU()(layers.BatchNormalization()(x))))
    fast = restructure_batch_norm(keras.Model(x, y))
    fast.compile("sgd", "mse")
    fast.fit(np.ones((4, 4, 4, 3)), np.ones((4, 4, 4, 3)), verbose=0)
    fast.export(tmp_path / "saved", verbose=False)
    kinds = operations_in(tmp_path / "saved" / "saved_model.pb")
    assert "Conv2D" in kinds and not [kind for kind in kinds if "Tfold" in kind]
    data = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(data), fast.predict(data, verbose=0), rtol=1e-5, atol=1e-6)


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("function", [restructure_batch_norm, restore_batch_norm])
@pytest.mark.parametrize(
    "model, message",
    [
        (lambda: Subclassed(), "a subclassed model"),
        (lambda: keras.Sequential([layers.BatchNormalization()]), "not built"),
        (lambda: "model.keras", "Received: builtins.str"),
    ],
)
def test_other_models_are_refused(function, model, message):
    with pytest.raises((BadInputError, ValueError), match=message):
        function(model())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"memory": "lo"}, "memory is one of normal, low. Received: memory='lo'. Pass memory='normal'"),
        ({"kernels": "fast"}, "one of auto, compiled, python. Received: kernels='fast'. Pass kernels='auto'"),
        ({"memory": None}, "Received: memory=None"),
    ],
)
def test_other_words_are_refused(arguments, message):
    with pytest.raises(BadInputError, match=message):
        restructure_batch_norm(chain(), **arguments)


def test_compiled_operations_that_are_not_there():
    """They are off in these tests, unless a test asks for them."""
    with pytest.raises(BadInputError, match='(?s)kernels="compiled" needs.*Received: none are built.*--build-kernels'):
        restructure_batch_norm(chain(), kernels="compiled")


def test_kernels_python_does_not_use_those_that_are_there(kernels, monkeypatch):
    from tfold.training import compiled

    monkeypatch.setattr(compiled, "operations", lambda: pytest.fail("a compiled operation was asked for"))
    outputs_of(restructure_batch_norm(branches(), kernels="python"), training=True)
    with pytest.raises(pytest.fail.Exception):
        outputs_of(restructure_batch_norm(branches(), kernels="compiled"), training=True)
