"""What a model file may name. Every attack leaves a trace where its code runs, and none does."""
import base64
import json
import marshal

import h5py
import keras
import pytest

from tfold import loading
from tfold.errors import BadInputError
from tfold.model_file.tensorflow_functions import only_computes


def layer(config, name="d"):
    """The part of a network's configuration that describes one layer."""
    return next(each for each in config["config"]["layers"] if each["config"]["name"] == name)


def code(trace):
    """A Lambda layer's code, which leaves a file where it runs."""
    compiled = compile(f"lambda x: (open({str(trace)!r}, 'w'), x)[1]", "<lambda>", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(compiled)).decode()


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


# What a layer's description is turned into, and words of the refusal.
ATTACKS = {
    "a function of os": (lambda t: {"config": {"activation": function("os", "system")}}, "'system' (of the module os"),
    "a builtin function": (lambda t: {"config": {"activation": function("builtins", "eval")}}, "'eval'"),
    "a utility of Keras": (lambda t: {"config": {"activation": function("keras.utils", "get_file")}}, "'get_file'"),
    "a utility of tf_keras": (lambda t: {"config": {"activation": function("tf_keras.utils", "get_file")}},
                              "'get_file'"),
    "a class of subprocess": (lambda t: {"module": "subprocess", "class_name": "Popen"}, "'Popen'"),
    "a class of Keras' name": (lambda t: {"module": "attacker", "class_name": "Dense"}, "of the module attacker"),
    "a registered name": (lambda t: {"registered_name": "package>Thing", "class_name": "Thing", "module": None},
                          "'Thing'"),
    "another name registered": (lambda t: {"class_name": "Progbar", "module": "keras.utils"}, "'Progbar'"),
    "a Lambda layer": (
        lambda t: {"class_name": "Lambda", "module": "keras.layers", "config": {
            "function": {"class_name": "__lambda__", "config": {"code": code(t), "defaults": None, "closure": None}}}},
        "brings Python code in a Lambda layer"),
    "a Lambda layer of Keras 2": (
        lambda t: {"class_name": "Lambda", "module": "keras.layers", "config": {
            "function": [code(t), None, None], "function_type": "lambda"}}, "brings Python code in a Lambda layer"),
    "a Lambda layer's shape": (
        lambda t: {"class_name": "Lambda", "module": "keras.layers", "config": {
            "function": function("builtins", "relu"), "output_shape": [code(t), None, None],
            "output_shape_type": "lambda"}}, "brings Python code in a Lambda layer"),
    "code among the settings": (
        lambda t: {"config": {"activation": {"class_name": "__lambda__", "config": {"value": [code(t), None, None]}}}},
        "brings Python code in a Lambda layer"),
    "a pickled module": (lambda t: {"class_name": "TorchModuleWrapper", "module": "keras.layers"}, "pickled objects"),
    "a function of JAX": (lambda t: {"class_name": "JaxLayer", "module": "keras.layers"}, "brings a function"),
    "a SavedModel": (lambda t: {"class_name": "TFSMLayer", "module": "keras.layers",
                                "config": {"filepath": "/home/other/saved"}}, "the SavedModel '/home/other/saved'"),
    "a vocabulary": (lambda t: {"class_name": "StringLookup", "module": "keras.layers",
                                "config": {"vocabulary": "/etc/passwd"}}, "the vocabulary '/etc/passwd'"),
    "a type of TensorFlow": (lambda t: {"config": {"dtype": {"class_name": "TypeSpec", "type_spec": "x",
                                                            "serialized": []}}}, "'TypeSpec'"),
    "a class without a name": (lambda t: {"class_name": ["Dense"]}, "['Dense']"),
}


def changed(config, attack):
    found = layer(config)
    found["config"] |= attack.pop("config", {})
    found.update(attack)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("version", ["3.15.0", "2.15.0"])
def test_attacks_in_archives(archive, tmp_path, name, version):
    attack, words = ATTACKS[name]
    path = archive(lambda config: changed(config, attack(tmp_path / "trace")),
                   metadata__json=json.dumps({"keras_version": version}))
    with pytest.raises(BadInputError) as error:
        loading.load_model(path)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("version", ["3.15.0", "2.15.0"])
