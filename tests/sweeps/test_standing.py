"""What became of a (λ_c, seed), read from all attempts at it."""
import pytest

from tfold.sweeps.standing import DUPLICATE, FAILED, LOST, RELEASED, standings

optuna = pytest.importorskip("optuna")
State = optuna.trial.TrialState


def attempt(number, state, ended=None, strength=0.1, **more):
    space = {"strength": optuna.distributions.FloatDistribution(1e-9, 1e9, log=True),
             "seed": optuna.distributions.IntDistribution(0, 9)}
    trial = optuna.create_trial(
        state=State[state], params={"strength": strength, "seed": 0}, distributions=space,
        value=0.5 if state == "COMPLETE" else None, user_attrs={**({"ended": ended} if ended else {}), **more})
    trial.number = number
    return trial


@pytest.mark.parametrize("attempts, state, lost, number", [
    ([], "missing", 0, None),
    ([("WAITING",)], "waiting", 0, 0),
    ([("RUNNING",)], "running", 0, 0),
    ([("COMPLETE",)], "complete", 0, 0),
    ([("PRUNED",)], "pruned", 0, 0),
    ([("FAIL", FAILED)], "failed", 0, 0),
    ([("FAIL", LOST)], "missing", 1, 0),
    ([("FAIL", RELEASED)], "missing", 0, 0),
    ([("FAIL", RELEASED)] * 9, "missing", 0, 8),
    ([("FAIL", LOST)] * 2 + [("RUNNING",)], "running", 2, 2),
    ([("FAIL", LOST)] * 3, "failed", 3, 2),
    ([("COMPLETE",), ("WAITING",)], "complete", 0, 0),  # two machines have added it
    ([("RUNNING",), ("FAIL", DUPLICATE)], "running", 0, 0),
    ([("FAIL", DUPLICATE)], "missing", 0, None),
    ([("COMPLETE", LOST)], "complete", 0, 0),  # it was given up too early, and came to its end all the same
])
def test_one_standing(attempts, state, lost, number):
    trials = [attempt(i, *each) for i, each in enumerate(attempts)]
    standing, = standings(trials, [(0.1, 0)]).values()
    assert (standing.state, standing.lost) == (state, lost)
    assert (standing.trial.number if standing.trial else None) == number
    assert standing.over == (state in ("complete", "pruned", "failed"))


def test_what_is_tried_again_starts_with_a_clean_sheet():
    lost = [attempt(i, "FAIL", LOST) for i in range(3)]
    standing, = standings([*lost, attempt(3, "WAITING", again=True)]).values()
    assert (standing.state, standing.lost, standing.trial.number) == ("waiting", 0, 3)


def test_why_it_failed():
    given_up, = standings([attempt(i, "FAIL", LOST) for i in range(3)]).values()
    assert given_up.why == "its process died 3 times"
    said, = standings([attempt(0, "FAIL", FAILED, why="because")]).values()
    assert said.why == "because"


def test_the_plans_come_first_in_its_order_and_others_stay():
    found = standings([attempt(0, "COMPLETE", strength=9.0)], [(0.5, 0), (0.1, 0)])
    assert list(found) == ["strength-0.5-seed-0", "strength-0.1-seed-0", "strength-9.0-seed-0"]
