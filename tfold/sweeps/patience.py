"""A database that is out of reach for a while (a restart, a network cable) ends no sweep.

    report ─✗─ 0.5 s ─✗─ 1 s ─✗─ 2 s ─ … ─ report      five minutes long; then an error: the same command goes on later

What will not pass by itself is an error at once: a wrong password, a table that is gone, a full disk.
"""
import errno
import functools
import os
import re
import tempfile
import time

from tfold.errors import TfoldError

OUTAGE = 300.0  # seconds
FIRST, LONGEST = 0.5, 10.0  # pauses between two tries
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the last one: more than the system lets a file grow to
FULL_WORDS = re.compile("no space left on device|disk is full|disk quota exceeded|file too large|errno = (?:28|122|27)",
                        re.IGNORECASE)
# Databases say with one and the same error that they are away and that they do not let somebody in.
REFUSED = re.compile(
    r"authentication failed|no password supplied|access denied|no pg_hba\.conf entry|permission denied"
    r"|(?:database|role) .* does not exist|unknown database|command denied|does not support SSL|certificate",
    re.IGNORECASE)
LIBRARIES = ("optuna", "sqlalchemy", "alembic", "sqlite3")
PASSING = ("OperationalError", "InterfaceError", "InternalError", "IntegrityError", "TimeoutError",
           "PendingRollbackError", "ResourceClosedError")
GONE = "Record does not exist"  # what Optuna says of a study and of trials that somebody has removed


class StorageError(TfoldError):
    """The storage cannot be used. Trials are as they were: none has failed by it."""


class OutOfReachError(StorageError):
    """The storage has not answered for `OUTAGE` seconds."""


class DiskFullError(StorageError):
    """There is no room for what a sweep writes."""


def patient(method):
    """A decorator of what asks the storage: tries again until it answers. For a `Store`, and what has one as `.store`.

    It stands outside of `@uninterrupted()`: between two tries Ctrl-C comes through. What it decorates can be done
    twice.

    Raises:
        OutOfReachError: it did not answer.
        DiskFullError: it has no room left.
        StorageError: it answers that it cannot do this, and will not be able to.
    """
    @functools.wraps(method)
    def until_it_answers(self, *args, **kwargs):
        store = getattr(self, "store", self)
        return keep_trying(lambda: method(self, *args, **kwargs), store.address, store.say)

    return until_it_answers


def keep_trying(ask, address, say=None, is_away=None):
    """What `ask` returns, as soon as the storage answers.

    Args:
        ask: called without arguments, as often as need be.
        address: the storage's `Address`.
        say: called with a line when the storage does not answer and when it does so again, or None.
        is_away: whether an exception will pass by itself; `is_passing` by default.
    """
    begin, pause, told = time.monotonic(), FIRST, False
    while True:
        try:
            answer = ask()
            break
        except Exception as error:
            if isinstance(error, TfoldError) or not is_storages(error, address):
                raise
            passing = (is_away or is_passing)(error, address)
            quoted, failure = address.quote(_cause(error)), _failure(error, address, passing)
            if failure is None and time.monotonic() - begin + pause > OUTAGE:
                failure = OutOfReachError(
                    f"A storage stays within reach while a sweep runs. Received: {address.shown}, silent for "
                    f"{OUTAGE:.0f} s: {quoted}. What is done is kept: the same command goes on.")
            cause = error if address.is_harmless(error) else None
        if failure is not None:  # not within `except`, which would tie the error to it, whatever that shows
            raise failure from cause
        if say and not told and pause > FIRST:  # not of two processes that have met, which is over by now
            say(f"{address.shown} does not answer ({quoted}); trying again for {OUTAGE:.0f} s")
            told = True
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)
    if told:
        say(f"{address.shown} answers again, after {time.monotonic() - begin:.0f} s")
    return answer


def _failure(error, address, passing):
    """The `StorageError` to be raised; None where trying again may help."""
    quoted = address.quote(_cause(error))
    if is_full(error) or ("disk I/O error" in str(_cause(error)) and not _has_room(address.path)):
        return DiskFullError(disk_full(f"{address.shown} ({quoted})"))
    if GONE in str(error):
        return StorageError(
            f"A study stays where it is while a sweep runs. Received: {address.shown}, in which it is no more: "
            "somebody has removed it (--force). The same command begins it anew.")
    if not passing:
        return StorageError(
            f"A storage is something that Optuna can open and write to. Received: {address.shown} ({quoted}). Check "
            "the address, its driver, and who may write there.")
    return None


def is_storages(error, address):
    """Whether an exception comes from the storage: what else comes up is somebody else's."""
    if type(error).__module__.partition(".")[0] in LIBRARIES:
        return not _is_answer(error)
    return isinstance(error, OSError) and address.is_file or _is_raised_by_them(error)


def is_passing(error, address):
    """Whether trying again may help: nobody answers, or somebody who cannot do so just now."""
    error = _cause(error)
    if isinstance(error, OSError):
        return True  # of a journal: its drive is away
    words = str(error)
    if address.kind == "sqlite":
        return any(word in words for word in ("locked", "busy", "unable to open database file", "disk I/O error",
                                              "already exists"))
    if REFUSED.search(words):
        return False
    if getattr(error, "connection_invalidated", False):
        return True
    # Whose table is made, or whose row is written, by another process at the same moment finds it there next time.
    return type(error).__name__ in PASSING or "already exists" in words


def is_full(error):
    """Whether an exception says that a disk is full: the libraries that write to one each have their own."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in FULL or FULL_WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _has_room(path):
    """Whether the file can grow. SQLite calls a quota that is used up an I/O error, as it does a drive that is away."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(path) or ".") as file:
            file.seek(os.path.getsize(path))
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in FULL
    return True


def disk_full(where):
    """The sentence on a full disk."""
    return (f"A sweep needs room for what it writes. Received: a full disk: {where.rstrip('.')}. Make room: the same "
            "command goes on, and nothing that was done is lost.")


def _is_raised_by_them(error):
    """Whether an exception of Python's own comes out of them: of a damaged journal Optuna makes a ValueError."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        trace = trace.tb_next
    return any(name in LIBRARIES for name in frames)


def _cause(error):
    """What a database has said; Optuna wraps it."""
    if type(error).__name__ == "StorageInternalError" and error.__cause__ is not None:
        return error.__cause__
    return error


def _is_answer(error):
    """Optuna's answers that are no failures: a trial has ended, a study is there already."""
    return type(error).__name__ in ("UpdateFinishedTrialError", "DuplicatedStudyError")
