"""A folder of images, as Keras itself reads it; and what is no image, which is named."""
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfold.errors import BadInputError
from tfold.tflite.representative import representative

RGB = [("image", (12, 16, 3), "float32")]
GREY = [("image", (12, 16, 1), "float32")]


def picture(seed, height=20, width=30, channels=3):
    """Smooth, so that JPEG keeps it."""
    small = np.random.default_rng(seed).uniform(0, 255, (3, 4, channels))
    return np.clip(tf.image.resize(small, (height, width), "bicubic"), 0, 255).astype("uint8")


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_png if path.suffix.lower() == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


@pytest.fixture
def folder(tmp_path):
    """Two classes, the second of them in a folder more."""
    for i in range(5):
        write(tmp_path / "photos" / "b" / f"{i}.png", picture(i, 20 + i, 30 - i))
        write(tmp_path / "photos" / "a" / f"{i}.JPG", picture(10 + i))
        write(tmp_path / "photos" / "c" / "deeper" / f"{i}.jpeg", picture(20 + i, channels=1))
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    return tmp_path / "photos"


def refused(source, inputs=RGB, **options):
    with pytest.raises(BadInputError) as found:
        representative(source, inputs, **{"scale": (-1, 1), **options})
    assert "\n" not in str(found.value) and ". Received: " in str(found.value)
    return str(found.value)


@pytest.mark.parametrize("inputs, mode", [(RGB, "rgb"), (GREY, "grayscale")])
@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_the_pixels_are_those_that_keras_reads(inputs, mode, resize, folder):
    samples = representative(folder, inputs, scale=(0, 255), resize=resize)
    assert samples.source == str(folder) and samples.warnings == (
        f"Calibrated on 15 samples ({folder}); 100 or more are usual.",)
    expected, labels = next(iter(keras.utils.image_dataset_from_directory(
        folder, batch_size=15, image_size=(12, 16), color_mode=mode, shuffle=False, verbose=False,
        crop_to_aspect_ratio=resize == "crop")))
    order = np.lexsort(samples.inputs["image"].reshape(15, -1).T), np.lexsort(expected.numpy().reshape(15, -1).T)
    np.testing.assert_allclose(samples.inputs["image"][order[0]], expected.numpy()[order[1]], atol=1e-3)
    np.testing.assert_array_equal(samples.labels[order[0]], labels.numpy()[order[1]])


def test_hidden_files_are_no_images(folder):
    """macOS leaves them behind."""
    (folder / ".hidden.png").write_text("not an image")
    (folder / "a" / "._0.JPG").write_text("not an image")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "0.png").write_text("not an image")
    samples = representative(folder, RGB, scale=(0, 1))
    assert samples.count == 15 and set(samples.labels) == {0, 1, 2}


