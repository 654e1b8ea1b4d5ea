"""The reference with which compiled operations are compared: right by itself, and hard to please."""

import itertools
import time

import numpy as np
import pytest

from tfold.training.kernels import check


@pytest.fixture
def library(kernels, loaded_kernels):
    return loaded_kernels.operations


class Altered:
    """The library, with one result of one operation changed."""

    def __init__(self, library, name, change):
        self.library, self.name, self.change = library, name, change

    def __getattr__(self, name):
        operation = getattr(self.library, name)
        return (lambda **inputs: self.change(operation(**inputs))) if name == self.name else operation


def results(library):
    """(operation, output) of every result that there is."""
    yield from (("tfold_moments", name) for name in ("mean", "rest", "variance"))
    yield from (("tfold_normalize", None), ("tfold_mix", None))
    yield from (("tfold_normalize_grad", name) for name in ("dx", "dresidual", "dgamma", "dbeta", "dslope"))
    yield from (("tfold_mix_grad", name) for name in ("dx", "dslope"))


def scaled(result, output, by):
    if output is None:
        return result * by(result)
    value = getattr(result, output)
    changed = [one * by(one) for one in value] if isinstance(value, list) else value * by(value)
    return result._replace(**{output: changed})


@pytest.mark.parametrize("wrong", [1.001, np.nan])
def test_no_result_may_be_wrong(library, wrong):
    """float32's, that is: bfloat16 itself is as wrong as that."""
    import tensorflow as tf

    cases = [case for case in check.CASES if not case.bfloat16]
    for name, output in results(library):
        def change(result, output=output):
            by = 1e4 if output == "rest" and wrong > 1 else wrong  # it is all but nothing
            return scaled(result, output, lambda value: tf.cast(by, value.dtype))

        assert check.disagreement(Altered(library, name, change), cases), (name, output)


def test_bfloat16_is_looked_at_as_well(library):
    import tensorflow as tf

    def change(result):
        return result * tf.cast(1.02 if result.dtype == tf.bfloat16 else 1.0, result.dtype)

    assert "bfloat16" in check.disagreement(Altered(library, "tfold_normalize", change))


def test_the_library_agrees_and_it_takes_no_time(library):
    assert check.disagreement(library) is None  # the first call of an operation is slow
    began = time.thread_time()  # of this thread alone: what else runs on the machine does not count
    assert check.disagreement(library) is None
    assert time.thread_time() - began < 1.0  # 0.02 s


def test_cases_cover_what_there_is():
    for dtype, activations in ((False, ("none", "clip", "mix")), (True, ("mix",))):
        found = {(c.activation, c.residual) for c in check.CASES if c.bfloat16 == dtype}
        assert found == set(itertools.product(activations, (False, True)))
    assert {len(case.channels) for case in check.CASES} == {1, 2}
    assert any(case.mean == 1000.0 for case in check.CASES)
    assert any(sum(case.channels) % 16 and sum(case.channels) >= 128 for case in check.CASES)


@pytest.mark.parametrize("slope, limit", [(1.0, np.inf), (0.0, 6.0), (0.25, 1.0)])
def test_the_reference_is_the_derivative_of_itself(slope, limit):
    """Every formula against differences, in float64."""
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(40, 3)), "residual": rng.normal(size=(40, 3)), "gamma": rng.uniform(1, 2, 3),
              "beta": rng.normal(size=3), "slope": np.float64(slope)}
    dy = rng.normal(size=(40, 3))

    def loss(**changes):
        return (check.reference(**{**inputs, **changes}, limit=limit, dy=dy)["y"] * dy).sum()

    found = check.reference(**inputs, limit=limit, dy=dy)
    for name, value in inputs.items():
        step = rng.normal(size=value.shape) * 1e-6
        difference = (loss(**{name: value + step}) - loss(**{name: value - step})) / 2
        assert difference == pytest.approx((found[f"d{name}"] * step).sum(), rel=1e-5, abs=1e-11), name
