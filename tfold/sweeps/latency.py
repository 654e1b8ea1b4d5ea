"""How long the folded networks take beside the base: once, behind the sweep, all in turns.

    base, A, B, C, base │ base, A, B, C, base │ …      a round holds a block of each: what disturbs one disturbs all

While trials run, processes take the processor from each other, and a latency measured then would be of that. The base
stands at both ends of a round: its ratio to itself says how small a difference shows here, today.
"""
from pathlib import Path

from tfold.documents import require
from tfold.errors import TfoldError
from tfold.files import sha256_of
from tfold.sweeps.pareto import pareto_front
from tfold.sweeps.results import complete, front

MOST = 12  # networks: with more, a round becomes so long that its ends are no longer alike
SECONDS_EACH = 20.0
SHAPE = {  # what is read again of what `measure` returns, as `tfold.recipe.documents.require` takes it
    "runtime": str, "threads": int, "blocks": int, "files": {str: str}, "base": {"median_ms": float},
    "trials": {str: {"median_ms": float, "ratio": float, "low": float, "high": float}},
}


def choose(trials, knee=None, most=MOST):
    """The trials worth measuring: the most accurate of each depth, those of the Pareto front and the knee first.

    Args:
        trials: rows of the document.
        knee: EDNL, or None.
        most: how many at most.

    Returns:
        list of rows, from the shallowest.
    """
    there = [trial for trial in complete(trials) if trial["folded"]]
    best = {}
    for trial in there:
        held = best.get(trial["depth"])
        if held is None or trial["score"] > held["score"]:
            best[trial["depth"]] = trial
    chosen = [best[depth] for depth in sorted(best)]
    unbeaten = pareto_front([each["depth"] for each in chosen], [each["score"] for each in chosen])
    # Of a long front the shallow end falls far below the knee: what lies near the base's accuracy is wanted.
    order = sorted(range(len(chosen)), key=lambda i: (chosen[i]["depth"] != knee, i not in unbeaten,
                                                      -chosen[i]["score"]))
    return [chosen[i] for i in sorted(order[:most])]


def check(runtime):
    """Raise `BadInputError` or `RuntimeNotFoundError` unless this runtime can be had, or it is "none"."""
    from tfold.measure.runtimes import resolve

    if runtime != "none":
        resolve(runtime)


def files_of(base, chosen):
    """dict: "base" and each row's name → the sha256 of its network's file."""
    return {"base": sha256_of(base), **{each["name"]: sha256_of(each["folded"]) for each in chosen}}


def earlier_in(document):
    """What `measure` returned, as a document of an earlier run has it; None where it was not measured.

    Raises:
        DamagedError: it is not as this program writes it.
    """
    found = (document or {}).get("latency")
    if found is None:
        return None
    require(found, dict, "latency")
    require(found.get("base"), dict, "base")
    require({"blocks": 0, **found}, SHAPE, "latency")
    if document.get("base"):  # beside which it is drawn
        require(found["base"].get("itself"), {"value": float, "low": float, "high": float}, "itself")
    return found


def is_of(earlier, files, runtime=None, blocks=0):
    """Whether what `measure` returned before is of these networks, on this runtime, with so many blocks at least."""
    return bool(earlier) and earlier["files"] == files and runtime in (None, earlier["runtime"]) \
        and earlier.get("blocks", 0) >= blocks


def measure(base, chosen, folder, runtime="litert", loading=None, progress=None, blocks=20, **schedule):
    """Export and measure networks.

    Args:
        base: the base network's file.
        chosen: rows, as `choose` gives them.
        folder: where the .tflite files go.
        runtime: what runs them.
        loading: how to load the networks: allow_unsafe, custom_objects.
        progress: as of `tfold.bench`.
        blocks: of inferences for each network.
        schedule: what else `tfold.bench` takes.

    Returns:
        dict: runtime, threads, blocks, machine, base (median_ms, itself: base ÷ base), trials (name → median_ms, ratio
        to the base, low, high), files (name → sha256 of the network), `why` of what could not be exported.
    """
    from tfold.measure import bench, bootstrap_ratio

    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    paths, why = {"base": _export(base, folder / "base.tflite", loading or {})}, {}
    for each in chosen:
        try:
            paths[each["name"]] = _export(each["folded"], folder / f"{each['name']}.tflite", loading or {})
        except TfoldError as error:  # the others can be measured all the same
            why[each["name"]] = str(error)
    order = [*paths.values(), paths["base"]]
    schedule = {"max_seconds": SECONDS_EACH * len(order), "self_check": False, "blocks": blocks, **schedule}
    result = bench(order, runtime, progress=progress, **schedule)
    first, *others = result.measurements
    ratios = [bootstrap_ratio(first.values, other.values) for other in others]
    names = [name for name in paths if name != "base"]
    return {
        "runtime": runtime,
        "runtime_version": first.runtime_version,
        "threads": first.threads,
        "blocks": blocks,
        "machine": result.machine,
        "base": {"median_ms": first.median_ms, "itself": ratios[-1].to_json()},
        "trials": {name: {"median_ms": other.median_ms, "ratio": ratio.value, "low": ratio.low, "high": ratio.high}
                   for name, other, ratio in zip(names, others, ratios, strict=False)},
        "files": files_of(base, chosen),
        "why": why,
    }


def add_to(document, found):
    """Put measured latencies into a sweep's document: to each trial its own, and the front by latency."""
    document["latency"] = found
    for trial in document["trials"]:
        trial["latency"] = found["trials"].get(trial["name"])
    there = [trial for trial in complete(document["trials"]) if trial["latency"]]
    document["pareto"]["latency"] = front(document["base"], there, "latency")


def _export(model, path, loading):
    """The path of the .tflite file, made anew."""
    from tfold.loading import load_model, load_report
    from tfold.tflite.convert import export

    export(load_model(model, **loading), path, report=load_report(model), force=True)
    return path
