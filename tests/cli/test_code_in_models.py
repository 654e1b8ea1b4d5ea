"""Models that need Python code: their own Lambda layers, or classes of the user's modules."""

import pytest


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_lambda_code_runs_only_when_asked_for(here, files, tmp_path, name):
    trace = files / "the-lambda-has-run"
    for command in (["inspect"], ["fold", "--dry-run"], ["fold", "-o", tmp_path / "f.keras"],
                    ["export", "-o", tmp_path / "f.tflite"]):
        here(command[0], files / name, *command[1:]).refused("data, not code", "--allow-unsafe")
        assert not trace.exists() and not list(tmp_path.iterdir())
    try:
        ended = here("fold", files / name, "-o", tmp_path / "f.keras", "--allow-unsafe")
        assert ended.code == 0, ended.err
        assert trace.exists()
        assert ended.out.splitlines()[-1].endswith("--allow-unsafe")  # the folded file holds the Lambda too
        assert here("export", tmp_path / "f.keras", "-o", tmp_path / "f.tflite", "--allow-unsafe").code == 0
    finally:
        trace.unlink(missing_ok=True)


def test_classes_nobody_named_are_named_in_the_error(process, here, files):
    # In a process of its own: once imported by another test, a registered class is known.
    process("inspect", files / "registered.keras", cwd=files).refused("'Registered'", "--custom-objects package.module")
    here("inspect", files / "plain.keras").refused("'Plain'", "--custom-objects package.module")
    here("inspect", files / "subclassed.keras").refused("'Whole'", "--custom-objects package.module")


def test_classes_of_a_named_module_are_found(process, files, tmp_path):
    """Both where the command is run, as here, and on PYTHONPATH, as below."""
    words = ["fold", "-o", tmp_path / "f.keras", "--custom-objects", "my_layers", files / "registered.keras"]
    ended = process(*words, cwd=files)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].endswith("--custom-objects my_layers")
    ended = process("export", tmp_path / "f.keras", "-o", tmp_path / "f.tflite", "--custom-objects", "my_layers",
                    env={"PYTHONPATH": str(files)})
    assert ended.code == 0, ended.err


def test_a_subclassed_model_is_refused_with_the_way_out(here, files, monkeypatch):
    monkeypatch.syspath_prepend(files)
    here("inspect", files / "subclassed.keras", "--custom-objects", "my_layers").refused(
        "subclassed model (Whole)", "keras.Model(inputs, outputs)"
    )
    assert here("inspect", files / "plain.keras", "--custom-objects", "my_layers").code == 0


@pytest.mark.parametrize("module, words", [
    ("nosuch", "No module named 'nosuch'"),
    ("nosuch.layers", "PYTHONPATH"),
    ("my_layers.py", "Write it as in an import statement: my_layers."),
    ("./my_layers.py", "Write it as in an import statement: my_layers."),
    ("not_importable", "RuntimeError: this module has a fault"),
    ("script", "SystemExit"),
])
def test_modules_that_cannot_be_imported(here, files, tmp_path, monkeypatch, unchanged, module, words):
    monkeypatch.syspath_prepend(files)
    here("fold", files / "plain.keras", "-o", tmp_path / "f.keras", "--custom-objects", module).refused(module, words)
    unchanged()


def test_layers_that_roll_dice_cannot_be_verified_or_exported(here, files, tmp_path, monkeypatch, unchanged):
    monkeypatch.syspath_prepend(files)
    words = [files / "dice.keras", "--custom-objects", "my_layers"]
    ended = here("fold", *words, "-o", tmp_path / "f.keras")
    assert ended.code in (1, 3) and "Traceback" not in ended.err
    ended = here("export", *words, "-o", tmp_path / "f.tflite")
    assert ended.code in (1, 3) and "Traceback" not in ended.err
    unchanged()
