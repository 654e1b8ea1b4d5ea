"""Which networks are measured; and one real measurement of three files, of which two are the same."""
import shutil

import pytest

from tfold.errors import TfoldError
from tfold.sweeps.latency import add_to, check, choose, files_of, is_of, measure


def trial(depth, score, **more):
    return {"name": f"{depth}-{score}", "state": "complete", "depth": depth, "score": score, "folded": "f.keras",
            "latency": None, **more}


def test_the_best_of_each_depth():
    trials = [trial(5, 0.8), trial(5, 0.9), trial(3, 0.7), trial(9, 0.99, state="pruned"), trial(8, 0.95, folded=None)]
    assert [each["name"] for each in choose(trials)] == ["3-0.7", "5-0.9"]


def test_of_too_many_the_knee_and_the_front_stay():
    trials = [trial(depth, score) for depth, score in ((2, 0.5), (4, 0.8), (5, 0.7), (6, 0.9), (8, 0.85))]
    assert [each["depth"] for each in choose(trials, knee=5, most=3)] == [4, 5, 6]
    assert [each["depth"] for each in choose(trials, most=3)] == [2, 4, 6]
    assert choose([]) == []


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """(a base network's file, that of one with a fiftieth of its work)"""
    import keras

    folder = tmp_path_factory.mktemp("networks")
    for name, units in (("base", 1200), ("small", 20)):
        model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(units, "relu"),
                                  keras.layers.Dense(units, "relu"), keras.layers.Dense(3)])
        model.save(folder / f"{name}.keras")
    shutil.copy(folder / "base.keras", folder / "same.keras")
    return folder


def test_measured_in_turns_with_the_base(networks, tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"broken")
    files = (networks / "small.keras", networks / "same.keras", tmp_path / "broken.keras")
    small, same, broken = chosen = [trial(depth, 0.8, folded=str(path)) for depth, path in enumerate(files)]
    found = measure(networks / "base.keras", chosen, tmp_path / "latency", blocks=6, min_time=0.01, warmup=0.01)
    assert {path.name for path in (tmp_path / "latency").iterdir()} == {"base.tflite", "0-0.8.tflite", "1-0.8.tflite"}
    assert "broken.keras" in found["why"][broken["name"]]  # the others are measured all the same
    one, other, itself = *found["trials"].values(), found["base"]["itself"]
    assert one["high"] < 0.5 and one["low"] <= one["ratio"] <= one["high"]
    assert one["median_ms"] < found["base"]["median_ms"]
    assert other["high"] > 0.5 and itself["high"] > 0.5  # a busy machine may not tell more
    assert found["files"] == files_of(networks / "base.keras", chosen) and found["blocks"] == 6

    document = {"trials": chosen, "pareto": {"depth": [], "latency": None}, "latency": None, "base": None}
    add_to(document, found)
    assert small["latency"] == one and same["latency"] == other and broken["latency"] is None
    assert document["pareto"]["latency"] == [small["name"]] and document["latency"] is found
    document["base"] = {"score": 0.79, "depth": 3}
    add_to(document, found)
    assert document["pareto"]["latency"] == [small["name"]]
    document["base"]["score"] = 0.81
    add_to(document, found)
    assert document["pareto"]["latency"] == [small["name"], "base"]


def test_which_measurements_hold_on():
    files = {"base": "a", "1": "b"}
    earlier = {"runtime": "litert", "blocks": 20, "files": files}
    assert is_of(earlier, files) and is_of(earlier, files, "litert", 20) and is_of(earlier, files, "litert", 6)
    assert not is_of(earlier, files, "litert", 21) and not is_of(earlier, files, "tflite-runtime", 20)
    assert not is_of(earlier, {**files, "2": "c"}) and not is_of(None, files)


def test_a_runtime_is_there_or_is_said_to_be_missing():
    check("none")
    check("litert")
    with pytest.raises(TfoldError, match="Received: 'fast'"):
        check("fast")
