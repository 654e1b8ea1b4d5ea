"""What tests of several packages share: random weights, and the comparison that every fold must pass."""
import gc
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: more threads would only wait for each other
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("tfold", deadline=None, derandomize=True)
settings.load_profile("tfold")

# Folders whose fixtures take long to make: where tests run in parallel, one process runs all of such a folder.
COSTLY_FIXTURES = ("cli", "demo", "measure")


def pytest_addoption(parser):
    parser.addoption("--every", action="store_true", help="also tests that differ from others in size alone")


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked `size`, so that `make test` stays short; `make test ARGS=--every` runs it too."""
    if not config.getoption("--every"):
        left_out = [item for item in items if item.get_closest_marker("size")]
        items[:] = [item for item in items if not item.get_closest_marker("size")]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Folders with costly fixtures whole, and first; all else test by test, to whoever is free.

    (`--dist loadgroup` says the same by marks, but pytest-xdist 3.8 forgets them on pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFixtures(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            folder = nodeid.split("::")[0].split("/")[-2]
            return folder if folder in COSTLY_FIXTURES else nodeid

    return ByFixtures(config, log)


gc.disable()  # until all tests are imported, see tfold/importing.py


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def randomize():
    """A function that gives a model random biases and batch norm statistics: fresh ones hide mistakes."""

    def randomized(model, seed=0):
        rng = np.random.default_rng(seed)
        for layer in _layers_of(model):
            if hasattr(layer, "moving_mean"):  # a batch norm, of Keras 3 or tf_keras
                n = layer.moving_mean.shape[0]
                layer.moving_mean.assign(rng.normal(size=n))
                layer.moving_variance.assign(rng.uniform(0.5, 2, n))
                if layer.scale:
                    layer.gamma.assign(rng.uniform(0.5, 1.5, n) * rng.choice([-1, 1], n))
                if layer.center:
                    layer.beta.assign(rng.normal(size=n))
            elif hasattr(getattr(layer, "bias", None), "assign"):
                layer.bias.assign(rng.normal(size=layer.bias.shape))
        return model

    return randomized


@pytest.fixture(scope="session")
def relative_difference():
    """A function: max |a − b| ÷ max |a| of two models over all outputs, on one input."""

    def difference(model, other, x):
        before, after = _outputs(model, x), _outputs(other, x)
        assert [a.shape for a in before] == [b.shape for b in after]
        assert [a.dtype for a in before] == [b.dtype for b in after]
        return max(
            float(np.abs(a.astype(float) - b.astype(float)).max() / (np.abs(a).max() or 1.0))
            for a, b in zip(before, after, strict=True)
        )

    return difference


@pytest.fixture(scope="session")
def fold_checked(randomize, relative_difference):
    """A function that folds with random weights and checks what every fold must keep; returns the `FoldResult`.

    `as_is`: the model has the weights that the test is about.
    """

    def fold(model, tolerance=1e-5, seed=0, how=None, as_is=False, **options):
        import tfold
        from tfold.sampling import random_input

        if not as_is:
            randomize(model, seed)
        weights, config = [w.copy() for w in model.get_weights()], model.get_config()
        result = (how or tfold.fold)(model, **options)
        x = random_input(model, seed=seed + 1, batch=2)
        assert relative_difference(model, result.model, x) <= tolerance
        assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
        assert str(config) == str(model.get_config())
        assert result.report.before.parameters == model.count_params()
        assert result.report.after.parameters == result.model.count_params()
        return result

    return fold


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server of our own (benchmarks/postgresql_server.py); skips where none is installed."""
    pytest.importorskip("psycopg")
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "postgresql_server.py"
    spec = importlib.util.spec_from_file_location("postgresql_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with module.Server() as server:
        yield server


def _layers_of(model):
    for layer in model.layers:
        yield from _layers_of(layer) if hasattr(layer, "layers") else [layer]


def _outputs(model, x):
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(t)) for t in keras.tree.flatten(model(x, training=False))]


@pytest.fixture(scope="session")
def processes():
    """`.children(pid)` and `.is_alive(pid)`, as Linux tells them in /proc."""
    return SimpleNamespace(children=_children, is_alive=_is_alive)


def _children(pid):
    """Of a process, those that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # just gone
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _is_alive(pid):
    """A process that nobody has waited for yet is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def tfmot_is_there():
    """Skip where TFMOT is not installed. Its import would change which Keras this process has as `tf.keras`."""
    if importlib.util.find_spec("tensorflow_model_optimization") is None:
        pytest.skip("tensorflow-model-optimization is not installed")
