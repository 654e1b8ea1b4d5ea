import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.sweeps.pareto import pareto_front

few = st.integers(0, 5)  # few values, so that there are ties


def beats(a, b):
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(st.lists(st.tuples(few, few), max_size=12))
def test_against_brute_force(points):
    front = pareto_front([cost for cost, _ in points], [value for _, value in points])
    assert set(front) == {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert len(set(front)) == len(front)
    along = [points[i] for i in front]
    assert along == sorted(along)  # dearer and worth more, hand in hand


@pytest.mark.parametrize("costs, values, front", [
    ([], [], []),
    ([3], [0.5], [0]),
    ([3, 2, 1], [0.5, 0.5, 0.5], [2]),
    ([1, 1, 2], [0.5, 0.6, 0.6], [1]),
    ([1, 1], [0.5, 0.5], [0, 1]),
    ([4, 2, 3], [0.9, 0.7, 0.8], [1, 2, 0]),
    ([(0.96, 1.00), (0.98, 1.02)], [0.8, 0.9], [1]),  # not shown to be faster
    ([(0.96, 0.97), (0.98, 1.02)], [0.8, 0.9], [0, 1]),
    ([(0.96, 0.97), (0.98, 1.02)], [0.9, 0.8], [0]),
    ([(0.96, 0.99), (0.98, 1.02)], [0.9, 0.9], [0, 1]),
    ([(0.96, 0.97), (0.98, 1.02)], [0.9, 0.9], [0]),
])
def test_front(costs, values, front):
    assert pareto_front(costs, values) == front
