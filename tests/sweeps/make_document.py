"""A made-up sweep's document, as `tfold.sweeps.results` makes it: nine strengths, three seeds, a knee at depth 10."""
import numpy as np

from tfold.sweeps.knee import find_knee
from tfold.sweeps.latency import add_to, choose
from tfold.sweeps.results import front

BASE = {"depth": 20, "layers": 20, "macs": 40_000_000, "parameters": 270_000, "chance": 0.1, "images": 5000,
        "test_images": 10_000, "accuracy": {"validation": 0.915, "test": 0.912}, "score": 0.915}


def document(seeds=3, knee=10, latency=True):
    random, trials = np.random.default_rng(0), []
    for i, strength in enumerate((0.01, 0.0204, 0.0416, 0.0849, 0.173, 0.353, 0.721, 1.47, 3.0)):
        for seed in range(seeds):
            depth = int(np.clip(20 - 2 * i + random.integers(-1, 2), 2, 20))
            score = 0.92 + 0.012 * min(0, depth - knee) + random.normal(0, 0.003)
            trials.append({
                "name": f"strength-{strength}-seed-{seed}", "strength": strength, "seed": seed, "state": "complete",
                "why": None, "attempts": 1, "epochs": 40, "reached": score, "host": "here", "depth": depth,
                "layers": depth, "macs": 1_000_000 * depth, "parameters": 10_000 * depth,
                "accuracy": {"validation": score, "test": score - 0.004}, "alphas": {}, "seconds": 60.0,
                "score": score, "folded": f"trials/{strength}-{seed}/folded.keras", "latency": None})
    ended = trials[4]
    ended |= {"state": "pruned", "accuracy": None, "score": None, "folded": None, "reached": 0.85, "why": "beaten"}
    done = [trial for trial in trials if trial["state"] == "complete"]
    depths, scores = [trial["depth"] for trial in done], [trial["score"] for trial in done]
    made = {
        "settings": {}, "base": BASE, "trials": trials, "counts": {"complete": len(done), "pruned": 1},
        "finished": True, "judge": "validation", "knee": find_knee(depths, scores).to_json(),
        "pareto": {"depth": front(BASE, done, "depth"), "latency": None},
        "latency": None, "warnings": [],
    }
    if latency:
        measured = {trial["name"]: {"median_ms": 0.4 + 0.09 * trial["depth"], "ratio": 0.2 + 0.04 * trial["depth"],
                                    "low": 0.19 + 0.04 * trial["depth"], "high": 0.21 + 0.04 * trial["depth"]}
                    for trial in choose(trials, made["knee"]["depth"])}
        itself = {"value": 1.0, "low": 0.99, "high": 1.01}
        add_to(made, {"runtime": "litert", "runtime_version": "2", "threads": 1, "machine": {},
                      "base": {"median_ms": 2.2, "itself": itself}, "trials": measured, "files": {}, "why": {}})
    return made
