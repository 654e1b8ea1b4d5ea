"""tfold losses: where a quantised file loses its accuracy, as a table, a document, a picture and two overlays."""

import json
import shlex
import shutil

import pytest

from tfold.tflite.contents import read


@pytest.fixture
def losses(here, files):
    """Looks into int8.tflite with some of the images: losses("--top", 3, …)."""
    words = ["losses", files / "wide.keras", files / "int8.tflite", "--data", files / "images.npz", "--samples", 10]
    return lambda *more: here(*words, *more)


def test_the_table_begins_with_the_worst_layer(losses, tmp_path, monkeypatch, unchanged):
    monkeypatch.chdir(tmp_path)
    ended = losses("--top", 3)
    said = ended.out.splitlines()
    assert (ended.code, ended.err, len(said)) == (0, "", 7)
    assert said[0].startswith("signal ÷ noise on 10 of the ") and " samples of " in said[0] and "images.npz" in said[0]
    assert said[1].split() == ["layer", "op", "signal÷noise", "lost", "here", "range", "step"]
    decibels = [float(line.split(" dB")[0].split()[-1]) for line in said[2:5]]
    assert decibels == sorted(decibels) and 0 < decibels[0] < 60
    assert said[5].endswith("that lost less") and said[6].startswith("nothing written; next: tfold equalize ")
    unchanged()


def test_a_document_a_picture_and_two_overlays(losses, files, tmp_path):
    pytest.importorskip("matplotlib")
    outputs = [tmp_path / name for name in ("p.png", "o.json", "o.time.json")]
    for path in outputs:
        path.write_text("old")
    ended = losses("--plot", outputs[0], "--overlay", outputs[1], "--force", "--top", 1, "--json")
    assert ended.code == 0
    assert {*tmp_path.iterdir()} == {*outputs} and outputs[0].read_bytes().startswith(b"\x89PNG")
    ops = {str(op.index) for op in read(files / "int8.tflite").ops}
    (noise,), (time,) = (json.loads(path.read_text()).values() for path in outputs[1:])
    assert (noise["name"], time["name"]) == ("signal to noise, dB", "time, µs")
    assert set(noise["results"]) <= set(time["results"]) == ops and noise["results"]

    document = ended.document
    assert (document["kind"], document["samples"], document["file"]) == ("losses", 10, str(files / "int8.tflite"))
    assert {"conv;relu6", "expand", "project", "pool"} <= {layer["name"] for layer in document["layers"]}
    assert [document[key] for key in ("plot", "overlay", "time_overlay")] == [str(path) for path in outputs]
    times, said = document["op_times"], ended.err.splitlines()
    assert times["sum"] == pytest.approx(sum(times["microseconds"].values())) and times["whole"] > 0
    assert f"time of the ops: {times['sum']:,.1f} µs one by one, {times['whole']:,.1f} µs in one piece" in said[-3]
    assert said[-2] == (
        f"to see both: model-explorer {files / 'int8.tflite'} --node_data_paths {outputs[1]},{outputs[2]}")
    assert said[-1].startswith(f"wrote {outputs[0]}, {outputs[1]} and {outputs[2]}; next: ")


def test_ops_that_cannot_be_timed_are_named():
    """Which ops these are is `op_times`' business; here it is told."""
    from types import SimpleNamespace

    from tfold.cli.losses_command import _timing

    op = SimpleNamespace(kind="RESHAPE")
    main = SimpleNamespace(ops=[op], name_of=lambda each: "flat" if each is op else None)
    ran = {"runtime": "litert", "version": "2", "threads": 1}
    times = SimpleNamespace(sum=1234.56, whole=7.0, missing={0: "It is open."}, **ran)
    assert list(_timing(times, main)) == [
        "time of the ops: 1,234.6 µs one by one, 7.0 µs in one piece (litert 2, 1 thread)",
        "not timed: RESHAPE (flat): It is open.",
    ]


def test_outputs_that_cannot_be_are_refused_before_the_work(here, files, tmp_path):
    missing = ["losses", files / "missing.keras", files / "int8.tflite"]  # nobody has looked for the model yet
    for name, option, given in (("p.png", "--plot", "p.png"), ("o.json", "--overlay", "o.json"),
                                ("n.time.json", "--overlay", "n.json")):
        (tmp_path / name).write_text("precious")
        here(*missing, option, tmp_path / given).refused(name, "not overwritten", "--force")
        assert (tmp_path / name).read_text() == "precious"
    here(*missing, "--overlay", tmp_path / "o.txt").refused("Name it", "o.json")
    here(*missing, "--overlay", "/").refused("a directory")
    here(*missing, "--plot", tmp_path / "none" / "p.png").refused("folder must exist")
    assert {path.name for path in tmp_path.iterdir()} == {"p.png", "o.json", "n.time.json"}


@pytest.mark.parametrize("model, file, words", [
    ("wide.keras", "float32.tflite", "float32.tflite, a float32 file"),
    ("small.keras", "int8.tflite", "int8.tflite, which was made of other weights"),
    ("wide.keras", "cut.tflite", "cut short or damaged"),
    ("wide.keras", "missing.tflite", "not found"),
    ("missing.keras", "int8.tflite", "missing.keras, which does not exist"),
])
def test_what_cannot_be_compared(here, files, tmp_path, unchanged, model, file, words):
    here("losses", files / model, files / file, "--overlay", tmp_path / "o.json").refused(words)
    unchanged()


def test_data_is_checked_as_for_export(here, files):
    words = ["losses", files / "wide.keras", files / "int8.tflite"]
    here(*words, "--data", files / "photos").refused("photos without a scale")
    here(*words, "--samples", 9).misused("--samples is for --data, which is not given")
    here(*words, "--top", 0).misused("'--top'")


def test_without_data_it_asks_for_some(here, files):
    ended = here("losses", files / "wide.keras", files / "int8.tflite")
    assert ended.code == 0 and ended.out.startswith("signal ÷ noise on 4 samples of random numbers\n")
    assert ended.out.splitlines()[-1] == "nothing written; next: give it real inputs: --data test.npz"


def test_the_next_steps_work(here, files, tmp_path, monkeypatch):
    """equalize, export, bench: each names the next, with the options that the data need."""
    monkeypatch.chdir(tmp_path)
    for name in ("wide.keras", "int8.tflite"):
        shutil.copy(files / name, tmp_path)
    ended = here("losses", "wide.keras", "int8.tflite", "--data", files / "photos", "--scale=-1,1", "--samples", 10)
    for expected in ("equalize", "export", "bench"):
        words = shlex.split(ended.out.splitlines()[-1].partition("; next: ")[2])
        assert words[:2] == ["tfold", expected]
        ended = here(*words[1:], *(["--blocks", 1, "--min-time", 0, "--warmup", 0] if expected == "bench" else []))
        assert ended.code == 0, ended
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"wide.keras", "int8.tflite", "wide-equalized.keras", "wide-equalized.tflite"}
