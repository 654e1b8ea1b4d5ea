"""inspect, fold and export: what they write, where, and that the next step they name works."""

import json
import shlex
import shutil

import keras
import numpy as np
import pytest

from tfold.measure import run_tflite

NOISE = ("oneDNN", "cuda", "absl", "Warning", "WARNING", "Saved artifact", "XNNPACK", "retracing", "I0000")


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_processes_write_only_what_is_theirs(process, files, tmp_path, json_option):
    """TensorFlow and the converter print on both streams, from C++ too; nobody sees it."""
    fold = process("fold", files / "small.keras", "-o", tmp_path / "folded.keras", *json_option)
    export = process("export", tmp_path / "folded.keras", "-o", tmp_path / "folded.tflite", *json_option)
    for ended, kind in ((fold, "fold"), (export, "export")):
        assert ended.code == 0
        text = ended.err if json_option else ended.out
        assert text.splitlines()[-1].split("; next: ")[1].startswith("tfold ")
        assert not [noise for noise in NOISE if noise in ended.out + ended.err]
        if json_option:
            assert ended.document["kind"] == kind
        else:
            assert ended.err == ""
    assert {path.name for path in tmp_path.iterdir()} == {"folded.keras", "folded.tflite"}


def test_what_users_modules_print_stays_off_the_document(process, files):
    words = ["inspect", files / "plain.keras", "--custom-objects", "my_layers", "--json"]
    ended = process(*words, cwd=files, env={"GREET": "1"})
    assert ended.document["unknown_layers"] == ["Plain"]
    assert "my_layers says hello" in ended.err


def test_inspect_tells_what_would_fold_and_writes_nothing(here, files, tmp_path, monkeypatch, unchanged):
    monkeypatch.chdir(tmp_path)
    ended = here("inspect", files / "small.keras", "--graph")
    assert ended.code == 0
    for words in ("linear 4", "batch norm   bn goes: folded into conv", "1 of 1 batch norms can go",
                  "conv → bn: folded into conv", "expand → project → head: merged", "nothing written"):
        assert words in ended.out
    document = here("inspect", files / "small.keras", "--json").document
    assert document["batch_norms"] == [{"name": "bn", "goes": True, "why": "folded into conv"}]
    report = document["report"]
    assert report["largest_fold"]["largest"] == report["largest_fold"]["at_most"] == 1
    assert report["before"]["batch_norms"] == 1 and report["after"]["batch_norms"] == 0
    assert report["after"]["depth"] == 2
    unchanged()


def test_dry_run_fold_tells_the_same_as_fold(here, files, tmp_path, unchanged):
    dry = here("fold", files / "small.keras", "--dry-run", "--json").document
    unchanged()
    done = here("fold", files / "small.keras", "-o", tmp_path / "f.keras", "--json").document
    assert dry["output"] is None and done["output"] == str(tmp_path / "f.keras")
    assert dry["report"]["folded"] == done["report"]["folded"]
    assert done["report"]["verification"]["worst"]["relative"] < 1e-5


def test_the_folded_and_the_exported_file_compute_what_the_model_computes(here, files, tmp_path):
    assert here("fold", files / "small.keras", "-o", tmp_path / "f.keras").code == 0
    assert here("export", tmp_path / "f.keras", "-o", tmp_path / "f.tflite").code == 0
    x = np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype("float32")
    expected = keras.models.load_model(files / "small.keras").predict(x, verbose=0)
    folded = keras.models.load_model(tmp_path / "f.keras")
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    np.testing.assert_allclose(folded.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    (received,) = run_tflite(tmp_path / "f.tflite", x).values()
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


def test_alpha_trained_models_load_and_the_threshold_decides(here, files, tmp_path):
    document = here("inspect", files / "alpha.keras", "--json").document
    assert set(document["alphas"]) == {"relu6"}
    alpha = document["alphas"]["relu6"]
    assert 0.95 < alpha <= 1
    assert here("inspect", files / "alpha.keras", "--threshold", "0.9").out.count("activation removed") == 1
    folded = here("fold", files / "alpha.keras", "-o", tmp_path / "f.keras", "--json").document["report"]
    assert folded["after"]["depth"] == 2
    ended = here("export", files / "alpha.keras", "-o", tmp_path / "f.tflite")
    ended.refused("without α-activations", "tfold.fold")


def test_rounding_is_told_and_is_no_parity_failure(here, files, tmp_path):
    ended = here("fold", files / "chaotic.keras", "-o", tmp_path / "f.keras", "--json")
    found = ended.document["report"]["verification"]
    assert ended.code == 0 and found["worst"]["relative"] < 1e-5 < found["rounding"]


def test_fold_without_verification_says_nothing_of_one(here, files, tmp_path):
    ended = here("fold", files / "chaotic.keras", "-o", tmp_path / "f.keras", "--no-verify", "--json")
    assert ended.code == 0 and ended.document["report"]["verification"] is None


def test_the_policy_reaches_the_passes(here, files):
    always = here("fold", files / "alpha.keras", "--dry-run", "--policy", "always", "--json").document["report"]
    macs = here("fold", files / "alpha.keras", "--dry-run", "--policy", "macs", "--json").document["report"]
    assert always["after"]["depth"] <= macs["after"]["depth"]
    assert macs["after"]["macs"] <= always["after"]["macs"]


@pytest.mark.parametrize("name", ["small.keras", "small.h5"])
def test_legacy_h5_files_fold_too(here, files, name):
    assert here("fold", files / name, "--dry-run", "--json").document["report"]["after"]["batch_norms"] == 0


def test_parity_failures_have_exit_code_3_and_leave_nothing(here, files, tmp_path, unchanged, monkeypatch):
    monkeypatch.syspath_prepend(files)
    fold = here("fold", files / "drifting.keras", "-o", tmp_path / "f.keras", "--custom-objects", "my_layers")
    fold.refused("must not change what the network computes", code=3)
    export = here("export", files / "chaotic.keras", "-o", tmp_path / "f.tflite", "--json")
    assert export.code == export.document["exit_code"] == 3 and export.document["kind"] == "error"
    unchanged()


@pytest.mark.parametrize("name", ["model.keras", "with space and ünïcode 'quoted'.keras", "-dash.keras"])
def test_each_command_names_a_next_step_that_works(here, files, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(files / "small.keras", name)
    ended = here("inspect", f"./{name}", "--threshold", "0.8", "--policy", "always")
    made = []
    for expected in ("fold", "export", "bench"):
        words = shlex.split(ended.out.splitlines()[-1].partition("; next: ")[2])
        assert words[:2] == ["tfold", expected]
        if expected == "fold":
            assert words[-4:] == ["--threshold", "0.8", "--policy", "always"]
        more = ["--blocks", 1, "--min-time", 0, "--warmup", 0] if expected == "bench" else []
        ended = here(*words[1:], *more)
        assert ended.code == 0, ended
        made = sorted(path.name for path in tmp_path.iterdir())
    stem = name.removesuffix(".keras")
    assert made == sorted([name, f"{stem}-folded.keras", f"{stem}-folded.tflite"])


def test_what_follows_dashes_is_a_path(here, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(files / "small.keras", "-x.keras")
    assert here("fold", "-o", "-y.keras", "--", "-x.keras").code == 0
    assert (tmp_path / "-y.keras").exists()


def test_documents_are_plain_ascii_json(here, files):
    """So that no terminal's encoding can break them."""
    ended = here("inspect", files / "alpha.keras", "--json")
    assert ended.code == 0 and ended.out.isascii()
    assert json.loads(ended.out)["report"]["folded"][0]["detail"].startswith("activation removed, α = ")
