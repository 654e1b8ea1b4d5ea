"""A sweep's folder in which something is damaged, or on a disk that is full: a sentence, and the way on."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfold.documents import LARGEST, DamagedError
from tfold.errors import BadInputError, TfoldError
from tfold.sweeps import latency, results
from tfold.sweeps.patience import DiskFullError, StorageError, is_full
from tfold.sweeps.queue import Queue
from tfold.sweeps.standing import standings
from tfold.sweeps.store import Store
from tfold.sweeps.study import report, run_trials

FULL = "strength-0.2-seed-0"
LATENCY = {"runtime": "litert", "threads": 1, "blocks": 20, "files": {}, "base": {"median_ms": 1.0}, "trials": {}}
SWEEP = {"version": 1, "kind": "sweep"}


def of_latency(**changed):
    return json.dumps({**SWEEP, "latency": {**LATENCY, **changed}}).encode()


@pytest.fixture
def swept(plan, stand_in, tmp_path):
    pytest.importorskip("matplotlib")
    run_trials(plan((0.1,)), tmp_path / "out", say=lambda line: None, command=stand_in())
    return tmp_path / "out"


@pytest.mark.parametrize("content", [
    b'{"version": 1, "ki', b"\xff\xfe", b"[]", b'{"a":' * 50_000, b'{"kind": "sweep", "kind": "sweep"}', None,
    json.dumps({**SWEEP, "latency": 5}).encode(), json.dumps({**SWEEP, "latency": [1]}).encode(),
    of_latency(files=5), of_latency(base=[]), of_latency(runtime=None), of_latency(trials={"x": {"ratio": 1.0}}),
    of_latency(trials={"x": {"median_ms": 1, "ratio": float("nan"), "low": 1, "high": 1}}),
    json.dumps({**SWEEP, "base": {"depth": 3}, "latency": LATENCY}).encode(),
], ids=range(14))
def test_a_damaged_document_is_known(tmp_path, content):
    with (tmp_path / "sweep.json").open("wb") as file:
        file.truncate(LARGEST + 1) if content is None else file.write(content)
    with pytest.raises(DamagedError):
        latency.earlier_in(results.read(tmp_path))


def test_a_damaged_document_is_said_and_written_anew(swept, plan):
    good = report(plan((0.1,)), swept, runtime="none", say=print)
    (swept / "sweep.json").write_bytes(of_latency(files=5))
    said = []
    assert report(plan((0.1,)), swept, runtime="none", say=said.append) == good
    assert said == [f"{swept / 'sweep.json'} is damaged (files is '5'): it is written anew"]
    assert results.read(swept)["counts"] == {"complete": 1}


def test_whose_a_folder_is_nobody_can_tell_without_its_document(swept, plan, stand_in, tmp_path):
    storage = f"sqlite:///{tmp_path}/elsewhere.db"
    (swept / "sweep.db").rename(tmp_path / "elsewhere.db")
    (swept / "sweep.db.lock").unlink()
    report(plan((0.1,)), swept, storage, runtime="none", say=print)
    (swept / "sweep.json").write_text("{" * 100_000)
    with pytest.raises(BadInputError, match="sweep.json cannot be read .*remove the file"):
        report(plan((0.1,)), swept, storage, runtime="none")
    (swept / "sweep.json").unlink()
    assert report(plan((0.1,)), swept, storage, runtime="none", say=print)["counts"] == {"complete": 1}


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize("content", [b"neither of the two", b"\x00" * 5000, b'{"op_code": 99}\n', b"[" * 5000 + b"\n",
                                     b'{"op_code": 0, "worker_id": 5}\n'])
def test_a_damaged_storage_is_a_sentence(tmp_path, kind, content):
    path = tmp_path / "study"
    path.write_bytes(content)
    with pytest.raises(TfoldError, match="Received: ") as raised:
        Queue(Store({"sqlite": f"sqlite:///{path}", "journal": f"journal:{path}"}[kind], "sweep"), [(0.1, 0)]).add()
    assert str(path) in str(raised.value)


def test_a_disk_that_fills_up_in_a_trial_fails_none(plan, stand_in, tmp_path):
    folder, command = tmp_path / "out", stand_in("full", FULL)
    with pytest.raises(TfoldError, match=f"a full disk: {FULL}: OSError: .*No space left.*the same command goes on"):
        run_trials(plan(), folder, say=lambda line: None, command=command)
    found = standings(Store(f"sqlite:///{folder}/sweep.db", "sweep").trials(), plan().trials())
    assert found[FULL].state == "missing" and found[FULL].lost == 0  # handed back
    (folder / "trials" / f"{FULL}.mended").touch()
    run_trials(plan(), folder, say=lambda line: None, command=command)
    found = standings(Store(f"sqlite:///{folder}/sweep.db", "sweep").trials(), plan().trials())
    assert {each.state for each in found.values()} == {"complete"}


def test_a_database_that_cannot_grow_is_a_full_disk(tmp_path):
    """By the system's limit of a file's size, as a quota has it: SQLite calls both an I/O error."""
    code = ("import os, resource, sys\n"
            "from tfold.sweeps.queue import Queue; from tfold.sweeps.store import Store\n"
            "queue = Queue(Store(sys.argv[1], 'sweep'), [(each / 100, 0) for each in range(1, 6)])\n"
            "size = os.path.getsize(sys.argv[1].removeprefix('sqlite:///'))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, resource.RLIM_INFINITY))\n"
            "try: queue.store.begin({'batch': 'x' * 100_000})\n"
            "except Exception as error: print(type(error).__name__, error)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
            "queue.store.begin({'batch': 'x' * 100_000}); print(queue.add())\n")
    done = subprocess.run([sys.executable, "-c", code, f"sqlite:///{tmp_path}/s.db"], capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DiskFullError A sweep needs room") and done.stdout.endswith("\n5\n"), done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small disk")
def test_a_sweep_on_a_disk_that_is_really_full_goes_on_once_there_is_room(plan, stand_in, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=124k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with pytest.raises(DiskFullError, match="a full disk"):
            run_trials(plan(), disk / "out", say=lambda line: None, command=stand_in())
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        run_trials(plan(), disk / "out", say=lambda line: None, command=stand_in())
        assert report(plan(), disk / "out", runtime="none", say=print)["counts"] == {"complete": 3}
    finally:
        subprocess.run(["umount", "-l", disk], check=True)  # SQLite's connections are still open


@pytest.mark.parametrize("error, full", [
    (OSError(28, "No space left on device"), True), (OSError(122, "Disk quota exceeded"), True),
    (RuntimeError("Unable to write (file write failed: errno = 28, error message = 'No space')"), True),
    (ValueError("no such layer"), False), (OSError(2, "No such file"), False),
])
def test_what_says_that_a_disk_is_full(error, full):
    assert is_full(error) is full
    wrapped = StorageError("it does not work")
    wrapped.__cause__ = error
    assert is_full(wrapped) is full
