"""What README shows runs as it stands there."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

README = pathlib.Path(__file__).parents[2] / "README.md"


def test_the_python_examples(demo, tmp_path):
    folder, _, _ = demo
    shutil.copytree(folder, tmp_path / "demo-output")
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(examples)],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"base.tflite", "folded.tflite", "int8.tflite"} <= {path.name for path in tmp_path.iterdir()}
    assert "alpha/folded" in done.stdout and "refused" in done.stdout
    assert re.search(r"^\d\.\d+ \[\d\.\d+, \d\.\d+\]\s*$", done.stdout, re.MULTILINE)
    assert "parity with Keras" in done.stdout and "lost here" in done.stdout


def test_every_command_is_named():
    from tfold.cli import COMMANDS

    named = set(re.findall(r"^    tfold (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_reason_is_explained():
    from tfold.reasons import MEANING

    text = README.read_text(encoding="utf-8")
    for reason, meaning in MEANING.items():
        assert f"| {reason} | {meaning} |" in text


def test_pictures_are_there():
    for path in re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / path).is_file(), path
