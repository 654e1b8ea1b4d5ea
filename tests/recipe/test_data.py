"""Labelled images from .npz files, folders and keras.datasets; every file that is none of these is refused by name."""
import keras
import numpy as np
import pytest

from tfold.errors import BadInputError, TfoldError
from tfold.recipe.data import load_data


def test_three_parts_without_overlap_and_the_same_each_time(blobs):
    data, again = load_data(blobs), load_data(blobs)
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (216, 24, 60)
    assert data.classes == 3 and data.y_train.shape == (216,) and data.y_train.dtype == np.int32
    assert np.array_equal(data.x_validation, again.x_validation)
    seen = {image.tobytes() for image in data.x_train}
    assert not seen & {image.tobytes() for image in data.x_validation}


def test_scaling_says_what_0_and_255_become(blobs):
    data = load_data(blobs, scale=(-1, 1))
    assert np.allclose(data.inputs(np.array([0, 255], "uint8")), [-1, 1])
    assert load_data(blobs).inputs(np.array([0, 255], "uint8")).tolist() == [0, 255]


def test_a_limit_takes_part_of_every_part(blobs):
    data = load_data(blobs, limit=50)
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (50, 10, 10)


def save(path, **changes):
    x, y = np.zeros((10, 4, 4, 1), "float32"), np.arange(10) % 2
    np.savez(path, **{"x_train": x, "y_train": y, "x_test": x, "y_test": y, **changes})
    return path


