"""A plan whose trials are played by `stand_in_worker.py`: the queue, the processes and the files are real ones."""
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna")
STAND_IN = Path(__file__).with_name("stand_in_worker.py")


@pytest.fixture
def stand_in():
    """The command that starts a worker: stand_in("die", "strength-0.3-seed-0", …), see the script."""
    return lambda *words: [sys.executable, str(STAND_IN), *map(str, words)]


@pytest.fixture
def plan(tmp_path):
    """A plan of three strengths; its files are looked at from the outside only."""
    from tfold.sweeps.plan import Plan

    (tmp_path / "base.keras").write_bytes(b"network")
    (tmp_path / "data.npz").write_bytes(b"images")
    return lambda strengths=(0.1, 0.2, 0.3), seeds=1, **how: Plan(
        os.fspath(tmp_path / "base.keras"), os.fspath(tmp_path / "data.npz"), strengths, seeds, **how)


@pytest.fixture(params=["sqlite", "journal", "postgresql"])
def url(request, tmp_path):
    """Where a study is kept."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        return server.address(server.new_database())
    return {"sqlite": f"sqlite:///{tmp_path}/study.db", "journal": f"journal:{tmp_path}/study.journal"}[request.param]
