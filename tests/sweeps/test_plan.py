import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.checks import differences
from tfold.errors import BadInputError
from tfold.sweeps.plan import (
    RECIPE,
    Plan,
    content_of,
    covering_order,
    name_of,
    spread_strengths,
)


@given(st.lists(st.integers(), unique=True, min_size=1, max_size=40))
def test_the_order_has_each_value_once_and_covers_the_range_early(values):
    order = covering_order(values)
    assert sorted(order) == sorted(values)
    assert set(order[:2]) == {min(values), max(values)}
    rank = sorted(values).index
    for done in range(2, len(order)):  # no gap is more than twice the width that is to be had with so many
        ranks = sorted(map(rank, order[:done]))
        assert max(b - a for a, b in zip(ranks, ranks[1:], strict=False)) <= 2 * -(-(len(values) - 1) // (done - 1))


def test_strengths_at_equal_ratios():
    assert spread_strengths(0.01, 1, 5) == (0.01, 0.03162, 0.1, 0.3162, 1.0)
    assert spread_strengths(0.5, 0.5, 1) == (0.5,)
    assert len(spread_strengths()) == 9


@pytest.mark.parametrize("given_, words", [
    ((1, 0.1, 3), "from low to high"), ((0, 1, 3), "from 1e-09"), ((0.1, 1, 1), "2 points or more"),
    ((0.1, float("inf"), 3), "is a number"),
])
def test_impossible_strengths(given_, words):
    with pytest.raises(BadInputError, match=words):
        spread_strengths(*given_)


@pytest.mark.parametrize("changes, words", [
    ({"strengths": (0.1, -1.0)}, "strength"), ({"seeds": 0}, "seeds"), ({"prune": 2}, "margin"),
    ({"recipe": {"epochs": 3}}, "epochs"), ({"reading": {"colour": 1}}, "colour"),
])
def test_impossible_plans(changes, words):
    with pytest.raises(BadInputError, match=words):
        Plan("b.keras", "d.npz", **changes)


def test_all_strengths_with_one_seed_before_the_next_seed():
    trials = Plan("b.keras", "d.npz", (0.1, 0.2, 0.3, 0.2), 2).trials()
    assert trials == [(0.1, 0), (0.3, 0), (0.2, 0), (0.1, 1), (0.3, 1), (0.2, 1)]


def test_names_tell_strengths_apart():
    assert name_of(0.1, 0) != name_of(0.10000001, 0) != name_of(0.1, 1)


def test_defaults_are_the_recipes():
    """They are written down twice, so that a sweep can be planned without importing Keras."""
    import keras  # noqa: F401

    from tfold.recipe.settings import Recipe

    fields = {field.name: field.default for field in dataclasses.fields(Recipe)}
    del fields["strength"], fields["seed"]
    assert fields == RECIPE


@pytest.fixture
def paths(tmp_path):
    """(a base network's file, data); identities look at the bytes alone."""
    (tmp_path / "b.keras").write_bytes(b"network")
    (tmp_path / "d.npz").write_bytes(b"images")
    return tmp_path / "b.keras", tmp_path / "d.npz"


def test_identity_is_of_contents_not_of_paths(paths, tmp_path):
    base, data = paths
    before = Plan(str(base), str(data)).identity()
    moved = base.rename(tmp_path / "moved.keras")
    assert Plan(str(moved), str(data), (0.5,), 7).identity() == before
    moved.write_bytes(b"another")
    data.write_bytes(b"others")
    now = Plan(str(moved), str(data), recipe={"batch": 64, "tie": (("a", "b"),)}, reading={"scale": (0.0, 1.0)},
               prune=None).identity()
    said = differences(before, now)
    assert [each.split(":")[0] for each in said] == ["base", "data", "scale", "batch", "tie", "prune"]
    assert "batch: 128, now 64" in said and "scale: nothing, now [0.0, 1.0]" in said


def test_what_stands_for_data(paths, tmp_path):
    _, data = paths
    folder = tmp_path / "photos"
    (folder / "cats").mkdir(parents=True)
    empty = content_of(folder)
    (folder / "cats" / "1.png").write_bytes(b"12")
    assert len({content_of(data), content_of(folder), content_of("cifar10"), empty}) == 4
    before = content_of(folder)
    (folder / ".DS_Store").write_bytes(b"a look at the folder")
    assert content_of(folder) == before
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "train").symlink_to(folder)  # what lies behind a link counts
    linked = content_of(tmp_path / "parts")
    (folder / "cats" / "2.png").write_bytes(b"12")
    assert linked not in (empty, content_of(tmp_path / "parts"))


def test_a_base_that_is_no_file(tmp_path):
    with pytest.raises(BadInputError, match="none"):
        Plan(str(tmp_path / "none.keras"), "cifar10").identity()
