"""A worker whose trials take milliseconds: it claims and reports as the real one does, and trains nothing.

    stand_in_worker.py                         runs all trials
    stand_in_worker.py die NAME TIMES          is killed in the middle of this trial, the first TIMES times
    stand_in_worker.py fail NAME               this trial raises an error, unless there is a file NAME.mended
    stand_in_worker.py unfit                   says before its first trial that network and data do not fit
    stand_in_worker.py damaged NAME            this trial finds its checkpoint unusable
    stand_in_worker.py wait NAME               stays in this trial until it is killed or told to stop
    stand_in_worker.py hold NAME               stays in this trial until there is a file NAME.go
    stand_in_worker.py full NAME               this trial finds the disk full, unless there is a file NAME.mended
    stand_in_worker.py born-dead               ends before its first trial
"""
import errno
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tfold.errors import BadInputError  # noqa: E402
from tfold.files import held  # noqa: E402
from tfold.sweeps import worker  # noqa: E402
from tfold.sweeps.plan import Plan  # noqa: E402
from tfold.sweeps.queue import Queue  # noqa: E402
from tfold.sweeps.store import Store  # noqa: E402

WHAT, NAME, TIMES = (*sys.argv[1:], None, None, "1")[:3] if len(sys.argv) < 4 else sys.argv[1:4]


def play(given, emit):
    if WHAT == "born-dead":
        sys.exit("no such library")
    plan, folder = Plan(**given["plan"]), Path(given["folder"])
    if WHAT == "unfit":
        raise BadInputError("Images have the shape that the network takes. Received: others. Resize them.")
    queue = Queue(Store(given["storage"], given["name"], create=False), plan.trials())

    def run(trial):
        with held(folder / trial.name):
            return play_one(trial)

    def play_one(trial):
        note(folder / f"{trial.name}.runs", os.getpid())
        for step in range(3):
            trial.report(step, 0.5 + step / 10, depth=7)
            about = {"strength": trial.strength, "seed": trial.seed, "phase": "alpha", "epoch": step}
            emit("epoch", **about, val_accuracy=0.5, loss=1.0)
            if trial.name == NAME and step == 1:
                act(folder)
        note(folder / f"{trial.name}.ends", os.getpid())
        return {"depth": 7, "layers": 7, "macs": 1, "parameters": 1, "alphas": {}, "seconds": 0.0,
                "accuracy": {"validation": 0.7, "test": 0.6}}

    worker.work(queue, run, emit)


def act(folder):
    if WHAT == "die" and len((folder / f"{NAME}.runs").read_text().split()) <= int(TIMES):
        os.kill(os.getpid(), signal.SIGKILL)
    if WHAT == "fail" and not (folder / f"{NAME}.mended").exists():
        raise ZeroDivisionError("it does not work")
    if WHAT == "damaged":
        raise BadInputError("A checkpoint is as this program writes it. Received: another. Remove it.")
    if WHAT == "wait":
        time.sleep(600)
    while WHAT == "hold" and not (folder / f"{NAME}.go").exists():
        time.sleep(0.02)
    if WHAT == "full" and not (folder / f"{NAME}.mended").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "alpha.checkpoint.npz")


def note(path, word):
    with path.open("a") as file:
        file.write(f"{word}\n")


worker._main = play
worker.main()
