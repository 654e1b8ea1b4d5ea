"""The example as it runs on several machines, with processes of this one; and what it says where it cannot go on."""
import csv
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import tfold
from tfold.recipe import distributed

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "several_machines.py"
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with base.keras, and 70 images as data.npz and as .npy files in data/."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 70)
    x = (rng.normal(size=(70, 8, 8, 1)) * (1 + y[:, None, None, None])).astype("float32")
    np.savez(folder / "data.npz", x_train=x, y_train=y)
    (folder / "data").mkdir()
    np.save(folder / "data" / "x_train.npy", x)
    np.save(folder / "data" / "y_train.npy", y)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    z = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(image))
    z = layers.ReLU(name="relu")(z)
    z = layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(z))
    z = layers.ReLU(6.0, name="relu6")(z)
    z = layers.Conv2D(8, 1, activation="relu", name="conv")(z)
    z = layers.GlobalAveragePooling2D()(layers.Dropout(0.2, seed=1)(z))
    keras.Model(image, layers.Dense(3, activation="softmax")(z)).save(folder / "base.keras")
    return folder


@pytest.fixture
def start(given):
    """A function that starts the example; what still runs in the end is killed."""
    started = []

    def start(*options, data="data.npz"):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3",
                       "PYTHONPATH": str(SCRIPT.parents[1])}
        command = [sys.executable, "-u", str(SCRIPT), "base.keras", data, "--batch", "16", "--rate", "0.05", *options]
        started.append(subprocess.Popen(
            command, cwd=given, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def pair(start, output, *options, other=()):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = ("-o", output, "--coordinator", address, "--processes", "2", *options)
    return start(*both, "--process", "0"), start(*both, *other, "--process", "1")


def said(process, status=0):
    text = process.communicate(timeout=300)[0]
    assert process.returncode == status, text[-2000:]
    return text


@needs_jax
def test_two_processes_learn_what_one_learns(start, given):
    alone = start("-o", "one", "--epochs", "3", data="data")
    first, second = pair(start, "two", "--epochs", "3")
    said(alone), said(first)
    assert "process 1 of 2: the same 3 α as process 0" in said(second)
    one, two = (json.loads((given / name / "result.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"], two["steps"], two["left_out"]) == (1, 2, 4, 6)
    # float32: sums of a batch in two parts are rounded differently from sums in one.
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5) and len(one["loss"]) == 3
    assert one["alphas"] == pytest.approx(two["alphas"], abs=1e-5)
    assert max(two["alphas"].values()) > 0.05  # all α start at 0

    f_alpha = keras.saving.load_model(given / "two" / "f_alpha.keras")
    assert tfold.alphas(f_alpha) == pytest.approx(two["alphas"], abs=1e-7)
    rows = list(csv.DictReader((given / "two" / "alpha.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == two["loss"]
    assert float(rows[-1]["alpha/conv_alpha"]) == pytest.approx(two["alphas"]["conv_alpha"], abs=1e-7)
    assert float(rows[0]["alpha/strength"]) == 0 and float(rows[1]["alpha/strength"]) == 0.25


@needs_jax
def test_a_training_that_diverges_writes_nothing(start, given):
    process = start("--rate", "1e30", "--epochs", "2", "-o", "diverged")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "the training has diverged, and nothing was written" in said
    assert not list((given / "diverged").iterdir())


def test_a_training_without_the_penalty_is_refused(example):
    script = example("several_machines")
    with pytest.raises(tfold.BadInputError, match="--warmup 1, --epochs 1. Take --warmup 0"):
        script.check(script.parser().parse_args(["resnet20", "random", "--epochs", "1"]))


def test_what_has_to_be_the_same_on_every_machine(example):
    script = example("several_machines")
    arguments = script.parser().parse_args(["resnet20", "data.npz", "--scale=0,1"])
    x, y = np.zeros((200, 4, 4, 1), "uint8"), np.arange(200) % 3
    before = script.fingerprints(arguments, x, y)
    assert script.fingerprints(arguments, x.copy(), y) == before and all(0 <= n < 2**32 for n in before.values())

    def differing(arguments=arguments, x=x, y=y):
        return {name for name, number in script.fingerprints(arguments, x, y).items() if number != before[name]}

    changed = x.copy()
    changed[::3] = 1
    for other in (changed, x.astype("float32"), x[:199], x.reshape(200, 2, 8, 1), x[:0]):
        assert differing(x=other) == {"images"}
    assert differing(y=y[::-1]) == {"labels"}
    assert differing(script.parser().parse_args(["resnet20", "data.npz", "--scale=-1,1"])) == {"options and versions"}
    assert differing(script.parser().parse_args(["resnet32", "data.npz", "--scale=0,1"])) == {"model"}


@pytest.mark.parametrize("name, write, words", [
    ("cut.npz", lambda path, whole: path.write_bytes(whole[:len(whole) // 2]), "an .npz file, or a folder"),
    ("empty.npz", lambda path, whole: path.write_bytes(b""), "an .npz file, or a folder"),
    ("x_train.npy", lambda path, whole: np.save(path, np.zeros((4, 2))), "an .npz file, or a folder"),
    ("pixels.npz", lambda path, whole: np.savez(path, x_train=np.zeros((4, 2))), "y_train"),
    ("hot.npz", lambda path, whole: np.savez(path, x_train=np.zeros((4, 2)), y_train=np.eye(4)), "take the argmax"),
    ("few.npz", lambda path, whole: np.savez(path, x_train=np.zeros((4, 2)), y_train=np.zeros(3)), "as many images"),
])
def test_data_that_cannot_be_read_are_one_sentence(example, given, tmp_path, name, write, words):
    write(tmp_path / name, (given / "data.npz").read_bytes())
    with pytest.raises(tfold.BadInputError, match=words) as raised:
        example("several_machines").read(str(tmp_path / name), 0)
    assert name in str(raised.value) and "\n" not in str(raised.value)


def test_labels_that_count_from_one_are_refused(example, given):
    script = example("several_machines")
    arguments = script.parser().parse_args(["base.keras", "data.npz"])
    base = keras.models.load_model(given / "base.keras")
    x, y = script.read(str(given / "data"), 0)
    assert isinstance(x, np.memmap)  # read in place
    script.check_fits(base, script.as_data(arguments, x, y))
    with pytest.raises(tfold.BadInputError, match="4 classes, and .* with 3 outputs. Check the labels"):
        script.check_fits(base, script.as_data(arguments, x, y + 1))


def test_pixels_are_scaled_as_the_base_was_trained(example):
    script = example("several_machines")
    x, y = np.uint8([[0], [255], [51], [102]]), np.zeros(4)
    stored = script.Scaled(x, y, 4, process=0, processes=1)[0][0]
    scaled = script.Scaled(x, y, 4, scale=(-1.0, 1.0), process=0, processes=1)[0][0]
    assert stored.dtype == scaled.dtype == np.float32 and np.array_equal(stored, x)
    assert np.allclose(scaled[:, 0], [-1, 1, -0.6, -0.2], atol=1e-6)


@needs_jax
def test_other_options_on_one_machine_are_an_error_on_all(start, given):
    for process in pair(start, "other", other=("--rate", "0.06")):
        text = said(process, 1)
        assert "same options and versions. Received: others than process 0's in [1]" in text
    assert not list((given / "other").iterdir())


@needs_jax
def test_where_one_process_dies_the_other_ends(start, given):
    first, second = pair(start, "dies", "--epochs", "100000")
    until, seen = time.monotonic() + 300, ""
    while "Epoch 3/" not in seen and time.monotonic() < until:
        seen += first.stdout.readline()
    assert "Epoch 3/" in seen
    second.kill()
    text = first.communicate(timeout=300)[0]
    assert first.returncode != 0 and ("only while all processes do" in text or "another task died" in text)
    assert not list((given / "dies").iterdir())


@needs_jax
def test_a_process_without_the_others_gives_up(start):
    text = said(start("--coordinator", "127.0.0.1:9", "--processes", "2", "--process", "1", "--timeout", "1"), 1)
    assert "Error: All 2 processes meet at the coordinator within 1 s. Received: process 1" in text


@pytest.mark.parametrize(("arguments", "message"), [
    (("host0", 2, 0), "Write it as host0:1234"),
    (("host0:1234", 2, 2), "Received: process 2 of 2"),
    ((None, 1, -1), "Received: process -1 of 1"),
    (("host0:1234", 2, 1), "set KERAS_BACKEND=jax"),  # the tests' own backend is another
])
def test_what_join_refuses(arguments, message):
    if keras.backend.backend() == "jax" and "KERAS_BACKEND" in message:
        pytest.skip("this is the backend")
    with pytest.raises(tfold.BadInputError, match=message):
        distributed.join(*arguments)


def test_the_batch_is_divided_evenly_or_not_at_all():
    x = np.zeros((8, 1))
    with pytest.raises(tfold.BadInputError, match="Received: 7 for 2 processes. Use 8."):
        distributed.Slices(x, x, batch=7, process=0, processes=2)
    with pytest.raises(tfold.BadInputError, match="Received: 8 images, 8 labels, batch=10"):
        distributed.Slices(x, x, batch=10, process=0, processes=2)
    with pytest.raises(tfold.BadInputError, match="Received: 8 images, 7 labels"):
        distributed.Slices(x, x[1:], batch=2, process=0, processes=2)


def test_the_parts_are_one_global_batch():
    x = np.arange(11)
    whole = distributed.Slices(x, -x, batch=4, seed=3, process=0, processes=1)
    parts = [distributed.Slices(x, -x, batch=4, seed=3, process=i, processes=2) for i in range(2)]
    orders = []
    for _ in range(2):
        for data in (whole, *parts):
            data.on_epoch_begin()
        assert len(whole) == len(parts[0]) == 2
        for step in range(2):
            images, labels = whole[step]
            assert [len(part[step][0]) for part in parts] == [2, 2]
            assert np.array_equal(images, np.concatenate([part[step][0] for part in parts]))
            assert np.array_equal(images, -labels)
        orders.append(np.concatenate([whole[step][0] for step in range(2)]))
        assert len(set(orders[-1])) == 8
    assert set(orders[0]) != set(orders[1])


def test_what_launchers_say(monkeypatch):
    for name in ("coordinator", "processes", "process"):
        for variable in distributed._FROM_LAUNCHERS[name]:
            monkeypatch.delenv(variable, raising=False)
    assert distributed.from_launcher("coordinator") is None and distributed.from_launcher("process") is None
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert distributed.from_launcher("process") == "3"
    monkeypatch.setenv("KERAS_DISTRIBUTION_JOB_ADDRESSES", "a:1,b:2")
    assert distributed.from_launcher("coordinator") == "a:1"
