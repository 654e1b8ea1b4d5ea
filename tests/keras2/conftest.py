"""Networks of tf_keras as files, the way people have them."""
import json

import h5py
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tf_keras():
    return pytest.importorskip("tf_keras")


@pytest.fixture
def shaken():
    """Gives a network weights that are not as they began, so that one in the wrong place shows."""

    def shake(model, seed=0):
        rng = np.random.default_rng(seed)
        model.set_weights([np.abs(rng.normal(size=w.shape)).astype(w.dtype) if w.dtype.kind == "f" else w
                           for w in model.get_weights()])
        return model

    return shake


@pytest.fixture
def rewritten():
    """Changes the configuration in an .h5 file: a function gets each layer's dict, at any depth."""

    def rewrite(path, change):
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            todo = [config]
            while todo:
                each = todo.pop()
                if isinstance(each, dict):
                    if "class_name" in each:
                        change(each)
                    todo += each.values()
                elif isinstance(each, list):
                    todo += each
            file.attrs["model_config"] = json.dumps(config)
        return path

    return rewrite
