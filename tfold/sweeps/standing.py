"""How a sweep stands: what became of each (λ_c, seed), read from all attempts at it.

An Optuna trial that has ended never runs again. So an attempt whose process died, or that was stopped, ends as FAIL
with a word on how, and a new one with the same parameters is added:

    strength-0.1-seed-0     #3 FAIL lost     #9 FAIL released     #10 RUNNING      → running, its third attempt
    strength-0.3-seed-0     #4 COMPLETE                           #11 WAITING      → complete; #11 is one too many

Two machines may both add an attempt. Then the one with the lowest number counts, and the other is never run.
"""
from dataclasses import dataclass

from tfold.sweeps.plan import name_of

LOST, RELEASED, FAILED, DUPLICATE = "lost", "released", "failed", "duplicate"
RETRIES = 2  # of an attempt whose process died


@dataclass(frozen=True)
class Standing:
    """What became of a (λ_c, seed).

    Attributes:
        strength, seed: which.
        state: "waiting", "running", "complete", "pruned", "failed"; or "missing": to be added (again).
        trial: the attempt that counts, as Optuna's FrozenTrial; None if there is none.
        lost: how many of its attempts have died.
        why: why it has failed or was pruned.
    """

    strength: float
    seed: int
    state: str
    trial: object = None
    lost: int = 0
    why: str = ""

    @property
    def name(self):
        return name_of(self.strength, self.seed)

    @property
    def over(self):
        return self.state in ("complete", "pruned", "failed")


def standings(trials, pairs=()):
    """How each (λ_c, seed) stands.

    Args:
        trials: all FrozenTrials of the study, in the order of their numbers.
        pairs: (λ_c, seed) that belong to the sweep as well, tried or not; these come first, in this order.

    Returns:
        dict of name → `Standing`.
    """
    attempts = {name_of(*pair): (pair, []) for pair in pairs}
    for trial in trials:
        pair = (trial.params["strength"], trial.params["seed"])
        attempts.setdefault(name_of(*pair), (pair, []))[1].append(trial)
    return {name: _standing(*pair, tried) for name, (pair, tried) in attempts.items()}


def _standing(strength, seed, tried):
    # What was tried before somebody asked to try once more does not count.
    again = [i for i, trial in enumerate(tried) if trial.user_attrs.get("again")]
    counted = tried[again[-1] if again else 0:]
    failed = [trial for trial in counted if trial.state.name == "FAIL" and trial.user_attrs.get("ended") != DUPLICATE]
    lost = sum(trial.user_attrs.get("ended") == LOST for trial in failed)
    for trial in counted:
        if trial.state.name != "FAIL":
            return Standing(strength, seed, trial.state.name.lower(), trial, lost, trial.user_attrs.get("why", ""))
    for trial in failed:
        if trial.user_attrs.get("ended") not in (LOST, RELEASED):
            return Standing(strength, seed, "failed", trial, lost, trial.user_attrs.get("why", "of an unknown reason"))
    last = failed[-1] if failed else None
    if lost > RETRIES:
        return Standing(strength, seed, "failed", last, lost, f"its process died {lost} times")
    return Standing(strength, seed, "missing", last, lost)
