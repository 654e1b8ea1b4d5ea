"""The example, run on a small network as a user would run it."""
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "fold_classifier.py"


def test_from_a_saved_model_to_two_tflite_files(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 64)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    z = layers.Conv2D(8, 1, activation="relu", name="expand")(image)
    z = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(z)
    z = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="project")(z))
    keras.Model(image, layers.Dense(3, activation="softmax")(z)).save(tmp_path / "base.keras")
    command = [sys.executable, str(SCRIPT), "base.keras", "data.npz", "-o", "out", "--epochs", "1",
               "--tie", "expand", "depthwise"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alpha.csv", "base.tflite", "folded.keras", "folded.tflite"]
    assert "alpha/mean" in (tmp_path / "out" / "alpha.csv").read_text()
    assert "depth" in done.stdout and "folded ÷ base" in done.stdout
