import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfold.measure import available_runtimes

INSTALLED = [name for name, found in available_runtimes().items() if found.version]


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """A folder of small .tflite files; TensorFlow makes them in another process, as it must not be in this one."""
    folder = tmp_path_factory.mktemp("models")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("KERAS_BACKEND", None)
    maker = Path(__file__).with_name("make_models.py")
    made = subprocess.run([sys.executable, maker, folder], env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def arrays(models):
    """What went into the models in Keras and what came out."""
    with np.load(models / "arrays.npz") as file:
        return dict(file)


@pytest.fixture(params=INSTALLED)
def runtime(request) -> str:
    return request.param
