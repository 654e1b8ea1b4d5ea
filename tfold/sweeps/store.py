"""Where a sweep's trials are kept: an Optuna study, in a file of its own or in a database that machines share.

    sqlite:////sweeps/a/sweep.db         the default: a file, for any number of processes on one machine
    journal:/nfs/sweep.journal           a file on a network drive, for several machines
    postgresql://user:word@host/sweeps   a database, for several machines; mysql likewise

Optuna is imported here and only when a sweep is run.
"""
import os
import re
import sqlite3
import time
import warnings
from contextlib import contextmanager, nullcontext, suppress

from tfold.checks import differences
from tfold.errors import BadInputError, TfoldError, one_line
from tfold.sweeps.interrupts import uninterrupted

PATIENCE = 60.0  # seconds that SQLite waits for another process' write
JOURNAL = "journal:"
SQLITE = "sqlite:///"


def import_optuna():
    """Optuna, without what it prints. Raises: TfoldError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise TfoldError(
            "A sweep keeps its trials in Optuna. Received: no optuna. Install it: pip install optuna."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


class Store:
    """A study and its storage.

    Args:
        url: of the storage, as above.
        name: of the study in it.
        create: make the study if it is not there.

    Raises:
        BadInputError: there is no such study, and it is not to be made.
        TfoldError: Optuna is not installed, or the storage cannot be opened.

    Example:

    >>> Store("sqlite:///sweep.db", "sweep").study.study_name
    'sweep'
    """

    @uninterrupted()
    def __init__(self, url, name, create=True):
        if url.startswith(JOURNAL):  # its lock is a link, which would lead elsewhere from a relative path
            url = JOURNAL + os.path.abspath(url.removeprefix(JOURNAL))
        self.url, self.name, self.optuna = url, name, import_optuna()
        try:
            with self.lock():  # SQLite: two processes that make the tables at once would disturb each other
                self.storage = self._open()
                self.study = self._study(create)
        except BadInputError:
            raise
        except Exception as error:  # each database's driver has its own
            raise TfoldError(
                f"A storage is something that Optuna can open and write to. Received: {self.address} "
                f"({type(error).__name__}: {one_line(error)[:-1]}). Check the address and its driver."
            ) from error
        self.id = self.storage.get_study_id_from_name(name)

    @property
    def address(self):
        """The storage's, as messages may show it."""
        return hidden(self.url)

    def lock(self):
        """Keep other processes from claiming and adding trials meanwhile.

        Only SQLite needs it: it has no SELECT … FOR UPDATE, by which Optuna makes sure with other databases that one
        process alone claims a trial. The lock is a transaction on a second, empty SQLite file, so it goes with its
        process, and holds wherever SQLite's own locks do. It cannot be taken twice by one process.
        """
        if not self.url.startswith(SQLITE):
            return nullcontext()
        return _exclusive(f"{self.url.removeprefix(SQLITE).partition('?')[0]}.lock")

    @property
    def locks(self):
        """Whether whoever holds `lock` knows that nobody is in the middle of a claim."""
        return self.url.startswith(SQLITE)

    def trials(self, *states):
        """All trials, or those in these states, in the order of their numbers."""
        return self.storage.get_all_trials(self.id, deepcopy=False, states=states or None)

    @uninterrupted()
    def begin(self, identity):
        """Write down what the sweep is, or raise `BadInputError` if the study is another sweep's.

        As long as no worker has found that network, images and recipe fit together, settings can be corrected.
        """
        with self.lock():
            before = self.study.user_attrs.get("identity")
            if before is None and not self.locks:
                time.sleep(1)  # whoever has just made the study is about to write it
                before = self.study.user_attrs.get("identity")
            if before is not None and self._begun():
                self._check(identity)
            else:
                self.study.set_user_attr("identity", identity)

    @uninterrupted()
    def check_identity(self, identity):
        """Raise `BadInputError` if the study is another sweep's."""
        self._check(identity)

    @uninterrupted()
    def write_base(self, identity, figures):
        """Write down the base network's figures: from now on the settings are what they are.

        Raises:
            BadInputError: somebody else has corrected the settings meanwhile.
        """
        with self.lock():
            self._check(identity)
            self.study.set_user_attr("base", figures)

    def _begun(self):
        return "base" in self.study.user_attrs or any(trial.state.name != "WAITING" for trial in self.trials())

    def _check(self, identity):
        found = differences(self.study.user_attrs.get("identity") or {}, identity)
        if found:
            raise BadInputError(
                f"Trials of a sweep share everything but strength and seed. Received: the study {self.name!r} in "
                f"{self.address}, which was begun with other settings ({'; '.join(found)}). Use the same ones, or "
                "another folder (-o) and another --name, or --force (force=True) to throw away what is there."
            )

    @uninterrupted()
    def delete(self):
        """Remove the study with all its trials."""
        with self.lock():
            self.optuna.delete_study(study_name=self.name, storage=self.storage)

    def _open(self):
        storages = self.optuna.storages
        if self.url.startswith(JOURNAL):
            return storages.JournalStorage(storages.journal.JournalFileBackend(self.url.removeprefix(JOURNAL)))
        options = {"connect_args": {"timeout": PATIENCE}} if self.url.startswith(SQLITE) else {"pool_pre_ping": True}
        return storages.RDBStorage(self.url, engine_kwargs=options)

    def _study(self, create):
        found = {"study_name": self.name, "storage": self.storage}
        # Nothing is sampled: all trials have been decided on. (Optuna's own default would ask for SciPy.)
        sampler = self.optuna.samplers.RandomSampler()
        if create:
            with suppress(self.optuna.exceptions.DuplicatedStudyError):
                return self.optuna.create_study(direction="maximize", sampler=sampler, **found)
        try:
            return self.optuna.load_study(sampler=sampler, **found)
        except KeyError:
            raise BadInputError(
                f"A sweep that is looked at has been begun. Received: {self.address}, which has no study "
                f"{self.name!r}. Check --storage and --name."
            ) from None


def hidden(url):
    """A storage's address without the password.

    Example:

    >>> hidden("postgresql://me:secret@host/sweeps")
    'postgresql://me:***@host/sweeps'
    """
    url = re.sub(r"(://[^/:@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&](?:password|passwd|pwd)=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


@contextmanager
def _exclusive(path):
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()
