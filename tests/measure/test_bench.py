import json

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.measure import Block, Comparison, Measurement, Ratio, available_runtimes, bench
from tfold.measure.block import MEAN
from tfold.measure.errors import UnsupportedModelError
from tfold.measure.session import SHORT_NS

SHORT = {"runs": 3, "min_time": 0.002, "warmup": 0.002}


def test_two_models_in_turns_give_a_ratio(models):
    said = []
    paths = [models / "conv.tflite", models / "two.tflite"]
    result = bench(paths, blocks=6, progress=lambda *event: said.append(event), **SHORT)

    order = "".join(text[0] for _, _, text in said)
    assert order == "ct" + 3 * "ctcctc" + "d"  # settle, then c t c, …, done: each round has the first one twice
    assert [done for done, _, _ in said] == list(range(21)) and {total for _, total, _ in said} == {20}
    assert [m.model for m in result.measurements] == [str(path) for path in paths]
    for measurement in result.measurements:
        assert len(measurement.blocks) == 6
        assert all(len(block.samples_ms) >= 3 and min(block.samples_ms) > 0 for block in measurement.blocks)
        assert 0 < measurement.median_ms <= measurement.p90_ms
    medians = [[np.median(block.samples_ms) for block in m.blocks] for m in result.measurements]
    assert result.ratio.value == pytest.approx(np.exp(np.median(np.log(np.divide(medians[1], medians[0])))))
    assert result.ratio.low <= result.ratio.value <= result.ratio.high
    check = result.comparisons[0].self_check
    assert check.blocks == 6 and 0.5 < check.value < 2
    assert check.resolution == pytest.approx(max(check.high - 1, 1 / check.low - 1))


def test_the_same_model_twice_on_every_runtime_and_two_numbers_of_threads(models):
    result = bench([models / "conv.tflite"] * 2, runtime="all", threads=[1, 2], blocks=6, self_check=False, **SHORT)
    combinations = list(result.ratios)
    assert combinations[:2] == [("litert", 1), ("litert", 2)]
    assert [(m.runtime, m.threads) for m in result.measurements] == [pair for pair in combinations for _ in range(2)]
    document = json.loads(json.dumps(result.to_json()))
    assert document["version"] == 1 and document["kind"] == "bench"
    assert document["machine"]["cores"] >= 1
    assert len(document["results"]) == len(result.measurements)
    assert document["ratio"]["litert"] == {
        "device": "host", "runtime": "litert", "threads": 1, "value": result.ratio.value, "low": result.ratio.low,
        "high": result.ratio.high, "confidence": 0.95, "blocks": 6, "differs": result.ratio.differs,
        "verdict": result.comparisons[0].verdict, "self_check": None, "discarded": {},
    }
    assert document["discarded_blocks"] == 0
    assert [(each["runtime"], each["threads"]) for each in document["ratios"]] == combinations


def test_one_model_has_no_ratio(models, runtime):
    result = bench(models / "int8.tflite", runtime, blocks=1, **SHORT)
    assert result.ratio is None and result.ratios == {}
    assert "ratio" not in result.to_json()
    assert len(result.measurements) == 1


def test_inferences_too_short_for_the_clock_are_timed_in_groups(models):
    (measurement,) = bench(models / "two.tflite", blocks=2, **SHORT).measurements
    assert all(block.inferences_per_sample > 1 for block in measurement.blocks)
    assert measurement.median_ms < SHORT_NS / 1e6
    assert measurement.runs == sum(len(b.samples_ms) * b.inferences_per_sample for b in measurement.blocks)


def test_time_up_ends_the_rounds_but_not_before_a_ratio_is_possible(models):
    result = bench([models / "conv.tflite"] * 2, blocks=500, max_seconds=0.01, **SHORT)
    assert [len(m.blocks) for m in result.measurements] == [6, 6]


def test_a_summary_in_known_numbers():
    blocks = (Block.of([1.0, 3.0], 10, 3), Block.of([2.0, 4.0, 5.0], 10, 4))
    document = Measurement("m.tflite", "litert", "2.0", 1, blocks).to_json()
    assert (document["median_ms"], document["p90_ms"], document["runs"]) == (3.0, pytest.approx(4.6), 50)
    assert document["spread"] == pytest.approx(2 / 3)
    assert document["blocks"] == [{"median_ms": 2.0, "runs": 20}, {"median_ms": 4.0, "runs": 30}]
    assert (document["device"], document["warmup_runs"], document["inferences_per_sample"]) == ("host", 7, 10)


