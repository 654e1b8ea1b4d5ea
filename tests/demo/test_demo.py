"""The demo through the real command line, with a few epochs: its figures mean nothing, its way is the real one."""
import json
import subprocess
import sys

import keras
import numpy as np

from tfold.demo import digits, network
from tfold.demo.run import FILES
from tfold.folding import fold_plan
from tfold.measure import available_runtimes


def test_one_document_on_stdout(demo):
    folder, _, done = demo
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    runtimes = {name for name, found in available_runtimes().items() if found.version}
    assert document["version"] == 1 and document["kind"] == "demo"
    for side in ("base", "folded"):
        assert set(document[side]) == {"accuracy", "depth", "parameters", "macs", "bytes", "latency_ms"}
        assert set(document[side]["latency_ms"]) == runtimes
        assert document[side]["bytes"] == (folder / f"{side}.tflite").stat().st_size
        assert 0 <= document[side]["accuracy"] <= 1
    for ratio in document["ratio"].values():
        assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]
    assert document["base"]["depth"] == 21 and document["folded"]["depth"] <= 21
    assert len(document["alphas"]) == len(network.BLOCKS)
    assert set(document["files"]) == set(FILES)


def test_files_are_there_and_whole(demo):
    folder, _, _ = demo
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert (folder / "alphas.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    model = keras.models.load_model(folder / "folded.keras")
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert "refused" in (folder / "report.txt").read_text(encoding="utf-8")


def test_the_folded_model_loads_without_tfold(demo):
    folder, _, _ = demo
    script = "import sys, keras; keras.models.load_model(sys.argv[1]); assert 'tfold' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script, str(folder / "folded.keras")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_people_see_progress_the_table_and_what_was_written(demo):
    folder, _, done = demo
    for words in ("1/5", "5/5", "accuracy", "folded ÷ base", str(folder / "folded.tflite")):
        assert words in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith(f"wrote {folder}")
    assert "WARNING" not in done.stderr and "cuda" not in done.stderr.lower()


def test_does_not_write_over_files_unasked(demo):
    folder, command, _ = demo
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "--force" in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_digits():
    data = digits.load()
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.x_train.shape[1:] == (32, 32, 1) and data.x_train.min() >= -1 and data.x_train.max() <= 1
    assert set(data.y_test) == set(range(10))


def test_enlarging_keeps_flat_images_and_order():
    ramp = np.broadcast_to(np.arange(8, dtype="float32"), (1, 8, 8))
    large = digits.enlarge(ramp)
    assert large.shape == (1, 32, 32) and (np.diff(large[0], axis=1) >= 0).all()
    np.testing.assert_allclose(large.mean(), ramp.mean(), rtol=1e-6)
    np.testing.assert_array_equal(digits.enlarge(np.ones((1, 8, 8), "float32")), 1)


def test_shifted_batches_hold_every_image_once_an_epoch():
    data = digits.load()
    batches = digits.ShiftedBatches(data, batch=100, pixels=0)
    images, labels = (np.concatenate(part) for part in zip(*(batches[i] for i in range(len(batches))), strict=True))
    assert len(images) == len(data.x_train)
    np.testing.assert_array_equal(np.sort(labels), np.sort(data.y_train))
    np.testing.assert_allclose(images.sum(), data.x_train.sum(), rtol=1e-4)


def test_the_network_is_a_mobilenet_of_depth_21():
    figures = fold_plan(network.mobilenet()).before
    assert figures.depth == 1 + 3 * len(network.BLOCKS) + 1 + 1 and figures.batch_norms == 2 + 3 * len(network.BLOCKS)
