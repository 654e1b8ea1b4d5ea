"""SIGKILL in the middle of an export: the old file stays, no process lives on, and the next run clears away the rest.

    export ─▶ conversion ─▶ ranges measured by a worker ─▶ written beside the output, compared, renamed
                                ✝ here                         ✝ and here
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tfold.files import PREFIX

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
PATIENCE = 300  # seconds


def started(files, folder, environment):
    """An int8 export over `folder`/out.tflite in a process of its own, with temporary files in `folder`/tmp."""
    (folder / "tmp").mkdir()
    (folder / "out").mkdir()
    (folder / "out" / "m.tflite").write_text("precious")
    words = ["export", files / "small.keras", "-o", folder / "out" / "m.tflite", "--force", "--quantize", "int8",
             "--representative", files / "images.npz"]
    return subprocess.Popen([sys.executable, "-m", "tfold", *map(str, words)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=environment(TMPDIR=str(folder / "tmp")))


def until(condition, running=None):
    """What the condition gives as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        assert running is None or running.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    pytest.fail("has not come about")


def left(folder):
    """Names of what a killed process leaves, and the next run clears away."""
    return [path.name for path in folder.iterdir() if path.name.startswith(PREFIX)]


def in_calibration(folder, workers):
    """The worker is up, and has been handed samples."""
    return list((folder / "tmp").glob(f"{PREFIX}*/in.npz")) and workers


def in_writing(folder, workers):
    """The new content lies beside the output, and is being compared with Keras."""
    return list((folder / "out").glob(f"{PREFIX}*/file.tflite")) and workers


@pytest.mark.parametrize("moment, where", [(in_calibration, "tmp"), (in_writing, "out")])
def test_a_killed_export_leaves_the_old_file_and_nothing_after_the_next_run(
        here, files, tmp_path, monkeypatch, environment, processes, moment, where):
    with started(files, tmp_path, environment) as running:
        try:
            workers = until(lambda: moment(tmp_path, processes.children(running.pid)), running)
        finally:
            running.kill()
    assert running.returncode == -9
    assert (tmp_path / "out" / "m.tflite").read_text() == "precious"
    assert left(tmp_path / where), "it was not killed in the middle"
    until(lambda: not any(map(processes.is_alive, workers)))
    assert {path.name for path in (tmp_path / "tmp").iterdir()} == set(left(tmp_path / "tmp"))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    output = tmp_path / "out" / "m.tflite"
    assert here("export", files / "small.keras", "-o", output, "--force").code == 0
    assert [path.name for path in output.parent.iterdir()] == ["m.tflite"] and output.stat().st_size > 1000
    assert not os.listdir(tmp_path / "tmp")
