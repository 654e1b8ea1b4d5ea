"""export in every number format: the options, real inputs from files, and what is none of that."""

import json
import shlex
import shutil

import numpy as np
import pytest

from tfold.tflite.contents import read
from tfold.tflite.formats import FORMATS
from tfold.tflite.summary import quantization

TO_INT8 = ["--quantize", "int8", "--representative"]
QUICK = ["--blocks", 1, "--min-time", 0, "--warmup", 0]


@pytest.fixture
def export(here, files, tmp_path):
    """Exports wide.keras to m.tflite: export("--quantize", …)."""
    return lambda *words, model="wide.keras": here(
        "export", files / model, "-o", tmp_path / "m.tflite", *words)


def own(path):
    """What tfold wrote into the file about how it was made."""
    return json.loads(read(path).metadata["tfold"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(export, files, tmp_path, name):
    data = ["--representative", files / "images.npz"] if FORMATS[name].needs_samples else []
    ended = export("--quantize", name, *data, "--json")
    document, path = ended.document, tmp_path / "m.tflite"
    assert (ended.code, document["kind"], document["format"]) == (0, "export", name)
    assert document["bytes"] == path.stat().st_size and document["warnings"] == []
    assert document["comparison"]["passed"] and document["parity"] < FORMATS[name].tolerance
    assert quantization(read(path)).format == own(path)["format"] == name
    assert bool(document["comparison"]["accuracy"]) == ("  accuracy " in ended.err) == bool(data)  # labels are beside
    for words in (f"m.tflite: {name}, ", "output head: relative difference", "wrote "):
        assert words in ended.err
    assert [each.name for each in tmp_path.iterdir()] == ["m.tflite"]


def test_number_types_at_the_ends(export, files, tmp_path):
    assert export(*TO_INT8, files / "images.npz", "--input-type", "uint8", "--output-type", "int8").code == 0
    contents = read(tmp_path / "m.tflite")
    assert [contents.tensors[each].dtype for each in (*contents.inputs, *contents.outputs)] == ["uint8", "int8"]


def test_several_inputs_at_a_time(export, tmp_path):
    assert export("--batch", 4).code == 0
    assert read(tmp_path / "m.tflite").tensors[0].shape == (4, 12, 12, 3)


@pytest.mark.parametrize("options, words", [
    (["--input-type", "int8"], "input_type of a float32 file is one of float32"),
    (["--quantize", "dynamic", "--output-type", "uint8"], "output_type of a dynamic file"),
    (["--quantize", "int8"], "no representative data. Pass 100 or more"),
    (["--representative", "images.npz", "--scale=1,-1"], "low < high"),
])
def test_options_that_do_not_go_together(export, files, monkeypatch, unchanged, options, words):
    monkeypatch.chdir(files)
    export(*options).refused(words)
    unchanged()


@pytest.mark.parametrize("options, words", [
    (["--quantize", "int4"], "'int4' is not one of 'float32'"),
    (["--input-type", "int4"], "'int4' is not one of"),
    (["--batch", "0"], "'--batch': 0 is not in the range"),
    (["--samples", "1"], "'--samples': 1 is not in the range"),
    (["--scale", "7"], "Two numbers with a comma between them. Received: '7'"),
    (["--resize", "pad"], "'pad' is not one of 'stretch', 'crop'"),
    (["--tolerance", "-1"], "'--tolerance'"),
    (["--samples", "9"], "--samples is for --representative, which is not given"),
    (["--scale=0,1"], "--scale is for --representative, which is not given"),
    (["--resize", "crop"], "--resize is for --representative, which is not given"),
    (["--float-fallback"], "--float-fallback is for int8 and int16, not float32"),
])
def test_misused_options(export, unchanged, options, words):
    export(*options).misused(words)
    unchanged()


def test_real_inputs_from_a_numpy_file(export, files, tmp_path):
    np.save(tmp_path / "x.npy", np.load(files / "images.npz")["x"])
    ended = export(*TO_INT8, tmp_path / "x.npy", "--samples", 60, "--json")
    assert own(tmp_path / "m.tflite")["calibrated_on"] == 60
    assert ended.document["comparison"]["accuracy"] is None
    assert "Calibrated on 60 samples" in ended.document["warnings"][0] and "warning: Calibrated on 60" in ended.err


def test_a_folder_of_images(export, files, tmp_path):
    contents = {}
    for resize in ("stretch", "crop"):
        ended = export(*TO_INT8, files / "photos", "--scale=-1,1", "--resize", resize, "--force", "--json")
        assert ended.code == 0 and ended.document["comparison"]["accuracy"]
        contents[resize] = (tmp_path / "m.tflite").read_bytes()
    assert contents["stretch"] != contents["crop"]
    file = read(tmp_path / "m.tflite")
    quantized = next(file.tensors[op.outputs[0]] for op in file.ops if op.kind == "QUANTIZE")
    assert quantized.scales[0] == pytest.approx(2 / 255, rel=0.1)  # pixels 0…255 became -1…1


# What is no representative data: each as a function that writes it to a folder, and words of the sentence.

IMAGES = np.random.default_rng(0).uniform(-1, 1, (100, 12, 12, 3)).astype("float32")


def saved(name="x", **changes):
    def make(path, files):
        np.savez(path, **{name: changes["x"]})
    return make


def with_value(value):
    x = IMAGES.copy()
    x[7, 1, 2, 0] = value
    return saved(x=x)


def cut_short(path, files):
    whole = (files / "images.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


BAD = {
    "missing": (lambda path, files: None, "bad.npz, which does not exist"),
    "empty": (lambda path, files: path.touch(), "which is empty"),
    "cut short": (cut_short, "bad.npz, which is cut short or damaged"),
    "text file": (lambda path, files: path.write_text("hello"), "bad.npz, something else"),
    "foreign": (lambda path, files: shutil.copy(files / "archive.keras", path), "holiday.jpg is something else"),
    "pickled": (saved(x=np.array([IMAGES[0], None], object)), "pickled Python objects, which are never loaded"),
    "no name": (lambda path, files: np.savez(path, a=IMAGES, b=IMAGES), "with a, b, and the model takes 'image'"),
    "text": (saved(x=np.array(["cat"] * 100)), "of text for input 'image'"),
    "wrong shape": (saved(x=IMAGES[:, :6]), "of shape (100, 6, 12, 3) for input 'image', which takes (n, 12, 12, 3)"),
    "channels first": (saved(x=np.moveaxis(IMAGES, -1, 1)), "numpy.moveaxis(x, 1, -1)"),
    "NaN": (with_value(np.nan), "NaN or infinity in 1 of 100 samples of input 'image', the first at index 7"),
    "infinity": (with_value(-np.inf), "NaN or infinity in 1 of 100 samples of input 'image', the first at index 7"),
    "constant images": (saved(x=np.ones_like(IMAGES) * IMAGES[:, :1, :1, :1]), "input 'image' are all constant images"),
    "one value": (saved(x=np.zeros_like(IMAGES)), "input 'image' are all the same: every value is 0"),
    "all the same": (saved(x=np.repeat(IMAGES[:1], 100, 0)), "100 samples of input 'image' are all the same"),
    "one": (saved(x=IMAGES[:1]), "Calibration needs several samples"),
    "none": (saved(x=IMAGES[:0]), "bad.npz with none"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_data_is_named_and_changes_nothing(export, files, tmp_path, what):
    make, words = BAD[what]
    make(tmp_path / "bad.npz", files)
    export(*TO_INT8, tmp_path / "bad.npz").refused("bad.npz", words)
    assert not (tmp_path / "m.tflite").exists()
    (tmp_path / "m.tflite").write_text("precious")
    export(*TO_INT8, tmp_path / "bad.npz", "--force").refused("bad.npz", words)
    assert (tmp_path / "m.tflite").read_text() == "precious"
    assert {each.name for each in tmp_path.iterdir()} <= {"m.tflite", "bad.npz"}


@pytest.mark.parametrize("what, scale, words", [
    ("an empty folder", ["--scale=-1,1"], "pictures, which has none"),
    ("a damaged image", ["--scale=-1,1"], "spoilt.png, which is damaged or no image"),
    ("no scale", [], "pictures without a scale"),
])
def test_folders_that_cannot_be_used(export, files, tmp_path, what, scale, words):
    folder = tmp_path / "pictures"
    folder.mkdir()
    if what != "an empty folder":
        shutil.copytree(files / "photos", folder / "sub")
    if what == "a damaged image":
        (folder / "spoilt.png").write_bytes((files / "photos" / "cats" / "0.png").read_bytes()[:99])
    export(*TO_INT8, folder, *scale).refused(words)
    assert [each.name for each in tmp_path.iterdir()] == ["pictures"]


def test_scaled_data_is_not_scaled_again(export, files, unchanged):
    export(*TO_INT8, files / "images.npz", "--scale=-1,1").refused("images.npz", "Leave scale out")
    unchanged()


def test_a_file_beyond_the_tolerance_does_not_appear(export, tmp_path, unchanged):
    words = ["--quantize", "float16", "--tolerance", "1e-9"]
    export(*words).refused("tolerance 1e-09", "output head: relative difference", "No file was written", code=3)
    unchanged()
    (tmp_path / "m.tflite").write_text("precious")
    ended = export(*words, "--force", "--json")
    assert (ended.code, ended.document["kind"], ended.document["exit_code"]) == (3, "error", 3)
    assert (tmp_path / "m.tflite").read_text() == "precious"


def test_ops_that_need_flex_are_named_with_their_layers(here, export, files, monkeypatch, tmp_path, unchanged):
    monkeypatch.syspath_prepend(files)
    words = ["--custom-objects", "my_layers"]
    export(*words, model="flexible.keras").refused("Cholesky (layer special)", "--select-tf-ops")
    unchanged()
    ended = export(*words, "--select-tf-ops", "--json", model="flexible.keras")
    assert ended.code == 0 and ended.document["comparison"] is None
    assert "FlexCholesky" in ended.document["warnings"][0] and "warning: The file was not compared" in ended.err
    assert ended.err.endswith(f"next: tfold inspect {tmp_path / 'm.tflite'}\n")  # bench could not run it
    assert "custom ops   FlexCholesky: the app must bring" in here("inspect", tmp_path / "m.tflite").out


def test_ops_that_have_no_integer_form_are_named(export, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 64)))
    export(*TO_INT8, tmp_path / "x.npy", model="chaotic.keras").refused("computes in integers", "--float-fallback")
    assert [each.name for each in tmp_path.iterdir()] == ["x.npy"]


def test_legacy_h5_files(export, tmp_path):
    assert export(model="small.h5").code == 0


def test_the_report_of_a_fold_goes_into_the_file(here, export, files, tmp_path):
    folded = tmp_path / "f.keras"
    ended = here("fold", files / "small.keras", "-o", folded, "--json")
    (tmp_path / "report.json").write_text(ended.out)
    export(model=folded)
    said, report = own(tmp_path / "m.tflite")["fold"], ended.document["report"]
    assert said["depth"] == [report[when]["depth"] for when in ("before", "after")]
    export("--report", tmp_path / "report.json", "--force", model="wide.keras")
    assert own(tmp_path / "m.tflite")["fold"] == said
    export("--report", files / "text.keras", "--force").refused("A fold's report", "text.keras")
    export("--report", files / "small.keras", "--force").refused("small.keras, in which there is none")


def test_the_next_step_works(here, export):
    ended = export()
    words = shlex.split(ended.out.splitlines()[-1].partition("; next: ")[2])
    assert words[:2] == ["tfold", "bench"] and here(*words[1:], *QUICK).code == 0
