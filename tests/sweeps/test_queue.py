"""None is run twice, none is lost: claims of several processes, on SQLite, in a journal and on PostgreSQL."""
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfold.errors import BadInputError, InUseError, TfoldError
from tfold.sweeps import process, store, worker
from tfold.sweeps.claimed import TakenOverError
from tfold.sweeps.process import Watch
from tfold.sweeps.queue import Queue
from tfold.sweeps.store import Store

PAIRS = [(0.1, 0), (0.3, 0), (0.2, 0)]
OUTCOME = {"depth": 5, "accuracy": {"validation": 0.9, "test": 0.8}}


@pytest.fixture
def queue(url):
    return Queue(Store(url, "sweep"), PAIRS)


def states(queue):
    return [each.state for each in queue.standings().values()]


def test_from_the_plan_to_the_end(queue):
    assert states(queue) == ["missing"] * 3 and not queue.waits()
    assert queue.add() == 3 and queue.add() == 0
    names = []
    while (trial := queue.claim()) is not None:
        with trial:
            names.append(trial.name)
            trial.report(0, 0.8, depth=7)
            trial.complete(0.9, OUTCOME)
    assert names == [f"strength-{strength}-seed-0" for strength, _ in PAIRS]
    assert states(queue) == ["complete"] * 3 and queue.tend() == []
    done = next(iter(queue.standings().values())).trial
    assert done.value == 0.9 and done.user_attrs["outcome"] == OUTCOME and done.intermediate_values == {0: 0.8}


def test_ways_to_end(queue):
    queue.add()
    queue.claim().prune("hopeless")
    queue.claim().fail("broken")
    queue.claim().release()
    found = list(queue.standings().values())
    assert [(each.state, each.why) for each in found] == [
        ("pruned", "hopeless"), ("failed", "broken"), ("missing", "")]
    assert queue.add() == 1 and queue.add(again=True) == 1
    assert states(queue) == ["pruned", "waiting", "waiting"]
    assert queue.claim().name == "strength-0.3-seed-0"  # in the plan's order, not in that of the attempts


def test_a_dead_process_trial_goes_on_where_it_was(queue, url):
    queue.add()
    code = ("import sys; from tfold.sweeps.queue import Queue; from tfold.sweeps.store import Store; "
            "trial = Queue(Store(sys.argv[1], 'sweep'), [(0.1, 0)]).claim(); trial.report(3, 0.75, depth=6); "
            "import os; os.kill(os.getpid(), 9)")
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code, url], cwd=root).returncode == -9
    assert states(queue)[0] == "running"
    said, = queue.tend()
    assert said.startswith("λ_c 0.1, seed 0: process ") and said.endswith(" is gone")
    trial = queue.claim()
    assert (trial.name, trial.lost) == ("strength-0.1-seed-0", 1)
    assert trial.frozen().intermediate_values == {3: 0.75} and trial.frozen().user_attrs["depth"] == 6


def test_a_process_elsewhere_is_given_up_when_it_is_silent(url, monkeypatch):
    now = [0.0]
    queue = Queue(Store(url, "sweep"), PAIRS, Watch(100, lambda: now[0]))
    queue.add()
    monkeypatch.setattr(process, "host", lambda: "elsewhere/0/0")
    trial = queue.claim()
    monkeypatch.undo()
    for now[0] in range(0, 101, 10):
        assert queue.tend() == [] and states(queue)[0] == "running"
    trial.check()
    now[0] = 110
    assert len(queue.tend()) == 1 and states(queue)[0] == "waiting"
    with pytest.raises(TakenOverError, match="strength-0.1-seed-0"):
        trial.report(0, 0.5)
    with pytest.raises(TakenOverError, match="silent for too long"):
        trial.check()
    with pytest.raises(TakenOverError):
        trial.complete(0.9, OUTCOME)
    assert states(queue)[0] == "waiting"


