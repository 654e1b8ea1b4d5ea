"""Model files whose configuration or members a test changes before they are read."""
import io
import json
import zipfile

import h5py
import keras
import pytest


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """One small network, saved as `m.keras` and `m.h5`."""
    folder = tmp_path_factory.mktemp("saved")
    x = inputs = keras.Input((8,), name="i")
    x = keras.layers.Dense(4, activation="relu", name="d")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="e")(x), name="m")
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    return folder


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def archive(saved, tmp_path):
    """Makes a copy of the .keras file with other members, or with a configuration that a function has changed."""

    def make(change=None, compression=zipfile.ZIP_STORED, **members):
        content = _members(saved / "m.keras")
        if change is not None:
            config = json.loads(content["config.json"])
            change(config)
            content["config.json"] = json.dumps(config).encode()
        content |= {name.replace("__", "."): value for name, value in members.items()}
        path = tmp_path / "changed.keras"
        with zipfile.ZipFile(path, "w", compression) as new:
            for name, value in content.items():
                new.writestr(name, value)
        return path

    return make


@pytest.fixture
def legacy(saved, tmp_path):
    """Makes a copy of the .h5 file that a function has changed; it gets the file and its configuration."""

    def make(change):
        path = tmp_path / "changed.h5"
        path.write_bytes((saved / "m.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(file, config)
            file.attrs["model_config"] = json.dumps(config)
        return path

    return make


@pytest.fixture
def weights_with(saved):
    """The weights of the .keras file, changed by a function, as bytes."""

    def make(change):
        file = io.BytesIO(_members(saved / "m.keras")["model.weights.h5"])
        with h5py.File(file, "r+") as weights:
            change(weights)
        return file.getvalue()

    return make
