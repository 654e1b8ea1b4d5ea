"""Systems of equations: what holds together, what contradicts what, and in which channel."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.algebra.equations import PARITY, REAL, Contradiction, Equation, Mixed, System

REALS, PARITIES = st.integers(-3, 3), st.booleans()


def equation(value, *sources, field=REAL, **terms):
    """Coefficients and value: a number for all of two channels, or one for each."""
    def channels(number):
        return np.broadcast_to(np.asarray(number, field.dtype), 2).copy()

    return Equation(
        {key: channels(c) for key, c in terms.items()}, channels(value), frozenset(sources), np.arange(2))


def parity(value, *sources, **terms):
    return equation(value, *sources, field=PARITY, **terms)


def system(*equations, field=REAL):
    found = System(field)
    for each in equations:
        found.add(each)
    return found


def solution(*equations, field=REAL):
    return {key: value.tolist() for key, value in system(*equations, field=field).solution().items()}


def test_one_unknown_after_the_other():
    assert solution(equation(2, x=1, y=-1), equation([3, 4], y=1)) == {"x": [5, 6], "y": [3, 4]}


def test_what_is_left_free_is_zero():
    assert solution(equation(2, x=2, y=-1, z=1)) == {"x": [1, 1]}


def test_an_equation_of_later_unknowns_changes_what_was_given():
    """x is given by y, y by z, then z by itself."""
    found = solution(equation(0, x=1, y=-1), equation(0, y=1, z=-2), equation(3, z=1))
    assert found == {"x": [6, 6], "y": [6, 6], "z": [3, 3]}


def test_an_equation_that_follows_from_others_changes_nothing():
    found = system(equation(1, x=1, y=1), equation(3, x=1, y=-1))
    rows = dict(found.rows)
    found.add(equation([4, 4], x=2))
    found.add(equation(0))
    assert found.rows == rows


def test_reduced():
    left = system(equation(2, x=1, y=-1)).reduced(equation(7, x=3, y=1))
    assert {key: c.tolist() for key, c in left.terms.items()} == {"y": [4, 4]}
    assert left.value.tolist() == [1, 1]


def test_reduced_to_nothing():
    left = system(equation(2, "a", x=1, y=-1)).reduced(equation(4, "b", x=2, y=-2))
    assert (left.terms, left.value.tolist(), left.sources) == ({}, [0, 0], {"a", "b"})


def test_a_contradiction_names_where_it_comes_from_and_the_channel():
    found = system(equation(2, "a", x=1, y=-1), equation(3, "b", y=1), equation(1, "c", z=1))
    rows = dict(found.rows)
    with pytest.raises(Contradiction) as caught:
        found.add(equation([5, 6], "d", x=1))
    assert (caught.value.sources, caught.value.channel) == ({"a", "b", "d"}, 1)
    assert found.rows == rows


def test_an_equation_may_contradict_itself():
    with pytest.raises(Contradiction) as caught:
        system(equation([1, 0], "a", x=0))
    assert (caught.value.sources, caught.value.channel) == ({"a"}, 0)


def test_what_rounding_leaves_is_no_contradiction():
    found = system(equation(0.1, x=1), equation(0.2, y=1))
    found.add(equation(0.3, x=1, y=1))
    with pytest.raises(Contradiction):
        found.add(equation(0.3 + 1e-6, x=1, y=1))


def test_rounding_leaves_no_coefficient():
    """3 · 0.1 − 0.3 is not zero in binary numbers, but no coefficient either."""
    left = system(equation(0, x=1, y=-0.1)).reduced(equation(0, x=3, y=-0.3))
    assert left.terms == {}


def test_channels_that_must_be_told_apart():
    """0·x = … in one channel says nothing of x, in the other it gives it."""
    found = system(equation(1, y=1))
    with pytest.raises(Mixed) as caught:
        found.add(equation(1, x=[0, 2]))
    assert (caught.value.unknown, caught.value.is_zero.tolist()) == ("x", [True, False])
    assert set(found.rows) == {"y"}


def test_a_coefficient_that_is_zero_in_one_channel_does_not_matter_beside_another():
    assert solution(equation([2, 4], x=[0, 2], y=1), equation(1, x=1)) == {"x": [1, 1], "y": [2, 2]}


def test_one_channel_of_an_equation():
    one = equation([5, 6], "a", x=[1, 2]).at(1)
    assert (one.terms["x"].tolist(), one.value.tolist(), one.rows.tolist(), one.sources) == ([2], [6], [1], {"a"})


def test_a_copy_goes_its_own_way():
    found = system(equation(1, x=1))
    other = found.copy()
    other.add(equation(2, y=1))
    assert set(found.rows) == {"x"} and set(other.rows) == {"x", "y"} and other.field is found.field


def test_parity():
    """Odd and odd is even."""
    found = solution(parity([1, 0], x=1, y=1), parity([1, 1], y=1), field=PARITY)
    assert found == {"x": [False, True], "y": [True, True]}


def test_a_parity_contradiction():
    found = system(parity(0, "a", x=1, y=1), parity(0, "b", y=1, z=1), field=PARITY)
    with pytest.raises(Contradiction) as caught:
        found.add(parity([0, 1], "c", x=1, z=1))
    assert (caught.value.sources, caught.value.channel) == ({"a", "b", "c"}, 1)


def random_systems(entries):
    """Matrices, values in two channels, and an order in which unknowns are named."""
    return st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(lambda size: st.tuples(
        st.lists(st.lists(entries, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]),
        st.lists(st.tuples(entries, entries), min_size=size[0], max_size=size[0]),
        st.permutations(range(size[1]))))


def added(matrix, values, order, field):
    """The system of all rows that hold together with those before them; of each other row, its `Contradiction`."""
    found, refused = System(field), {}
    for i, (row, value) in enumerate(zip(matrix, values, strict=True)):
        terms = {k: np.full(2, row[k], field.dtype) for k in order}
        try:
            found.add(Equation(terms, np.array(value, field.dtype), frozenset({i})))
        except Contradiction as contradiction:
            refused[i] = contradiction
    return found, refused


def values_of(found, n):
    return np.array([found.solution().get(k, np.zeros(2)) for k in range(n)], float)


@given(random_systems(REALS))
def test_against_the_ranks_of_numpy(drawn):
    matrix, values, order = drawn
    found, refused = added(matrix, values, order, REAL)
    a, b, kept = np.array(matrix, float), np.array(values, float), []

    def contradicted(rows):
        """The first channel in which these rows have no solution."""
        rank = np.linalg.matrix_rank
        return next((k for k in (0, 1) if rank(a[rows]) < rank(np.column_stack([a[rows], b[rows, k]]))), None)

    for i in range(len(b)):
        where = contradicted([*kept, i])
        if where is None:
            assert i not in refused
            kept.append(i)
        else:  # what a contradiction names is one by itself
            assert refused[i].channel == where == contradicted(sorted(refused[i].sources)) and i in refused[i].sources
    assert len(found.rows) == (np.linalg.matrix_rank(a[kept]) if kept else 0)
    np.testing.assert_allclose(a[kept] @ values_of(found, a.shape[1]), b[kept], atol=1e-9)


@given(random_systems(PARITIES))
def test_parities_against_all_solutions(drawn):
    matrix, values, order = drawn
    found, refused = added(matrix, values, order, PARITY)
    a, b, kept = np.array(matrix, int), np.array(values, int), []
    n = a.shape[1]
    every = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    right = (every @ a.T % 2)[..., None] == b  # which assignment solves which row in which channel

    def contradicted(rows):
        return next((k for k in (0, 1) if not right[:, rows, k].all(axis=1).any()), None)

    for i in range(len(b)):
        where = contradicted([*kept, i])
        if where is None:
            assert i not in refused
            kept.append(i)
        else:
            assert refused[i].channel == where == contradicted(sorted(refused[i].sources)) and i in refused[i].sources
    assert (a[kept] @ values_of(found, n) % 2 == b[kept]).all()
