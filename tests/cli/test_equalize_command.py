"""tfold equalize: channels evened out, the outputs as they were."""

import keras
import numpy as np
import pytest

from tfold.loading import load_report


@pytest.fixture
def equalize(here, files, tmp_path):
    """equalize("small.keras", …) into e.keras."""
    return lambda name, *words: here(
        "equalize", files / name, "-o", tmp_path / "e.keras", "--representative", files / "images.npz", *words)


@pytest.mark.parametrize("name", ["small.keras", "small.h5"])
def test_the_outputs_stay_and_the_weights_do_not(equalize, files, tmp_path, name):
    ended = equalize(name, "--json")
    document = ended.document
    assert (ended.code, document["kind"], document["output"]) == (0, "equalize", str(tmp_path / "e.keras"))
    assert 0 < document["channels"] < document["total"] and document["gain"] > 0
    assert document["verification"]["worst"]["relative"] < 1e-5 and document["warnings"] == []
    x = np.load(files / "images.npz")["x"][:8]
    before, after = (keras.models.load_model(path) for path in (files / name, tmp_path / "e.keras"))
    np.testing.assert_allclose(after(x), before(x), rtol=1e-5, atol=1e-6)
    assert not np.array_equal(after.get_layer("expand").kernel, before.get_layer("expand").kernel)
    assert ended.err.splitlines()[-1].startswith(f"wrote {tmp_path / 'e.keras'}; next: tfold export ")


def test_the_report_of_the_fold_travels_on(here, files, tmp_path):
    assert here("fold", files / "small.keras", "-o", tmp_path / "f.keras").code == 0
    ended = here("equalize", tmp_path / "f.keras", "-o", tmp_path / "e.keras", "--representative", files / "images.npz")
    assert ended.code == 0, ended
    assert load_report(tmp_path / "e.keras") == load_report(tmp_path / "f.keras") is not None


def test_few_samples_are_warned_of(equalize, tmp_path):
    ended = equalize("small.keras", "--samples", 20, "--json")
    assert "on 20 samples" in ended.document["warnings"][0] and ended.err.startswith("warning: ")


def test_what_cannot_be_equalised(equalize, here, files, tmp_path, unchanged):
    equalize("alpha.keras").refused("α-activations", "relu6")
    equalize("text.keras").refused("A .keras file is a zip archive")
    equalize("plain.keras").refused("'Plain'", "--custom-objects")
    words = ["equalize", files / "small.keras", "-o", tmp_path / "e.keras"]
    here(*words).misused("--representative")
    here(*words, "--representative", files / "photos").refused("photos without a scale")
    here(*words, "--representative", files / "missing.npz").refused("missing.npz, which does not exist")
    unchanged()


def test_a_model_that_gives_nan(here, files, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 4)))
    words = ["equalize", files / "nan.keras", "-o", tmp_path / "e.keras", "--representative", tmp_path / "x.npy"]
    here(*words).refused("NaN or infinity in dense")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
