"""Representative data: every form they come in gives the same samples, and nothing that is wrong passes in silence."""
import re

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.tflite.representative import DEFAULT_COUNT, representative

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


# What it may come from


def sources(tmp_path):
    x = images()
    np.save(tmp_path / "x.npy", x)
    yield saved(tmp_path / "named.npz", image=x, other=x[:3])
    yield saved(tmp_path / "only.npz", whatever=x)
    yield saved(tmp_path / "known.npz", X_train=x, y_train=np.arange(120))
    yield str(tmp_path / "x.npy")
    yield x
    yield x.astype("float64")
    yield np.asfortranarray(x)
    yield {"image": x}
    yield x, np.arange(120)
    yield lambda: x
    yield lambda: ([sample[None]] for sample in x)
    yield lambda: ({"image": x[i : i + 7]} for i in range(0, 120, 7))
    yield lambda: [[x[:50]], [x[50:]]]
    yield [x[:50], x[50:50], x[50:]]
    yield iter([(x[:50], np.zeros(50)), (x[50:], np.zeros(70))])


def test_every_form_gives_all_the_samples(tmp_path):
    expected = rows(images())
    for source in sources(tmp_path):
        samples = representative(source, IMAGE)
        assert list(samples.inputs) == ["image"] and samples.count == len(samples) == 120, source
        assert samples.inputs["image"].dtype == "float32" and samples.inputs["image"].flags.c_contiguous
        assert rows(samples.inputs["image"]) == expected, source
        assert samples.warnings == ()


def test_two_inputs_by_name_or_in_order(tmp_path):
    left, right = two()
    np.savez(tmp_path / "order.npz", left, right)
    for source in (
        saved(tmp_path / "named.npz", right=right, left=left, y=np.arange(120)),
        tmp_path / "order.npz",
        {"right": right, "left": left},
        [left, right],
        (left, right),
        lambda: [left, right],
        lambda: ([left[i : i + 1], right[i : i + 1]] for i in range(120)),
        lambda: ({"right": right[i : i + 9], "left": left[i : i + 9]} for i in range(0, 120, 9)),
        lambda: (((left[i : i + 9], right[i : i + 9]), np.arange(120)[i : i + 9]) for i in range(0, 120, 9)),
    ):
        samples = representative(source, TWO)
        assert list(samples.inputs) == ["left", "right"]
        together = {a.tobytes(): b.tobytes() for a, b in zip(*samples.inputs.values(), strict=True)}
        assert together == {a.tobytes(): b.tobytes() for a, b in zip(left, right, strict=True)}


def test_datasets_of_keras_and_tensorflow():
    import keras
    import tensorflow as tf

    x, y = images(), np.arange(120)[:, None] % 10

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            return x[15 * i : 15 * i + 15], keras.utils.to_categorical(y[15 * i : 15 * i + 15], 10)

    number = {sample.tobytes(): label for sample, label in zip(x, y[:, 0], strict=True)}
    in_batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    for source in (Batches(), in_batches, in_batches.repeat()):
        samples = representative(source, IMAGE, samples=100)
        assert samples.count == 100
        assert [number[a.tobytes()] for a in samples.inputs["image"]] == samples.labels.tolist()
    half = representative(tf.cast(x, "bfloat16"), IMAGE).inputs["image"]
    assert half.dtype == "float32" and np.isfinite(half).all()
    assert "fixed" not in refused(tf.ragged.constant([[1.0], [1.0, 2.0]]))


def test_a_fresh_array_each_time_is_not_asked_of_a_generator():
    def one_buffer():
        buffer = np.empty((1, 8, 8, 3))
        for sample in images():
            buffer[0] = sample
            yield [buffer]

    assert rows(representative(one_buffer, IMAGE).inputs["image"]) == rows(images())


# Which, and how many


def test_a_file_sorted_by_class_is_not_calibrated_on_one_class(tmp_path):
    labels = np.repeat(np.arange(10), 100)
    path = saved(tmp_path / "sorted.npz", x_train=images(1000), y_train=labels, y_test=labels[::-1])
    samples = representative(path, IMAGE)
    assert samples.count == DEFAULT_COUNT == 200 and samples.source == f"{path} (x_train)"
    assert set(samples.labels) == set(range(10)) and set(samples.take(60).labels) == set(range(10))
    assert rows(samples.inputs["image"]) < rows(images(1000))
    number = {sample.tobytes(): label for sample, label in zip(images(1000), labels, strict=True)}
    assert [number[a.tobytes()] for a in samples.inputs["image"]] == samples.labels.tolist()


