"""The command line, as a process and within this one, and files to give to it."""

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Ended:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        """The one JSON document on stdout."""
        document = json.loads(self.out)
        assert document["version"] == 1
        return document

    def refused(self, *words, code=1):
        """Assert one sentence on stderr that holds `words`, nothing on stdout, and the exit code."""
        assert (self.code, self.out) == (code, ""), self
        assert "Traceback" not in self.err
        line = self.err.strip()
        assert line.startswith("tfold: ") and "\n" not in line, self.err
        assert "Received: " in line
        for word in words:
            assert str(word) in line, (word, line)
        return line

    def misused(self, *words):
        """Assert a usage error that holds `words`."""
        assert (self.code, self.out) == (2, ""), self
        assert "Traceback" not in self.err and "Error: " in self.err
        for word in words:
            assert str(word) in self.err, (word, self.err)


def user_environment(**changes):
    """This environment as a user has it who never heard of TensorFlow's variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_", "CUDA_", "JAX_"))}
    return {**kept, "PYTHONWARNINGS": "", **changes}


@pytest.fixture(scope="session")
def environment():
    """A user's environment for a process: environment(TMPDIR=…)."""
    return user_environment


@pytest.fixture(scope="session")
def process():
    """Runs `tfold` in a process of its own: process("fold", path, cwd=…, env={…}), more as subprocess.run takes it."""

    def run(*words, env=None, code_for_python=None, **options):
        start = [sys.executable, "-m", "tfold"] if code_for_python is None else [sys.executable, "-c", code_for_python]
        done = subprocess.run(
            [*start, *map(str, words)], env=user_environment(**(env or {})), timeout=300,
            # Tests that were started in the background inherit that Ctrl-C is ignored.
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL,
               "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options},
        )
        return Ended(done.returncode, *((text or b"").decode(errors="replace") for text in (done.stdout, done.stderr)))

    return run


@pytest.fixture
def here(monkeypatch):
    """Runs `tfold` within this process, where importing TensorFlow once is enough: here("fold", path, …)."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words):
        from tfold.cli import main

        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            try:
                main([str(word) for word in words], prog_name="tfold")
            except SystemExit as end:
                code = end.code or 0
        return Ended(code, *(stream.buffer.getvalue().decode() for stream in streams))

    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder of models and of what is none (see make_models.py); tests write elsewhere."""
    folder = tmp_path_factory.mktemp("files")
    maker = Path(__file__).with_name("make_models.py")
    made = subprocess.run([sys.executable, maker, folder], env=user_environment(), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before, "a test or a command has changed its input"


@pytest.fixture
def unchanged(tmp_path):
    """A check that nothing in `tmp_path` appeared, changed or went since the last call."""
    seen = {}

    def check(within=tmp_path):
        now = snapshot(within)
        if "before" in seen:
            assert now == seen["before"]
        seen["before"] = now

    check()
    return check


def snapshot(folder):
    """Every file below a folder, hidden ones too, with its content's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*") if "__pycache__" not in str(path)
    }
