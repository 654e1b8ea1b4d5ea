"""The MLP example chooses by the validation images; the test images are shown and decide nothing."""
import pytest


def trial(depth, validation, test, strength=1.0, start=9):
    return {"start": start, "depth": depth, "strength": strength, "validation": validation, "test": test}


@pytest.fixture
def trials():
    """Validation accuracy falls below depth 4, test accuracy already below depth 7."""
    return [trial(depth, 0.98 if depth >= 4 else 0.6, 0.98 if depth >= 7 else 0.5, None if depth == 9 else 1.0)
            for depth in range(2, 10) for _ in range(2)]


def test_the_knee_and_the_least_depth_go_by_validation(example, trials):
    mnist = example("mnist_mlp")
    assert mnist.shallowest_within(trials, 0.005, 9) == 4
    assert mnist.knee(trials, 0.005, 9)["depth"] == mnist.knee(trials, 0.005)["depth"] == 4


def test_the_table_shows_test_accuracy(example, trials):
    mnist = example("mnist_mlp")
    rows = mnist.by_depth(trials)
    assert rows[2] == {"depth": 4, "9": [0.5, 0.5]} and mnist.table_columns(rows)["from 9"](rows[2]).startswith("50.00")


def test_no_depth_need_be_good_enough(example):
    mnist = example("mnist_mlp")
    rows = [trial(2, 0.9, 0.9, None, start=2), trial(2, 0.5, 0.9, start=2)]  # kept its depth, lost its accuracy
    assert mnist.shallowest_within(rows, 0.005, 2) is None
    assert mnist.shallowest_within(rows, 0.3, 2) == 2
