"""Sweeps on a real PostgreSQL: begun by several at once, without a server for a while, killed."""
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfold.errors import TfoldError
from tfold.sweeps import patience
from tfold.sweeps.claimed import TakenOverError
from tfold.sweeps.patience import StorageError
from tfold.sweeps.plan import name_of
from tfold.sweeps.queue import Queue
from tfold.sweeps.standing import standings
from tfold.sweeps.store import Store
from tfold.sweeps.study import report, run_trials

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [(0.1, 0), (0.3, 0), (0.2, 0)]
OUTCOME = {"depth": 5, "accuracy": {"validation": 0.9, "test": 0.8}}
HELD = "strength-0.2-seed-0"


@pytest.fixture
def database(postgresql):
    """The name of an empty database; the server runs again behind the test, whatever it did to it."""
    yield postgresql.new_database()
    postgresql.start()


@pytest.fixture
def quick(monkeypatch):
    """Short pauses between two tries."""
    monkeypatch.setattr(patience, "FIRST", 0.05)
    monkeypatch.setattr(patience, "LONGEST", 0.2)


def away(server, seconds, how="fast"):
    """Stop the server, and start it again so many seconds later; returns what waits for that."""
    server.stop(how)
    timer = threading.Timer(seconds, server.start)
    timer.start()
    return timer


def test_several_machines_begin_on_an_empty_database_at_once(postgresql, tmp_path):
    """Each makes Optuna's tables, the study and its settings if they are not there; on SQLite likewise."""
    code = ("import sys; from tfold.sweeps.queue import Queue; from tfold.sweeps.store import Store, import_optuna\n"
            "import_optuna(); import optuna.storages._rdb.models, sqlalchemy.dialects.postgresql\n"
            "for line in sys.stdin:\n"
            "    store = Store(line.strip(), 'sweep'); store.begin({'batch': 64})\n"
            "    Queue(store, [(0.1, 0)]).add(); print('begun', flush=True)\n")
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True, stderr=subprocess.PIPE) for _ in range(2)]
    try:
        for url in [*[postgresql.address(postgresql.new_database()) for _ in range(4)],
                    *[f"sqlite:///{tmp_path}/{turn}.db" for turn in range(2)]]:
            for each in running:
                each.stdin.write(url + "\n")
                each.stdin.flush()
            said = [each.stdout.readline() for each in running]
            assert said == ["begun\n"] * 2, [each.communicate()[1][-2000:] for each in running]
            store = Store(url, "sweep", create=False)
            store.check_identity({"batch": 64})
            assert [each.state for each in standings(store.trials()).values()] == ["waiting"]
    finally:
        for each in running:
            each.kill()
            each.communicate()


def test_a_server_that_starts_later_is_waited_for(postgresql, database, quick):
    said, timer = [], away(postgresql, 1.0)
    store = Store(postgresql.address(database), "sweep", say=said.append)
    timer.join()
    store.begin({"batch": 64})
    assert "does not answer" in said[0] and "answers again" in said[-1] and len(said) == 2
    assert "postgresql://tfold:***@127.0.0.1:" in said[0]


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_starts_anew_is_waited_for_in_every_call(postgresql, database, quick, how):
    queue, trial = Queue(Store(postgresql.address(database), "sweep"), PAIRS), None
    calls = [
        lambda: queue.store.begin({"batch": 64}),
        queue.add,
        queue.claim,
        lambda: trial.report(0, 0.75, depth=6),
        lambda: trial.complete(0.9, OUTCOME),
        lambda: (queue.tend(), queue.waits(), queue.others()),
        lambda: (queue.store.write_base({"batch": 64}, {"depth": 7}), queue.store.check_identity({"batch": 64})),
        lambda: (queue.store.base(), queue.begun()),
    ]
    for number, call in enumerate(calls):
        timer = away(postgresql, 0.2, how)
        done = call()
        trial = done if number == 2 else trial
        timer.join()
    assert done[0] == {"depth": 7}
    assert [each.state for each in done[1].values()] == ["complete", "waiting", "waiting"]
    assert done[1][trial.name].trial.intermediate_values == {0: 0.75}


def test_what_it_will_not_do_is_an_error_at_once(postgresql, database):
    store = Store(postgresql.address(database), "sweep")
    begin = time.monotonic()
    for url, words in ((postgresql.address(database, "wr0ng-w0rd"), "password authentication failed"),
                       (postgresql.address("no_such"), 'database "no_such" does not exist'),
                       (postgresql.address(database) + "?wr0ng-w0rd=1", "ProgrammingError; its words are left out")):
        with pytest.raises(StorageError, match=words) as raised:
            Store(url, "sweep")
        assert "w0rd" not in str(raised.value) and "w0rd" not in repr(raised.value.__cause__)
    postgresql.ask(database, "DROP TABLE studies CASCADE")
    with pytest.raises(StorageError, match="UndefinedTable.*Check the address"):
        store.begin({"batch": 64})
    assert time.monotonic() - begin < 20


