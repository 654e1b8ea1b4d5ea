"""What is no model, or none that can be folded: one clear sentence, and nothing happens."""

import os
import shutil

import pytest

BAD = {
    "missing.keras": "does not exist",
    "empty.keras": "which is empty",
    "folder.keras": "a directory",
    "model.txt": "A model is a .keras file",
    "text.keras": "A .keras file is a zip archive",
    "picture.keras": "A .keras file is a zip archive",
    "renamed.keras": "renamed.h5",
    "text.h5": "A .h5 model is an HDF5 file",
    "cut.h5": "cut short or damaged",
    "archive.keras": "an archive of holiday.jpg",
    "garbage.keras": "whose config.json is something else",
    "foreign.keras": "whose config.json is something else",
    "number.keras": "whose config.json is something else",
    "unknown.keras": "'Bert'",
    "weightless.keras": "model.weights.h5",
    "bad-weights.keras": "weights must be whole",
    "other-weights.keras": "'conv'",
    "nan.keras": "NaN or infinity",
}


@pytest.mark.parametrize("name", BAD)
def test_one_sentence_and_nothing_written(here, files, tmp_path, unchanged, name):
    said = here("inspect", files / name).refused(BAD[name])
    assert name in said or name == "nan.keras"
    here("fold", files / name, "-o", tmp_path / "f.keras").refused(BAD[name])
    here("export", files / name, "-o", tmp_path / "f.tflite").refused(BAD[name])
    unchanged()


@pytest.mark.parametrize("name", ["small.tflite", "cut.tflite"])
def test_a_tflite_file_is_for_inspect_alone(here, files, tmp_path, unchanged, name):
    for command, output in (("fold", "f.keras"), ("export", "f.tflite")):
        here(command, files / name, "-o", tmp_path / output).refused(name, "Start from the Keras model")
    here("equalize", files / name, "-o", tmp_path / "e.keras", "--representative", files / "images.npz").refused(
        name, "Start from the Keras model")
    for command in ("parity", "losses"):
        here(command, files / name, files / "small.tflite").refused(name, "Start from the Keras model")
    ended = here("inspect", files / name)
    if name == "small.tflite":
        assert ended.code == 0
    else:
        ended.refused(name, "cut short or damaged")
    unchanged()


def test_with_json_the_sentence_is_a_document(here, files):
    ended = here("inspect", files / "text.keras", "--json")
    assert ended.code == 1
    assert ended.document == {
        "version": 1, "kind": "error", "exit_code": 1, "error": ended.err.removeprefix("tfold: ").rstrip("\n"),
    }


def test_a_truncated_keras_file_is_refused_at_every_length(here, files, tmp_path):
    whole = (files / "small.keras").read_bytes()
    target = tmp_path / "cut.keras"
    lengths = [1, 2, 4, 22, 30, *range(100, len(whole), len(whole) // 25), len(whole) - 22, len(whole) - 1]
    for length in lengths:
        target.write_bytes(whole[:length])
        here("fold", target, "-o", tmp_path / "f.keras").refused("cut.keras")
        assert {path.name for path in tmp_path.iterdir()} == {"cut.keras"}


def test_bytes_changed_within_a_keras_file_are_refused_or_harmless(here, files, tmp_path):
    whole = (files / "small.keras").read_bytes()
    target = tmp_path / "changed.keras"
    refused = 0
    for position in range(50, len(whole), len(whole) // 20):
        target.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        ended = here("inspect", target)
        assert ended.code in (0, 1) and "Traceback" not in ended.err
        refused += ended.code
    assert refused >= 15  # a zip archive has a checksum over each file in it, not over dates and flags


def test_pipes_are_refused_not_waited_for(here, tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    here("inspect", tmp_path / "pipe.keras").refused("a device or pipe")
    os.mkfifo(tmp_path / "pipe.tflite")
    for words in (["inspect"], ["bench"], ["parity", tmp_path / "m.keras"], ["losses", tmp_path / "m.keras"]):
        here(*words, tmp_path / "pipe.tflite").refused("pipe.tflite, a device or pipe")


def test_the_input_may_lie_where_nothing_can_be_written(here, files, tmp_path):
    shutil.copy(files / "small.keras", tmp_path)
    (tmp_path / "small.keras").chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert here("inspect", tmp_path / "small.keras").code == 0
    finally:
        tmp_path.chmod(0o700)
