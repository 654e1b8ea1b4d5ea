"""A database that is out of reach for a while (a restart, a network cable) ends no sweep.

    report ─✗─ 0.5 s ─✗─ 1 s ─✗─ 2 s ─ … ─ report      five minutes long; then an error: the same command goes on later
"""
import functools
import time

from tfold.errors import TfoldError, one_line
from tfold.sweeps.store import JOURNAL

OUTAGE = 300.0  # seconds
FIRST, LONGEST = 0.5, 10.0  # pauses between two tries


class OutOfReachError(TfoldError):
    """The storage has not answered for `OUTAGE` seconds. Trials are as they were: none has failed by it."""


def patient(method):
    """A decorator of what asks the storage: tries again until it answers. For objects with a `Store` as `.store`.

    It stands outside of `@uninterrupted()`: between two tries Ctrl-C comes through. What it decorates can be done
    twice.

    Raises:
        OutOfReachError: it did not answer.
    """
    @functools.wraps(method)
    def until_it_answers(self, *args, **kwargs):
        end, pause = time.monotonic() + OUTAGE, FIRST
        # Optuna wraps what databases raise; of a journal it is the file system's own error.
        away = (self.store.optuna.exceptions.StorageInternalError, *[OSError] * self.store.url.startswith(JOURNAL))
        while True:
            try:
                return method(self, *args, **kwargs)
            except away as error:
                if time.monotonic() + pause > end:
                    raise OutOfReachError(
                        f"A storage stays within reach while a sweep runs. Received: {self.store.address}, silent for "
                        f"{OUTAGE:.0f} s: {one_line(error.__cause__ or error)} What is done is kept: the same command "
                        "goes on."
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)

    return until_it_answers
