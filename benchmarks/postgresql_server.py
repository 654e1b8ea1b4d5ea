"""A PostgreSQL server of one's own, in a temporary folder: started, stopped, killed and started again.

    with Server() as server:
        server.address(server.new_database())      postgresql://tfold:…@127.0.0.1:54321/sweeps_1

PostgreSQL does not run as root: there its processes are those of postgres, or of nobody. Nothing is synced to the disk,
so a computer that loses its power loses the database, but a process that is killed does not.
"""
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

USER, PASSWORD = "tfold", "w0rd-of %41/the:s@rver?&{x}'#"  # all that an address may stumble over
SETTINGS = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "60", "unix_socket_directories": "",
            "listen_addresses": "127.0.0.1", "logging_collector": "off"}


def programs():
    """The folder of PostgreSQL's programs, the newest one; None where it is not installed."""
    found = [Path(path) for path in glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin")]
    found.sort(key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))])
    on_path = shutil.which("initdb")
    found += [Path(os.path.realpath(on_path)).parent] if on_path and not found else []
    return next((path for path in reversed(found) if (path / "initdb").exists() and (path / "postgres").exists()), None)


class Server:
    """A server; a context manager that ends it and removes its folder."""

    def __init__(self):
        self.programs, self._process, self._databases = programs(), None, 0
        self.folder = Path(tempfile.mkdtemp(prefix="tfold-postgresql-"))
        self._as_user, self._lock, self._over = {}, threading.RLock(), False
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            there = {each.pw_name: each for each in pwd.getpwall()}
            who = there.get("postgres") or there["nobody"]
            self._as_user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def __enter__(self):
        try:
            word = self.folder / "password"
            word.write_text(PASSWORD + "\n")
            word.chmod(0o644)
            self._run("initdb", "-D", self.folder / "data", "-U", USER, f"--pwfile={word}", "--auth=scram-sha-256",
                      "--no-sync", "--encoding=UTF8", "--locale=C")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._over = True  # a timer may be about to start it
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Start it if it does not run, and wait until it lets somebody in."""
        with self._lock:
            if not self._over and not self.runs:
                self._start()

    def _start(self):
        words = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *words],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True, **self._as_user)
        end = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL has not started: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, how="fast"):
        """End it: "fast" ends connections and closes its files; "immediate" is a crash, after which it recovers."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
                self._process.wait(60)
                self._process = None

    @property
    def runs(self):
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def new_database(self):
        """The name of a new, empty database."""
        self._databases += 1
        name = f"sweeps_{self._databases}"
        with self._connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def address(self, database, password=PASSWORD):
        """The address of a database, as tfold takes it."""
        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def ask(self, database, sql):
        """What a query gives, a list of rows; [] of a statement that gives none."""
        with self._connect(database) as connection:
            done = connection.execute(sql)
            return done.fetchall() if done.description else []

    def _answers(self):
        import psycopg

        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self, database):
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database,
                               autocommit=True, connect_timeout=5)

    def _run(self, program, *words):
        done = subprocess.run([self.programs / program, *map(str, words)], capture_output=True, text=True, cwd="/",
                              **self._as_user)
        if done.returncode:
            raise RuntimeError(f"{program} has failed: {done.stderr[-2000:]}")
