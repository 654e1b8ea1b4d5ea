"""`tfold doctor`"""
import importlib.metadata
import platform
import subprocess
import sys

import click

from mobile_bench.adb import GET_ADB, find_adb
from mobile_bench.errors import AdbNotFoundError
from tfold.cli import common

# name: (least version, how to get it, or what only needs it)
NEEDED = {
    "tensorflow": ("2.21", "pip install 'tensorflow>=2.21'"),
    "keras": ("3.15", "pip install 'keras>=3.15'"),
    "numpy": ("1.26", "pip install 'numpy>=1.26'"),
}
# By their own names: an extra (pip install 'PACKAGE[extra]') works only where the package itself comes from an index.
OPTIONAL = {
    "scikit-learn": "pip install scikit-learn (only for tfold demo)",
    "tensorflow-model-optimization": "pip install tensorflow-model-optimization tf_keras (only for training in int8)",
    "matplotlib": "pip install matplotlib (only for pictures)",
    "jax": "pip install jax (only for training on Keras' JAX backend)",
    "torch": "pip install torch (only for training on Keras' torch backend)",
}
TESTED = ((3, 11), (3, 13))
FOR_PHONES = "(only for phones)"


@click.command("doctor")
@common.json_option
@common.reported
def doctor_command(as_json):
    """Say which versions, runtimes and tools are there, what is missing and how to get it. Writes nothing.

    Each runtime is started once, in a process of its own. Exit code 1 if something is missing or broken that folding,
    exporting or measuring needs.
    """
    from tfold.measure.runtimes import RUNTIMES
    from tfold.version import __version__

    problems, lines = [], []

    def row(name, found, how, needed=False):
        lines.append(f"  {'✓' if found and not how else '✗' if needed else '–'} {name:<30} {found or ''}"
                     f"{', ' if found and how else ''}{how}")
        if needed and (how or not found):
            problems.append(name)

    row("Python", platform.python_version(), _python(sys.version_info[:2]))
    packages = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    for name, (least, how) in NEEDED.items():
        old = packages[name] is not None and _numbers(packages[name]) < _numbers(least)
        row(name, packages[name], f"older than {least}: {how}" if old else "" if packages[name] else how, needed=True)
    runtimes = {name: _runtime(name) for name in RUNTIMES}
    for name, (version, wrong) in runtimes.items():
        row(f"runtime {name}", version, wrong, needed=name == "litert")  # export checks its file with it
    for name, how in OPTIONAL.items():
        row(name, packages[name], "" if packages[name] else how)
    adb = _adb()
    answer = adb and f"{adb['version'] or 'does not answer'} ({adb['path']})"
    row("adb", answer, "" if adb else f"{GET_ADB} {FOR_PHONES}")
    common.write_json("doctor", {
        "tfold": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "runtimes": {name: {"version": version, "missing": wrong} for name, (version, wrong) in runtimes.items()},
        "adb": adb,
        "missing": problems,
    })
    for line in (f"tfold {__version__} on {platform.platform()}", *lines):
        common.say(line, as_json)
    if problems:
        common.say(f"nothing written; next: get what is marked ✗ ({', '.join(problems)})", as_json)
        return common.FAILED
    common.say("nothing written; everything that is needed is there; next: tfold demo", as_json)


def _python(version):
    if TESTED[0] <= version <= TESTED[1]:
        return ""
    return "not tried: tfold is tested with Python {}.{} to {}.{}".format(*TESTED[0], *TESTED[1])


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version):
    """"2.21.0rc1" → (2, 21)"""
    return tuple(int(part) for part in version.split(".")[:2])


def _runtime(name):
    """Its version, and what is wrong with it: a package made for another NumPy is there, and yet does not start."""
    from tfold.errors import TfoldError
    from tfold.measure.host import Worker
    from tfold.measure.runtimes import available_runtimes

    found = available_runtimes()[name]
    if found.version is None:
        return None, found.missing
    try:
        with Worker(name):
            return found.version, ""
    except TfoldError as error:
        return found.version, str(error)


def _adb():
    try:
        path = find_adb()
    except AdbNotFoundError:
        return None
    try:
        said = subprocess.run([path, "version"], capture_output=True, text=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        said = []
    # "Android Debug Bridge version 1.0.41", and below it the version of the Platform-Tools: "Version 34.0.5-debian"
    versions = [line.split()[-1] for line in said if "version" in line.lower()]
    return {"path": path, "version": versions[-1] if versions else None}
