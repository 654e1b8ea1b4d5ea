"""A trial that this process runs: what it reports, and how it ends."""
import json
import threading
from contextlib import contextmanager, suppress

from tfold.errors import TfoldError
from tfold.sweeps.interrupts import uninterrupted
from tfold.sweeps.patience import patient
from tfold.sweeps.process import BEAT, claim
from tfold.sweeps.standing import FAILED, RELEASED


class Abandoned(Exception):  # noqa: N818  no error: the trial was ended on purpose
    """The trial is not worth going on with; its argument says why."""


class TakenOverError(TfoldError):
    """The trial is another process' now: this one was silent for too long (its machine slept, the network was gone)."""


class Claimed:
    """A trial in the state RUNNING; as a context manager it shows others that its process lives.

    Args:
        store: a `Store`.
        standing: its `Standing`.

    Example:

    >>> with queue.claim() as trial:
    ...     trial.report(0, 0.91, depth=12)
    ...     trial.complete(0.91, {"depth": 12})
    """

    def __init__(self, store, standing):
        self.store, self.strength, self.seed, self.name = store, standing.strength, standing.seed, standing.name
        self.lost, self._step = standing.lost, None
        self._id, self._states = standing.trial._trial_id, store.optuna.trial.TrialState
        self._over, self._thread = threading.Event(), None

    def __enter__(self):
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    @patient
    @uninterrupted()
    def report(self, step, value, depth=None):
        """Write down the accuracy after an epoch, and the non-linear depth if it has changed.

        Raises:
            TakenOverError: the trial was given to another process.
        """
        with self._ours():
            self._step = step
            self.store.storage.set_trial_intermediate_value(self._id, step, value)
            if depth is not None and depth != self.frozen().user_attrs.get("depth"):
                self.store.storage.set_trial_user_attr(self._id, "depth", depth)

    @patient
    @uninterrupted()
    def frozen(self):
        """The trial as Optuna's FrozenTrial."""
        return self.store.storage.get_trial(self._id)

    def check(self):
        """Raise `TakenOverError` if the trial was given to another process."""
        if self.frozen().state != self._states.RUNNING:
            raise self._taken_over()

    @patient
    @uninterrupted()
    def why_hopeless(self, pruner):
        """Why it is not worth going on with; None if it is. `pruner` is a `BeatenPruner`."""
        return pruner.why(self.store.study, self.frozen(), self._step)

    def complete(self, value, outcome):
        """It came to its end.

        Args:
            value: validation accuracy.
            outcome: what else is to be kept, as JSON takes it.
        """
        self._end(self._states.COMPLETE, [value], outcome=outcome, depth=outcome["depth"])

    def prune(self, why):
        """It was not worth going on with."""
        self._end(self._states.PRUNED, None, why=why)

    def fail(self, why):
        """It cannot be done: it is not tried again unless somebody asks for it."""
        self._end(self._states.FAIL, None, ended=FAILED, why=why)

    def release(self):
        """Others may go on with it."""
        self._end(self._states.FAIL, None, ended=RELEASED)

    @patient
    @uninterrupted()
    def _end(self, state, values, **attributes):
        self._over.set()
        storage, ended = self.store.storage, self.store.optuna.exceptions.UpdateFinishedTrialError
        try:
            for name, value in attributes.items():
                storage.set_trial_user_attr(self._id, name, value)
            storage.set_trial_state_values(self._id, state, values)
        except ended as error:
            found = storage.get_trial(self._id)
            # A connection that breaks right behind the change takes the answer with it: then it was us, a moment ago.
            if found.state != state or any(json.dumps(found.user_attrs.get(name)) != json.dumps(value)
                                           for name, value in attributes.items()):
                raise self._taken_over() from error

    def _beat(self):
        claimed = claim()
        while not self._over.wait(BEAT):
            claimed["beat"] += 1
            with suppress(Exception):  # the network may be gone for a while; a trial taken over shows in `report`
                self.store.storage.set_trial_user_attr(self._id, "claim", claimed)

    @contextmanager
    def _ours(self):
        try:
            yield
        except self.store.optuna.exceptions.UpdateFinishedTrialError as error:  # it has ended without us
            raise self._taken_over() from error

    def _taken_over(self):
        return TakenOverError(
            f"A trial is run by one process. Received: {self.name}, which another one has taken over: this one was "
            "silent for too long. Nothing is lost."
        )
