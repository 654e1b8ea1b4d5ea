"""A database that does not answer for a while, for real: another connection holds it."""
import sqlite3
import threading
from contextlib import contextmanager

import pytest

from tfold.sweeps import patience, store, worker
from tfold.sweeps.claimed import Abandoned
from tfold.sweeps.patience import OutOfReachError, StorageError
from tfold.sweeps.queue import Queue
from tfold.sweeps.store import Store

PAIRS = [(0.1, 0), (0.3, 0), (0.2, 0)]
OUTCOME = {"depth": 5, "accuracy": {"validation": 0.9, "test": 0.8}}


@pytest.fixture
def out_of_reach(tmp_path, monkeypatch):
    """A context manager: a database that does not answer for so many seconds, or as long as the block lasts."""
    monkeypatch.setattr(store, "PATIENCE", 0.02)
    monkeypatch.setattr(patience, "FIRST", 0.05)

    @contextmanager
    def out(seconds=None):
        holder = sqlite3.connect(tmp_path / "study.db", isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(seconds or 0, holder.rollback)
        if seconds is not None:
            timer.start()
        try:
            yield
        finally:
            if seconds is not None:
                timer.join()
            holder.close()

    return out


@pytest.fixture
def on_disk(tmp_path, out_of_reach):
    queue = Queue(Store(f"sqlite:///{tmp_path}/study.db", "sweep"), PAIRS)
    queue.add()
    return queue


def test_a_storage_that_is_gone_for_a_while_is_waited_for(on_disk, out_of_reach):
    with out_of_reach(0.3):
        trial = on_disk.claim()
    with out_of_reach(0.3):
        trial.report(0, 0.75, depth=6)
    with out_of_reach(0.3):
        trial.complete(0.9, OUTCOME)
    done = on_disk.standings()[trial.name]
    assert done.state == "complete" and done.trial.intermediate_values == {0: 0.75}


def test_a_journal_that_is_gone_for_a_while_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST", 0.05)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drive").mkdir()
    journal = Store("journal:drive/study.journal", "sweep")
    assert journal.url == f"journal:{tmp_path}/drive/study.journal"  # Optuna's lock is a link to it
    queue = Queue(journal, PAIRS)
    queue.add()
    trial = queue.claim()
    (tmp_path / "drive").rename(tmp_path / "away")
    timer = threading.Timer(0.3, (tmp_path / "away").rename, [tmp_path / "drive"])
    timer.start()
    trial.report(0, 0.75)
    timer.join()
    assert queue.standings()[trial.name].trial.intermediate_values == {0: 0.75}


def test_a_file_that_a_sweep_has_begun_with_is_waited_for_and_a_mistyped_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST", 0.05)
    (tmp_path / "drive").mkdir()
    for url in (f"journal:{tmp_path}/drive/study.journal", f"sqlite:///{tmp_path}/drive/study.db"):
        Queue(Store(url, "sweep"), PAIRS).add()
        (tmp_path / "drive").rename(tmp_path / "away")
        with pytest.raises(StorageError, match="Check the address"):
            Store(url, "sweep")
        timer = threading.Timer(0.3, (tmp_path / "away").rename, [tmp_path / "drive"])
        timer.start()
        begun = Queue(Store(url, "sweep", create=False, begun=True), PAIRS)  # as a worker does
        timer.join()
        assert len(begun.standings()) == 3 and begun.waits()


def test_a_lock_that_another_process_holds_for_long_is_waited_for(on_disk, tmp_path):
    said = []
    on_disk.store.say = said.append
    holder = sqlite3.connect(tmp_path / "study.db.lock", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.5, holder.rollback)
    timer.start()
    assert on_disk.claim().name == "strength-0.1-seed-0"
    timer.join()
    holder.close()
    assert "locked" in said[0] and "answers again" in said[1]


@pytest.mark.parametrize("end", [Abandoned("why"), ValueError("why")])
def test_a_trial_that_was_taken_over_before_its_end_is_told_of_and_the_next_begins(on_disk, end):
    events = []

    def run(trial):
        if not events[1:]:
            on_disk._set(trial.frozen(), on_disk._states.FAIL)  # as another process does, of one that is silent
        raise end

    worker.work(on_disk, run, lambda event, **details: events.append(event))
    assert events[:3] == ["claimed", "taken over", "claimed"] and "taken over" not in events[2:]


def test_one_that_stays_away_is_an_error_and_no_trial_fails_by_it(on_disk, out_of_reach, monkeypatch):
    monkeypatch.setattr(patience, "OUTAGE", 0.2)

    def run(trial):
        with out_of_reach():
            trial.report(0, 0.5)

    with pytest.raises(OutOfReachError, match="study.db, silent for [0-9]+ s: .*locked.*the same command goes on"):
        worker.work(on_disk, run, lambda event, **details: None)
    assert [each.state for each in on_disk.standings().values()] == ["running", "waiting", "waiting"]
