"""tfold parity: files against the model they are made of, or are not."""

import shlex
import shutil

import pytest

from tfold.measure import available_runtimes


def test_a_float_file_and_an_int8_file(here, files, tmp_path, monkeypatch, unchanged):
    monkeypatch.chdir(tmp_path)
    exact, rounded = (str(files / f"{name}.tflite") for name in ("float32", "int8"))
    ended = here("parity", files / "wide.keras", exact, rounded, "--data", files / "images.npz", "--json")
    document = ended.document
    assert (ended.code, document["kind"], document["passed"]) == (0, "parity", True)
    with_keras, beside = document["files"], document["against_float"]
    assert with_keras[exact]["outputs"][0]["relative"] < 1e-5 < with_keras[rounded]["outputs"][0]["relative"]
    assert beside["float"] == exact and set(beside["files"]) == {rounded}
    assert with_keras[exact]["samples"] == 100 and set(with_keras[exact]["accuracy"]) == {"keras", "tflite"}
    for said in ("within 0.0001", "within 0.5", f"against {exact}: output head", "accuracy", "nothing written; next: "):
        assert said in ended.err
    unchanged()


def test_without_data_it_asks_for_some(here, files):
    ended = here("parity", files / "small.keras", files / "small.tflite")
    assert (ended.code, ended.err) == (0, "") and "random numbers" in ended.out
    assert ended.out.splitlines()[-1] == "nothing written; next: give it real inputs: --data test.npz"


def test_beyond_the_tolerance_the_exit_code_is_3(here, files):
    words = ["parity", files / "wide.keras", files / "float32.tflite", files / "int8.tflite", "--tolerance", "1e-5"]
    ended = here(*words, "--json")
    document, sentence = ended.document, ended.err.splitlines()[-1]
    assert (ended.code, document["kind"], document["passed"]) == (3, "parity", False)
    assert [each["passed"] for each in document["files"].values()] == [True, False]
    assert sentence.startswith("tfold: A file computes what Keras computes")
    assert f"Received: {files / 'int8.tflite'}, " in sentence and "--tolerance" in sentence


def test_a_model_with_other_weights_does_not_pass(here, files):
    ended = here("parity", files / "alpha.keras", files / "small.tflite", "--json")
    assert (ended.code, ended.document["passed"]) == (3, False)


@pytest.mark.parametrize("name, words", [
    ("two.tflite", "with a, b for image. Is it made of this model?"),
    ("missing.tflite", "not found"),
    ("cut.tflite", "cut short or damaged"),
    ("text.tflite", "TFL3"),
    ("small.keras", "tfold export"),
])
def test_files_that_cannot_be_compared(here, files, name, words):
    here("parity", files / "small.keras", files / "small.tflite", files / name).refused(name, words)


def test_a_file_that_takes_other_shapes(here, files, monkeypatch):
    monkeypatch.syspath_prepend(files)
    words = ["--custom-objects", "my_layers"]
    here("parity", files / "plain.keras", files / "small.tflite", *words).refused("small.tflite", "(1, 12, 12, 3)")


def test_data_is_checked_as_for_export(here, files):
    words = ["parity", files / "small.keras", files / "small.tflite"]
    here(*words, "--data", files / "photos").refused("photos without a scale")
    here(*words, "--data", files / "missing.npz").refused("missing.npz, which does not exist")
    here(*words, "--scale=-1,1").misused("--scale is for --data, which is not given")
    here(*words, "--runtime", "abacus").misused("'abacus'")


@pytest.mark.skipif(not available_runtimes()["tflite-runtime"].version, reason="needs the runtime")
def test_the_runtime_is_a_choice(here, files):
    words = ["parity", files / "wide.keras", files / "float32.tflite", "--runtime"]
    found = [here(*words, runtime, "--json").document["files"] for runtime in ("litert", "tflite-runtime")]
    assert all(each[str(files / "float32.tflite")]["passed"] for each in found)


@pytest.mark.parametrize("name, step", [("int8.tflite", "losses"), ("float32.tflite", "bench")])
def test_the_next_step_works(here, files, tmp_path, monkeypatch, name, step):
    """With the options that the data need."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(files / "wide.keras", "-m.keras")
    shutil.copy(files / name, tmp_path)
    ended = here("parity", "./-m.keras", name, "--data", files / "photos", "--scale=-1,1", "--resize", "crop")
    words = shlex.split(ended.out.splitlines()[-1].partition("; next: ")[2])
    assert words[:2] == ["tfold", step]
    if step == "losses":
        assert words[-4:] == [str(files / "photos"), "--scale=-1,1", "--resize", "crop"]
    assert here(*words[1:], *(["--blocks", 1, "--min-time", 0] if step == "bench" else [])).code == 0