def test_whoever_waits_for_a_folder_notices_that_the_trial_was_taken_over(queue, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE", 0.0)
    queue = Queue(queue.store, PAIRS[:1])
    queue.add()
    events, asked = [], []

    def run(trial):
        asked.append(trial.name)
        if len(asked) == 3:
            trial.store.storage.set_trial_state_values(trial._id, queue._states.FAIL)  # as `tend` elsewhere does
        assert len(asked) <= 3
        raise InUseError("One process works in a folder.", "folder")

    worker.work(queue, run, lambda event, **details: events.append((event, details.get("folder"))))
    assert events == [("claimed", None), ("waiting", "folder"), ("taken over", None)] and len(asked) == 3


def test_others_come_before_a_trial_whose_folder_is_in_use(queue, monkeypatch):
    monkeypatch.setattr(worker, "PAUSE", 0.0)
    queue.add()
    events, tries = [], []

    def run(trial):
        if trial.strength == 0.1 and len(tries) < 4:
            tries.append(trial.name)
            raise InUseError("One process works in a folder.", "folder")
        return OUTCOME

    def emit(event, strength, **details):
        events.append((event, strength))
        queue.add()  # as the sweep's own process does: what was handed back waits again

    worker.work(queue, run, emit)
    assert events == [
        ("claimed", 0.1), ("put off", 0.1), ("claimed", 0.3), ("complete", 0.3), ("claimed", 0.2), ("complete", 0.2),
        ("claimed", 0.1), ("waiting", 0.1), ("complete", 0.1)]
    assert states(queue) == ["complete"] * 3 and next(iter(queue.standings().values())).lost == 0


class Clock:
    """Time that passes only by sleeping."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_nobody_waits_for_a_folder_for_ever(queue, monkeypatch):
    monkeypatch.setattr(worker, "time", Clock())
    monkeypatch.setattr(worker, "PAUSE", 100.0)
    monkeypatch.setattr(worker, "LONGEST", 3000.0)
    monkeypatch.setattr(worker, "REPEAT", 600.0)
    queue = Queue(queue.store, PAIRS[:1])
    queue.add()
    events = []

    def run(trial):
        raise InUseError("One process works in a folder.", "folder")

    worker.work(queue, run, lambda event, **_: events.append(event))
    assert states(queue) == ["failed"] and events[-1] == "failed"
    assert events == ["claimed", *["waiting"] * 6, "failed"]  # after 0, 600, … 3000 s
    assert worker.time.now == 3100.0


def test_a_beat_keeps_a_trial(url, monkeypatch):
    from tfold.sweeps import claimed

    monkeypatch.setattr(claimed, "BEAT", 0.02)
    queue = Queue(Store(url, "sweep"), PAIRS)
    queue.add()
    with queue.claim() as trial:
        before = trial.frozen().user_attrs["claim"]["beat"]
        end = time.monotonic() + 120
        while trial.frozen().user_attrs["claim"]["beat"] < before + 2:
            assert time.monotonic() < end, "no beat"
            time.sleep(0.01)


def test_of_two_attempts_one_is_run(url):
    first, second = (Queue(Store(url, "sweep"), PAIRS[:1]) for _ in range(2))
    first.add()
    added = first._standings  # a second machine that has not seen the first one's attempt yet
    second._standings = lambda: {name: each.__class__(each.strength, each.seed, "missing") for name, each in
                                 added().items()}
    second.add()
    del second._standings
    assert len(first.store.trials()) == 2
    one = first.claim()
    assert one is not None and second.claim() is None and first.claim() is None
    one.complete(0.9, OUTCOME)
    assert states(first) == ["complete"]


def test_many_processes_claim_each_trial_once(url, tmp_path):
    queue = Queue(Store(url, "sweep"), [(strength / 100, 0) for strength in range(1, 13)])
    queue.add()
    code = ("import sys; from tfold.sweeps.queue import Queue; from tfold.sweeps.store import Store\n"
            "queue = Queue(Store(sys.argv[1], 'sweep'), [(strength / 100, 0) for strength in range(1, 13)])\n"
            "while (trial := queue.claim()) is not None:\n"
            "    print(trial.name, flush=True)\n"
            "    trial.complete(0.5, {'depth': 1})\n")
    root = Path(__file__).resolve().parents[2]
    running = [subprocess.Popen([sys.executable, "-c", code, url], cwd=root, stdout=subprocess.PIPE, text=True)
               for _ in range(3)]
    said = [each.communicate()[0].split() for each in running]
    assert [each.returncode for each in running] == [0, 0, 0]
    names = [name for each in said for name in each]
    assert sorted(names) == sorted(queue.standings()) and set(states(queue)) == {"complete"}


def test_another_sweeps_study_is_refused_and_says_what_differs(url):
    identity = {"base": "abc", "batch": 128, "tie": []}
    Store(url, "sweep").begin(identity)
    Store(url, "sweep").check_identity({**identity})
    with pytest.raises(BadInputError, match="base: abc, now def; batch: 128, now 64.*--name"):
        Store(url, "sweep").check_identity({**identity, "base": "def", "batch": 64})
    Store(url, "another").begin({**identity, "batch": 64})


def test_settings_can_be_corrected_until_a_worker_has_begun(url):
    made = Store(url, "sweep")
    made.begin({"batch": 128})
    Queue(made, PAIRS).add()  # which changes nothing: strengths and seeds are not in it
    Store(url, "sweep").begin({"batch": 64})
    with pytest.raises(BadInputError, match="batch: 64, now 128"):
        made.write_base({"batch": 128}, {"depth": 3})  # of a worker that was started before
    assert "base" not in made.study.user_attrs
    made.write_base({"batch": 64}, {"depth": 3})
    with pytest.raises(BadInputError, match="batch: 64, now 128"):
        made.begin({"batch": 128})
    made.begin({"batch": 64})


def test_another_plans_trials_are_left_to_wait(url):
    Queue(Store(url, "sweep"), PAIRS).add()
    queue = Queue(Store(url, "sweep"), PAIRS[1:2])
    assert queue.others() == 2 and queue.waits() and queue.add() == 0
    assert queue.claim().name == "strength-0.3-seed-0" and queue.claim() is None and not queue.waits()
    assert list(queue.standings()) == ["strength-0.3-seed-0"]


def test_a_study_that_is_not_there_and_one_that_is_removed(url):
    with pytest.raises(BadInputError, match="no study 'sweep'"):
        Store(url, "sweep", create=False)
    made = Store(url, "sweep")
    Store(url, "sweep", create=False)
    made.delete()
    with pytest.raises(BadInputError, match="no study"):
        Store(url, "sweep", create=False)


def test_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TfoldError, match=r"Received: no optuna\. Install it: pip install optuna"):
        store.import_optuna()
