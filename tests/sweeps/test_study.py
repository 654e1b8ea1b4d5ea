"""A whole sweep with real processes, files and studies; only the training is played (stand_in_worker.py)."""
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tfold.errors import BadInputError, TfoldError
from tfold.files import held
from tfold.sweeps import results
from tfold.sweeps.standing import standings
from tfold.sweeps.store import Store
from tfold.sweeps.study import default_storage, report, run_trials

KILLED = "strength-0.2-seed-0"


def runs(folder, name):
    """The processes that began a trial, one after the other; and those that ended it."""
    trials = folder / "trials"
    return [path.read_text().split() if path.exists() else []
            for path in (trials / f"{name}.runs", trials / f"{name}.ends")]


def found(folder, plan):
    return standings(Store(default_storage(folder), "sweep", create=False).trials(), plan.trials())


def test_every_trial_is_run_once_and_a_second_call_runs_none(plan, stand_in, tmp_path):
    said, folder = [], tmp_path / "out"
    for _ in range(2):
        run_trials(plan((0.1, 0.2), 2), folder, workers=2, say=said.append, command=stand_in())
    ended = found(folder, plan((0.1, 0.2), 2))
    assert [each.state for each in ended.values()] == ["complete"] * 4
    assert all(len(part) == 1 for name in ended for part in runs(folder, name))
    assert sum("trials are over" in line for line in said) == 4 and "4 of 4 trials are over" in said[-1]

    run_trials(plan((0.1, 0.2, 0.3), 2), folder, say=said.append, command=stand_in())  # more can be added
    assert len(found(folder, plan())) == 6 and "6 of 6 trials are over" in said[-1]


def test_a_worker_that_dies_is_replaced_and_its_trial_goes_on(plan, stand_in, tmp_path):
    said, folder = [], tmp_path / "out"
    run_trials(plan(), folder, say=said.append, command=stand_in("die", KILLED, 2))
    ended = found(folder, plan())
    assert [each.state for each in ended.values()] == ["complete"] * 3 and ended[KILLED].lost == 2
    begun, over = runs(folder, KILLED)
    assert len(set(begun)) == 3 and over == begun[-1:]
    assert sum("was killed by SIGKILL" in line for line in said) == 2
    assert any("attempt 3" in line for line in said)


def test_a_trial_whose_folder_somebody_works_in_waits_for_it(plan, stand_in, tmp_path):
    said, folder = [], tmp_path / "out"
    sweep = threading.Thread(target=run_trials, args=(plan((0.2,)), folder),
                             kwargs={"say": said.append, "command": stand_in()})
    with held(folder / "trials" / KILLED):  # as by a process that was out of reach, and lives on
        sweep.start()
        end = time.monotonic() + 300
        while not any(f"another process works in {folder / 'trials' / KILLED}" in line for line in said):
            assert time.monotonic() < end, said
            time.sleep(0.05)
        assert runs(folder, KILLED) == [[], []]
    sweep.join(300)
    assert found(folder, plan((0.2,)))[KILLED].state == "complete"
    assert sum("another process" in line for line in said) == 1 and "1 of 1 trials are over" in said[-1]


def test_a_trial_that_kills_its_process_three_times_has_failed(plan, stand_in, tmp_path):
    folder = tmp_path / "out"
    run_trials(plan(), folder, say=lambda line: None, command=stand_in("die", KILLED, 99))
    ended = found(folder, plan())
    assert (ended[KILLED].state, ended[KILLED].why) == ("failed", "its process died 3 times")
    assert len(runs(folder, KILLED)[0]) == 3
    assert sorted(each.state for each in ended.values()) == ["complete", "complete", "failed"]


def test_an_error_fails_its_trial_alone_and_retry_tries_again(plan, stand_in, tmp_path):
    folder, command = tmp_path / "out", stand_in("fail", KILLED)
    for _ in range(2):  # the second call does not try again
        run_trials(plan(), folder, say=lambda line: None, command=command)
    failed = found(folder, plan())[KILLED]
    assert (failed.state, failed.why) == ("failed", "ZeroDivisionError: it does not work.")
    assert len(runs(folder, KILLED)[0]) == 1
    (folder / "trials" / f"{KILLED}.mended").touch()
    run_trials(plan(), folder, say=lambda line: None, again=True, command=command)
    assert {each.state for each in found(folder, plan()).values()} == {"complete"}
    assert len(runs(folder, "strength-0.1-seed-0")[0]) == 1


def test_what_does_not_fit_ends_the_sweep_and_can_be_corrected(plan, stand_in, tmp_path):
    folder, wrong, right = tmp_path / "out", plan(recipe={"border": "approximate"}), plan()
    with pytest.raises(BadInputError, match="Images have the shape"):
        run_trials(wrong, folder, say=lambda line: None, command=stand_in("unfit"))
    assert {each.state for each in found(folder, wrong).values()} == {"waiting"}
    with pytest.raises(BadInputError, match="border: approximate, now exact"):
        report(right, folder, runtime="none")  # who only looks corrects nothing
    run_trials(right, folder, say=lambda line: None, command=stand_in())
    assert {each.state for each in found(folder, right).values()} == {"complete"}
    with pytest.raises(BadInputError, match="border: exact, now approximate.*--force"):
        run_trials(wrong, folder, say=lambda line: None, command=stand_in())


