"""Whole networks of Keras 2: nested, shared, frozen, with odd names and several inputs, as several versions wrote."""
import json
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import tfold
from tfold import loading
from tfold.errors import BadInputError
from tfold.keras2 import load
from tfold.keras2.load import _translated
from tfold.model_file.read import read
from tfold.sampling import random_input

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers


def nested():
    inner = tf_keras.Sequential([L.DepthwiseConv2D(3, input_shape=(8, 8, 4)), L.BatchNormalization(), L.ReLU(6.0)])
    inner.layers[0].trainable = False  # changes the order in which its weights are saved
    return tf_keras.Sequential([
        L.Rescaling(1 / 127.5, -1, input_shape=(8, 8, 3)), L.Conv2D(4, 1, name="stem/conv"), inner,
        L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")])


def frozen_inside():
    inner = tf_keras.Sequential([L.Conv2D(4, 3, input_shape=(8, 8, 4)), L.BatchNormalization(), L.Conv2D(4, 3),
                                 L.BatchNormalization()])
    inner.layers[0].trainable = inner.layers[3].trainable = False
    inputs = L.Input((8, 8, 4))
    return tf_keras.Model(inputs, inner(inputs))


def shared():
    conv, relu = L.Conv2D(4, 3, padding="same"), L.ReLU()
    x = inputs = L.Input((6, 6, 4))
    for _ in range(2):
        x = relu(conv(x))
    return tf_keras.Model(inputs, [x, L.Flatten()(x)])


def used_twice():
    a, b = L.Input((4,)), L.Input((4,))
    difference = tf_keras.Model([a, b], L.Subtract()([L.Dense(3)(a), L.Dense(3)(b)]))
    inputs = L.Input((4,))
    return tf_keras.Model(inputs, L.Add()([difference([inputs, inputs * 2.0]), difference([inputs + 1.0, inputs])]))


def two_inputs():
    a, b = L.Input((4,), name="a"), L.Input((4,), name="b")
    tower = tf_keras.Sequential([L.Dense(3, input_shape=(4,)), L.BatchNormalization()])
    return tf_keras.Model({"a": a, "b": b}, {"sum": L.Add()([tower(a), tower(b)])})


def built_by_its_first_call():
    model = tf_keras.Sequential([L.Dense(3), L.Dense(2)])
    model(np.zeros((1, 4), "float32"))
    return model


def slashes():
    x = inputs = L.Input((8, 8, 3), name="the/image")
    for i in range(2):
        x = L.BatchNormalization(name=f"block/{i}/bn")(L.Conv2D(4, 3, name=f"block/{i}/conv")(x))
    return tf_keras.Model(inputs, x)


NETWORKS = [nested, frozen_inside, shared, used_twice, two_inputs, built_by_its_first_call, slashes]


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_the_same_in_keras_3(make, ending, tmp_path, shaken):
    model = shaken(make())
    model.save(tmp_path / f"m.{ending}")
    sample = random_input(model, batch=2)
    found = _translated(read(tmp_path / f"m.{ending}"), {})
    assert found.count_params() == model.count_params()
    for a, b in zip(keras.tree.flatten(found(sample)), keras.tree.flatten(model(sample)), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


def oldest(layer):
    """As Keras 2.0 wrote a layer: fewer settings, activations and types by their names, lists for pairs."""
    config = layer["config"]
    if isinstance(config, dict):
        for key in ("dtype", "groups", "ragged", "dilation_rate", "kernel_initializer"):
            config.pop(key, None)
    if layer["class_name"] == "Functional":
        layer["class_name"] = "Model"


def teachable(layer):
    """As tf.keras 2.x wrote a depthwise convolution, which Keras 3 does not take."""
    if layer["class_name"] == "DepthwiseConv2D":
        layer["config"] |= {"groups": 1, "kernel_initializer": None, "kernel_constraint": None}


@pytest.mark.parametrize("change", [oldest, teachable])
def test_files_of_older_versions(change, tmp_path, shaken, rewritten):
    model = shaken(nested())
    model.save(tmp_path / "m.h5")
    with h5py.File(rewritten(tmp_path / "m.h5", change), "r+") as file:
        file.attrs["keras_version"] = "2.0.5"
    sample = random_input(model, batch=2)
    found = loading.load_model(tmp_path / "m.h5")
    assert isinstance(found, keras.Model)
    np.testing.assert_allclose(np.asarray(found(sample)), np.asarray(model(sample)), rtol=1e-5, atol=1e-6)


def test_what_keras_3_does_not_have_becomes_a_network_of_tf_keras(tmp_path, shaken):
    inputs = L.Input((6, 4))
    x = L.BatchNormalization()(L.LSTM(3, recurrent_activation="hard_sigmoid")(inputs))
    model = shaken(tf_keras.Model(inputs, L.BatchNormalization()(L.Dense(2)(x))))
    model.save(tmp_path / "m.h5")
    found = loading.load_model(tmp_path / "m.h5")
    assert isinstance(found, tf_keras.Model)
    assert tfold.fold(found).report.after.batch_norms < 2


def test_without_tf_keras_it_says_what_is_missing(tmp_path, shaken, monkeypatch):
    shaken(nested()).save(tmp_path / "fine.h5")
    inputs = L.Input((6, 4))
    tf_keras.Model(inputs, L.LSTM(3, recurrent_activation="hard_sigmoid")(inputs)).save(tmp_path / "m.h5")
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    assert isinstance(loading.load_model(tmp_path / "fine.h5"), keras.Model)
    with pytest.raises(BadInputError, match="hard_sigmoid.*pip install tf_keras"):
        loading.load_model(tmp_path / "m.h5")


def test_weights_in_the_wrong_place_are_noticed_by_tf_keras(tmp_path, shaken, monkeypatch):
    """Whatever else may go wrong in the translation: both libraries must compute the same."""
    model = shaken(nested())
    model.save(tmp_path / "m.h5")
    translated = load._translated

    def wrong(file, objects):
        found = translated(file, objects)
        found.layers[-1].bias.assign(found.layers[-1].bias + 0.5 * np.arange(3))
        return found

    monkeypatch.setattr(load, "_translated", wrong)
    assert isinstance(loading.load_model(tmp_path / "m.h5"), tf_keras.Model)


@pytest.mark.parametrize("attributes, words", [
    ({"backend": "theano"}, "Keras on theano"), ({"keras_version": "1.2.2"}, "Keras 1.2.2")])
def test_kernels_of_another_order_are_refused(attributes, words, tmp_path):
    nested().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
    with pytest.raises(BadInputError, match=words):
        loading.load_model(tmp_path / "m.h5")


@pytest.mark.parametrize("reference, words", [
    (["dense", 10**30, 0, {}], "never made"), (["dense_1", 0, 0, {}], "never made"),
    (["dense", float("nan"), 0, {}], "no tensor"), (["dense", "../x", 0, {}], "no tensor"),
    (["none", 0, 0, {}], "no tensor"),
])
def test_calls_that_can_never_be_made(reference, words, tmp_path):
    """tf_keras would try for ever."""
    inputs = L.Input((4,), name="i")
    model = tf_keras.Model(inputs, L.Dense(2, name="dense_1")(L.Dense(3, name="dense")(inputs)))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["inbound_nodes"] = [[reference]]
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(BadInputError, match=words):
        loading.load_model(tmp_path / "m.h5")


@pytest.mark.parametrize("change, words", [
    (lambda group: group["dense"].attrs.create("weight_names", np.array([b"dense/kernel:0"])), "1 arrays for the 2"),
    (lambda group: group["dense/dense"].__delitem__("kernel:0"), "cut short or damaged"),
])
def test_weights_that_are_missing(change, words, tmp_path):
    tf_keras.Sequential([L.Dense(3, input_shape=(4,), name="dense")]).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        change(file["model_weights"])
    with pytest.raises(BadInputError, match=words):
        loading.load_model(tmp_path / "m.h5")


def test_a_layer_of_the_users(tmp_path, monkeypatch, shaken):
    (tmp_path / "user_layers.py").write_text(
        "import keras\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = shaken(tf_keras.Sequential([L.Dense(3, input_shape=(4,)), L.Activation("relu")]))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1].update(class_name="Twice", config={"name": "activation", "trainable": True})
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(BadInputError, match="names 'Twice'"):
        loading.load_model(tmp_path / "m.h5")
    found = loading.load_model(tmp_path / "m.h5", custom_objects=["user_layers"])
    sample = random_input(model)
    np.testing.assert_allclose(np.asarray(found(sample)), 2 * np.asarray(model.layers[0](sample)), rtol=1e-6)


def test_pruned_networks_are_stripped(tmp_path, tfmot_is_there):
    """TFMOT sets a switch for the whole process, so that it is imported in one of its own."""
    script = """
import sys
import keras, numpy as np
from tfold import loading
from tfold.keras2.tfmot import tf_keras, tfmot
prune = tfmot.sparsity.keras.prune_low_magnitude
L = tf_keras.layers
model = tf_keras.Sequential([L.Conv2D(4, 3, input_shape=(8, 8, 3)), L.Flatten(), L.Dense(2)])
pruned = prune(model, tfmot.sparsity.keras.ConstantSparsity(0.5, 0))
pruned.save(sys.argv[1] + "/m.h5")
found = loading.load_model(sys.argv[1] + "/m.h5")
assert isinstance(found, keras.Model), found
x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
np.testing.assert_allclose(np.asarray(found(x)), np.asarray(pruned(x)), rtol=1e-5, atol=1e-5)
clustered = tfmot.clustering.keras.cluster_weights(
    model, number_of_clusters=4, cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.LINEAR)
clustered.save(sys.argv[1] + "/c.h5")
found = loading.load_model(sys.argv[1] + "/c.h5")
assert [type(layer).__name__ for layer in found.layers] == ["Conv2D", "Flatten", "Dense"], found.layers
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True,
                          cwd=Path(tfold.__file__).parents[1])
    assert done.returncode == 0, done.stderr[-2000:]
