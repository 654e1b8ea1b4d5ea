"""A sweep over λ_c from its plan to its pictures; called again, it goes on where it was stopped or killed.

    Plan ─▶ Queue in an Optuna study ◀─ workers here and on other machines: claim, train, fold, report
                     │ nothing is left
                     ▼
    knee and Pareto front ─▶ export, measure in turns ─▶ sweep.json, sweep.csv, two pictures

In the folder: `sweep.db`, the study (unless another storage is given); `trials/<name>/`, each trial's checkpoints and
`folded.keras`; `latency/`, the .tflite files that were measured.
"""
import dataclasses
import re
import shutil
from pathlib import Path

from tfold.documents import DamagedError
from tfold.errors import BadInputError, TfoldError, one_line
from tfold.report import drawing, sweep_pictures
from tfold.sweeps import latency, results
from tfold.sweeps.address import read
from tfold.sweeps.crew import Crew
from tfold.sweeps.knee import TOLERANCE, check_tolerance
from tfold.sweeps.patience import DiskFullError, disk_full, is_full
from tfold.sweeps.progress import Progress
from tfold.sweeps.queue import Queue
from tfold.sweeps.store import Store, import_optuna

DATABASE, TRIALS, LATENCY = "sweep.db", "trials", "latency"
PICTURES = ("accuracy-depth.png", "accuracy-latency.png")
FILES = (DATABASE, f"{DATABASE}.lock", "sweep.json", "sweep.csv", *PICTURES)
OF_A_TRIAL = re.compile(r"(strength-.+-seed-\d+|base)(\.|$)")  # what lies in TRIALS and LATENCY
POLL = 0.5  # seconds


def run_sweep(plan, folder, storage=None, name="sweep", workers=1, runtime="litert", *, tolerance=TOLERANCE,
              judge="validation", blocks=20, again=False, force=False, say=print, progress=None):
    """Run a sweep, or go on with it.

    Trials run in processes of their own. A trial whose process dies is tried again, from its last whole epoch, twice at
    most; one that fails by an error is not. Machines share a sweep by a common `storage`; each measures and draws what
    lies in its own `folder`, which may be a common one too.

    Args:
        plan: a `Plan`.
        folder: where everything goes; made if need be.
        storage: address of an Optuna storage (see `tfold.sweeps.store`); None: a file in the folder.
        name: of the study in it.
        workers: processes on this machine. Each gets its share of the cores.
        runtime: what measures latency: "litert", "tflite-runtime"; "none": nothing is measured.
        tolerance: of the knee, see `find_knee`.
        judge: whose accuracy knee and front are of: the "validation" images, or the "test" images where the base has
            been trained on the former. Trials are pruned by the former in any case.
        blocks: of inferences for each network, see `tfold.bench`.
        again: also try again what has failed.
        force: throw away what the folder and the study hold, and begin anew.
        say: called with lines of progress.
        progress: called with (blocks done, blocks planned, what) while latency is measured.

    Returns:
        dict: what `sweep.json` holds, see `tfold.sweeps.results`.

    Raises:
        BadInputError: the folder holds something else, or the study is another sweep's; or network, data and recipe do
            not fit together.
        TfoldError: Optuna is missing, the storage cannot be opened, or workers die before their first trial.

    Example:

    >>> plan = Plan("base.keras", "cifar10", spread_strengths(0.01, 1, 5), 3, {"alpha_epochs": 10, "post_epochs": 10})
    >>> document = run_sweep(plan, "sweep", workers=2)
    >>> document["knee"]["depth"], document["knee"]["interval"]
    (8, [7, 9])
    """
    latency.check(runtime)  # before the work, not after it
    check_tolerance(tolerance)
    run_trials(plan, folder, storage, name, workers, again=again, force=force, judge=judge, say=say)
    return report(plan, folder, storage, name, runtime, tolerance=tolerance, judge=judge, blocks=blocks, say=say,
                  progress=progress)


def run_trials(plan, folder, storage=None, name="sweep", workers=1, *, again=False, force=False,
               judge="validation", say=print, command=None):
    """The first half of `run_sweep`: returns when every trial is over. `command` is what starts a worker, for tests."""
    if not isinstance(workers, int) or workers < 1:
        raise BadInputError(f"workers is a whole number from 1 on. Received: workers={workers!r}. Use 1.")
    check_folder(folder)
    drawing.check_matplotlib()  # before the work, not after it
    import_optuna()
    if storage is not None:
        read(storage).with_driver()
    identity, folder, address = plan.identity(), Path(folder), storage or default_storage(folder)
    (folder / TRIALS).mkdir(parents=True, exist_ok=True)
    if force:
        _clear(folder, storage, name, say)
    store = Store(address, name, say=say)
    store.begin(identity)
    queue = Queue(store, plan.trials())
    queue.add(again)
    if others := queue.others():
        say(f"{others} trials of other strengths or seeds, asked for before, wait on: they are not in this plan")
    given = {"plan": dataclasses.asdict(plan), "folder": str((folder / TRIALS).resolve()), "storage": store.url,
             "name": name}
    recipe = plan.whole_recipe()
    lines = Progress(say, len(queue.standings()), recipe["alpha_epochs"], recipe["post_epochs"], workers,
                     judge)
    with Crew(given, workers, command) as crew:
        _supervise(queue, crew, lines, say)