def test_a_damaged_trial_fails_alone(plan, stand_in, tmp_path):
    run_trials(plan(), tmp_path / "out", say=lambda line: None, command=stand_in("damaged", KILLED))
    ended = found(tmp_path / "out", plan())
    assert ended[KILLED].state == "failed" and ended[KILLED].why.startswith("A checkpoint is as")
    assert sorted(each.state for each in ended.values()) == ["complete", "complete", "failed"]


def test_trials_that_are_not_in_the_plan_any_more_wait_on(plan, stand_in, tmp_path):
    said, folder, many = [], tmp_path / "out", plan((0.1, 0.2, 0.3), 2)
    with pytest.raises(BadInputError):
        run_trials(many, folder, say=said.append, command=stand_in("unfit"))
    run_trials(plan((0.1,)), folder, say=said.append, command=stand_in())
    assert "5 trials of other strengths or seeds, asked for before, wait on: they are not in this plan" in said
    assert [len(runs(folder, name)[0]) for name in found(folder, many)].count(1) == 1
    document = report(plan((0.1,)), folder, runtime="none", say=said.append)
    assert document["finished"] and document["counts"] == {"complete": 1}
    run_trials(plan((0.2,)), folder, say=said.append, command=stand_in())
    assert report(plan((0.2,)), folder, runtime="none")["counts"] == {"complete": 2}  # what else is done is shown
    run_trials(many, folder, say=said.append, command=stand_in())
    assert report(many, folder, runtime="none")["counts"] == {"complete": 6}


def test_workers_that_never_begin_end_the_sweep(plan, stand_in, tmp_path):
    with pytest.raises(TfoldError, match=r"3 in a row.*no such library"):
        run_trials(plan(), tmp_path / "out", say=lambda line: None, command=stand_in("born-dead"))


