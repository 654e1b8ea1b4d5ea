import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold.errors import BadInputError
from tfold.measure.statistics import MIN_BLOCKS, _mid_quantiles, bootstrap_ratio, median, p90, spread

latency = st.floats(1e-4, 1e4)
block = st.lists(latency, min_size=1, max_size=6)
pairs = st.lists(st.tuples(block, block), min_size=MIN_BLOCKS, max_size=25)


def ratio_of(pairs, **settings):
    a, b = zip(*pairs, strict=True)
    return bootstrap_ratio(a, b, resamples=200, **settings)


def test_summaries_of_known_numbers():
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert median(values) == 3
    assert p90(values) == pytest.approx(4.6)
    assert spread(values) == pytest.approx(2 / 3)
    assert spread([2.0]) == 0


@pytest.mark.parametrize("function", [median, p90, spread])
@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [1.0, float("inf")], [0.0, 1.0], [-1.0]])
def test_numbers_that_are_no_latencies_are_refused(function, values):
    with pytest.raises(BadInputError, match="Received"):
        function(values)


@given(pairs)
def test_the_interval_holds_the_estimate(pairs):
    ratio = ratio_of(pairs)
    assert ratio.low <= ratio.value <= ratio.high
    assert ratio.blocks == len(pairs)


@given(pairs, st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_slower_second_model_scales_the_ratio_and_a_slower_clock_does_not(pairs, factor, unit):
    ratio = ratio_of(pairs)
    scaled = ratio_of([([unit * x for x in a], [unit * factor * x for x in b]) for a, b in pairs])
    expected = [factor * number for number in (ratio.value, ratio.low, ratio.high)]
    assert [scaled.value, scaled.low, scaled.high] == pytest.approx(expected, rel=1e-9)


@given(pairs)
def test_exchanging_the_models_inverts_the_ratio(pairs):
    ratio, inverse = ratio_of(pairs), ratio_of([(b, a) for a, b in pairs])
    assert [inverse.value, inverse.low, inverse.high] == pytest.approx(
        [1 / ratio.value, 1 / ratio.high, 1 / ratio.low], rel=1e-9
    )


@settings(max_examples=20)
@given(pairs, st.integers(0, 10))
def test_the_seed_decides(pairs, seed):
    assert ratio_of(pairs, seed=seed) == ratio_of(pairs, seed=seed)


@given(pairs)
def test_more_confidence_is_never_narrower(pairs):
    narrow, wide = ratio_of(pairs, confidence=0.8), ratio_of(pairs, confidence=0.99)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_the_quantile_of_few_different_medians_lies_between_them():
    values = np.array([1.0] * 2 + [2.0] * 6 + [3.0] * 2)
    assert _mid_quantiles(values, [0.1, 0.3, 0.5, 0.0, 1.0]) == pytest.approx([1.0, 1.5, 2.0, 1.0, 3.0])


def in_sequence(rng, kind, blocks):
    """Medians of so many blocks of each of two equal models, one after the other, on a machine that is not steady."""
    time = np.arange(2 * blocks)
    noise = rng.normal(0, 0.01, time.size)
    if kind == "drift":
        noise += 0.1 * time / time.size
    if kind == "random walk":
        noise += np.cumsum(rng.normal(0, 0.01, time.size))
    if kind == "bursts":
        noise += np.where(rng.random(time.size) < 0.15, rng.uniform(0.1, 0.7, time.size), 0)
    if kind == "throttling":
        noise += 0.26 * (time > rng.integers(time.size))
    return np.exp(noise)


def simulated(rng, kind, true, blocks=20):
    """The same, measured in turns A B B A …"""
    in_turns = in_sequence(rng, kind, blocks).reshape(blocks, 2)
    in_turns[1::2] = in_turns[1::2, ::-1]
    return in_turns[:, :1], true * in_turns[:, 1:]


@pytest.mark.parametrize(("true", "blocks"), [(1.0, 20), (0.7, 8), (0.7, 15)])
@pytest.mark.parametrize("kind", ["steady", "drift", "random walk", "bursts", "throttling"])
def test_the_interval_covers_the_truth_as_often_as_it_says(kind, true, blocks):
    rng = np.random.default_rng(7)
    ratios = [bootstrap_ratio(*simulated(rng, kind, true, blocks), resamples=400) for _ in range(500)]
    covered = np.mean([ratio.low <= true <= ratio.high for ratio in ratios])
    assert 0.92 <= covered <= 0.98
    if blocks > 8:  # and it is not merely wide
        assert np.median([ratio.high - ratio.low for ratio in ratios]) < 0.04


@pytest.mark.parametrize("kind", ["drift", "random walk", "throttling"])
def test_first_one_model_and_then_the_other_would_be_wrong_far_more_often(kind):
    rng, covered = np.random.default_rng(7), 0
    for _ in range(200):
        a, b = (np.log(blocks) for blocks in np.split(in_sequence(rng, kind, 20), 2))
        medians = [np.median(each[rng.integers(0, 20, (400, 20))], axis=1) for each in (a, b)]
        low, high = np.quantile(medians[1] - medians[0], [0.025, 0.975])
        covered += low <= 0 <= high  # both are the same model
    assert covered / 200 < 0.6


def test_a_difference_is_shown_only_where_the_interval_excludes_1():
    rng = np.random.default_rng(0)
    assert bootstrap_ratio(*simulated(rng, "steady", 0.9)).differs
    assert not bootstrap_ratio([[1.0], [2.0]] * 5, [[2.0], [1.0]] * 5).differs


@pytest.mark.parametrize(
    ("a", "b"),
    [([[1.0]] * 5, [[1.0]] * 5), ([[1.0]] * 8, [[1.0]] * 7), ([[1.0]] * 7 + [[]], [[1.0]] * 8), ([], [])],
)
def test_too_little_to_compare_is_refused(a, b):
    with pytest.raises(BadInputError, match="Received"):
        bootstrap_ratio(a, b)


@pytest.mark.parametrize("wrong", [{"confidence": 0}, {"confidence": 1}, {"confidence": 95}, {"resamples": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(BadInputError, match=next(iter(wrong))):
        bootstrap_ratio([[1.0]] * 8, [[1.0]] * 8, **wrong)
