"""Trials that wait to be run, shared by all workers of a sweep: none is run twice, none is lost.

    add ─▶ WAITING ─ claim ─▶ RUNNING ─ complete, prune, fail ─▶ done
              ▲                  │ its process is gone, or was told to stop
              └──── tend ◀───────┘

A claim is Optuna's own change from WAITING to RUNNING, which one process alone succeeds in (`Store.lock` sees to that
where the database does not).
"""
from tfold.sweeps.claimed import Claimed
from tfold.sweeps.interrupts import uninterrupted
from tfold.sweeps.patience import patient
from tfold.sweeps.plan import LEAST, MOST, name_of
from tfold.sweeps.process import Watch, claim
from tfold.sweeps.standing import DUPLICATE, LOST, standings

CARRIED = ("depth",)  # what the next attempt has to know


class Queue:
    """The trials of a study.

    Args:
        store: a `Store`.
        pairs: (λ_c, seed) of the plan, in the order in which they are to be tried. What else the study holds, of a plan
            with other strengths or seeds, is not touched.
        watch: tells which processes are gone.
    """

    def __init__(self, store, pairs, watch=None):
        self.store, self.pairs, self.watch = store, list(pairs), watch or Watch()
        self._states = store.optuna.trial.TrialState

    @patient
    @uninterrupted()
    def standings(self):
        """dict of name → `Standing`, of the plan's."""
        return self._standings()

    @patient
    @uninterrupted()
    def begun(self):
        """The same, and what of other plans is more than asked for."""
        mine = self._standings()
        return mine | {name: each for name, each in standings(self.store.trials()).items()
                       if name not in mine and each.state not in ("missing", "waiting")}

    @patient
    @uninterrupted()
    def others(self):
        """How many trials wait that are not the plan's."""
        return len(self.store.trials(self._states.WAITING)) - len(self._waiting())

    @patient
    @uninterrupted()
    def add(self, again=False):
        """Add what is missing.

        Args:
            again: also what has failed.

        Returns:
            int: how many were added.
        """
        with self.store.lock():
            return self._add(again)

    @patient
    @uninterrupted()
    def tend(self):
        """Hand trials out again whose process is gone.

        Returns:
            list of str: a line on each of them.
        """
        with self.store.lock():
            said = [line for trial in self.store.trials(self._states.RUNNING) if (line := self._end_lost(trial))]
            self._add()
        return said

    @patient
    @uninterrupted()
    def waits(self, beside=()):
        """Whether there is a trial to claim; of other names than those in `beside`."""
        return any(_name(trial) not in beside for trial in self._waiting())

    @patient
    @uninterrupted()
    def claim(self, last=()):
        """The next trial for this process.

        Args:
            last: names of trials that come after all others.

        Returns:
            A `Claimed`, or None if nothing waits.
        """
        with self.store.lock():
            for trial in sorted(self._waiting(), key=lambda each: (_name(each) in last, *self._place(each))):
                if self._set(trial, self._states.RUNNING):
                    self._write(trial, "claim", claim())
                    found = standings(self.store.trials())
                    standing = found[_name(trial)]
                    if standing.trial.number == trial.number:
                        return Claimed(self.store, standing)
                    self._write(trial, "ended", DUPLICATE)
                    self._set(trial, self._states.FAIL)
        return None

    def _standings(self):
        found = standings(self.store.trials(), self.pairs)
        return {name: found[name] for name in (name_of(*pair) for pair in self.pairs)}

    def _waiting(self):
        names = {name_of(*pair) for pair in self.pairs}
        return [trial for trial in self.store.trials(self._states.WAITING) if _name(trial) in names]

    def _add(self, again=False):
        added = 0
        for position, each in enumerate(self._standings().values()):
            anew = again and each.state == "failed"
            if each.state != "missing" and not anew:
                continue
            old = each.trial
            carried = {name: old.user_attrs[name] for name in CARRIED if name in old.user_attrs} if old else {}
            distributions = self.store.optuna.distributions
            self.store.study.add_trial(self.store.optuna.trial.create_trial(
                state=self._states.WAITING,
                params={"strength": each.strength, "seed": each.seed},
                distributions={"strength": distributions.FloatDistribution(LEAST, MOST, log=True),
                               "seed": distributions.IntDistribution(0, 2**31 - 1)},
                user_attrs={**carried, "position": position, **({"again": True} if anew else {})},
                # Its training goes on from a checkpoint: what was reported before stays reported.
                intermediate_values=dict(old.intermediate_values) if old else {},
            ))
            added += 1
        return added

    def _end_lost(self, trial):
        claimed = trial.user_attrs.get("claim")
        unclaimed = claimed is None and self.store.locks  # it died in the middle of the claim
        if not unclaimed and not self.watch.is_gone(trial.number, claimed):
            return None
        if not (self._write(trial, "ended", LOST) and self._set(trial, self._states.FAIL)):
            return None  # it has ended meanwhile, or another process was faster
        where = f"process {claimed['pid']} on {claimed['host'].split('/')[0]}" if claimed else "its process"
        return f"λ_c {trial.params['strength']:g}, seed {trial.params['seed']}: {where} is gone"

    def _place(self, trial):
        return trial.user_attrs.get("position", 0), trial.number

    def _set(self, trial, state):
        """Change a trial's state; False if another process has done so before."""
        try:
            return self.store.storage.set_trial_state_values(trial._trial_id, state)
        except self.store.optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _write(self, trial, name, value):
        try:
            self.store.storage.set_trial_user_attr(trial._trial_id, name, value)
        except self.store.optuna.exceptions.UpdateFinishedTrialError:
            return False
        return True


def _name(trial):
    return name_of(trial.params["strength"], trial.params["seed"])
