"""Quantisation-aware training: the model computes as the int8 file does, and the process remains as it was."""
import json
import os
import pathlib
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest

import tfold
from tfold.tflite.quantize_aware import is_quantize_aware, load_quantize_aware, quantize_aware

# Not pytest.importorskip, which would import it: the switch that this sets is what is tested here.
pytestmark = pytest.mark.skipif(find_spec("tensorflow_model_optimization") is None, reason="TFMOT is not installed")
SCRIPT = pathlib.Path(__file__).with_name("qat_script.py")
ROOT = SCRIPT.parents[2]
L = keras.layers


def test_the_whole_way(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    environment |= {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    check_surroundings(found["keras"])
    check_model(found["made"])
    check_file(found["file"])
    assert found["ends"]["uint8"] == [["uint8"], ["int8", "uint8"]]
    assert found["saved"]["model.keras"] == found["saved"]["model.h5"] == [0.0, True]
    assert max(found["saved"]["again"]) <= found["file"]["loss"][-1]  # it goes on where it was
    assert found["frozen"]["trainable"] == 0 and found["frozen"]["same"]
    check_plain(found["plain"], found["plain_file"])


def check_surroundings(found):
    """TensorFlow was imported first, `tf.keras` not touched before TFMOT came."""
    assert found["environment"] and found["switch"] is None and found["child"] == "None"
    assert found["layers"] and found["version"] == keras.__version__


def check_model(found):
    assert found["family"] == "tf_keras" and found["aware"] == [False, True]
    assert found["inputs"] == ["image"] and found["outputs"] == found["structure"] == ["digit", "size"]
    assert {"first-second", "first-second_border", "depthwise", "pool", "digit_linear"} <= set(found["names"])
    assert max(found["before"].values()) <= 0.02  # weights alone are rounded
    assert found["floats"] == {} and found["trainable"][0] == found["trainable"][1]
    assert "learnt in training. Received: 'net', with 8 of them that no batch has passed" in found["untrained"]


def check_file(found):
    """int8 from end to end: floats come in at one place and go out at the two outputs."""
    inside = [kind for kind in found["kinds"] if kind not in ("QUANTIZE", "DEQUANTIZE")]
    assert inside == ["CONV_2D", "ADD", "DEPTHWISE_CONV_2D", "CONV_2D", "MAX_POOL_2D", "CONCATENATION", "MEAN",
                      "FULLY_CONNECTED", "SOFTMAX", "FULLY_CONNECTED"]
    # Two inputs of the concatenation are read by others too, in a range of their own.
    assert found["kinds"].count("QUANTIZE") == 3 and found["kinds"].count("DEQUANTIZE") == 2
    assert found["conv"] == [3, 4] and found["depthwise"] == [3]  # a scale for each channel
    assert max(found["steps"].values()) <= 3 and max(found["after"].values()) <= 0.05
    assert np.isfinite(found["loss"]).all()


def check_plain(found, file):
    """A network that is not folded, with a layer that has no int8 form."""
    why = "the activation elu has no int8 form that tfold knows"
    assert found["floats"] == {"elu": why} and max(found["before"].values()) <= 0.02
    assert found["warned"] == [f"1 layer of 'net' will compute in floats in the int8 file: elu ({why})"]
    at = file["kinds"].index("ELU")
    assert file["kinds"][at - 1 : at + 2] == ["DEQUANTIZE", "ELU", "QUANTIZE"]
    others = file["kinds"][1 : at - 1] + file["kinds"][at + 2 :]
    assert "QUANTIZE" not in others and others.count("DEQUANTIZE") == 2
    assert {"HARD_SWISH", "DEPTHWISE_CONV_2D", "PADV2", "TANH", "LOGISTIC"} <= set(others)
    assert max(file["steps"].values()) <= 3


def small(name="small"):
    x = keras.Input((4,), name="x")
    return keras.Model(x, L.Dense(2, name="out")(L.Dense(3, activation="relu6")(x)), name=name)


def test_in_a_process_of_keras_3():
    """Keras was imported first here, and `tf.keras` is in use."""
    import tensorflow as tf

    environment, layers = dict(os.environ), tf.keras.layers
    model = small()
    before = [w.copy() for w in model.get_weights()]
    aware = quantize_aware(model)
    assert is_quantize_aware(aware) and not is_quantize_aware(model)
    assert os.environ == environment and tf.keras.layers is layers and layers.Dense is keras.layers.Dense
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(tfold.BadInputError, match="quantisation-aware once. Received: 'small'"):
        quantize_aware(aware)
    with pytest.raises(tfold.BadInputError, match="folded before it is made quantisation-aware. Received: 'small'"):
        tfold.fold(aware)


def with_alpha():
    x = keras.Input((4,))
    return keras.Model(x, tfold.AlphaActivation("relu", name="first_alpha")(L.Dense(3)(x)), name="trained")


@pytest.mark.parametrize("make, words", [
    (with_alpha, "without α-activations.* Received: 'trained' with 1 of them .first_alpha.*tfold.fold"),
    (lambda: None, "Received: builtins.NoneType"),
    (lambda: keras.Sequential([L.Dense(2)], name="open"), "know its input shape. Received: 'open'"),
])
def test_what_cannot_be_quantised(make, words):
    with pytest.raises(tfold.BadInputError, match=words):
        quantize_aware(make())


@pytest.mark.parametrize("package, title", [
    ("tensorflow_model_optimization", "tensorflow-model-optimization"), ("tf_keras", "tf_keras")])
def test_a_package_that_is_missing(package, title, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # what Python makes of a package that is not there
    with pytest.raises(tfold.TfoldError, match=f"Received: no {title}. Install them: pip install tensorflow-model-opt"):
        quantize_aware(small())


@pytest.mark.parametrize("make, words", [
    (lambda path: None, "which does not exist"),
    (lambda path: path.write_bytes(b"nonsense"), "is a zip archive. Received: .*model.keras"),
    (lambda path: pytest.importorskip("tf_keras").Sequential([
        pytest.importorskip("tf_keras").layers.Dense(2, input_shape=(3,))]).save(path), "in which there are none"),
])
def test_files_that_hold_no_such_model(make, words, tmp_path):
    make(tmp_path / "model.keras")
    with pytest.raises(tfold.BadInputError, match=words):
        load_quantize_aware(tmp_path / "model.keras")
