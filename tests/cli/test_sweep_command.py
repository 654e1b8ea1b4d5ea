"""`tfold sweep` through the real command line, with real trainings of a tiny network: its figures mean nothing."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")

STRENGTHS = "0.01,10"
TRAINING = ("--alpha-epochs", 3, "--post-epochs", 1, "--batch", 8, "--alpha-rate", 0.02, "--validation", 0.3)
FIRST = "strength-0.01-seed-0"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a base network and images that can be told apart."""
    import keras

    folder, random = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(8, "relu", name="a"),
                              keras.layers.Dense(8, "relu", name="b"), keras.layers.Dense(3, name="out")])
    model.save(folder / "base.keras")
    centres = random.normal(size=(3, 6))
    parts = {}
    for part, count in (("train", 1600), ("test", 200)):
        parts[f"y_{part}"] = labels = random.integers(0, 3, count)
        parts[f"x_{part}"] = (centres[labels] + random.normal(0, 0.4, (count, 6))).astype("float32")
    np.savez(folder / "data.npz", **parts)
    wide = {name: part if name[0] == "y" else np.tile(part, 2) for name, part in parts.items()}
    np.savez(folder / "wide.npz", **wide)
    return folder


@pytest.fixture(scope="module")
def words(inputs):
    """A sweep's command: words(folder, more…)."""
    return lambda folder, *more: ["sweep", inputs / "base.keras", "--data", inputs / "data.npz", "-o", folder,
                                  "--strengths", STRENGTHS, "--seeds", 1, *TRAINING, *more]


@pytest.fixture(scope="module")
def swept(words, process, tmp_path_factory):
    """(the folder, what the command said)"""
    folder = tmp_path_factory.mktemp("swept") / "out"
    return folder, process(*words(folder, "--json", "--runtime", "none"))


def test_one_document_on_stdout(swept, inputs):
    folder, ended = swept
    assert ended.code == 0, ended.err[-3000:]
    document = ended.document
    assert document["kind"] == "sweep" and document["finished"] and document["counts"] == {"complete": 2}
    assert set(document) == {"version", "kind", "settings", "base", "trials", "counts", "finished", "judge", "knee",
                             "pareto", "latency", "unmeasured", "warnings", "files"}
    assert document["settings"]["alpha_epochs"] == 3 and document["settings"]["data"].startswith("sha256 ")
    assert document["base"]["depth"] == 3 and set(document["base"]["accuracy"]) == {"validation", "test"}
    for trial in document["trials"]:
        assert set(trial) == {"name", "strength", "seed", "state", "why", "attempts", "epochs", "reached", "host",
                              "depth", "layers", "macs", "parameters", "accuracy", "alphas", "seconds", "score",
                              "folded", "latency"}
        assert trial["state"] == "complete" and trial["epochs"] == 4 and trial["attempts"] == 1
        assert set(trial["alphas"]) == {"a_alpha", "b_alpha"} and Path(trial["folded"]).is_file()
    assert document["trials"][0]["depth"] >= document["trials"][1]["depth"]
    knee = document["knee"]
    assert knee["depth"] is None and "at least 5 trials, of at least 4 depths" in knee["why_not"]
    told = json.loads((folder / "sweep.json").read_text())
    assert told == {name: value for name, value in document.items() if name != "files"}


def test_files_and_words(swept):
    folder, ended = swept
    there = {path.name for path in folder.iterdir()} - {"sweep.db.lock"}
    assert there == {"sweep.db", "sweep.json", "sweep.csv", "accuracy-depth.png", "trials"}
    for expected in (r"λ_c 0\.01, seed 0: begun\n", r"pre-folding 3/3, validation [\d.]+%, depth \d\n",
                     r"2 of 2 trials are over\n", r"sweep over λ_c", r"no knee: ",
                     r"2 complete; wrote sweep\.json, .* next: tfold inspect \S+folded\.keras\n$"):
        assert re.search(expected, ended.err), expected
    assert "WARNING" not in ended.err and "cuda" not in ended.err.lower() and "optuna" not in ended.err.lower()


def test_a_sweep_that_is_done_is_measured_and_drawn(swept, words, here):
    folder, _ = swept
    trained = {path: path.stat().st_mtime_ns for path in (folder / "trials").rglob("*") if path.is_file()}
    ended = here(*words(folder, "--json", "--blocks", 6))
    assert ended.code == 0 and "begun" not in ended.err, ended
    document = ended.document
    measured = [trial for trial in document["trials"] if trial["latency"]]
    assert len(measured) == len({trial["depth"] for trial in document["trials"]})
    for trial in measured:
        assert trial["latency"]["low"] <= trial["latency"]["ratio"] <= trial["latency"]["high"]
    assert document["latency"]["runtime"] == "litert" and document["pareto"]["latency"]
    assert (folder / "accuracy-latency.png").is_file() and (folder / "latency" / "base.tflite").is_file()

    before = (folder / "sweep.json").read_text()
    (folder / "accuracy-depth.png").unlink()
    assert here(*words(folder, "--report-only", "--blocks", 6)).code == 0
    assert (folder / "sweep.json").read_text() == before  # the same networks are not measured again
    assert (folder / "accuracy-depth.png").is_file()
    assert trained == {path: path.stat().st_mtime_ns for path in (folder / "trials").rglob("*") if path.is_file()}


