import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("backend_script.py")
ROOT = SCRIPT.parents[2]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_whole_way(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["backend"] == backend and found["difference"] <= 1e-6
    assert list(found["alphas"]) == ["conv_alpha", "relu6", "depthwise_alpha"]
    warm = found["epochs"][1]
    assert found["strength"][:3] == [0.0, 0.0, 5.0]
    assert max(warm.values()) < 0.5  # with λ_c = 0 only the task moves them
    assert set(found["alphas"].values()) == {1.0}  # 0.02 · 5 · 2α a step, and nothing the task could say against it
    assert len(found["epochs"]) < 8  # AlphaSettled has stopped it
    # conv, bn and depthwise are one convolution now; the pooling stands before the dense layer.
    assert found["folded"] <= 1e-5 and found["depth"] == [3, 2]
    assert found["settled"] <= 1e-5 and found["left"] == 0 and found["loaded"]
    assert found["distilled"][0] == pytest.approx(found["distilled"][1], rel=1e-5)
    assert found["moved"] > 1e-4 and found["teacher_kept"]
    rounding, exact = found["float64"]
    assert rounding > 1e-5 and exact < 1e-12  # in float64, on JAX too
