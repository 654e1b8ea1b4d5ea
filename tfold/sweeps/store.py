"""Where a sweep's trials are kept: an Optuna study, in a file of its own or in a database that machines share.

    sqlite:////sweeps/a/sweep.db         the default: a file, for any number of processes on one machine
    journal:/nfs/sweep.journal           a file on a network drive, for several machines
    postgresql://user:word@host/sweeps   a database, for several machines; mysql likewise

Optuna is imported here and only when a sweep is run.
"""
import sqlite3
import time
import warnings
from contextlib import contextmanager, nullcontext, suppress

from tfold.checks import differences
from tfold.errors import BadInputError, TfoldError
from tfold.sweeps import address
from tfold.sweeps.interrupts import uninterrupted
from tfold.sweeps.patience import is_passing, keep_trying, patient

PATIENCE = 60.0  # seconds that one process waits for another's write or lock
CONNECTING = 10  # seconds until a server that does not answer counts as away
# A server that was unplugged sends nothing, and a connection to it would be waited on for a quarter of an hour.
CONNECTION = {
    "psycopg": {"connect_timeout": CONNECTING, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
                "keepalives_count": 3, "tcp_user_timeout": 60_000},
    "mysqldb": {"connect_timeout": CONNECTING},
    "pymysql": {"connect_timeout": CONNECTING},
}
CONNECTION["psycopg2"] = CONNECTION["psycopg"]
ADVISORY = 0x74666F6C64  # the number of tfold's lock in a PostgreSQL database


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
        begun: the study was there a moment ago: a file that is missing now is waited for, as a server is in any case.
        say: called with a line when the storage does not answer.

    Raises:
        BadInputError: there is no such study, and it is not to be made; or the address cannot be read.
        StorageError: the storage cannot be opened, or does not answer for five minutes.
        TfoldError: Optuna, or the database's driver, is not installed.

    Example:

    >>> Store("sqlite:///sweep.db", "sweep").study.study_name
    'sweep'
    """

    def __init__(self, url, name, create=True, begun=False, say=None):
        self.address, self.name, self.say = address.read(url), name, say
        self.optuna = import_optuna()
        self._whole_url, driver = self.address.with_driver()
        wanted = CONNECTION.get(driver, {})
        self._connection = {key: value for key, value in wanted.items() if key not in self.address.parameters}

        def is_away(error, where):
            # A file's folder that is not there is a mistyped one, unless it was there before.
            mistyped = not begun and (isinstance(error, OSError) or "unable to open database" in str(error))
            return is_passing(error, where) and not mistyped

        self.storage, self.study, self.id = keep_trying(lambda: self._begin(create), self.address, say, is_away)

    @property
    def url(self):
        """The storage's address with everything in it, for another `Store`; messages show `address`."""
        return self.address.url

    def lock(self):
        """Keep other processes from claiming and adding trials meanwhile.

        Only SQLite needs it: it has no SELECT … FOR UPDATE, by which Optuna makes sure with other databases that one
        process alone claims a trial. The lock is a transaction on a second, empty SQLite file, so it goes with its
        process, and holds wherever SQLite's own locks do. It cannot be taken twice by one process.
        """
        return _exclusive(f"{self.address.path}.lock") if self.locks else nullcontext()

    def beginning(self):
        """Keep other processes from making tables, study and settings meanwhile: two that do so disturb each other.

        PostgreSQL and MySQL have locks for such purposes, which go with the connection. A journal is written by one
        process at a time anyway.
        """
        if self.locks:
            return self.lock()
        return nullcontext() if self.address.is_file else self._advisory_lock()

    @contextmanager
    def _advisory_lock(self):
        import sqlalchemy

        engine = sqlalchemy.create_engine(self._whole_url, poolclass=sqlalchemy.pool.NullPool,
                                          connect_args=self._connection)
        with engine.connect() as connection:

            def ask(sql, **values):
                return connection.execute(sqlalchemy.text(sql), values).scalar_one_or_none()

            if self.address.kind == "postgresql":
                # Of a holder whose machine has lost its power the server would not hear for hours.
                for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
                    ask("SELECT set_config(:name, :value, true)", name=name, value=f"{PATIENCE:.0f}s")
                ask("SELECT 1 FROM pg_advisory_xact_lock(:number)", number=ADVISORY)
                yield
                return
            name = ask("SELECT CONCAT('tfold ', MD5(DATABASE()))")  # the server's locks are those of all its databases
            if ask("SELECT GET_LOCK(:name, :seconds)", name=name, seconds=PATIENCE) != 1:
                raise sqlalchemy.exc.TimeoutError("another process holds the lock for beginning")
            yield

    @property
    def locks(self):
        """Whether whoever holds `lock` knows that nobody is in the middle of a claim."""
        return self.address.kind == "sqlite"

    def trials(self, *states):
        """All trials, or those in these states, in the order of their numbers."""
        return self.storage.get_all_trials(self.id, deepcopy=False, states=states or None)

    @patient
    @uninterrupted()
    def begin(self, identity):
        """Write down what the sweep is, or raise `BadInputError` if the study is another sweep's.

        As long as no worker has found that network, images and recipe fit together, settings can be corrected.
        """
        with self.beginning():
            before = self.study.user_attrs.get("identity")
            if before is None and self.address.kind == "journal":
                time.sleep(1)  # whoever has just made the study is about to write it
                before = self.study.user_attrs.get("identity")
            if before is not None and self._begun():
                self._check(identity)
            else:
                self.study.set_user_attr("identity", identity)

    @patient
    @uninterrupted()
    def check_identity(self, identity):
        """Raise `BadInputError` if the study is another sweep's."""
        self._check(identity)

    @patient
    @uninterrupted()
    def base(self):
        """The base network's figures; None before a worker has written them."""
        return self.study.user_attrs.get("base")

    @patient
    @uninterrupted()
    def write_base(self, identity, figures):
        """Write down the base network's figures: from now on the settings are what they are.

        Raises:
            BadInputError: somebody else has corrected the settings meanwhile.
        """
        with self.beginning():
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

    @patient
    @uninterrupted()
    def delete(self):
        """Remove the study with all its trials."""
        with self.beginning(), suppress(KeyError):  # gone: another machine has been faster
            self.optuna.delete_study(study_name=self.name, storage=self.storage)

    @uninterrupted()
    def _begin(self, create):
        with self.beginning():
            storage = self._open()
            study = self._study(storage, create)
            return storage, study, storage.get_study_id_from_name(self.name)

    def _open(self):
        storages = self.optuna.storages
        if self.address.kind == "journal":
            return storages.JournalStorage(storages.journal.JournalFileBackend(self.address.path))
        options = {"connect_args": {"timeout": PATIENCE}} if self.locks else {
            "connect_args": self._connection, "pool_pre_ping": True}
        return storages.RDBStorage(self._whole_url, engine_kwargs=options)

    def _study(self, storage, create):
        found = {"study_name": self.name, "storage": storage}
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


@contextmanager
def _exclusive(path):
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()
