"""load_model and save_model as Python functions; what the command line makes of them is in tests/cli."""

import re
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

import tfold
from tfold import loading
from tfold.errors import BadInputError
from tfold.model_file.read import ModelFile

layers = keras.layers


def network(layer=None):
    x = inputs = keras.Input((4,))
    x = layers.Dense(4, activation="relu")(x)
    if layer is not None:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported under a name of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(source, name="users_module"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def same(a, b):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_array_equal(a.predict(x, verbose=0), b.predict(x, verbose=0))


def test_what_is_saved_is_loaded(tmp_path):
    model = network()
    loading.save_model(model, tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras"), model)
    same(loading.load_model(str(tmp_path / "m.keras")), model)


def test_pre_folded_models_need_no_custom_objects(tmp_path):
    f_alpha = tfold.prefold(network(), penalty=tfold.AlphaPenalty(0.5))
    loading.save_model(f_alpha, tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras"), f_alpha)


def test_a_compiled_model_loads_without_its_loss(tmp_path):
    """Folding needs none, and a loss of the user's own would have to be named."""
    def my_loss(y, p):
        return keras.ops.mean(keras.ops.abs(y - p))

    model = network()
    model.compile("sgd", my_loss)
    model.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
    model.save(tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras"), model)


def test_saving_asks_before_it_overwrites(tmp_path):
    (tmp_path / "m.keras").write_text("precious")
    with pytest.raises(BadInputError, match="force=True"):
        loading.save_model(network(), tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_text() == "precious"
    loading.save_model(network(), tmp_path / "m.keras", force=True)
    loading.load_model(tmp_path / "m.keras")


def test_a_layer_that_cannot_be_saved_leaves_nothing(tmp_path):
    class Unsavable(layers.Layer):
        def call(self, x):
            return x

        def save_own_variables(self, store):
            raise OSError("No space left on device")

    with pytest.raises(OSError, match=f"Received: {tmp_path}, where the disk is full"):
        loading.save_model(network(Unsavable()), tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_functions_of_a_named_module_can_be_activations(tmp_path, module):
    name = module("""
        import keras

        def soft(x):
            return keras.ops.log1p(keras.ops.exp(x))
    """)
    made = __import__(name)
    model = network(layers.Dense(3, activation=made.soft))
    model.save(tmp_path / "m.keras")
    with pytest.raises(BadInputError, match="'soft'"):
        loading.load_model(tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras", custom_objects=[name]), model)


def test_what_a_module_only_imports_does_not_stand_in_for_keras(tmp_path, module):
    """Keras asks custom objects first: math.tanh, or another package's relu, must not become the activation."""
    name = module("""
        from math import tanh
        from numpy import exp as relu
        from my_helpers import gelu
    """)
    module("def gelu(x): return 0 * x", "my_helpers")
    model = network(layers.Dense(3, activation="tanh"))
    model.save(tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras", custom_objects=[name]), model)
    assert loading.objects_of([name]) == {}


def test_a_package_that_gathers_its_layers(tmp_path, monkeypatch):
    (tmp_path / "gathered").mkdir()
    (tmp_path / "gathered" / "__init__.py").write_text("from gathered.inner import Twice\n")
    (tmp_path / "gathered" / "inner.py").write_text(
        "import keras\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import gathered

    model = network(gathered.Twice())
    model.save(tmp_path / "m.keras")
    same(loading.load_model(tmp_path / "m.keras", custom_objects=["gathered"]), model)


def test_custom_objects_end_with_the_loading(tmp_path, module):
    name = module("import keras\nclass Fleeting(keras.layers.Layer):\n    def call(self, x): return x")
    network(__import__(name).Fleeting()).save(tmp_path / "m.keras")
    loading.load_model(tmp_path / "m.keras", custom_objects=[name])
    with pytest.raises(BadInputError, match="'Fleeting'"):
        loading.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("error, words", [
    (ValueError("A. B. Exception encountered: Could not locate class 'Mine'. Make sure"), "names 'Mine'"),
    (ValueError("Unknown layer: 'Mine'. Please ensure"), "names 'Mine'"),
    (TypeError("Could not locate function 'pkg>act'. Make"), "names 'pkg>act'"),
    (OSError("Unable to open file (truncated file)"), "Copy or save it again"),
    (ValueError("one\ntwo. three"), "Received: m.keras: one two\\. What it names there"),
    (ValueError(""), "m.keras"),
])
def test_keras_errors_in_one_sentence(error, words):
    said = loading._explained(ModelFile(Path("m.keras"), {}, keras.__version__), error)
    assert re.search(words, said) and "\n" not in said and "Received: m.keras" in said


def test_a_file_of_a_newer_keras_says_which():
    error = ValueError("Unrecognized keyword arguments passed to Dense: {'new_setting': 3}")
    said = loading._explained(ModelFile(Path("m.keras"), {}, "4.1.0"), error)
    assert "Keras 4.1.0 has written it" in said and "pip install -U keras" in said
