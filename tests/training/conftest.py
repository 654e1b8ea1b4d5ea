"""Compiled operations for tests: built once for all test processes, and never those of the machine's own user.

    kernels          this test trains with them: operations() returns them, in processes that it starts too
    built_kernels    the library's path, for fixtures that live longer than a test
    (neither)        TFOLD_KERNELS=off
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfold.training.kernels import load


@pytest.fixture(autouse=True)
def no_kernels_of_the_user(monkeypatch):
    """Whoever runs the tests may have built operations, of any age."""
    monkeypatch.setenv(load.VARIABLE, "off")
    monkeypatch.setattr(load, "_found", load.Found(load.OFF))


@pytest.fixture
def kernels(monkeypatch, built_kernels, loaded_kernels):
    """The library's path; `operations()` returns what is in it."""
    monkeypatch.setenv(load.VARIABLE, str(built_kernels))
    monkeypatch.setattr(load, "_found", loaded_kernels)
    return built_kernels


@pytest.fixture(scope="session")
def built_kernels(building):
    """The path of a library that has been built for this machine, in a cache of the tests' own."""
    return Path(building["make"]["path"])


@pytest.fixture(scope="session")
def loaded_kernels(built_kernels):
    """What `load.find` finds there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(load.VARIABLE, str(built_kernels))
        found = load.find()
    assert found.state == load.LOADED, found
    return found


@pytest.fixture(scope="session")
def building(tmp_path_factory):
    """Builds once for all test processes, as users may do it: by two commands at once. What came of them."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root  # that of all test processes
    done = root / "kernels-built.json"
    with only_one(root / "kernels.lock"):
        if not done.exists():
            done.write_text(json.dumps(build_twice_at_once(root / "kernels-cache")))
    found = json.loads(done.read_text())
    if "failed" in found:
        pytest.skip(f"needs a C++ compiler that TensorFlow's headers compile with: {found['failed']}")
    return found


def build_twice_at_once(cache):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop(load.VARIABLE, None)
    code = "import json; from tfold.training.kernels.build import make; made = make(); " \
           "print(json.dumps({'path': str(made.path), 'fresh': made.fresh}))"
    doctor = [sys.executable, "-m", "tfold", "doctor", "--build-kernels", "--json"]
    how = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, **how) for words in (doctor, [sys.executable, "-c", code])]
    (out, err), (made, why) = (process.communicate(timeout=300) for process in processes)
    if processes[0].returncode == 1 and json.loads(out).get("kind") == "error":
        return {"failed": json.loads(out)["error"]}  # what tfold does then is in test_kernel_fallback.py
    assert [process.returncode for process in processes] == [0, 0], (err, why)
    return {"cache": str(cache), "doctor": json.loads(out), "said": err, "make": json.loads(made)}


@contextmanager
def only_one(path):
    """One process at a time."""
    import fcntl

    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
