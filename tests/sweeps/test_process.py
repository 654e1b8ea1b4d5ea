"""Whether a process still lives: its own number is not enough."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfold.sweeps import process
from tfold.sweeps.process import Watch, claim, is_dead

proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def claim_of(pid):
    return {**claim(), "pid": pid, "start": process._start_of(pid)}


@proc
def test_a_process_that_was_killed_is_dead_even_before_it_is_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        claimed = claim_of(child.pid)
        assert not is_dead(claimed) and not is_dead(claim())
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
        assert is_dead(claimed)
    finally:
        child.kill()
        child.communicate()
    assert is_dead(claimed)


@proc
def test_a_number_that_is_used_again_is_another_process():
    assert is_dead({**claim(), "start": "1"})


def test_of_a_process_elsewhere_nothing_is_known():
    assert is_dead({**claim(), "host": "elsewhere/0/0", "pid": 1, "start": "1"}) is None
    assert is_dead(None) is None


def test_without_proc_only_a_missing_number_tells(monkeypatch):
    monkeypatch.setattr(process, "_start_of", lambda pid: None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_dead({**claim(), "pid": child.pid}) and is_dead(claim()) is None


@pytest.fixture
def now():
    """A watch of 100 s of silence, and its clock's time, to be moved on."""
    class Now:
        time = 0.0

        def looks_at(self, *trials, until):
            """What it says at its last look, having looked every second."""
            while self.time < until:
                self.time += 1
                said = [watch.is_gone(number, {"host": "elsewhere", "beat": beat}) for number, beat in trials]
            return said

    here = Now()
    here.watch = watch = Watch(100, lambda: here.time)
    return here


def test_silence_is_measured_by_the_watchers_own_clock(now):
    assert now.looks_at((1, 0), until=99) == [False]
    assert now.looks_at((1, 0), until=110) == [True]
    assert now.looks_at((1, 1), until=111) == [False]  # it beats again
    assert now.looks_at((1, 1), until=200) == [False]
    assert now.looks_at((1, 1), (2, 0), until=215) == [True, False]
    assert now.looks_at((1, 1), (2, 0), until=320) == [True, True]


def test_time_in_which_the_watcher_could_not_look_says_nothing(now):
    """A database that restarts takes minutes, in which nobody's beats can be seen."""
    assert now.looks_at((1, 0), until=5) == [False]
    now.time = 1000.0
    assert now.looks_at((1, 0), until=1001) == [False]
    assert now.looks_at((1, 0), until=1100) == [True]


@proc
def test_a_process_here_is_never_given_up_for_its_silence(now):
    for now.time in (0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 1000.0):
        assert not now.watch.is_gone(1, claim())
    assert now.watch.is_gone(1, {**claim(), "start": "1"})
