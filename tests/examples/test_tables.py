"""The quick mode of each example that makes a table: files, rows, and going on.

One runs in processes of its own, as people run it, and is killed on the way; the others are called.
"""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("images")
    for name, shape in (("cifar", (32, 32, 3)), ("mnist", (28, 28))):
        x, y = rng.integers(0, 256, (400, *shape)).astype("uint8"), np.arange(400) % 10
        np.savez(folder / f"{name}.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    return folder


ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def command(script, *arguments):
    return [sys.executable, str(EXAMPLES / script), *map(str, arguments)]


def run(*arguments, cwd, code=0):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=300)
    assert done.returncode == code, done.stdout[-1000:] + done.stderr[-3000:]
    return done


def results(folder):
    found = json.loads((folder / "results.json").read_text())
    assert found["version"] == 1 and found["settings"]["quick"] is True
    return found


def killed(*arguments, cwd, after):
    """Kill the command once it has said `after`."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd,
                          env=ENVIRONMENT) as process:
        found = any(after in line for line in process.stdout)
        process.kill()
    assert found, f"{arguments[0]} never said {after!r}"


def test_cifar10_killed_and_going_on(images, ran, tmp_path):
    arguments = ("cifar10.py", "--quick", "--data", images / "cifar.npz", "-o", "out", "--post", "merged+distill",
                 "base")
    killed(*arguments, cwd=tmp_path, after="resnet8: epoch 1/1")
    first = run(*arguments, cwd=tmp_path)
    assert "resnet8: epoch 1/1" not in first.stdout and "pre-folding, λ_c 0.25: epoch 1/1" in first.stdout
    found = results(tmp_path / "out")
    assert [row["what"] for row in found["rows"]] == ["base", "λ_c 0.25, merged+distill", "base, trained on"]
    base, *others = found["rows"]
    for row in others:
        assert row["against"]["points"] == pytest.approx(100 * (row["test"] - base["test"]))
        assert abs(row["against"]["points"]) <= 100 * row["against"]["differing"]
    assert found["rows"][0]["depth"] == 8 and 0 <= found["rows"][1]["bimodal"] <= 1
    assert set(found["rows"][1]["alphas"]) == {f"stage{i}_block1_relu{j}" for i in (1, 2, 3) for j in (1, 2)}
    assert "test accuracy against the base" in first.stdout
    assert "| resnet8 | 0 | λ_c 0.25, merged+distill |" in first.stdout
    assert (tmp_path / "out" / "resnet8-0-0.25-alphas.png").read_bytes().startswith(b"\x89PNG")
    assert "epoch 1/1" in first.stdout and "epoch 1/1" not in ran("cifar10", *arguments[1:])
    assert results(tmp_path / "out") == found


def test_mnist_mlp(images, ran, tmp_path):
    said = ran("mnist_mlp", "--quick", "--data", images / "mnist.npz", "-o", "out")
    found = results(tmp_path / "out")
    assert {(row["start"], row["strength"]) for row in found["trials"]} == {
        (start, strength) for start in (2, 4) for strength in (None, 3.0)}
    assert all(row["before"] == row["after"] for row in found["trials"] if row["strength"] is not None)
    assert "largest change of accuracy by the merge: 0.000 points" in said
    assert "EDNL from depth 4: none" in said and set(found["shallowest"]) == {"2", "4"}
    assert (tmp_path / "out" / "accuracy-depth.png").read_bytes().startswith(b"\x89PNG")


def test_mobilenetv2(images, ran, tmp_path):
    ran("mobilenetv2_cifar10", "--quick", "--data", images / "cifar.npz", "-o", "out", "--runtime", "litert")
    base, folded = results(tmp_path / "out")["rows"]
    assert base["depth"] == 36 and len(folded["alphas"]) == 17
    assert folded["blocks"] and folded["layers"] < base["layers"] and folded["macs"] < base["macs"]
    [ratio] = folded["ratios"].values()
    assert ratio[1] <= ratio[0] <= ratio[2]
    assert (tmp_path / "out/mobilenetv2-0.1-0/strength100000/latency-6.jsonl").is_file()  # the next call reads it


def test_table2(ran, tmp_path):
    said = ran("table2_latency", "--quick", "-o", "out")
    [row] = results(tmp_path / "out")["rows"]
    assert row["blocks"] == [2, 4] and row["depth"] == [53, 49] and 0.9 < row["macs"][1] / row["macs"][0] < 1
    assert "−21 %, −4 %" in said
    folder = tmp_path / "out" / "mobilenetv2-0.75-64"
    assert {path.name for path in folder.iterdir()} == {
        "base.tflite", "folded-2-4.tflite", "folded-2-4.latency-6.jsonl"}
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ran("table2_latency", "--quick", "-o", "out")
    assert results(tmp_path / "out")["rows"] == [row]  # read from the record: two measurements are never the same
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_sets_of_blocks_are_measured_and_kept(example, tmp_path):
    import keras

    import tfold
    from tfold.zoo.mobilenet_v2 import _block

    x = image = keras.Input((8, 8, 8))
    for prefix, expansion in (("expanded_conv_", 1), ("block_1_", 6), ("block_2_", 6)):
        x = _block(x, 8, 1, expansion, prefix)
    base = keras.Model(image, x)
    table2 = example("table2_latency")
    table2.exported(tfold.fold_batch_norm(base).model, tmp_path / "base.tflite")
    tried = table2.try_sets(base, tmp_path, rounds=6)
    assert list(tried) == [(1,), (2,), (1, 2)] and all(low <= ratio <= high for ratio, low, high in tried.values())
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        "folded-1.choice-6.jsonl", "folded-2.choice-6.jsonl", "folded-1-2.choice-6.jsonl"}
    assert table2.try_sets(base, tmp_path, rounds=6) == tried  # read from the records
    more = table2.against_base(base, tmp_path, (1, 2), "litert", 1, 7, "choice")  # of other rounds there is another one
    assert list(more.values()) != [tried[1, 2]] and (tmp_path / "folded-1-2.choice-7.jsonl").exists()


def test_sets_of_blocks_are_tried_from_the_best_on(example):
    table2 = example("table2_latency")
    tried = {(1,): [0.98, 0.97, 0.99], (2,): [1.02, 1.01, 1.03], (7,): [0.99, 0.98, 1.0]}
    assert table2.nested(tried) == [(1, 7), (1, 2, 7)] and table2.nested({}) == []
    assert table2.fastest(tried) == (1,)
    assert table2.fastest({**tried, (1, 2, 7): [0.9, 0.8, 0.95]}) == (1, 2, 7)  # times do not add up
    assert table2.fastest({(1,): [0.99, 0.98, 1.0]}) == table2.fastest({}) == ()


def test_what_is_no_data_set_is_one_sentence(tmp_path):
    done = run("cifar10.py", "--data", "nothing.npz", cwd=tmp_path, code=1)
    assert done.stderr.strip().splitlines()[-1].startswith("Data are mnist") and "Traceback" not in done.stderr


def test_a_block_that_the_network_has_not_is_one_sentence(called, tmp_path):
    _, sentence = called("table2_latency", "--quick", "--blocks", "3", "99", "-o", "out")
    assert sentence == (
        "mobilenetv2-0.75 has 17 blocks, counted from 0. Received: --blocks 99. Give numbers up to 16.")
    assert not (tmp_path / "out").exists()