BROKEN = {
    "one-hot labels": ({"y_train": np.eye(10)}, "argmax"),
    "labels that are no whole numbers": ({"y_train": np.full(10, 0.5)}, "class numbers"),
    "negative labels": ({"y_train": np.full(10, -1)}, "count from 0"),
    "fewer labels than images": ({"y_test": np.zeros(9, int)}, "as many images as labels"),
    "no images": ({"x_train": np.zeros((0, 4, 4, 1)), "y_train": np.zeros(0, int)}, "two at least"),
    "NaN": ({"x_test": np.full((10, 4, 4, 1), np.nan)}, "finite"),
    "labels that are text": ({"y_train": np.array(list("abababcdcd"))}, "class numbers"),
    "labels beyond counting": ({"y_train": np.full(10, 2**40)}, "count from 0"),
    "text": ({"x_train": np.full((10, 4), "a")}, "numbers"),
    "two shapes": ({"x_test": np.zeros((10, 5, 5, 1))}, "one shape"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_unusable_arrays_are_refused(tmp_path, name):
    changes, words = BROKEN[name]
    with pytest.raises(BadInputError, match=words):
        load_data(save(tmp_path / "data.npz", **changes))


def test_missing_arrays_are_named(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros(3))
    with pytest.raises(BadInputError, match="images"):
        load_data(tmp_path / "data.npz")


def test_truncated_foreign_and_pickled_files_are_refused(tmp_path):
    path = save(tmp_path / "data.npz")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadInputError, match="cannot be read"):
        load_data(path)
    path.write_text("no archive")
    with pytest.raises(BadInputError, match="cannot be read"):
        load_data(path)
    save(path, x_train=np.array([None] * 10, object))
    with pytest.raises(BadInputError, match="without Python objects"):
        load_data(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(BadInputError, match="no archive"):
        load_data(tmp_path / "one.npy")


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="Check the path"):
        load_data(tmp_path / "nothing.npz")
    with pytest.raises(BadInputError, match="between 0 and 1"):
        load_data("mnist", validation=1.0)


def test_a_data_set_that_cannot_be_downloaded_says_what_to_do(monkeypatch):

    def offline(*args, **kwargs):
        return keras.utils.get_file("tfold-test-mnist.npz", "http://127.0.0.1:9/mnist.npz")

    monkeypatch.setattr("keras.src.datasets.mnist.get_file", offline)
    with pytest.raises(TfoldError, match="pass an .npz file"):
        load_data("mnist")


def write_images(folder, classes, count=5):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            keras.utils.save_img(folder / name / f"{i}.png", np.full((5, 5, 3), 40 * number + i), scale=False)


def test_a_folder_with_train_and_test(tmp_path):
    write_images(tmp_path / "train", ["cats", "dogs"])
    write_images(tmp_path / "test", ["cats", "dogs"], 2)
    data = load_data(tmp_path, size=(4, 4, 3), validation=0.2)
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (8, 2, 4)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert np.array_equal(x[:, 0, 0, 0] // 40, y)


def test_a_class_may_be_a_link(tmp_path):
    write_images(tmp_path / "elsewhere", ["dogs"])
    write_images(tmp_path / "photos", ["cats", "elephants"])
    (tmp_path / "photos" / "dogs").symlink_to(tmp_path / "elsewhere" / "dogs")
    data = load_data(tmp_path / "photos", size=(4, 4, 3))
    assert data.classes == 3
    assert sorted(np.concatenate([data.y_train, data.y_validation, data.y_test])) == [0] * 5 + [1] * 5 + [2] * 5


def test_a_folder_of_classes_is_divided(tmp_path):
    write_images(tmp_path, ["a", "b", "c"])
    data = load_data(tmp_path, size=(4, 4, 3))
    assert len(data.x_train) + len(data.x_validation) == 12 and len(data.x_test) == 3 and data.classes == 3


def test_whatever_is_damaged_in_a_compressed_file_is_said(tmp_path):
    """NumPy, zipfile, zlib and Python's parser each raise errors of their own."""
    path, rng = tmp_path / "data.npz", np.random.default_rng(0)
    x, y = rng.integers(0, 20, (40, 6, 6, 1)).astype("uint8"), np.arange(40) % 3
    np.savez_compressed(path, x_train=x, y_train=y, x_test=x, y_test=y)
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        try:
            load_data(path)
        except BadInputError as error:
            refused += str(path) in str(error)
    assert refused > 200


@pytest.mark.parametrize("parts", [True, False])
def test_a_limit_reads_only_what_it_leaves(parts, tmp_path, monkeypatch):
    from tfold.tflite import image_folder

    for part, count in (("train", 40), ("test", 15)) if parts else (("", 50),):
        write_images(tmp_path / part, ["a", "b", "c"], count)
    read, decode = [], image_folder._decoded
    monkeypatch.setattr(image_folder, "_decoded", lambda tf, path, channels: read.append(path) or decode(
        tf, path, channels))
    data = load_data(tmp_path, size=(4, 4, 3), limit=10, validation=0.2)
    assert (len(data.x_train), len(data.x_validation), len(data.x_test), data.classes) == (10, 2, 2, 3)
    assert len(read) < 30
    one = load_data(tmp_path, size=(4, 4, 3), limit=1)
    assert (len(one.x_train), len(one.x_validation), len(one.x_test), one.classes) == (1, 1, 1, 3)


def test_a_limit_forgets_no_class(tmp_path):
    write_images(tmp_path, [f"class{i:02}" for i in range(30)], 2)
    data = load_data(tmp_path, size=(4, 4, 3), limit=1)
    assert data.classes == 30 > max(data.y_train.max(), data.y_validation.max(), data.y_test.max()) + 1


def test_folders_that_do_not_fit_are_refused(tmp_path):
    write_images(tmp_path / "train", ["cats", "dogs"])
    write_images(tmp_path / "test", ["cats", "cows"])
    with pytest.raises(BadInputError, match="cows, dogs"):
        load_data(tmp_path, size=(4, 4, 3))
    with pytest.raises(BadInputError, match="one size"):
        load_data(tmp_path)
    with pytest.raises(BadInputError, match="subfolder for each class"):
        load_data(tmp_path / "train" / "cats", size=(4, 4, 3))


def test_parts_of_other_names_are_refused(tmp_path):
    write_images(tmp_path / "train", ["cats", "dogs"])
    write_images(tmp_path / "val", ["cats", "dogs"])
    with pytest.raises(BadInputError, match="train and test, and no other.*train, val"):
        load_data(tmp_path, size=(4, 4, 3))
    write_images(tmp_path / "test", ["cats", "dogs"])
    with pytest.raises(BadInputError, match="take out"):
        load_data(tmp_path, size=(4, 4, 3))


@pytest.mark.parametrize("x", [np.full((10, 4), 0.5), np.full((10, 4), 510, "uint16"), np.full((10, 4), -1.0)])
def test_a_scale_is_for_pixels(tmp_path, x):
    path = save(tmp_path / "data.npz", x_train=x, x_test=x)
    with pytest.raises(BadInputError, match="pixels 0 to 255"):
        load_data(path, scale=(-1, 1))
    assert np.array_equal(load_data(path).inputs(x), x.astype("float32"))


@pytest.mark.parametrize("change, words", [
    ({"scale": (1,)}, "two numbers"), ({"scale": "01"}, "two numbers"), ({"scale": (0, float("nan"))}, "two numbers"),
    ({"limit": 0}, "from 1 on"), ({"limit": 2.5}, "from 1 on"),
])
def test_options_out_of_range_are_refused(blobs, change, words):
    with pytest.raises(BadInputError, match=words):
        load_data(blobs, **change)


def test_a_limit_takes_every_class_of_a_sorted_file(tmp_path):
    y = np.repeat(np.arange(4), 50)
    x = np.zeros((200, 2))
    path = save(tmp_path / "data.npz", x_train=x, x_test=x, y_train=y, y_test=y)
    data = load_data(path, limit=100)
    assert set(data.y_test) == set(data.y_validation) == {0, 1, 2, 3}


def test_what_is_read_otherwise_has_another_digest(blobs, tmp_path):
    data = load_data(blobs)
    copy = tmp_path / "copy.npz"
    copy.write_bytes(blobs.read_bytes())
    assert load_data(copy).digest == data.digest
    assert len({data.digest, load_data(blobs, scale=(0, 1)).digest, load_data(blobs, validation=0.2).digest}) == 3
