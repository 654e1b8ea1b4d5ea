"""Representative data that cannot be used: each gets one sentence that names the file or the input, and a way out."""
import re

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.tflite.representative import Input, representative

IMAGE = [("image", (8, 8, 3), "float32")]
TWO = [("left", (4,), "float32"), ("right", (2, 3), "float32")]


def images(count=120, shape=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype("float32")


def two(count=120):
    return images(count, (4,), 1), images(count, (2, 3), 2)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def rows(array):
    return {sample.tobytes() for sample in array}


def refused(source, inputs=IMAGE, **options):
    """The sentence, which is one line with what was received and a way out."""
    with pytest.raises(BadInputError) as found:
        representative(source, inputs, **options)
    text = str(found.value)
    assert re.fullmatch(r"\S[^\n]*\. Received: [^\n]*\S\. ?[^\n]*\.", text) or ".npy array: rename it." in text, text
    return text


# Files that are none


def damaged(tmp_path, what):
    path = tmp_path / what
    x = images(20)
    if what.endswith(".npy"):
        np.save(path, np.array([{}, 1]) if what == "pickled.npy" else x)
    else:
        np.savez_compressed(path, image=np.array([{}, 1], object) if what == "pickled.npz" else x)
    content = bytearray(path.read_bytes())
    if what.startswith("cut"):
        path.write_bytes(content[: len(content) // 2])
    elif what.startswith("head"):
        path.write_bytes(content[:40])
    elif what.startswith("flipped"):
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    elif what.startswith("empty"):
        path.write_bytes(b"")
    elif what.startswith("foreign"):
        path.write_bytes(b"<html>Not Found</html>")
    return path


@pytest.mark.parametrize("what, words", [
    ("cut.npy", "cut short or damaged"),
    ("head.npy", "cut short or damaged"),
    ("cut.npz", "cut short or damaged"),
    ("head.npz", "cut short or damaged"),
    ("flipped.npz", r"flipped.npz \(image\), which is cut short or damaged"),
    ("empty.npy", "which is empty"),
    ("empty.npz", "which is empty"),
    ("foreign.npy", "something else. Save it with numpy.save"),
    ("foreign.npz", "something else. Save it with numpy.savez"),
    ("pickled.npy", "pickled Python objects, which are never loaded"),
    ("pickled.npz", r"pickled.npz \(image\), pickled Python objects, which are never loaded"),
])
def test_damaged_and_foreign_files(what, words, tmp_path):
    path = damaged(tmp_path, what)
    text = refused(path)
    assert re.search(words, text) and str(path) in text


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    assert "does not exist" in refused(tmp_path / "no.npz")
    assert "does not exist" in refused(str(tmp_path / "no-folder"))
    assert "Received: ''. Name a file" in refused("")  # not the current folder
    for name in ("data.csv", "data.pkl", "model.keras", "data"):
        (tmp_path / name).write_text("1,2")
        assert f"Received: {tmp_path / name}. Save an array" in refused(tmp_path / name)
    (tmp_path / "one.JPG").write_bytes(b"..")
    assert f"one image. Pass the folder: {tmp_path}" in refused(tmp_path / "one.JPG")
    np.save(tmp_path / "x.npy", images())
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    assert "a .npy array: rename it" in refused(tmp_path / "x.npz")
    saved(tmp_path / "y.npz", x=images()).rename(tmp_path / "y.npy")
    assert "a .npz archive: rename it" in refused(tmp_path / "y.npy")


def test_an_archive_of_something_else(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "model.npz", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "in which config.json is something else" in refused(tmp_path / "model.npz")
    np.savez(tmp_path / "nothing.npz")
    assert "with no array" in refused(tmp_path / "nothing.npz")


def test_names_that_the_model_does_not_have(tmp_path):
    path = saved(tmp_path / "data.npz", a=images(), b=images())
    assert "with a, b, and the model takes 'image'. Name them so or x." in refused(path)
    assert "with left, and the model takes 'left', 'right'" in refused({"left": two()[0]}, TWO)
    assert "with 1 for 'left', 'right'. Pass a list in this order" in refused(lambda: ([two()[0]] for _ in "ab"), TWO)
    assert "with 3 for 'image'" in refused(lambda: ([images(1)] * 3 for _ in "ab"))


# Arrays that do not fit


@pytest.mark.parametrize("shape, words", [
    ((120, 8, 8, 1), r"of shape \(120, 8, 8, 1\) for input 'image', which takes \(n, 8, 8, 3\)"),
    ((120, 9, 8, 3), r"takes \(n, 8, 8, 3\). Prepare it"),
    ((120, 3, 8, 8), r"channels come first: move them with numpy.moveaxis\(x, 1, -1\)"),
    ((8, 8, 3), r"one sample without the batch axis: x\[None\] adds it"),
    ((120, 192), r"Reshape it: x.reshape\(-1, 8, 8, 3\)"),
    ((120, 8, 24), r"Reshape it"),
    ((), r"of shape \(\)"),
    ((120,), "Prepare it"),
])
def test_wrong_shapes(shape, words):
    for source in (np.ones(shape), {"image": np.ones(shape)}, lambda: iter([[np.ones(shape)]])):
        assert re.search(words, refused(source))


def test_channels_last_for_a_network_that_takes_them_first():
    assert "numpy.moveaxis(x, -1, 1)" in refused(images(), [("image", (3, 8, 8), "float32")])


def test_a_missing_channel_axis_is_added():
    grey = images(shape=(8, 8))
    samples = representative(grey, [("image", (8, 8, 1), "float32")])
    assert samples.inputs["image"].shape == (120, 8, 8, 1)
    assert rows(samples.inputs["image"]) == rows(grey)


@pytest.mark.parametrize("array, words", [
    (np.ones((20, 8, 8, 3), bool), "of bool for input 'image', which takes float32"),
    (np.ones((20, 8, 8, 3), complex), "of complex128"),
    (np.full((20, 8, 8, 3), "1"), "of text"),
    (np.full((20, 8, 8, 3), None), "of Python objects"),
    (np.zeros((20, 8, 8, 3), "datetime64[s]"), "of datetime64"),
    (np.zeros(20, [("a", float)]), "of void"),
])
def test_wrong_types(array, words):
    assert words in refused(array)
    assert words in refused([array])


def test_lists_of_unequal_length():
    assert "whose list for input 'image' is none" in refused({"image": [[1.0], [1.0, 2.0]]})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_none(value, tmp_path):
    """Wherever they are in the file, and whether or not they would be taken."""
    x = images(1000).astype("float64")
    x[[700, 701, 990], 3, 3] = value
    np.save(tmp_path / "x.npy", x)
    for source in (x, tmp_path / "x.npy", saved(tmp_path / "x.npz", image=x)):
        text = refused(source, samples=2)
        assert "in 3 of 1000 samples of input 'image', the first at index 700." in text
    text = refused(iter([x[600:]]))
    assert "in the order it was read, with NaN or infinity in 2 of 200 samples" in text and "index 100" in text


def test_all_inputs_are_looked_at():
    left, right = two()
    right[5, 0, 0] = np.nan
    assert "input 'right', the first at index 5" in refused([left, right], TWO)
    assert "120 for 'left', 119 for 'right'" in refused([left, two(119)[1]], TWO)
    assert "samples of input 'right' are all the same: every value is 1" in refused([left, np.ones((120, 2, 3))], TWO)


# Too few, and always the same


@pytest.mark.parametrize("count, received", [(0, "none"), (1, "1")])
def test_too_few(count, received):
    x = images(count)
    assert f"the array with {received}. Pass 100 or more" in refused(x)
    assert refused(iter([x]))


def test_nothing_at_all():
    assert "the callable nothing, which gives none" in refused(nothing)
    assert "the list, which gives none" in refused([])
    assert "NoneType" in refused(None)
    assert "callable <lambda> that gives None" in refused(lambda: None)
    assert "int" in refused(5)


def nothing():
    yield from ()


def test_few():
    samples = representative(images(20), IMAGE)
    assert samples.warnings == ("Calibrated on 20 samples (the array); 100 or more are usual.",)
    assert representative(images(100), IMAGE).warnings == ()
    more = representative(images(150), IMAGE, samples=300)
    assert more.warnings == ("300 samples were asked for; the array has 150.",)


def test_always_the_same():
    assert "120 samples of input 'image' are all the same." in refused(np.repeat(images(1), 120, 0))
    assert "are all the same: every value is 0." in refused(np.zeros((120, 8, 8, 3)))
    assert "are all constant images." in refused(np.ones((120, 8, 8, 3)) * np.linspace(0, 1, 120)[:, None, None, None])
    x = images()
    x[:30] = np.linspace(0, 1, 30)[:, None, None, None]
    assert representative(x, IMAGE).warnings == (
        "30 of 120 samples of input 'image' (the array) are constant images.",)
    x = np.tile(images(3), (40, 1, 1, 1))
    assert representative(x, IMAGE).warnings == (
        "Only 3 of 120 samples of input 'image' (the array) are different.",)


def test_masks_and_indices_may_be_constant():
    inputs = [("x", (4,), "float32"), ("mask", (4,), "int32"), ("keep", (4,), "bool")]
    samples = representative([two()[0], np.ones((120, 4)), np.ones((120, 4), bool)], inputs)
    assert [values.dtype.name for values in samples.inputs.values()] == ["float32", "int32", "bool"]
    assert samples.warnings == ()


@pytest.mark.parametrize("options, words", [
    ({"samples": 0}, "samples=0"), ({"samples": 1}, "samples=1"), ({"samples": True}, "samples=True"),
    ({"samples": "many"}, "samples='many'"), ({"samples": 2.5}, "samples=2.5"),
    ({"scale": (1, -1)}, r"scale=\(1, -1\)"), ({"scale": 255}, "scale=255"), ({"scale": (0, np.inf)}, "scale="),
    ({"scale": ("0", "1")}, "scale="), ({"scale": (1, 1)}, "scale="), ({"scale": (0, 1, 2)}, "scale="),
    ({"resize": "nearest"}, "resize='nearest'"),
])
def test_options_that_cannot_be(options, words):
    assert re.search(words, refused(images(), **options))


def test_inputs_of_the_model():
    assert "several inputs" not in refused(list(two()), TWO, scale=(0, 1))
    assert "scale is for models of one input" in refused(list(two()), TWO, scale=(0, 1))
    assert "fixed input size" in refused(images(), [("image", (None, None, 3), "float32")])
    assert representative(images(), [Input("image", [8, 8, 3])]).count == 120


# Code of the user's


def failing():
    yield [images(1)]
    raise OSError("disk\nis gone")


def test_code_that_fails():
    assert "the callable failing, which fails with OSError: disk is gone." in refused(failing)
    assert "which fails with TypeError" in refused(lambda x: x)
    assert "which fails with ZeroDivisionError" in refused(lambda: 1 / 0)