def test_a_study_that_somebody_removes_ends_the_sweep_with_a_sentence(url):
    queue = Queue(Store(url, "sweep"), PAIRS)
    queue.add()
    trial = queue.claim()
    Store(url, "sweep").delete()
    calls = [lambda: queue.store.begin({"batch": 64}), queue.tend, lambda: trial.report(0, 0.5)]
    for call in calls[:1] if url.startswith("journal") else calls:  # a journal still knows the trials
        with pytest.raises(TfoldError, match="somebody has removed it"):
            call()


def test_an_end_whose_answer_was_lost_is_no_others(url):
    """The connection breaks behind the change: it is written down once more, and stands there already."""
    queue = Queue(Store(url, "sweep"), PAIRS)
    queue.add()
    for end in (lambda trial: trial.complete(0.9, OUTCOME), lambda trial: trial.prune("hopeless"),
                lambda trial: trial.release()):
        trial = queue.claim()
        end(trial)
        end(trial)
        with pytest.raises(TakenOverError):
            trial.fail("of another reason")


def start(plan, folder, command, storage):
    """A sweep in a process of its own, as on a machine of its own."""
    import dataclasses
    import json

    code = ("import json, sys; from tfold.sweeps.plan import Plan; from tfold.sweeps.study import run_trials; "
            "given = json.loads(sys.argv[1]); run_trials(Plan(**given['plan']), given['folder'], given['storage'], "
            "command=given['command'], say=lambda line: print(line, flush=True))")
    given = {"plan": dataclasses.asdict(plan), "folder": str(folder), "command": command, "storage": storage}
    return subprocess.Popen([sys.executable, "-c", code, json.dumps(given)], stdout=subprocess.PIPE, text=True,
                            cwd=ROOT, stderr=subprocess.PIPE)


def until(condition):
    end = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < end, "has not come about"
        time.sleep(0.02)
    return value


def runs(folder, name):
    path = folder / "trials" / f"{name}.runs"
    return path.read_text().split() if path.exists() else []


def test_two_machines_outlive_a_restart_and_a_kill(plan, stand_in, tmp_path, postgresql, database):
    """They begin at once without a server; it starts, is restarted in the middle of a trial, and a worker is killed."""
    url, plans, folders = postgresql.address(database), plan((0.1, 0.2, 0.3, 0.4)), [tmp_path / "a", tmp_path / "b"]
    timer = away(postgresql, 2.0)
    both = [start(plans, folder, stand_in("hold", HELD), url) for folder in folders]
    try:
        where, pid = until(lambda: next(((folder, int(pid)) for folder in folders for pid in runs(folder, HELD)), None))
        timer.join()
        os.kill(pid, signal.SIGKILL)
        until(lambda: sum(len(runs(folder, HELD)) for folder in folders) == 2)  # another worker has taken it
        away(postgresql, 0.5).join()
        for folder in folders:
            (folder / "trials" / f"{HELD}.go").touch()
        said = [each.communicate(timeout=100) for each in both]
    finally:
        for each in both:
            each.kill()
    assert [each.returncode for each in both] == [0, 0], said
    ended = standings(Store(url, "sweep").trials(), plans.trials())
    assert [each.state for each in ended.values()] == ["complete"] * 4 and ended[HELD].lost == 1
    assert [sum(len(runs(folder, name)) for folder in folders) for name in ended] == [
        2 if name == HELD else 1 for name in ended]
    assert any("was killed by SIGKILL" in out for out, _ in said)
    assert "w0rd" not in "".join(out + err for out, err in said) and where in folders
    document = report(plans, folders[0], url, runtime="none", say=lambda line: None)
    assert document["counts"] == {"complete": 4}
    assert "w0rd" not in (folders[0] / "sweep.json").read_text()


def test_a_worker_that_starts_without_a_server_waits_for_it(plan, stand_in, tmp_path, postgresql, database):
    said, url, folder = [], postgresql.address(database), tmp_path / "out"
    command = stand_in()
    sweep = threading.Thread(target=run_trials, args=(plan((0.1,)), folder, url),
                             kwargs={"say": said.append, "command": [sys.executable, str(tmp_path / "late.py")]})
    (tmp_path / "late.py").write_text(
        "import os, pathlib, sys, time\n"
        f"pathlib.Path({os.fspath(tmp_path / 'started')!r}).touch()\n"
        f"while not pathlib.Path({os.fspath(tmp_path / 'gone')!r}).exists(): time.sleep(0.02)\n"
        f"os.execv(sys.executable, {command!r})\n")
    sweep.start()
    until((tmp_path / "started").exists)
    postgresql.stop()
    (tmp_path / "gone").touch()
    time.sleep(3)
    postgresql.start()
    sweep.join(60)
    assert not sweep.is_alive() and "1 of 1 trials are over" in said[-1], said
    assert standings(Store(url, "sweep").trials())[name_of(0.1, 0)].state == "complete"
