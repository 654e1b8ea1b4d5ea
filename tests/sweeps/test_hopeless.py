"""Which trials are ended early: the rule on made-up histories, and as an Optuna pruner."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfold.sweeps.hopeless import hopeless

ALPHA, POST, MARGIN = 4, 9, 0.02
accuracy = st.floats(0, 1)
curve = st.lists(accuracy, min_size=1, max_size=ALPHA + POST)
rival = st.tuples(st.one_of(st.none(), st.integers(2, 9)),
                  st.lists(accuracy, min_size=ALPHA + POST, max_size=ALPHA + POST))


def steps(values):
    return dict(enumerate(values))


def ask(values, depth, rivals, margin=MARGIN, chance=None):
    done = [(other, steps(history)) for other, history in rivals]
    return hopeless(steps(values), depth, done, margin, ALPHA, POST, chance)


@given(curve, st.integers(2, 9), st.lists(rival, max_size=4))
def test_a_trial_ends_only_if_a_shallower_one_was_better_by_the_margin(values, depth, rivals):
    why = ask(values, depth, rivals)
    post, upto = values[ALPHA:], len(values)
    beaten = any(other is not None and other <= depth and max(history[ALPHA:upto], default=0) - max(post) > MARGIN
                 for other, history in rivals) if post else False
    settled = POST / 2 <= len(post) < POST
    assert (why is not None) == (beaten and settled)


@given(curve, st.integers(2, 9), st.lists(rival, max_size=4), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_larger_margin_ends_no_more(values, depth, rivals, one, other):
    small, large = sorted((one, other))
    assert ask(values, depth, rivals, small) or not ask(values, depth, rivals, large)


@given(curve, st.integers(2, 9), st.lists(rival, max_size=4), rival)
def test_a_further_rival_saves_nobody_and_a_deeper_one_ends_nobody(values, depth, rivals, further):
    if ask(values, depth, rivals):
        assert ask(values, depth, [*rivals, further])
    assert not ask(values, depth, [(depth + 1, history) for _, history in rivals])


@given(st.lists(accuracy, min_size=1, max_size=ALPHA), st.lists(rival, max_size=4))
def test_in_pre_folding_nobody_is_beaten(values, rivals):
    assert not ask(values, 5, rivals)


def test_chance_lies_close_below_the_base_where_a_class_is_very_common():
    values = [0.97, 0.971, 0.969]
    assert hopeless(steps(values), 5, [], MARGIN, ALPHA, POST, chance=0.97) == (
        "accuracy was at chance (97.0 %) for 3 epochs")
    assert not hopeless(steps([0.97, 0.97, 0.982]), 5, [], MARGIN, ALPHA, POST, chance=0.97)
    # With a class that is as common as that, the base network is hardly better, and a good trial neither.
    assert not hopeless(steps([0.97, 0.976, 0.977]), 5, [], MARGIN, ALPHA, POST, chance=0.97, base=0.978)
    assert hopeless(steps(values), 5, [], MARGIN, ALPHA, POST, chance=0.97, base=0.978)
    assert not hopeless(steps([0.5, 0.5, 0.5]), 5, [], MARGIN, ALPHA, POST, chance=0.5, base=0.3)


def test_what_is_said():
    rivals = [(10, [0.5] * ALPHA + [0.80, 0.85, 0.8, 0.8, 0.86] + [0.9] * 4)]
    why = ask([0.5] * ALPHA + [0.80, 0.79, 0.78, 0.79, 0.81], 12, rivals)
    assert why == "a trial of depth 10 was at 86.0 % after as many epochs, this one of depth 12 at 81.0 %"
    assert not ask([0.5] * ALPHA + [0.80, 0.845, 0.8, 0.8, 0.81], 12, rivals)  # its best epoch counts
    assert not ask([0.5] * ALPHA + [0.80, 0.79, 0.78, 0.79, 0.81], None, rivals)
    assert not ask([0.5] * ALPHA + [0.80, 0.79, 0.78, 0.79], 12, rivals)  # half of the epochs are not over


def test_with_few_images_more_is_luck():
    own, rivals = steps([0.5, 0.8, 0.8, 0.8]), [(10, steps([0.5, 0.85, 0.85, 0.85, 0.85, 0.85]))]
    assert hopeless(own, 12, rivals, MARGIN, 1, 5, images=5000)
    assert not hopeless(own, 12, rivals, MARGIN, 1, 5, images=200)  # ± 3.8 points


@pytest.mark.parametrize("values, ended", [
    ([0.1, 0.1], False),  # not enough epochs yet
    ([0.1, 0.1, 0.1], True),
    ([0.5, 0.1, 0.105, 0.1], True),  # it has collapsed
    ([0.1, 0.1, 0.1, 0.2], False),  # it has begun to learn
])
def test_a_network_at_chance_is_given_up(values, ended):
    assert bool(ask(values, None, [], chance=0.1)) == ended
    assert not ask(values, None, [])


def test_before_the_first_epoch_nothing_is_known():
    assert hopeless({}, None, [], MARGIN, ALPHA, POST, 0.1) is None


def test_a_depth_that_may_be_out_of_date_ends_nobody():
    own, rivals = steps([0.5, 0.7, 0.7, 0.7]), [(10, steps([0.5, 0.85, 0.85, 0.85, 0.85, 0.85]))]
    assert hopeless(own, 12, rivals, MARGIN, 1, 5)
    del own[0]  # what the last epoch of pre-folding brought was never reported
    assert not hopeless(own, 12, rivals, MARGIN, 1, 5)


def test_as_an_optuna_pruner():
    optuna = pytest.importorskip("optuna")
    from tfold.sweeps.pruning import BeatenPruner

    pruner = BeatenPruner(MARGIN, 1, 5)
    study = optuna.create_study(direction="maximize", pruner=pruner)

    def trial(strength, depth, values, state):
        space = {"strength": optuna.distributions.FloatDistribution(1e-9, 1e9, log=True)}
        return optuna.create_trial(params={"strength": strength}, distributions=space, user_attrs={"depth": depth},
                                   intermediate_values=steps(values), state=state, value=values[-1])

    done, pruned = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
    study.add_trial(trial(1.0, 8, [0.5, 0.8, 0.85, 0.9, 0.9, 0.9], done))
    study.add_trial(trial(2.0, 4, [0.5, 0.99, 0.99, 0.99, 0.99], pruned))  # it never came to its end: no rival
    beaten = trial(0.1, 9, [0.5, 0.7, 0.75, 0.8], done)
    assert pruner.prune(study, beaten) and pruner.why(study, beaten, 3) == pruner.why(study, beaten)
    assert pruner.why(study, beaten, 2) is None  # as far as it is now
    assert not pruner.prune(study, trial(1.0, 9, [0.5, 0.7, 0.75, 0.8], done))  # only the seed is another
    assert not pruner.prune(study, trial(0.1, 7, [0.5, 0.7, 0.75, 0.8], done))
    assert not pruner.prune(study, trial(0.1, 9, [0.5, 0.7, 0.84, 0.89], done))
