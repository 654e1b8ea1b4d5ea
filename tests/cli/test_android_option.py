import pytest

from tfold.cli.android_option import joined


@pytest.mark.parametrize(("words", "expected"), [
    ("a.tflite b.tflite --android", "--android= a.tflite b.tflite"),
    ("--android a.tflite", "--android= a.tflite"),
    ("a.tflite --android S1 10.0.0.7:5555 --json", "--android=S1,10.0.0.7:5555 a.tflite --json"),
    ("--android S1 a.tflite --blocks 6", "--android=S1 a.tflite --blocks 6"),
    ("a.tflite --android=S1,S2", "--android=S1,S2 a.tflite"),
    ("--android S1 --android S2 a.tflite --android=S3", "--android=S1,S2,S3 a.tflite"),
    ("a.tflite --android --json", "--android= a.tflite --json"),
    ("a.tflite --json", "a.tflite --json"),
])
def test_serials_behind_the_option(words, expected):
    assert joined(words.split()) == expected.split()


def test_a_file_that_is_there_is_a_model(tmp_path):
    (tmp_path / "model").touch()
    assert joined(["--android", "S1", str(tmp_path / "model")]) == ["--android=S1", str(tmp_path / "model")]


def test_all_is_never_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all").touch()
    assert joined(["a.tflite", "--android", "all"]) == ["--android=all", "a.tflite"]


def test_options_of_the_other_place_are_refused(here, files):
    model = files / "small.tflite"
    here("bench", model, "--gpu").misused("--gpu is for --android")
    here("bench", model, "--android", "--runtime", "litert").misused("--runtime is for this machine")
