import pytest

from tfold.errors import TfoldError
from tfold.measure.block import Block
from tfold.measure.rounds import Disturbed, NoMoreBlocksError, measure_in_turns
from tfold.measure.schedule import Schedule
from tfold.measure.steps import Steps


def measured(subjects, schedule, disturbed=(), **options):
    """The models in the order in which they were measured, and the rounds; blocks count up from 1."""
    order, turns = [], []

    def take(model, turn):
        order.append(model)
        turns.append(turn)
        if len(order) in disturbed:
            raise Disturbed("too hot")
        return Block.of([float(len(order))])

    return order, measure_in_turns(subjects, take, schedule, **options), turns


def values(rounds):
    return [[block.value_ms for block in blocks] for blocks in rounds.blocks]


def test_turns_change_direction_after_each_round_and_each_model_settles_once():
    order, rounds, turns = measured((0, 1, 0), Schedule(blocks=3))
    assert turns == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert order == [0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert values(rounds) == [[3, 8, 9], [4, 7, 10], [5, 6, 11]]
    assert not rounds.discarded


def test_a_disturbed_block_takes_its_round_with_it_and_both_are_counted():
    order, rounds, turns = measured((0, 1), Schedule(blocks=2), disturbed=(4, 5))
    assert turns == [0, 0, 1, 1, 2, 3, 3, 4, 4]  # a round that is measured again is another turn
    assert order == [0, 1, 0, 1, 0, 0, 1, 1, 0]  # settle; 0 and 1, hot; 0, hot; then both rounds
    assert values(rounds) == [[6, 9], [7, 8]]
    assert rounds.discarded == {"too hot": 3}


def test_while_settling_a_disturbance_does_no_harm():
    _, rounds, _ = measured((0, 1), Schedule(blocks=1), disturbed=(1,))
    assert values(rounds) == [[3], [4]] and not rounds.discarded


def test_a_phone_that_never_cools_down_ends_the_measurement():
    with pytest.raises(TfoldError, match=r"3 rounds thrown away, 0 kept: too hot \(3 blocks\)"):
        measured((0, 1), Schedule(blocks=2), disturbed=range(3, 99))


def test_what_is_measured_counts_where_nothing_more_can_be():
    _, rounds, _ = measured((0, 1), Schedule(blocks=7), disturbed=range(15, 99))
    assert len(rounds) == 6 and "8 rounds thrown away, 6 kept" in rounds.ended

    def take(model, turn):
        if turn == last:
            raise NoMoreBlocksError("too hot for too long")
        return Block.of([1.0])

    last = 7
    rounds = measure_in_turns((0, 1), take, Schedule(blocks=20))
    assert len(rounds) == 6 and rounds.ended == "too hot for too long"
    last = 6
    with pytest.raises(NoMoreBlocksError):
        measure_in_turns((0, 1), take, Schedule(blocks=20))


def test_the_display_counts_what_is_thrown_away_and_what_is_not_needed():
    said = []
    steps = Steps(lambda *event: said.append(event), ["a", "b"], done=10, total=16)
    measured((0, 1), Schedule(blocks=2), disturbed=(4,), steps=steps)
    assert said == [(10, 16, "a"), (11, 16, "b"), (12, 16, "a"), (13, 16, "b"),
                    (12, 16, "a"), (13, 16, "b"), (14, 16, "b"), (15, 16, "a")]
    measured((0, 1), Schedule(blocks=50, max_seconds=1e-9), steps=(steps := Steps()))
    assert steps.done == 102  # six rounds and the settling were measured, the rest counts as done
