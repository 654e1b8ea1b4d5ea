"""Files that a stranger has prepared, through the real command: a sentence, no code, no control of the terminal."""
import base64
import json
import marshal
import zipfile

import h5py
import keras
import pytest


def lambda_code(trace):
    compiled = compile(f"lambda x: (open({str(trace)!r}, 'w'), x)[1]", "<lambda>", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(compiled)).decode()


@pytest.fixture
def wrapped(files, tmp_path):
    """An .h5 of Keras 2 that names TFMOT's wrapper, and holds a Lambda layer whose code leaves a trace."""
    path = tmp_path / "wrapped.h5"
    path.write_bytes((files / "small.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["name"] = "QuantizeWrapper"
        layer = config["config"]["layers"][-1]
        layer.update(class_name="Lambda", config={
            "name": layer["config"]["name"], "function": [lambda_code(tmp_path / "trace"), None, None],
            "function_type": "lambda", "output_shape": None, "output_shape_type": "raw", "arguments": {}})
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
    return path


@pytest.mark.parametrize("command", [
    ["inspect"], ["fold", "-o", "f.keras"], ["export", "-o", "f.tflite"],
    ["equalize", "-o", "e.keras", "--representative", "images.npz"], ["parity", "small.tflite"],
    ["losses", "small.tflite"]], ids=lambda command: command[0])
def test_no_command_runs_code(here, files, tmp_path, wrapped, command):
    words = [files / word if word in ("images.npz", "small.tflite") else
             tmp_path / word if word.startswith(("f.", "e.")) else word for word in command]
    here(words[0], wrapped, *words[1:]).refused("data, not code", "Lambda", "--allow-unsafe")
    assert not (tmp_path / "trace").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"wrapped.h5"}


def test_names_do_not_reach_the_terminal_as_they_are(here, tmp_path):
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="evil\x1b[2J\x9b31m\rname")(x)
    x = keras.layers.BatchNormalization(name="back\x08wards\u202e")(x)
    keras.Model(inputs, keras.layers.LayerNormalization(name="odd\x07bell")(x)).save(tmp_path / "m.keras")
    for words in (["inspect"], ["fold", "--dry-run"], ["fold", "-o", tmp_path / "f.keras"]):
        ended = here(words[0], tmp_path / "m.keras", *words[1:])
        assert ended.code == 0, ended.err
        text = ended.out + ended.err
        assert "evil\\x1b[2J\\x9b31m\\rname" in text
        assert not set(text) & set("\x1b\x9b\r\x08\x07\u202e")


def test_archives_that_fill_the_memory_or_are_nested(here, files, tmp_path, measured_memory):
    def changed(**members):
        with zipfile.ZipFile(files / "small.keras") as old, zipfile.ZipFile(
                tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, members.get(name.split(".")[0], old.read(name)))
        return tmp_path / "m.keras"

    before = measured_memory()
    here("inspect", changed(model=bytes(2**30))).refused("unpacks to at most 100 times its size")
    assert measured_memory() - before < 2**28
    here("inspect", changed(config=b"[" * 10**6)).refused("nested more than 200 levels")
    deep = b'{"report": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    (tmp_path / "report.json").write_bytes(deep)
    here("export", files / "small.keras", "-o", tmp_path / "f.tflite", "--report", tmp_path / "report.json").refused(
        "nested more than 200 levels")


@pytest.fixture
def measured_memory():
    """The largest memory that this process has had, in bytes."""
    resource = pytest.importorskip("resource")
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
