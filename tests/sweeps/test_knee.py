"""EDNL on curves whose knee is known, and on curves that have none."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.errors import BadInputError
from tfold.sweeps.knee import find_knee
from tfold.sweeps.piecewise import fit_two_pieces

DEPTHS = np.repeat(np.arange(2, 20, 2), 3)


def bend(depths, at=10, slope=0.03):
    return 0.92 + slope * np.minimum(0, depths - at)


def step(depths, at=10):
    return np.where(depths >= at, 0.92, 0.8)


def saturating(depths):
    return 0.92 - 0.5 * np.exp(-(depths - 2) / 2.5)


def line(depths):
    return 0.6 + 0.016 * depths


def rising(depths):
    return 0.5 + 0.4 * (depths / 20) ** 2


def flat(depths):
    return np.full(len(depths), 0.92)


def noisy(curve, seed, spread=0.004, depths=DEPTHS):
    return curve(depths) + np.random.default_rng(seed).normal(0, spread, len(depths))


@pytest.mark.parametrize("curve", [bend, step])
def test_a_knee_without_noise(curve):
    knee = find_knee(DEPTHS, curve(DEPTHS))
    assert knee.depth == 10 and knee.why_not == ""
    assert knee.plateau == pytest.approx(0.92) and knee.noise == pytest.approx(0, abs=1e-12)
    assert knee.bend == pytest.approx(10, abs=0.26)
    assert knee.interval[0] <= 10 <= knee.interval[1] <= 12


@pytest.mark.parametrize("curve, truth", [(bend, 10), (step, 10), (saturating, 12)])
def test_knees_with_noise(curve, truth):
    found = [find_knee(DEPTHS, noisy(curve, seed), resamples=100) for seed in range(12)]
    assert all(knee.depth is not None and abs(knee.depth - truth) <= 2 for knee in found)
    covered = sum(knee.interval[0] <= truth <= knee.interval[1] for knee in found)
    assert covered >= 10  # of intervals that promise 95 %


@pytest.mark.parametrize("curve, words", [(line, "straight line"), (rising, "straight line"), (flat, "falls nowhere")])
def test_no_knee_is_named_where_there_is_none(curve, words):
    found = [find_knee(DEPTHS, noisy(curve, seed), resamples=1) for seed in range(12)]
    assert sum(knee.depth is not None for knee in found) <= 1
    assert all(words in knee.why_not for knee in found if knee.depth is None and words == "straight line")
    assert words in find_knee(DEPTHS, curve(DEPTHS)).why_not


def test_with_little_noise_one_trial_a_depth_is_enough():
    depths = np.arange(2, 20, 2)
    knee = find_knee(depths, noisy(bend, 0, 0.002, depths))
    assert knee.depth == 10
    assert knee.noise == pytest.approx(0.002, rel=0.7) and "they spread by" in knee.how
    few = find_knee([2, 3, 4, 5, 6, 7], [0.3, 0.5, 0.7, 0.9, 0.9, 0.9])
    assert few.depth == 5 and few.noise is None and "too few to tell the noise by" in few.how
    pairs = find_knee([2, 2, 3, 3, 4, 4, 5, 6], [0.4, 0.44, 0.6, 0.62, 0.86, 0.9, 0.9, 0.9])
    assert pairs.noise == pytest.approx(((2 * 0.02**2 * 2 + 2 * 0.01**2) / 3) ** 0.5)
    assert pairs.depth == 4 and "trials of one depth spread by 2.4 points" in pairs.how


def test_noise_widens_the_tolerance():
    quiet, loud = (find_knee(DEPTHS, noisy(bend, 3, spread)) for spread in (0.001, 0.03))
    assert "within 1.0 points" in quiet.how
    assert loud.depth is None or "within 1.0 points" not in loud.how
    assert loud.noise == pytest.approx(0.03, rel=0.5)


@pytest.mark.parametrize("seed", range(6))
def test_shallow_networks_that_spread_widen_no_tolerance(seed):
    """They do where they are too shallow: from one seed to the next they learn something or next to nothing."""
    spread = np.where(DEPTHS < 10, 0.03, 0.003)
    knee = find_knee(DEPTHS, step(DEPTHS) + np.random.default_rng(seed).normal(0, 1, len(DEPTHS)) * spread, 0.01)
    assert knee.noise == pytest.approx(0.003, rel=0.7)
    assert knee.depth == 10 and "within 1.0 points" in knee.how


def test_where_no_mean_is_near_the_plateau_there_is_no_knee():
    """Of the deepest networks four of nine go wrong, every time: the median says 90 %, each mean 63 %."""
    depths = np.repeat([2, 4, 6, 8], 9)
    knee = find_knee(depths, np.concatenate([[0.1] * 9, [0.2] * 9, *[[0.9] * 5 + [0.3] * 4] * 2]))
    assert knee.depth is None and knee.plateau == 0.9
    assert "The mean of no depth lies within" in knee.why_not and "plateau's 90.0%" in knee.why_not


def test_how_it_was_determined_names_the_numbers():
    how = find_knee(DEPTHS, bend(DEPTHS)).how
    for words in ("least depth", "92.0%", "3 trials", "depths 14 to 18", "27 trials", "resamples"):
        assert words in how


@pytest.mark.parametrize("depths", [[], [5], [3, 4, 5], [3, 3, 3, 4, 4, 5], [3, 4, 5, 6]])
def test_too_few_trials_name_no_knee(depths):
    knee = find_knee(depths, [0.5] * len(depths))
    assert knee.depth is None and "at least 5 trials, of at least 4 depths" in knee.why_not


def test_unusable_numbers_are_refused():
    with pytest.raises(BadInputError, match="both numbers"):
        find_knee([1, 2], [0.5, float("nan")])
    with pytest.raises(BadInputError, match="both numbers"):
        find_knee([1, 2], [0.5])


@pytest.mark.parametrize("tolerance", [float("nan"), -0.1, 1.5, True])
def test_a_tolerance_is_a_share(tolerance):
    with pytest.raises(BadInputError, match="is a share, 0 to 1"):
        find_knee([2, 3, 4, 5, 6], [0.5, 0.6, 0.7, 0.8, 0.9], tolerance)


@given(st.lists(st.tuples(st.integers(2, 9), st.floats(0, 1)), min_size=5, max_size=25))
def test_whatever_the_trials_a_knee_is_one_of_their_depths_or_a_reason(points):
    depths, accuracies = zip(*points, strict=True)
    knee = find_knee(depths, accuracies, resamples=10)
    assert (knee.depth is None) == bool(knee.why_not) != bool(knee.how)
    if knee.depth is not None:
        assert knee.depth in depths
        if knee.interval:
            assert min(depths) <= knee.interval[0] <= knee.interval[1] <= max(depths)


def test_the_order_of_the_trials_does_not_matter():
    order, values = np.random.default_rng(0).permutation(len(DEPTHS)), noisy(bend, 0)
    one, other = (find_knee(d, v) for d, v in ((DEPTHS, values), (DEPTHS[order], values[order])))
    assert one.depth == other.depth and one.plateau == pytest.approx(other.plateau)


def test_two_pieces_against_brute_force():
    values = noisy(bend, 1, 0.02)
    found = fit_two_pieces(DEPTHS, values)

    def rss(at):
        design = np.stack([np.ones(len(DEPTHS)), np.minimum(0, DEPTHS - at)], axis=1)
        return ((design @ np.linalg.lstsq(design, values, rcond=None)[0] - values) ** 2).sum()

    ends = np.arange(4, 16.01, 0.25)
    assert found.kind == "bend" and found.stands
    assert rss(found.at) == pytest.approx(min(map(rss, ends)))