def test_other_settings_are_refused_by_what_differs(swept, words, inputs, here):
    folder, _ = swept
    here(*words(folder, "--batch", 16, "--distill", 0.5)).refused("batch: 8, now 16", "distill: 0.0, now 0.5", "-o")
    here(*words(folder, "--data", inputs / "wide.npz")).refused("data: sha256 ")
    here(*words(folder, "--report-only", "--no-prune")).refused("prune: 0.02, now nothing")


def until(condition, running):
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end and running.poll() is None, "has not come about"
        time.sleep(0.002)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_stopped_and_killed_it_ends_as_if_nothing_had_happened(swept, words, tmp_path, environment, processes):
    """Ctrl-C while the worker gets ready; the same command again, and kill -9 for its worker in the first trial."""
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "tfold", *map(str, words(folder, "--runtime", "none", "--json"))]
    how = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
           "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, **how) as first:
        worker, = until(lambda: processes.children(first.pid), first)
        first.send_signal(signal.SIGINT)
        said = first.communicate()[1]
    assert first.returncode == 130 and "the same command goes on" in said and "Traceback" not in said, said
    end = time.monotonic() + 300
    while processes.is_alive(worker):
        assert time.monotonic() < end, "the worker has stayed"
        time.sleep(0.02)

    with subprocess.Popen(command, **how) as second:
        until((folder / "trials" / FIRST / "alpha.checkpoint.npz").exists, second)
        assert not (folder / "trials" / FIRST / "outcome.json").exists(), "it was not caught in the middle"
        os.kill(processes.children(second.pid)[0], signal.SIGKILL)
        out, said = second.communicate()
    assert second.returncode == 0 and "was killed by SIGKILL" in said, said
    document, undisturbed = json.loads(out), json.loads((swept[0] / "sweep.json").read_text())
    assert [trial["state"] for trial in document["trials"]] == ["complete"] * 2
    assert [trial["attempts"] for trial in document["trials"]] == [2, 1]
    for trial, other in zip(document["trials"], undisturbed["trials"], strict=True):
        assert trial["alphas"] == pytest.approx(other["alphas"], abs=1e-6)
        assert trial["accuracy"] == other["accuracy"] and trial["epochs"] == other["epochs"]


def test_what_does_not_fit_is_said_once_by_the_worker(words, inputs, process, tmp_path):
    ended = process(*words(tmp_path / "out", "--data", inputs / "wide.npz"))
    line = ended.err.strip().splitlines()[-1]
    assert ended.code == 1 and line.startswith("tfold: Images have the shape") and ended.err.count("\n") == 1


def test_bad_words_are_refused_before_anything_is_made(words, inputs, here, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    here(*words(folder, "--low", 0.1)).misused("--low is for a range of λ_c, and --strengths is given")
    here(*words(folder, "--report-only", "--workers", 2)).misused("--workers is for running trials")
    here(*words(folder, "--no-prune", "--margin", 0.1)).misused("--margin is for --prune")
    here(*words(folder, "--runtime", "none", "--blocks", 9)).misused("--blocks is for measuring")
    here(*words(folder, "--temperature", 2)).misused("--temperature is for --distill, which is 0")
    here(*words(folder, "--strengths", "a,b")).misused("Received: 'a,b'")
    here(*words(folder, "--strengths", "0.1,-1")).refused("A strength λ_c", "-1.0")
    here("sweep", tmp_path / "none.keras", "--data", "cifar10", "-o", folder).refused("none.keras")
    here(*words(inputs)).refused("a folder of its own")
    monkeypatch.setitem(sys.modules, "optuna", None)
    here(*words(folder)).refused("no optuna", "pip install optuna")
    assert not folder.exists() or not (folder / "sweep.db").exists()


SECRET = "s3cret-w0rd"


@pytest.mark.parametrize("more", [
    ("--storage", f"postgres//me:{SECRET}@host/s"),
    ("--storage", f"postgresq://me:{SECRET}@host/s"),
    ("--storage", f"me:{SECRET}@host/s"),
    ("--storage", f"postgresql://me:x@host/s?{SECRET}"),
    ("--storage", f"postgresql://me:{SECRET}@host:port/s"),
    (f"--storage=oracle://me:{SECRET}@host/s", "--report-only"),
    ("--storage", f"mysql+nodriver://me:{SECRET}@127.0.0.1:1/s"),
    ("--storage", "postgresql://me:one", f"two{SECRET}@host/s"),  # a blank in the password, and no quotes
    ("--storge", f"postgresql://me:{SECRET}@host/s"),
    ("--storage", "sqlite:///a.db", f"postgresql://me:{SECRET}@host/s"),
    ("--workers", f"postgresql://me:{SECRET}@host/s"),
    ("--name", f"postgresql://me:{SECRET}@host/s"),
    ("--data", f"postgresql://me:{SECRET}@host/s"),
    ("-o", f"postgresql://me:{SECRET}@host/s"),
], ids=range(14))
def test_no_mistake_prints_a_password(words, here, tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    for json_too in ((), ("--json",)):
        ended = here(*words(tmp_path / "out", *more, *json_too))
        assert ended.code in (1, 2) and "Received: " in ended.err and "Traceback" not in ended.err, ended
        assert SECRET not in ended.out + ended.err
    assert not list(tmp_path.iterdir())


def test_every_field_of_the_recipe_has_an_option():
    from tfold.cli.sweep_command import sweep_command
    from tfold.sweeps.plan import RECIPE

    defaults = {option.name: option.default for option in sweep_command.params}
    assert set(RECIPE) <= set(defaults)
    for name, value in RECIPE.items():
        assert defaults[name] == value or not value, name
