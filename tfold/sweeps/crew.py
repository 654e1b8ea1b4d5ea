"""The worker processes on this machine: started, listened to, replaced when they die, ended.

    Crew ── stdin: what to do ──▶ worker 1 ── claims, trains, reports ──▶ the study
         ◀── stdout: events ────┤
                                └ worker 2 …
"""
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tfold.errors import BadInputError, TfoldError
from tfold.sweeps.address import read

GRACE = 20.0  # seconds that a worker has to hand its trial back
IN_A_ROW = 3  # workers that die before their first trial
ROOT = str(Path(__file__).resolve().parents[2])


class Crew:
    """Worker processes; a context manager that ends them.

    Args:
        given: what each is told, as JSON takes it.
        workers: how many at most.
        command: what starts one; by default `python -m tfold.sweeps.worker`.

    Raises:
        BadInputError: a worker says that network, data and recipe do not fit together (from `events`).
        TfoldError: workers die before they have begun a trial (from `events`).
    """

    def __init__(self, given, workers=1, command=None):
        self.given, self.workers = given, workers
        self.command = command or [sys.executable, "-P", "-m", "tfold.sweeps.worker"]
        self._address = read(given["storage"])  # whose password a worker's last words may hold
        self._running, self._heard, self._started, self._stillborn = {}, queue.Queue(), 0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def size(self):
        """How many work."""
        return len(self._running)

    def hire(self, waiting):
        """Start workers for this many trials that wait, as far as there is room and nobody is about to take them."""
        free = sum(not worker.begun for worker in self._running.values())
        for _ in range(min(self.workers - self.size, waiting - free)):
            self._start()

    def events(self, seconds):
        """What the workers have said, a dict each; waits up to `seconds` for the first."""
        timeout = seconds
        while True:
            try:
                number, line = self._heard.get(timeout=timeout)
            except queue.Empty:
                return
            timeout = 0.001
            if line:
                event = json.loads(line)
                if event["event"] == "error":
                    raise BadInputError(event["why"])
                self._running[number].begun |= event["event"] == "claimed"
                yield {"worker": number, **event}
            elif death := self._bury(number):
                yield {"worker": number, "event": "died", "why": death}

    def stop(self):
        """End all, and wait until they have."""
        for worker in self._running.values():
            with suppress(OSError):
                worker.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + GRACE
        for worker in self._running.values():
            try:
                worker.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.close()
        self._running.clear()

    def _start(self):
        self._started += 1
        worker = _Worker(self.command, self.given, _environment(self.workers))
        self._running[self._started] = worker
        threading.Thread(target=self._listen, args=(self._started, worker), daemon=True).start()

    def _listen(self, number, worker):
        with suppress(ValueError, OSError):  # closed by `stop`
            for line in worker.process.stdout:
                self._heard.put((number, line))
        self._heard.put((number, b""))

    def _bury(self, number):
        """How a worker died; None where it has ended as it should."""
        worker = self._running.pop(number, None)
        if worker is None:  # of a crew that was stopped
            return None
        code, last = worker.process.wait(), self._address.scrubbed(worker.last_words())
        worker.close()
        if code == 0:
            self._stillborn = 0
            return None
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        self._stillborn = 0 if worker.begun else self._stillborn + 1
        if self._stillborn >= IN_A_ROW:
            raise TfoldError(
                f"A worker lives until its trials are done. Received: {self._stillborn} in a row died before their "
                f"first; the last one {how}{last}. Try with fewer --workers, or look at the message."
            )
        return how + last


class _Worker:
    def __init__(self, command, given, environment):
        self.begun = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`; no pipe: nobody has to drain it
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment,
            start_new_session=True,  # Ctrl-C reaches us alone; we end the workers
        )
        with suppress(OSError):  # it is dead already: that shows when it is listened to
            self.process.stdin.write(json.dumps(given).encode() + b"\n")
            self.process.stdin.flush()  # and stays open: its end tells the worker that we are gone

    def last_words(self):
        self._stderr.seek(0)
        said = self._stderr.read()[-4000:].decode("utf-8", "replace").strip().splitlines()[-2:]
        return f" (its last words: {' / '.join(line.strip()[:200] for line in said)})" if said else ""

    def close(self):
        for stream in (self.process.stdin, self.process.stdout, self._stderr):
            with suppress(OSError, ValueError):
                stream.close()


def share_of_cores(workers):
    """How many threads each of several workers gets."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _environment(workers):
    # PYTHONPATH lets an uninstalled checkout be found; -P keeps files of the working directory from being imported.
    paths = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
    chosen = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}  # several may share a GPU
    if workers > 1:
        threads = str(share_of_cores(workers))
        chosen |= {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1"}
    return {**chosen, **os.environ, "PYTHONPATH": paths}


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