def test_attacks_in_hdf5_files(legacy, tmp_path, name, version):
    attack, words = ATTACKS[name]

    def change(file, config):
        file.attrs["keras_version"] = version
        changed(config, attack(tmp_path / "trace"))

    with pytest.raises(BadInputError) as error:
        loading.load_model(legacy(change))
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("place", ["a layer's name", "the network's name", "a nested network"])
def test_names_of_wrappers_open_no_other_door(legacy, tmp_path, place):
    """A file that names TFMOT's wrappers goes to tf_keras, which has no safe mode for these files."""
    def change(file, config):
        file.attrs["keras_version"] = "2.15.0"
        attack = ATTACKS["a Lambda layer of Keras 2"][0](tmp_path / "trace")
        if place == "a layer's name":
            layer(config)["config"]["name"] = "QuantizeWrapper"
        elif place == "the network's name":
            config["config"]["name"] = "QuantizeWrapper"
        found = layer(config, "e")
        wrapped = {"class_name": "QuantizeWrapperV2", "config": {"name": "w", "layer": dict(found)}}
        changed_layer = wrapped if place == "a nested network" else found
        changed_layer["config"] |= attack.pop("config")
        changed_layer.update(attack)
        if place == "a nested network":
            found |= wrapped

    path = legacy(change)
    with pytest.raises(BadInputError, match="data, not code"):
        loading.load_model(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("symbol, fine", [
    ("math.add", True), ("nn.relu", True), ("__operators__.getitem", True), ("compat.v1.nn.relu6", True),
    ("image.resize", True), ("reshape", True), ("keras.backend.mean", True), ("keras.activations.relu", True),
    ("io.write_file", False), ("io.gfile.remove", False), ("py_function", False), ("numpy_function", False),
    ("raw_ops.WriteFile", False), ("load_op_library", False), ("saved_model.load", False), ("io.read_file", False),
    ("keras.utils.get_file", False), ("compat.v1.py_func", False), ("image.decode_png", False), ("print", False),
    ("map_fn", False), (None, False), (["math.add"], False), ("keras.backend.function", False)])
def test_functions_of_tensorflow(symbol, fine):
    assert only_computes(symbol) is fine


def test_functions_of_tensorflow_that_do_more_are_refused(legacy):
    def change(file, config):
        file.attrs["keras_version"] = "2.15.0"
        layer(config).update(class_name="TFOpLambda", config={"name": "d", "function": "io.write_file"})

    with pytest.raises(BadInputError, match=r"whose layer 'd' calls tf.io.write_file"):
        loading.load_model(legacy(change))


def test_what_the_user_has_registered_is_known(tmp_path):
    @keras.saving.register_keras_serializable("allowed")
    class Registered(keras.layers.Dense):
        pass

    keras.Sequential([keras.Input((3,)), Registered(2, name="d")]).save(tmp_path / "m.keras")
    assert isinstance(loading.load_model(tmp_path / "m.keras").get_layer("d"), Registered)


def test_activations_that_were_given_as_functions_of_tensorflow(archive, tmp_path):
    def change(config):
        layer(config)["config"]["activation"] = function("tensorflow.python.ops.gen_nn_ops", "relu6")

    assert loading.load_model(archive(change)).get_layer("d").activation is keras.activations.relu6


def test_code_and_files_are_let_in_where_the_user_says_so(archive, tmp_path):
    attack, _ = ATTACKS["a vocabulary"]
    path = archive(lambda config: changed(config, attack(None)))
    with pytest.raises(BadInputError) as error:
        loading.load_model(path, allow_unsafe=True)
    assert "reads no other file" not in str(error.value)  # Keras has the word, and the layer is in the wrong place


def test_compiled_models_are_read_without_what_they_were_compiled_with(saved, tmp_path):
    path = tmp_path / "own_loss.h5"
    path.write_bytes((saved / "m.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = json.dumps({"loss": function("os", "system"), "optimizer_config": {}})
    loading.load_model(path)
