import json

import pytest

from tfold.errors import BadInputError
from tfold.tflite.contents import read
from tfold.tflite.overlay import ERROR, SIGNAL_TO_NOISE, TIME, Quantity, write


def test_one_value_for_each_op_under_the_name_of_the_graph(small, tmp_path):
    path = write(tmp_path / "m.json", small, {0: 29.31234, 5: 2, 6: 0.0}, TIME)
    document = json.loads(path.read_text())
    assert list(document) == ["main"]
    assert document["main"]["name"] == "time, µs"
    assert document["main"]["results"] == {"0": {"value": 29.31}, "5": {"value": 2.0}, "6": {"value": 0.0}}
    assert "hideAggregatedStats" not in document["main"]


def test_a_graph_without_a_name_is_called_main(hand_made, tmp_path):
    hand_made.op("NEG", [hand_made.input("x", (1,))], hand_made.tensor("y", (1,)))
    for name, key in ((None, "main"), ("tower", "tower")):
        hand_made.graph.name = name
        contents = read(hand_made.write(tmp_path / "m.tflite", 1))
        assert list(json.loads(write(tmp_path / "m.json", contents, {0: 1}, TIME, force=True).read_text())) == [key]


@pytest.mark.parametrize(("quantity", "worst"), [(TIME, 1), (ERROR, 1), (SIGNAL_TO_NOISE, 0)])
def test_the_bad_end_is_red(small, tmp_path, quantity, worst):
    graph = json.loads(write(tmp_path / "m.json", read(small), {0: 1, 1: 2}, quantity).read_text())["main"]
    stops = {item["stop"]: item["bgColor"] for item in graph["gradient"]}
    assert sorted(stops) == [0, 0.5, 1]
    assert (stops[worst], stops[1 - worst]) == ("#d62828", "#ffffff")
    assert graph.get("hideAggregatedStats") == (None if quantity.adds_up else ["sum"])


def test_infinite_numbers_are_left_out_and_json_stays_json(small, tmp_path):
    values = {0: float("-inf"), 1: -40.0, 2: float("nan")}
    text = write(tmp_path / "m.json", read(small), values, ERROR).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["main"]["results"] == {"1": {"value": -40.0}}


@pytest.mark.parametrize(("values", "quantity", "said"), [
    ({7: 1.0}, TIME, "Received: op 7, .*small.tflite has 7"),
    ({0: float("inf")}, TIME, "Received: 1 values, none of them finite"),
    ({}, TIME, "Received: 0 values"),
    ({0: 1.0}, Quantity("x", bad="red"), "bad='red'"),
])
def test_what_cannot_be_shown_is_refused(small, tmp_path, values, quantity, said):
    with pytest.raises(BadInputError, match=said):
        write(tmp_path / "m.json", read(small), values, quantity)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(small, tmp_path):
    (tmp_path / "m.json").write_text("mine")
    with pytest.raises(BadInputError, match="force"):
        write(tmp_path / "m.json", read(small), {0: 1.0}, TIME)
    assert (tmp_path / "m.json").read_text() == "mine"
