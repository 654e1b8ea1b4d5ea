"""What a sweep has found so far, as one document: `sweep.json`, and its trials as `sweep.csv`."""
import csv
import json
import statistics
from pathlib import Path

from tfold.documents import read_document
from tfold.files import whole
from tfold.sweeps.knee import TOLERANCE, find_knee
from tfold.sweeps.pareto import pareto_front

VERSION = 1
BASE = "base"
COLUMNS = ("name", "strength", "seed", "state", "depth", "layers", "macs", "parameters", "validation", "test",
           "latency_ms", "latency_ratio", "pareto_depth", "pareto_latency", "attempts", "why")


def collect(standings, base, identity, folder, tolerance=TOLERANCE, judge="validation"):
    """The document, without latencies.

    Args:
        standings: name → `Standing`.
        base: the base network's figures, or None before they are known.
        identity: of the plan.
        folder: of the trials; what lies there is named.
        tolerance: of the knee.
        judge: "validation" or "test": the images whose accuracy is the `score` that knee and front are of.

    Returns:
        dict: settings, base, trials, counts, knee, pareto (by depth and by latency: names of trials, and "base"),
        warnings; `finished`: nothing is left to be done; `unmeasured`: why latency could not be measured.
    """
    trials = [_row(each, Path(folder), judge) for each in standings.values()]
    base = base and {**base, "score": base["accuracy"][judge]}
    counts = {}
    for trial in trials:
        counts[trial["state"]] = counts.get(trial["state"], 0) + 1
    done = complete(trials)
    depths, scores = [trial["depth"] for trial in done], [trial["score"] for trial in done]
    return {
        "settings": identity,
        "base": base,
        "trials": trials,
        "counts": counts,
        "finished": all(each.over for each in standings.values()),
        "judge": judge,
        "knee": find_knee(depths, scores, tolerance, what=judge).to_json(),
        "pareto": {"depth": front(base, done, "depth"), "latency": None},
        "latency": None,
        "unmeasured": None,
        "warnings": (warnings_of(base, judge) if base else []) + warnings_of_places(done),
    }


def front(base, trials, by):
    """Names on the Pareto front, from the cheapest on; the base network, as "base", is a candidate like every trial.

    Args:
        base: its figures, or None.
        trials: rows that are complete, for "latency" those that were measured.
        by: "depth" or "latency": the latter as intervals of folded ÷ base, in which the base is 1.
    """
    def cost(row):
        return row["depth"] if by == "depth" else (row["latency"]["low"], row["latency"]["high"])

    rows = [{**base, "name": BASE, "latency": {"low": 1.0, "high": 1.0}}] if base else []
    rows += trials
    return [rows[i]["name"] for i in pareto_front([cost(row) for row in rows], [row["score"] for row in rows])]


def warnings_of(base, judge="validation"):
    """What the base network's figures say against the sweep, a sentence or two each."""
    found = []
    if base["accuracy"][judge] < base["chance"] + 0.1 * (1 - base["chance"]):
        found.append(_AT_CHANCE.format(base["accuracy"][judge], base["chance"]))
    if judge == "validation" and _has_seen(base):
        found.append(_SEEN.format(**base["accuracy"]))
    return found


def warnings_of_places(done):
    """A sentence where folded networks lie in another machine's folder."""
    elsewhere = [trial for trial in done if not trial["folded"]]
    hosts = sorted({trial["host"] for trial in elsewhere if trial["host"]})
    return [_ELSEWHERE.format(len(elsewhere), len(done), f" but on {', '.join(hosts)}" if hosts else "")] \
        if elsewhere else []


_AT_CHANCE = ("The base network gets {:.1%} of the images right, where always naming the commonest class gets {:.1%}. "
              "Are they read as it was trained? Check --scale, and the order of the classes.")
_ELSEWHERE = ("{} of {} folded networks are not in this folder{}: their latency is not measured, and the front and the "
              "picture of latency are without them. Machines that share a sweep should share its folder, too.")
_SEEN = ("The base network gets {validation:.1%} of the validation images right and {test:.1%} of the test images: it "
         "has probably been trained on the former, so they tell little about the trials. Judge with --judge test, or "
         "train the base without them.")


def _has_seen(base):
    """Whether validation accuracy is above test accuracy by more than chance (three standard errors) and two points."""
    scores, variance = base["accuracy"], 0.0
    for part, images in (("validation", base["images"]), ("test", base["test_images"])):
        variance += scores[part] * (1 - scores[part]) / images
    return scores["validation"] - scores["test"] > max(0.02, 3 * variance**0.5)


def complete(trials):
    """The trials that came to their end."""
    return [trial for trial in trials if trial["state"] == "complete"]


def by_strength(trials):
    """Trials grouped by λ_c, from the weakest; in a group by seed."""
    groups = {}
    for trial in sorted(trials, key=lambda each: (each["strength"], each["seed"])):
        groups.setdefault(trial["strength"], []).append(trial)
    return groups


def write(document, folder):
    """Write `sweep.json` and `sweep.csv`."""
    folder = Path(folder)
    with whole(folder / "sweep.json") as temporary:
        told = {"version": VERSION, "kind": "sweep", **document}
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    with whole(folder / "sweep.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        for trial in document["trials"]:
            scores, latency = trial["accuracy"] or {}, trial["latency"] or {}
            table.writerow({**trial, "validation": scores.get("validation"), "test": scores.get("test"),
                            "latency_ms": latency.get("median_ms"), "latency_ratio": latency.get("ratio"),
                            **{f"pareto_{by}": trial["name"] in (names or ())
                               for by, names in document["pareto"].items()}})


def read(folder):
    """The document of an earlier run; None without one, or where the file is another program's.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        document = read_document(Path(folder) / "sweep.json")
    except FileNotFoundError:
        return None
    return document if (document.get("version"), document.get("kind")) == (VERSION, "sweep") else None


def mean_and_spread(values):
    """ "91.2 ± 0.3" of shares, in percent; the spread only of two or more."""
    if not values:
        return "–"
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{spread}"


def _row(standing, folder, judge):
    """A trial as the document has it: what is not known is None."""
    attributes = standing.trial.user_attrs if standing.trial else {}
    outcome, claimed = attributes.get("outcome") or {}, attributes.get("claim") or {}
    reported = standing.trial.intermediate_values if standing.trial else {}
    folded = folder / standing.name / "folded.keras"
    return {
        "name": standing.name,
        "strength": standing.strength,
        "seed": standing.seed,
        "state": standing.state if standing.state != "missing" else "waiting",
        "why": standing.why or None,
        "attempts": standing.lost + (standing.state not in ("waiting", "missing")),
        "epochs": len(reported),
        "reached": reported[max(reported)] if reported else None,
        "host": claimed.get("host", "").split("/")[0] or None,
        "depth": outcome.get("depth", attributes.get("depth")),
        **{name: outcome.get(name) for name in ("layers", "macs", "parameters", "accuracy", "alphas", "seconds")},
        "score": (outcome.get("accuracy") or {}).get(judge),
        "folded": str(folded) if standing.state == "complete" and folded.exists() else None,
        "latency": None,
    }
