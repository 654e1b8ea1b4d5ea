"""A process that runs trials until none waits: started by `tfold.sweeps.crew`, on this machine or any other.

    stdin   a line of JSON: what to do. Its end says that whoever started us is gone.
    stdout  lines of JSON: {"event": "base" | "claimed" | "waiting" | "epoch" | "complete" | "pruned" | "failed" | …}

Network, images and recipe are found to fit together before the first trial; if they do not, that ends the sweep.
"""
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from functools import partial

from tfold.errors import DivergedError, InUseError, TfoldError
from tfold.importing import uncollected
from tfold.sweeps import address
from tfold.sweeps.claimed import Abandoned, TakenOverError
from tfold.sweeps.patience import DiskFullError, StorageError, disk_full, is_full
from tfold.sweeps.plan import Plan
from tfold.sweeps.queue import Queue
from tfold.sweeps.store import Store

PAUSE = 5.0  # seconds between two looks whether a folder is free
REPEAT = 600.0  # seconds between two lines that say so
LONGEST = 6 * 3600.0  # seconds to wait for it: longer than an epoch takes


class Stopped(KeyboardInterrupt):
    """SIGTERM, or the parent's end."""


class PutOff(Exception):  # noqa: N818  no error: the trial's turn comes later
    """Somebody works in the trial's folder, and there are others to go on with; its argument says who and where."""


def work(queue, run, emit):
    """Run trials until none waits.

    Args:
        queue: a `Queue`.
        run: called with a `Claimed`; returns its outcome. `Abandoned` and `DivergedError`, which would come again with
            the same settings, prune it; after `InUseError` it is called again later; any other exception fails the
            trial.
        emit: called with (event, details…).
    """
    busy = set()  # trials in whose folders somebody works
    while (trial := queue.claim(busy)) is not None:
        tell = partial(emit, strength=trial.strength, seed=trial.seed)
        tell("claimed", attempt=trial.lost + 1)
        with trial:
            try:
                tell(**_ended(trial, queue, busy, run, tell))
            except TakenOverError as error:  # while it ran, or as it ended
                tell("taken over", why=str(error))


def _when_free(trial, queue, busy, run, tell):
    """Run a trial as soon as nobody else works in its folder.

    Somebody may: a process that was out of reach for a while lives on, and lets go of it at its next epoch, at which it
    finds out that the trial was taken from it.
    """
    begin = time.monotonic()
    told = -REPEAT
    while True:
        try:
            return run(trial)
        except InUseError as error:
            waited = time.monotonic() - begin
            if queue.waits(busy):
                busy.add(trial.name)
                raise PutOff(f"another process works in {error.path}; other trials come first") from error
            if waited > LONGEST:
                raise
            if waited - told >= REPEAT:
                tell("waiting", folder=str(error.path))
                told = waited
        trial.check()
        time.sleep(PAUSE)


def _ended(trial, queue, busy, run, tell):
    """Run a trial and write down how it ended; returns that as an event."""
    try:
        outcome = _when_free(trial, queue, busy, run, tell)
        trial.complete(outcome["accuracy"]["validation"], outcome)
        return {"event": "complete", "outcome": outcome}
    except KeyboardInterrupt:
        with suppress(TakenOverError):  # whoever has it needs no release, and we are to stop all the same
            trial.release()
        raise
    except PutOff as reason:
        trial.release()
        return {"event": "put off", "why": str(reason)}
    except (TakenOverError, StorageError):  # it is not ours to end; or nobody can be told until we are gone
        raise
    except (Abandoned, DivergedError) as error:
        trial.prune(str(error))
        return {"event": "pruned", "why": str(error)}
    except Exception as error:
        if is_full(error):  # the next trial would fare no better, and this one is to go on once there is room
            with suppress(StorageError, TakenOverError):
                trial.release()
            raise DiskFullError(disk_full(f"{trial.name}: {_why(error, trial.store.address)}")) from error
        why = _why(error, trial.store.address)
        trial.fail(why)
        return {"event": "failed", "why": why}


def _why(error, address):
    """An exception in words, without what must not be shown of the storage's address."""
    return address.scrubbed(str(error)) if isinstance(error, TfoldError) else address.quote(error) + "."


def main():
    """Do what stdin's first line says. Exit codes: 0 nothing waits any more, 1 an error was told, 143 stopped."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what TensorFlow prints is no event
    sys.stdout = sys.stderr

    def emit(event, **details):
        with suppress(OSError):  # nobody listens any more: stdin has ended too, and we are about to be told to stop
            lines.write(json.dumps({"event": event, **details}) + "\n")

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first one is enough: the trial is being released
        raise Stopped

    given = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _main(given, emit)
    except KeyboardInterrupt:
        sys.exit(143)
    except TfoldError as error:
        emit("error", why=str(error))
        sys.exit(1)
    except Exception as error:  # before a trial, or beside it: the next one would fare no better
        where = address.read(given["storage"])
        sys.stderr.write(where.scrubbed(traceback.format_exc()))
        emit("error", why=disk_full(where.quote(error)) if is_full(error) else
             f"A worker begins its trials. Received: {_why(error, where)} "
             "Look at the network, the data and the storage; the same command goes on.")
        sys.exit(1)


def _main(given, emit):
    plan = Plan(**given["plan"])
    queue = Queue(Store(given["storage"], given["name"], create=False, begun=True), plan.trials())
    if not queue.waits():
        return
    with uncollected():
        from tfold.sweeps.pruning import BeatenPruner
        from tfold.sweeps.trial import Bench

    bench = Bench(plan, given["folder"])
    base, recipe = _base(bench, queue.store, plan.identity()), bench.recipe
    emit("base", figures=base)
    pruner = None if plan.prune is None else BeatenPruner(
        plan.prune, recipe.alpha_epochs, recipe.post_epochs, base["chance"], base["images"],
        base["accuracy"]["validation"])

    def run(trial):
        def tell(phase, epoch, logs):
            known = {name: logs[name] for name in ("val_accuracy", "loss", "depth") if name in logs}
            emit("epoch", strength=trial.strength, seed=trial.seed, phase=phase, epoch=epoch, **known)

        return bench.run(trial, lambda line: None, tell, pruner)

    work(queue, run, emit)


def _base(bench, store, identity):
    """The base network's figures, which the first worker measures."""
    if store.base() is None:
        store.write_base(identity, bench.base_figures())
    else:
        store.check_identity(identity)
    return store.base()


def _end_with_parent():
    """Stop when stdin ends: the parent holds its other end as long as it lives."""
    while os.read(0, 1024):  # not sys.stdin, whose lock this thread would still hold when Python ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
