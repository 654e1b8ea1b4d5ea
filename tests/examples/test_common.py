"""What the examples' options become."""
import argparse
import pathlib
import sys

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.recipe.data import Data


@pytest.fixture
def parsed(example, monkeypatch):
    """A function: options of an example of made-up settings → its arguments."""
    def parsed(*options):
        common = example("common")
        parser = common.parser("An example.", "cifar10", "runs")
        parser.add_argument("--strengths", type=float, nargs="+", default=[0.25])
        parser.add_argument("--epochs", type=int, default=40)
        monkeypatch.setattr(sys, "argv", ["example.py", *options])
        return common.parse(parser, epochs=1)

    return parsed


def test_the_quick_mode_does_not_spoil_the_real_runs_folder(parsed):
    assert (parsed().output, parsed().epochs) == (pathlib.Path("runs"), 40)
    quick = parsed("--quick", "--epochs", "7")
    assert (quick.output, quick.epochs) == (pathlib.Path("runs-quick"), 1)
    assert parsed("--quick", "-o", "mine").output == pathlib.Path("mine")


def test_what_is_asked_for_twice_is_done_once(parsed):
    assert parsed("--strengths", "1", "0.1", "1.0").strengths == [1.0, 0.1]


def test_images_that_are_scaled_already(parsed, example, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "floats.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    common, source = example("common"), ("--data", str(tmp_path / "floats.npz"))
    with pytest.raises(BadInputError, match="Leave the scale out, or say none"):
        common.data_of(parsed(*source))
    data = common.data_of(parsed(*source, "--scale", "none"))
    np.testing.assert_array_equal(data.inputs(data.x_test), x)
    assert parsed("--scale=0,1").scale == (0.0, 1.0)


def test_small_images_are_named_by_their_option(parsed, example, tmp_path):
    x, y = np.zeros((40, 16, 32, 3), "uint8"), np.arange(40) % 2
    np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    common, arguments = example("common"), parsed("--data", str(tmp_path / "small.npz"))
    assert common.data_of(arguments, least=16).x_test.shape == (40, 16, 32, 3)
    with pytest.raises(BadInputError, match=r"32×32 pixels at least. Received: --data .*small.npz with \(16, 32, 3\)"):
        common.data_of(arguments, least=32)


def test_a_scale_is_two_numbers(example):
    with pytest.raises(argparse.ArgumentTypeError, match="Received: 'no'"):
        example("common").pair("no")


def test_a_spread_has_no_sign(example):
    spread = example("common").mean_and_spread
    assert spread([-1.0, -2.0], "{:+.2f}") == "-1.50 ± 0.71 (2)" and spread([0.5], "{:+.1f}") == "+0.5"


def test_a_difference_has_the_error_of_its_images(example):
    """Of 100 images 8 are right in the base alone and 2 in the other alone: −6 points, by McNemar's variance."""
    class Fixed:
        def __init__(self, classes):
            self.classes = np.array(classes)

        def predict(self, images, **_):
            return np.eye(2)[self.classes]

    y = np.zeros(100, int)
    data = Data("made up", *[np.zeros((100, 1)), y] * 3, 2)
    base, other = Fixed([0] * 58 + [1] * 42), Fixed([0] * 50 + [1] * 8 + [0] * 2 + [1] * 40)
    common = example("common")
    before = common.right_on_test(base, data)
    found = common.against(before, other, data)
    assert found["points"] == pytest.approx(-6) and found["differing"] == pytest.approx(0.1)
    assert found["error"] == pytest.approx(100 * ((8 + 2) / 100 - 0.06**2) ** 0.5 / 10)
    assert common.against(before, base, data) == {"points": 0, "error": 0, "differing": 0}