def start(plan, folder, command, **how):
    """A sweep in a process of its own."""
    import dataclasses

    code = ("import json, sys; from tfold.sweeps.plan import Plan; from tfold.sweeps.study import run_trials; "
            "given = json.loads(sys.argv[1]); run_trials(Plan(**given['plan']), given['folder'], "
            "command=given['command'], say=lambda line: print(line, flush=True), **given['how'])")
    given = {"plan": dataclasses.asdict(plan), "folder": str(folder), "command": command, "how": how}
    return subprocess.Popen([sys.executable, "-c", code, json.dumps(given)], stdout=subprocess.PIPE, text=True,
                            cwd=Path(__file__).resolve().parents[2], stderr=subprocess.PIPE,
                            # Where the tests run in the background, a shell has switched SIGINT off.
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def until(condition):
    end = time.monotonic() + 300
    while not (value := condition()):
        assert time.monotonic() < end, "has not come about"
        time.sleep(0.02)
    return value


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_killed_or_stopped_leaves_no_worker_and_goes_on(plan, stand_in, tmp_path, processes, number):
    """Its workers notice that it is gone, and hand their trials back."""
    folder = tmp_path / "out"
    with start(plan(), folder, stand_in("wait", KILLED)) as running:
        pid, = until(lambda: runs(folder, KILLED)[0])
        running.send_signal(number)
        running.wait(300)
    until(lambda: not processes.is_alive(pid))
    states = sorted(each.state for each in found(folder, plan()).values())
    assert states[:2] == ["complete", "complete"] and states[2] in ("missing", "waiting")
    run_trials(plan(), folder, say=lambda line: None, command=stand_in())
    ended = found(folder, plan())
    assert {each.state for each in ended.values()} == {"complete"} and ended[KILLED].lost == 0
    assert [len(runs(folder, name)[0]) for name in ended] == [1, 1, 2]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_all_processes_killed_at_once(plan, stand_in, tmp_path):
    """As when the machine's memory is gone: nobody can hand anything back."""
    folder = tmp_path / "out"
    with start(plan(), folder, stand_in("wait", KILLED)) as running:
        pid, = until(lambda: runs(folder, KILLED)[0])
        running.send_signal(signal.SIGSTOP)  # so that it starts no other worker
        os.kill(int(pid), signal.SIGKILL)
        running.kill()
    run_trials(plan(), folder, say=lambda line: None, command=stand_in())
    ended = found(folder, plan())
    assert {each.state for each in ended.values()} == {"complete"} and ended[KILLED].lost == 1
    assert [len(runs(folder, name)[1]) for name in ended] == [1, 1, 1]


def test_two_sweeps_share_one_storage(plan, stand_in, tmp_path):
    """As on two machines: each has its own folder, and ends when all is done."""
    shared, plans = f"sqlite:///{tmp_path}/shared.db", plan(tuple(i / 10 for i in range(1, 5)))
    both = [start(plans, tmp_path / name, stand_in(), storage=shared) for name in ("a", "b")]
    for each in both:
        _, err = each.communicate(timeout=300)
        assert each.returncode == 0, err
    ended = standings(Store(shared, "sweep").trials(), plans.trials())
    assert [each.state for each in ended.values()] == ["complete"] * 4
    for name in ended:
        assert sum(len(runs(tmp_path / folder, name)[0]) for folder in "ab") == 1


def test_force_begins_anew_and_other_settings_are_refused(plan, stand_in, tmp_path):
    folder, quiet = tmp_path / "out", {"say": lambda line: None, "command": stand_in()}
    run_trials(plan(), folder, **quiet)
    with pytest.raises(BadInputError, match="batch: 128, now 64"):
        run_trials(plan(recipe={"batch": 64}), folder, **quiet)
    run_trials(plan(recipe={"batch": 64}), folder, force=True, **quiet)
    assert all(len(runs(folder, name)[0]) == 1 for name in found(folder, plan()))


def test_a_folder_of_other_files_is_left_alone(plan, stand_in, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(BadInputError, match="a folder of its own"):
            run_trials(plan(), tmp_path / "out", force=force, command=stand_in())
    with pytest.raises(BadInputError, match="a file"):
        run_trials(plan(), tmp_path / "base.keras", command=stand_in())
    with pytest.raises(BadInputError, match="workers"):
        run_trials(plan(), tmp_path / "new", workers=0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


def test_force_takes_only_what_a_sweep_has_written(plan, stand_in, tmp_path):
    """Other projects have folders of these names."""
    project, quiet = tmp_path / "project", {"say": lambda line: None, "command": stand_in(), "force": True}
    for name in ("trials", "latency"):
        (project / name).mkdir(parents=True)
        (project / name / "mine.txt").write_text("precious")
    with pytest.raises(BadInputError, match="a folder of its own"):
        run_trials(plan(), project, **quiet)
    (project / "trials" / "mine.txt").unlink()
    (project / "sweep.json").write_text('{"version": 1, "kind": "another"}')
    with pytest.raises(BadInputError, match="a folder of its own"):
        run_trials(plan(), project, **quiet)
    run_trials(plan(), tmp_path / "out", **quiet)
    for name in ("trials", "latency"):
        (tmp_path / "out" / name).mkdir(exist_ok=True)
        (tmp_path / "out" / name / "mine.txt").write_text("precious")
    (tmp_path / "out" / "latency" / "strength-0.1-seed-0.tflite").touch()
    run_trials(plan((0.3,)), tmp_path / "out", **quiet)
    left = {path.name for name in ("trials", "latency") for path in (tmp_path / "out" / name).iterdir()}
    assert left == {"mine.txt", "strength-0.3-seed-0", "strength-0.3-seed-0.runs", "strength-0.3-seed-0.ends"}
    assert (project / "latency" / "mine.txt").exists()


def test_whole_numbers_are_strengths_too(plan, stand_in, tmp_path):
    """The study gives them back as floats, and knows its trials by how they are written."""
    assert [repr(strength) for strength, _ in plan((1, 10)).trials()] == ["1.0", "10.0"]  # otherwise it would not end
    run_trials(plan((1, 10)), tmp_path / "out", say=lambda line: None, command=stand_in())
    ended = found(tmp_path / "out", plan((1, 10)))
    assert {name: each.state for name, each in ended.items()} == {
        "strength-1.0-seed-0": "complete", "strength-10.0-seed-0": "complete"}


@pytest.mark.parametrize("name", ["why?", "50%", "a{b}"])
def test_names_that_cannot_stand_in_an_address(plan, stand_in, tmp_path, name):
    with pytest.raises(BadInputError, match="part of its database's address. .* Choose another name"):
        run_trials(plan(), tmp_path / name, say=lambda line: None, command=stand_in())
    assert not (tmp_path / name).exists()
    run_trials(plan(), tmp_path / name, f"sqlite:///{tmp_path}/s.db", say=lambda line: None, command=stand_in())


def test_what_is_written(plan, stand_in, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "out"
    with pytest.raises(BadInputError, match="has been begun"):
        report(plan(), folder)
    run_trials(plan((0.1, 0.2)), folder, say=lambda line: None, command=stand_in("fail", KILLED))
    document = report(plan(), folder, runtime="none", say=lambda line: None)  # of a plan that has one more
    assert document["counts"] == {"complete": 1, "failed": 1, "waiting": 1} and not document["finished"]
    assert document["files"] == ["sweep.json", "sweep.csv", "accuracy-depth.png"]
    told = json.loads((folder / "sweep.json").read_text())
    assert (told["version"], told["kind"]) == (1, "sweep") and told == {**told, **results.read(folder)}
    done = told["trials"][0]
    assert (done["name"], done["depth"], done["score"], done["epochs"]) == ("strength-0.1-seed-0", 7, 0.7, 3)
    assert told["pareto"] == {"depth": ["strength-0.1-seed-0"], "latency": None}
    assert told["knee"]["depth"] is None and "at least" in told["knee"]["why_not"]
    with (folder / "sweep.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["strength-0.1-seed-0"]["validation"] == "0.7" and rows[KILLED]["state"] == "failed"
    assert report(plan(), folder, runtime="none", judge="test")["trials"][0]["score"] == 0.6
