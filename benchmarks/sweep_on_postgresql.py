"""Two machines that share one sweep on a real PostgreSQL, and what may befall it; prints a table for docs/.

    python benchmarks/sweep_on_postgresql.py                    all of it: about half an hour on two cores
    python benchmarks/sweep_on_postgresql.py --rounds 2 --only begin,kill

A machine is a process of the command `tfold sweep` with a folder of its own. The network is tiny and its figures mean
nothing; what is looked at is whether each trial was trained once, and whether all commands end well. PostgreSQL and
psycopg have to be installed (apt-get install postgresql; pip install 'psycopg[binary]').
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from postgresql_server import PASSWORD, Server, programs

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ["--strengths", "0.01,0.1,1,10", "--seeds", "1", "--alpha-epochs", "3", "--post-epochs", "1", "--batch", "16",
          "--alpha-rate", "0.02", "--runtime", "none"]
LIMIT = 900.0  # seconds for one sweep


def make_inputs(folder):
    """A base network, and images of three classes."""
    import keras

    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(8, "relu"),
                      keras.layers.Dense(3)]).save(folder / "base.keras")
    centers, parts = random.normal(size=(3, 6)), {}
    for part, count in (("train", 1600), ("test", 200)):
        parts[f"y_{part}"] = labels = random.integers(0, 3, count)
        parts[f"x_{part}"] = (centers[labels] + random.normal(0, 0.4, (count, 6))).astype("float32")
    np.savez(folder / "data.npz", **parts)


class Machine:
    """A `tfold sweep` that runs."""

    def __init__(self, inputs, folder, storage):
        self.folder, self.log = folder, folder.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tfold", "sweep", inputs / "base.keras", "--data", inputs / "data.npz", "-o",
                 folder, "--storage", storage, *RECIPE], stdout=log, stderr=log, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)})

    def said(self):
        return self.log.read_text(errors="replace")


class Scene:
    """Two machines, an empty database and a server that things can be done to."""

    def __init__(self, server, inputs, folder):
        self.server, self.inputs, self.folder = server, inputs, Path(folder)
        self.database = server.new_database()
        self.machines = []

    def begin(self, machines=2):
        for name in "ab"[:machines]:
            self.machines.append(Machine(self.inputs, self.folder / name, self.server.address(self.database)))

    def until(self, word, times=1):
        """Wait until the machines have said something so many times."""
        end = time.monotonic() + LIMIT
        while sum(each.said().count(word) for each in self.machines) < times:
            if time.monotonic() > end or all(each.process.poll() is not None for each in self.machines):
                raise RuntimeError(f"{word!r} was not said: {[each.said()[-2000:] for each in self.machines]}")
            time.sleep(0.05)

    def away(self, seconds, how="fast"):
        """Stop the server, and start it so many seconds later."""
        self.server.stop(how)
        threading.Timer(seconds, self.server.start).start()

    def kill_a_worker(self):
        """kill -9 of a process that trains a trial."""
        claims = [json.loads(value) for value, in self.server.ask(
            self.database, "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id) "
                           "WHERE key = 'claim' AND state = 'RUNNING'")]
        os.kill(claims[0]["pid"], signal.SIGKILL)

    def end(self):
        """Wait, and look at what has come of it: a dict of counts."""
        codes = [each.process.wait(LIMIT) for each in self.machines]
        ended = self.server.ask(self.database, "SELECT state FROM trials")
        said = "".join(each.said() for each in self.machines)
        trained = [path for each in self.machines for path in each.folder.glob("trials/*/outcome.json")]
        return {"codes": codes, "complete": [state for state, in ended].count("COMPLETE"), "trained": len(trained),
                "lost": said.count("its trial goes on with another"), "said": said,
                "waited": [line for line in said.splitlines() if "answers again" in line],
                "tracebacks": said.count("Traceback"), "passwords": PASSWORD in said}


def begin_at_once(scene):
    scene.begin()


def late(seconds):
    def play(scene):
        scene.away(seconds)
        scene.begin()

    return play


def restart(seconds, how):
    def play(scene):
        scene.begin()
        scene.until("pre-folding 1/3", 2)
        scene.away(seconds, how)

    return play


def kill(scene):
    scene.begin()
    scene.until("pre-folding 1/3")
    scene.kill_a_worker()


SCENES = {  # name → (what is said of it, how it is played, workers that die, machines that wait for the server)
    "begin": ("both begin on an empty database at once", begin_at_once, 0, 0),
    "late12": ("the server comes up 12 s after both have begun", late(12), 0, 2),
    "late60": ("the server comes up 60 s after both have begun", late(60), 0, 2),
    "restart": ("the server is restarted in the middle, away for 12 s", restart(12, "fast"), 0, 1),
    "crash": ("the server crashes in the middle, away for 12 s", restart(12, "immediate"), 0, 1),
    "kill": ("kill -9 of a worker in the middle of a trial", kill, 1, 0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="of the scene `begin`; the others are played once")
    parser.add_argument("--only", default=",".join(SCENES), help="scenes, with commas between them")
    options = parser.parse_args()
    if programs() is None:
        parser.exit(1, "PostgreSQL is not installed: apt-get install postgresql\n")
    print("| what happens | rounds | both commands end with 0 | trials complete | trained twice | workers that died | "
          "longest wait | tracebacks |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as inputs, Server() as server:
        make_inputs(Path(inputs))
        for name in options.only.split(","):
            told, play, deaths, waits = SCENES[name]
            found = []
            for _ in range(options.rounds if name == "begin" else 1):
                with tempfile.TemporaryDirectory() as folder:
                    scene = Scene(server, Path(inputs), folder)
                    try:
                        play(scene)
                        found.append(scene.end())
                    finally:
                        for each in scene.machines:
                            each.process.kill()
            good = [each for each in found if each["codes"] == [0, 0]]
            seconds = [int(line.rpartition("after ")[2].split()[0]) for each in found for line in each["waited"]]
            print(f"| {told} | {len(found)} | {len(good)} | {sum(each['complete'] for each in found)} of "
                  f"{4 * len(found)} | {sum(each['trained'] - each['complete'] for each in found)} | "
                  f"{sum(each['lost'] for each in found)} | {f'{max(seconds)} s' if seconds else '–'} | "
                  f"{sum(each['tracebacks'] for each in found)} |", flush=True)
            wrong = [each for each in found if each["codes"] != [0, 0] or each["complete"] != 4
                     or each["trained"] != 4 or each["lost"] != deaths or len(each["waited"]) < waits
                     or each["tracebacks"] or each["passwords"]]
            if wrong:
                print(wrong[0].pop("said")[-4000:], file=sys.stderr)
                parser.exit(1, f"{name} did not go as it should: {wrong[0]}\n")


if __name__ == "__main__":
    main()
