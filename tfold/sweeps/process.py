"""Who runs a trial, and whether that process still lives.

    {"host": "node7/4f1c…/4026531836", "pid": 812, "start": "9146552", "beat": 17}

A process is told by its number and the time it was started, since numbers are used again; its machine by name, boot and
process namespace, since containers have numbers of their own. Of a process elsewhere only its beat tells: a worker
counts it up while its trial runs. That needs no clocks that agree: whoever watches uses his own. Time in which he could
not look, since he slept or the storage was out of reach, says nothing about others and does not count.
"""
import os
import platform
import time
from pathlib import Path

BEAT = 20.0  # seconds
SILENCE = 120.0  # seconds without a beat after which a process elsewhere counts as dead


def claim():
    """What this process writes on its trial."""
    return {"host": host(), "pid": os.getpid(), "start": _start_of(os.getpid()), "beat": 0}


def host():
    """This machine, since its last start, and the part of it whose process numbers we see."""
    return "/".join([platform.node(), _read("/proc/sys/kernel/random/boot_id")[:8], _link("/proc/self/ns/pid")])


def is_dead(claimed):
    """Whether a claim's process is gone: True, False, or None where that cannot be told from here."""
    if not claimed or claimed["host"] != host():
        return None
    if claimed["start"] is None:  # no /proc: numbers may have been used again, so only their absence tells
        return None if _exists(claimed["pid"]) else True
    return _start_of(claimed["pid"]) != claimed["start"]


class Watch:
    """Which of several trials' processes are gone, as far as this one can tell.

    Args:
        silence: seconds without a beat after which a process elsewhere counts as dead.
        clock: a function that gives seconds.
    """

    def __init__(self, silence=SILENCE, clock=time.monotonic):
        self.silence, self.clock, self._seen = silence, clock, {}

    def is_gone(self, number, claimed):
        """Whether trial `number`, claimed thus, is nobody's any more. To be asked every few seconds."""
        dead = is_dead(claimed)
        return self._is_silent(number, claimed) if dead is None else dead

    def _is_silent(self, number, claimed):
        """Whether it has shown the same claim for longer than `silence`, of the time in which it was looked at."""
        now = self.clock()
        before, silent, last = self._seen.get(number, (None, 0.0, now))
        silent = silent + min(now - last, BEAT) if before == claimed else 0.0
        self._seen[number] = (claimed, silent, now)
        return silent > self.silence


def _start_of(pid):
    """The ticks at which a process was started; None without /proc, "" for a process that is gone."""
    if not Path("/proc/self/stat").exists():
        return None
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the name in front may hold blanks
    return "" if not fields or fields[0] in "ZX" else fields[19]  # a zombie works no more


def _exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _read(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path):
    try:
        return os.readlink(path).strip("pid:[]")
    except OSError:
        return ""
