import pytest

from tfold.measure import BenchResult, Block, Comparison, Measurement, Ratio
from tfold.measure.table import duration, short_names, table


def result(check, **others):
    models = tuple(
        Measurement(name, "benchmark_model", "?", 4, (Block(value, 50), Block(value, 50)), "R5CT")
        for name, value in (("a/base.tflite", 2.0), ("a/folded.tflite", 1.5)))
    compared = Comparison(models, Ratio(0.75, 0.7, 0.8, 0.95, 20), check, {"too hot": 4}, ("Some note.",))
    return BenchResult((compared,), {}, **others)


def test_the_whole_table():
    lines = table(result(Ratio(1.0, 0.99, 1.02, 0.95, 20), unable={"tflite-runtime": "too old"}, failed={"X": "gone"}))
    assert lines == [
        "model          device  runtime          threads    median  p90  spread",
        "base.tflite    R5CT    benchmark_model        4  2.000 ms    –    0.0%",
        "folded.tflite  R5CT    benchmark_model        4  1.500 ms    –    0.0%",
        "folded.tflite ÷ base.tflite on R5CT, benchmark_model, 4 threads: 0.750 [0.700, 0.800] at 95%: faster",
        "    base.tflite against itself: 1.000 [0.990, 1.020]: differences of about 2.0% show here today",
        "    blocks thrown away: too hot: 4",
        "    Some note.",
        "tflite-runtime is left out: too old",
        "X has no result: gone",
    ]


def test_without_a_ratio_notes_still_belong_to_a_device():
    compared = Comparison((Measurement("a.tflite", "tool", "?", 1, (Block(2.0, 5),), "R5CT"),), notes=("Warm.",))
    assert table(BenchResult((compared,), {}))[2:] == ["R5CT, tool, 1 thread", "    Warm."]


def test_a_model_told_from_itself_is_a_warning():
    assert "told apart from itself" in table(result(Ratio(1.02, 1.01, 1.03, 0.95, 20)))[4]


def test_what_the_table_calls_the_files():
    assert short_names(["x/a.tflite", "y/b.tflite"]) == {"x/a.tflite": "a.tflite", "y/b.tflite": "b.tflite"}
    assert short_names(["x/a", "y/a"]) == {"x/a": "x/a", "y/a": "y/a"}
    assert short_names(["a", "a"]) == {"a": "a"}
    long = {"x" * 60 + "1": None, "x" * 60 + "2": None}
    assert all(name.startswith("…") and len(name) == 48 for name in short_names(list(long)).values())
    same_end = ["1" + "x" * 60, "2" + "x" * 60]
    assert len(set(short_names(same_end).values())) == 2


@pytest.mark.parametrize("milliseconds, text", [
    (11.618, "11.62 ms"),
    (0.000912, "0.91 µs"), (0.0123, "12.30 µs"), (0.1, "0.100 ms"), (2.3456, "2.346 ms"), (123.45, "123.5 ms")])
def test_durations_have_the_unit_that_fits(milliseconds, text):
    assert duration(milliseconds) == text