def test_a_summary_of_summaries():
    blocks = (Block(2.0, 50, p95_ms=2.5), Block(4.0, 50, MEAN), Block(3.0, 50))
    measurement = Measurement("m.tflite", "benchmark_model", "?", 1, blocks, "SERIAL")
    assert (measurement.median_ms, measurement.p90_ms, measurement.runs) == (3.0, None, 150)
    assert measurement.statistic == "mean" and measurement.spread == pytest.approx(1 / 3)
    assert measurement.to_json()["blocks"][1] == {"mean_ms": 4.0, "runs": 50}
    assert measurement.values == ((2.0,), (4.0,), (3.0,))
    for block in blocks:
        assert Block.from_json(json.loads(json.dumps(block.to_json()))) == block


def ratio(low, high):
    return Ratio((low + high) / 2, low, high, 0.95, 20)


@pytest.mark.parametrize(("found", "itself", "verdict"), [
    (ratio(0.8, 0.9), ratio(0.99, 1.01), "faster"),
    (ratio(1.1, 1.2), ratio(0.99, 1.01), "slower"),
    (ratio(0.98, 1.01), ratio(0.99, 1.01), "no difference shown"),
    (ratio(0.96, 0.98), ratio(1.01, 1.05), "disturbed"),  # it tells a model from itself by as much
    (ratio(0.8, 0.9), ratio(1.01, 1.05), "faster"),
    (ratio(1.1, 1.2), ratio(0.95, 0.99), "slower"),
    (ratio(0.9, 0.9995), ratio(1.01, 1.05), "disturbed"),  # it begins within what a model differs from itself
    (ratio(1.0005, 1.1), ratio(1.01, 1.05), "disturbed"),
    (ratio(0.8, 0.9), None, "faster"),
])
def test_the_verdict(found, itself, verdict):
    blocks = (Block.of([1.0]),)
    models = tuple(Measurement(name, "litert", "2.0", 1, blocks) for name in "ab")
    compared = Comparison(models, found, itself)
    assert compared.verdict == compared.to_json()["verdict"] == verdict
    assert Comparison(models).verdict is None and Comparison(models).to_json() is None


def test_a_throttled_processor_is_noticed(models, monkeypatch):
    from tfold.measure import compare

    counts = iter([0, 0, 0, 1] + [1] * 100)  # the second block was measured while the processor slowed down
    monkeypatch.setattr(compare, "throttled", lambda: next(counts))
    result = bench(models / "conv.tflite", blocks=2, **SHORT)
    assert result.comparisons[0].discarded == {"the processor was too hot and slowed down": 1}
    assert len(result.measurements[0].blocks) == 2 and result.to_json()["discarded_blocks"] == 1


def test_open_sizes_are_not_guessed(models):
    with pytest.raises(BadInputError, match=r"fixed sizes.*\(1, -1, -1, 3\)"):
        bench(models / "anysize.tflite", blocks=1, **SHORT)


def test_a_model_that_cannot_run_is_found_before_anything_is_timed(models):
    said = []
    with pytest.raises(UnsupportedModelError, match="FlexMatrixInverse"):
        bench([models / "conv.tflite", models / "flex.tflite"], progress=lambda *event: said.append(event), **SHORT)
    assert len(said) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threads": 0}, "threads=0"),
        ({"threads": []}, "none"),
        ({"threads": [1, -2]}, "threads=-2"),
        ({"runtime": "tensorrt"}, "tensorrt"),
        ({"blocks": 5}, "blocks=5"),
        ({"runs": 0}, "runs=0"),
        ({"max_seconds": 0}, "max_seconds=0"),
        ({"min_time": -1}, "min_time=-1"),
        ({"min_time": float("nan")}, "min_time=nan"),
        ({"warmup": float("inf")}, "warmup=inf"),
    ],
)
def test_impossible_settings_are_refused(models, wrong, message):
    with pytest.raises(BadInputError, match="Received: .*" + message):
        bench([models / "conv.tflite"] * 2, **wrong)


def test_no_model_is_refused():
    with pytest.raises(BadInputError, match="Received: none"):
        bench([])


@pytest.mark.skipif(available_runtimes()["tflite-runtime"].version is None, reason="tflite-runtime is not installed")
def test_of_all_runtimes_those_that_can_run_the_model_are_measured(models):
    result = bench(models / "newer.tflite", "all", blocks=1, runs=1, min_time=0)
    assert [measurement.runtime for measurement in result.measurements] == ["litert"]
    assert "FULLY_CONNECTED version 12" in result.to_json()["unable"]["tflite-runtime"]
    with pytest.raises(UnsupportedModelError, match="FULLY_CONNECTED version 12"):
        bench(models / "newer.tflite", "tflite-runtime", blocks=1, runs=1, min_time=0)
