"""Load the operations in a process of their own, and say how that went.

    doctor, build ── $TFOLD_KERNELS ──▶ python -m tfold.training.kernels.trial ──▶ {"state": …, "path": …, "reason": …}

A library can end the process that loads it, one of another TensorFlow for example. Here that is a sentence.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tfold.errors import BadInputError, one_line
from tfold.quiet import quiet
from tfold.training.kernels import cache, load

TIMEOUT_S = 120.0
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])


def how_it_stands():
    """What `load.find` would find in a new process; its operations stay there.

    TensorFlow is imported, in that process, only if there is something to load.
    """
    chosen = os.environ.get(load.VARIABLE, "")
    return load.find() if chosen == "off" or not (chosen or cache.anything()) else try_it()


def try_it(path=None):
    """Load and check the operations in a new process.

    Args:
        path: The library; what a new process would take by itself if None.

    Returns:
        A `load.Found` without the operations.
    """
    paths = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
    changes = {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    if path is not None:
        changes[load.VARIABLE] = str(path)
    path = path or os.environ.get(load.VARIABLE) or None
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "tfold.training.kernels.trial"], env={**os.environ, **changes},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return load.Found(load.BROKEN, path, f"loading it takes more than {TIMEOUT_S:g} s")
    if ended.returncode == 0:
        found = json.loads(ended.stdout)
        return load.Found(**{**found, "path": found["path"] and Path(found["path"])})
    if ended.returncode < 0:
        how = signal.Signals(-ended.returncode).name
    else:
        how = one_line((ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]).rstrip(".")
    return load.Found(load.BROKEN, path, f"loading it ends the process ({how})")


def main():
    """The new process."""
    try:
        with quiet():
            found = load.find()
    except BadInputError:
        found = load.Found(load.BROKEN, None, f"${load.VARIABLE} names no file: {os.environ[load.VARIABLE]}")
    print(json.dumps({"state": found.state, "path": found.path and str(found.path), "reason": found.reason,
                      "instruction_set": found.instruction_set}))


if __name__ == "__main__":
    main()
