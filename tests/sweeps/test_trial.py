"""Trials with real trainings of a tiny network, which a real pruner may end."""
import keras
import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.sweeps import worker
from tfold.sweeps.plan import Plan
from tfold.sweeps.pruning import BeatenPruner
from tfold.sweeps.queue import Queue
from tfold.sweeps.store import Store
from tfold.sweeps.trial import Bench

RARE = 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with images of which a tenth are of the last class, and a network that always names that one."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 300), ("test", 60)):
        parts[f"x_{part}"] = random.normal(size=(count, 4)).astype("float32")
        parts[f"y_{part}"] = np.where(np.arange(count) % 10 == 0, RARE, np.arange(count) % 2)
    np.savez(folder / "data.npz", **parts)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4, "relu", name="a"),
                              keras.layers.Dense(3, name="out")])
    model.layers[-1].set_weights([np.zeros((4, 3)), np.array([0.0, 0.0, 9.0])])
    model.save(folder / "base.keras")
    return folder


@pytest.fixture
def plan(files):
    return lambda **recipe: Plan(str(files / "base.keras"), str(files / "data.npz"), (1.0,), 1, {
        "alpha_epochs": 3, "post_epochs": 1, "alpha_rate": 0.0, "post_rate": 0.0, **recipe})


def run(plan, folder, prune):
    """What the events were, and how the trial stands."""
    queue, events = Queue(Store(f"sqlite:///{folder}/study.db", "sweep"), plan.trials()), []
    queue.add()
    bench = Bench(plan, folder)
    base = bench.base_figures()
    pruner = BeatenPruner(0.02, 3, 1, base["chance"], base["images"], base["accuracy"]["validation"])
    worker.work(queue, lambda trial: bench.run(trial, lambda line: None, lambda *epoch: None, prune and pruner),
                lambda event, **details: events.append((event, details)))
    [standing] = queue.standings().values()
    return events, standing


def test_a_network_at_chance_is_pruned_and_only_if_asked_for(plan, tmp_path):
    (tmp_path / "pruned").mkdir()
    events, standing = run(plan(), tmp_path / "pruned", prune=True)
    assert [event for event, _ in events] == ["claimed", "pruned"]
    assert standing.state == "pruned" and "at chance" in standing.why and "at chance" in events[-1][1]["why"]
    assert sorted(standing.trial.intermediate_values) == [0, 1, 2]  # pre-folding alone
    (tmp_path / "not").mkdir()
    events, standing = run(plan(), tmp_path / "not", prune=False)
    assert [event for event, _ in events] == ["claimed", "complete"] and standing.state == "complete"
    assert sorted(standing.trial.intermediate_values) == [0, 1, 2, 3]


def test_a_training_that_diverges_is_ended_early(plan, tmp_path):
    events, standing = run(plan(alpha_rate=1e30), tmp_path, prune=False)
    assert [event for event, _ in events] == ["claimed", "pruned"]
    assert standing.state == "pruned" and "the training has diverged" in standing.why and "--clip" in standing.why


@pytest.mark.parametrize("recipe, words", [
    ({"border": "approximate"}, 'post="folded"'),
    ({"skip": ("b",)}, "'b'"),
    ({"tie": (("a", "none"),)}, "none"),
    ({"padding": "backward"}, "padding"),
    ({"alpha_rate": float("nan")}, "alpha_rate"),
    ({"augment": "shift"}, "augment='none'"),
])
def test_what_no_trial_could_do_is_said_before_the_first(plan, tmp_path, recipe, words):
    with pytest.raises(BadInputError, match=words):
        Bench(plan(**recipe), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_teacher_of_yes_or_no_is_refused_before_the_first(files, tmp_path):
    base = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(3, "sigmoid")])
    base.save(tmp_path / "sigmoid.keras")
    plan = Plan(str(tmp_path / "sigmoid.keras"), str(files / "data.npz"), (1.0,), 1, {"distill": 0.5})
    with pytest.raises(BadInputError, match="Distillation compares distributions"):
        Bench(plan, tmp_path)