def report(plan, folder, storage=None, name="sweep", runtime="litert", *, tolerance=TOLERANCE,
           judge="validation", blocks=20, say=print, progress=None):
    """Measure and draw what a sweep has found so far, while it runs or afterwards; arguments as `run_sweep`'s.

    Latency is measured only once nothing is left to be done: until then workers would disturb it. All else is written
    before: a network that cannot be exported, or Ctrl-C, takes nothing of it.
    """
    drawing.check_matplotlib()
    check_folder(folder)
    folder = Path(folder)
    if storage is None and not (folder / DATABASE).exists():
        raise BadInputError(
            f"A sweep that is looked at has been begun. Received: {folder}, which holds no {DATABASE}. Check -o and "
            "--storage."
        )
    store = Store(storage or default_storage(folder), name, create=False, say=say)
    identity = plan.identity()
    store.check_identity(identity)
    folder.mkdir(parents=True, exist_ok=True)  # to look at a study elsewhere, one may lie anywhere
    document = results.collect(Queue(store, plan.trials()).begun(), store.base(), identity, folder / TRIALS, tolerance,
                               judge)
    earlier = _earlier(folder, say)
    chosen = latency.choose(document["trials"], document["knee"]["depth"])
    files = latency.files_of(plan.base, chosen)
    if latency.is_of(earlier, files):
        latency.add_to(document, earlier)
    _write(document, folder)
    measures = runtime != "none" and chosen and document["finished"]
    if measures and not latency.is_of(earlier, files, runtime, blocks):
        say(f"measuring the latency of {len(chosen)} folded networks beside the base's")
        try:
            latency.add_to(document, latency.measure(plan.base, chosen, folder / LATENCY, runtime, plan.loading,
                                                     progress, blocks=blocks))
        except (TfoldError, OSError) as error:  # whoever has trained for days wants to see what came of it all the same
            document["unmeasured"] = str(error) if isinstance(error, TfoldError) else one_line(error)
            document["warnings"].append(
                f"Latency was not measured. {document['unmeasured']} With runtime none (--runtime) none is.")
        _write(document, folder)
    return {**document, "files": ["sweep.json", "sweep.csv",
                                  *(picture for picture in PICTURES if (folder / picture).exists())]}


def _earlier(folder, say):
    """The latencies of an earlier run, or None."""
    try:
        return latency.earlier_in(results.read(folder))
    except DamagedError as error:
        say(f"{folder / 'sweep.json'} is damaged ({error}): it is written anew")
        return None


def _write(document, folder):
    try:
        results.write(document, folder)
        for picture, by in zip(PICTURES, ("depth", "latency"), strict=True):
            (folder / picture).unlink(missing_ok=True)  # one of an earlier state would belie the numbers
            sweep_pictures.draw(document, folder / picture, by)
    except Exception as error:
        if not is_full(error):
            raise
        raise DiskFullError(disk_full(f"{folder} ({one_line(error)[:-1]})")) from error


def check_folder(folder):
    """Raise `BadInputError` unless a sweep may be kept in a folder: a new or empty one, or a sweep's."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"The output is a folder. Received: {folder}, a file. Choose another name.")
    if folder.is_dir() and not _is_ours(folder):
        raise BadInputError(
            f"A sweep has a folder of its own. Received: {folder}, which holds other files. Choose another name."
        )


def _is_ours(folder):
    """Whether a folder is a sweep's, or empty: people have folders called trials, too."""
    if (folder / DATABASE).is_file():
        return True
    try:
        if results.read(folder):
            return True
    except DamagedError as error:
        raise BadInputError(
            f"A sweep has a folder of its own. Received: {folder}, whose sweep.json cannot be read ({error}), so that "
            "nobody can tell whose it is. If it is a sweep's, remove the file: it is written anew. Or choose another "
            "name."
        ) from error
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    parts = [path for path in entries if path.name in (TRIALS, LATENCY) and path.is_dir()]
    written = [path for path in entries if path.name in ("sweep.csv", *PICTURES)] if parts else []
    return len(parts) + len(written) == len(entries) and all(
        OF_A_TRIAL.match(each.name) for part in parts for each in part.iterdir())


def default_storage(folder):
    """The address of the file in a sweep's folder; raises `BadInputError` where its path cannot stand in an address."""
    path = str((Path(folder) / DATABASE).resolve())
    if odd := sorted(set(path) & set("?%{}")):
        raise BadInputError(
            f"The folder of a sweep is part of its database's address. Received: {path}, which has {' '.join(odd)}. "
            "Choose another name."
        )
    return f"sqlite:///{path}"


def _clear(folder, storage, name, say):
    """Throw away a folder's sweep: what is ours in it, and the study elsewhere."""
    if storage is not None:
        Store(storage, name, say=say).delete()
    for each in FILES:
        (folder / each).unlink(missing_ok=True)
    for path in [path for part in (TRIALS, LATENCY) for path in (folder / part).glob("*")]:
        if OF_A_TRIAL.match(path.name):  # whatever else somebody has put there stays
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _supervise(queue, crew, progress, say):
    """Keep workers at it until every trial is over, here or elsewhere."""
    elsewhere = False
    while True:
        for line in queue.tend():
            say(f"{line}; its trial is handed out again")
        found = queue.standings().values()
        open_ = [each for each in found if not each.over]
        if not open_ and not crew.size:
            return
        waiting = sum(each.state == "waiting" for each in open_)
        crew.hire(waiting)
        if open_ and not crew.size and not elsewhere:
            say(f"waiting for {len(open_)} trials that run elsewhere; stop this whenever you like")
            elsewhere = True
        for event in crew.events(POLL):
            over = sum(each.over for each in queue.standings().values())
            progress.tell(event, over)