def test_scaled_as_told(folder):
    plain = representative(folder, RGB, scale=(0, 255)).inputs["image"]
    scaled = representative(folder, RGB, scale=(-1, 1)).inputs["image"]
    np.testing.assert_allclose(scaled, plain / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(representative(folder, RGB, scales_itself=True).inputs["image"], plain)
    whole = representative(folder, [("image", (12, 16, 3), "uint8")]).inputs["image"]
    assert whole.dtype == "uint8"
    np.testing.assert_array_equal(whole, np.round(plain))


def test_without_a_scale_nothing_is_guessed(folder):
    text = refused(folder, scale=None)
    assert "scaled as told, not by guessing" in text and f"Received: {folder} without a scale" in text
    assert "scale=(-1, 1)" in text and "--scale=-1,1" in text


def test_some_images_at_random(folder):
    some = representative(folder, RGB, samples=6, scale=(0, 1), seed=1)
    every = representative(folder, RGB, scale=(0, 1))
    assert some.count == 6 and len(set(some.labels)) > 1
    assert {a.tobytes() for a in some.inputs["image"]} < {a.tobytes() for a in every.inputs["image"]}
    assert "6 samples" in some.warnings[0]


def test_a_folder_without_classes_has_no_labels(folder, tmp_path):
    assert representative(folder / "a", RGB, scale=(0, 1)).labels is None
    assert representative(folder / "c", RGB, scale=(0, 1)).labels is None  # one folder alone is no class
    write(folder / "loose.png", picture(99))
    assert representative(folder, RGB, scale=(0, 1)).labels is None


def bmp(pixels):
    """24 bits a pixel, as TensorFlow writes none."""
    height, width, _ = pixels.shape
    rows = b"".join(row[:, ::-1].tobytes().ljust(-(-width * 3 // 4) * 4, b"\0") for row in pixels[::-1])
    head = b"BM" + (54 + len(rows)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    info = [(40, 4), (width, 4), (height, 4), (1, 2), (24, 2), (0, 4), (len(rows), 4), (0, 4), (0, 4), (0, 4), (0, 4)]
    return head + b"".join(value.to_bytes(size, "little") for value, size in info) + rows


# Two frames of 2×2 pixels, two colours.
FRAME = "2c000000000200020000" "02028451" "00"
GIF = bytes.fromhex("474946383961020002008000000000ffff0000" + FRAME + FRAME + "3b")


def test_other_formats(tmp_path):
    (tmp_path / "a.bmp").write_bytes(bmp(picture(0)))
    (tmp_path / "b.gif").write_bytes(GIF)
    write(tmp_path / "c.png", np.concatenate([picture(1), picture(2)[..., :1]], -1))  # transparent
    write(tmp_path / "d.png", picture(3, channels=2))
    deep = picture(4).astype("uint16") * 257
    (tmp_path / "e.png").write_bytes(tf.io.encode_png(deep).numpy())
    size = (20, 30)
    for channels, expected in ((3, picture(0)), (1, tf.image.rgb_to_grayscale(picture(0)).numpy())):
        inputs = [("image", (*size, channels), "float32")]
        read = representative(tmp_path, inputs, scale=(0, 255)).inputs["image"]
        assert len(read) == 5
        assert any(np.array_equal(image, expected) for image in read)
    for expected in (picture(1), picture(4), np.repeat(picture(3, channels=2)[..., :1], 3, -1)):
        read = representative(tmp_path, [("image", (*size, 3), "float32")], scale=(0, 255)).inputs["image"]
        assert any(np.array_equal(image, expected) for image in read)


@pytest.mark.parametrize("spoil", [
    lambda content: content[: len(content) // 2],
    lambda content: b"",
    lambda content: b"<html>Not Found</html>",
    lambda content: bytes(100),
])
@pytest.mark.parametrize("name", ["a/3.JPG", "b/3.png"])
def test_a_damaged_image_is_named(name, spoil, folder, capfd):
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))
    text = refused(folder)
    assert f"Received: {path}, which is damaged or no image" in text and "[Op:" not in text
    assert capfd.readouterr() == ("", "")


def test_folders_without_images(tmp_path):
    (tmp_path / "data.csv").write_text("1")
    text = refused(tmp_path)
    assert f"Received: {tmp_path}, which has none" in text and ".jpg, .jpeg, .png" in text


def test_images_of_one_colour(tmp_path):
    for i in range(4):
        write(tmp_path / f"{i}.png", np.full((8, 8, 3), 7 * i, "uint8"))
    assert "whose 4 samples of input 'image' are all constant images" in refused(tmp_path)
    write(tmp_path / "real.png", picture(0))
    assert f"4 of 5 samples of input 'image' ({tmp_path}) are constant images." in \
        representative(tmp_path, RGB, scale=(0, 1)).warnings


@pytest.mark.parametrize("inputs, words", [
    ([("a", (12, 16, 3), "float32"), ("b", (4,), "float32")], "models of one input"),
    ([("a", (784,), "float32")], r"input 'a' takes \(784,\)"),
    ([("a", (3, 224, 224), "float32")], r"input 'a' takes \(3, 224, 224\)"),
    ([("a", (12, 16, 4), "float32")], r"input 'a' takes \(12, 16, 4\)"),
    ([("a", (12, 16, 3), "int32")], "input 'a' takes int32"),
    ([("a", (None, None, 3), "float32")], "fixed input size"),
])
def test_models_that_take_no_images(inputs, words, folder):
    assert re.search(words, refused(folder, inputs, scale=None))
