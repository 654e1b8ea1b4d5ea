"""`import tfold` is light, and Keras knows tfold's layers in whichever order the two are imported."""

import os
import subprocess
import sys

import pytest

import tfold

HEAVY = ("tensorflow", "keras", "numpy", "jax", "torch", "click", "rich")


def run(code, **environment):
    inherited = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_import_tfold_imports_nothing_heavy():
    code = f"import sys, tfold; dir(tfold); tfold.__version__; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code) == "[]"


def test_import_of_the_measuring_half_needs_no_tensorflow():
    code = "import sys, tfold; tfold.bench; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    assert run(code) == "[]"


def test_every_public_name_is_there():
    for name in tfold.__all__:
        assert getattr(tfold, name) is not None
    assert set(tfold.__all__) <= set(dir(tfold))
    assert tfold.callbacks.AlphaLogger
    assert tfold.fold is tfold.fold  # kept after the first use


def test_other_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'tfold' has no attribute 'flod'"):
        _ = tfold.flod
    assert not hasattr(tfold, "flod")


KNOWN = "print(keras.saving.get_registered_object('tfold>AlphaActivation') is tfold.AlphaActivation)"


@pytest.mark.parametrize("imports", [
    "import tfold, keras",
    "import keras, tfold",
    "import tfold; from keras import layers; import keras",
    "import tfold, tensorflow; tensorflow.keras; import keras",  # TensorFlow looks where Keras lies, many times
    "import tfold, importlib.util; importlib.util.find_spec('keras'); import keras",  # to see whether it is there
])
def test_keras_knows_the_layers_in_either_order(imports):
    assert run(f"{imports}; {KNOWN}", KERAS_BACKEND="tensorflow") == "True"


@pytest.mark.parametrize("module", ["alpha.penalty", "training.clip", "training.followers"])
def test_any_module_may_be_imported_first(module):
    """Importing Keras registers tfold's layers, while the module that wanted Keras is only half there.

    Only what registration needs can be missed then: tests/test_imports.py keeps that little.
    """
    run(f"import tfold.{module}, tfold; tfold.prefold, tfold.fold")