def test_the_seed_decides(tmp_path):
    x = images(300)
    first, again, other = (representative(x, IMAGE, seed=seed).inputs["image"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert rows(first) != rows(other)


def test_a_stream_is_read_no_further_than_needed():
    given = []

    def endless():
        while True:
            given.append(images(3, seed=len(given)))
            yield given[-1]

    samples = representative(endless, IMAGE, samples=100)
    assert samples.count == 100 and len(given) == 34
    np.testing.assert_array_equal(samples.inputs["image"], np.concatenate(given)[:100])


def test_batches_as_tflite_takes_them():
    samples = representative(list(two(7)), TWO)
    given = list(samples)
    assert [[part.shape for part in each] for each in given] == [[(1, 4), (1, 2, 3)]] * 7
    assert [len(each[0]) for each in samples.batches(3)] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([each[1] for each in given]), samples.inputs["right"])
    assert samples.take(2).count == 2 and samples.take(100).count == 7 and samples.count == 7
    assert samples.take(2).source == samples.source


def test_only_what_is_taken_is_copied_from_a_large_file(tmp_path):
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", "float32", (30_000, 32, 32, 3))  # sparse on disk
    large[::50] = images(600, (32, 32, 3))
    del large
    samples = representative(path, [("image", (32, 32, 3), "float32")], samples=500)
    assert samples.inputs["image"].nbytes == 500 * 32 * 32 * 3 * 4 and samples.inputs["image"].base is None
    assert "constant images" in samples.warnings[0]


# Labels


@pytest.mark.parametrize("names, kept", [
    ({"x": 120, "y": 120}, "y"),
    ({"x_test": 120, "y_test": 120, "y_train": 50}, "y_test"),
    ({"x_train": 120, "y_train": 120, "x_test": 50, "y_test": 50}, "y_train"),
    ({"image": 120, "labels": 120}, "labels"),
    ({"image": 120, "y_test": 120, "y": 7}, "y_test"),
    ({"image": 120, "y": 119}, None),
    ({"image": 120, "more": 120}, None),
])
def test_labels_beside_the_images(names, kept, tmp_path):
    found = {name: images(n) if "x" in name or name == "image" else np.arange(n) for name, n in names.items()}
    samples = representative(saved(tmp_path / "data.npz", **found), IMAGE)
    assert (samples.labels is None) == (kept is None)
    if kept:
        original = {sample.tobytes(): i for i, sample in enumerate(images(120))}
        assert [original[a.tobytes()] for a in samples.inputs["image"]] == samples.labels.tolist()


@pytest.mark.parametrize("labels", [
    np.linspace(0, 1, 120), np.array(["cat", "dog"] * 60), np.array(["cat", {}] * 60, object), np.zeros((120, 4)),
    np.ones((120, 4), int),
])
def test_what_is_no_class_number_is_no_label(labels, tmp_path):
    assert representative(saved(tmp_path / "data.npz", x=images(), y=labels), IMAGE).labels is None


def test_one_label_alone_means_that_nothing_was_shuffled():
    samples = representative(iter([(images(), np.full(120, 3))]), IMAGE)
    assert samples.warnings == ("All 120 samples of the list_iterator have the label 3: shuffle them first.",)


# Scale


PIXELS = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3)).astype("uint8")


def test_pixels_that_nobody_scales_are_odd():
    [odd] = representative(PIXELS, IMAGE).warnings
    assert "Input 'image' (the array) has values 0 to 255" in odd and "--scale=-1,1" in odd
    assert representative(PIXELS, IMAGE, scales_itself=True).warnings == ()
    assert representative(PIXELS, IMAGE, scale=(0, 255)).warnings == ()
    [odd] = representative(images(), IMAGE, scales_itself=True).warnings
    assert "if it takes pixels 0…255, pass these" in odd
    [odd] = representative(PIXELS, IMAGE, scale=(0, 1), scales_itself=True).warnings
    assert "scales it once more" in odd


def test_scale_is_applied_to_pixels_and_to_nothing_else():
    samples = representative(PIXELS, IMAGE, scale=(-1, 1))
    assert samples.inputs["image"].min() == -1 and samples.inputs["image"].max() == 1 and samples.warnings == ()
    expected = rows((PIXELS * np.float32(2 / 255) - 1).astype("float32"))
    assert rows(samples.inputs["image"]) == expected
    assert "with -0.99" in refused(images(), scale=(-1, 1))
    assert "scaled already" in refused(PIXELS / 255, scale=(-1, 1))


def test_the_callers_array_stays_as_it_is():
    x = PIXELS.astype("float32")
    for source in (x, {"image": x}, [x], lambda: x):
        representative(source, IMAGE, scale=(0, 1))
    np.testing.assert_array_equal(x, PIXELS)


def test_inputs_of_whole_numbers():
    inputs = [("image", (8, 8, 3), "uint8")]
    assert representative(PIXELS, inputs).inputs["image"].dtype == "uint8"
    assert representative(PIXELS.astype("float64"), inputs).inputs["image"].dtype == "uint8"
    assert "with fractions" in refused(PIXELS / 255, inputs)
    assert "0 to 255. Received: the array with 0 to 510" in refused(PIXELS * 2.0, inputs)
    assert "Leave scale out" in refused(PIXELS, inputs, scale=(0, 1))
