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
    assert not is_dead({**claim(), "host": "elsewhere/0/0", "pid": 1, "start": "1"})
    assert not is_dead(None)


def test_without_proc_only_a_missing_number_tells(monkeypatch):
    monkeypatch.setattr(process, "_start_of", lambda pid: None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_dead({**claim(), "pid": child.pid}) and not is_dead(claim())


def test_silence_is_measured_by_the_watchers_own_clock():
    now = [0.0]
    watch = Watch(10, lambda: now[0])
    assert not watch.is_silent(1, {"beat": 0})
    now[0] = 9
    assert not watch.is_silent(1, {"beat": 0})
    now[0] = 11
    assert watch.is_silent(1, {"beat": 0})
    assert not watch.is_silent(1, {"beat": 1})  # it beats again
    now[0] = 20
    assert not watch.is_silent(1, {"beat": 1}) and not watch.is_silent(2, None)
    now[0] = 31
    assert watch.is_silent(1, {"beat": 1}) and watch.is_silent(2, None)
