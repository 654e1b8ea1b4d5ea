"""`tfold doctor`"""
import importlib.metadata
import platform
import shutil
import sys

import click

from tfold.cli import common

PACKAGES = {
    "tensorflow": "pip install tensorflow",
    "keras": "pip install keras",
    "numpy": "pip install numpy",
    "jax": "pip install jax (only for training on Keras' JAX backend)",
    "torch": "pip install torch (only for training on Keras' torch backend)",
    "scikit-learn": "pip install 'tfold[demo]' (only for the demo)",
    "matplotlib": "pip install 'tfold[report]' (only for pictures)",
    "optuna": "pip install 'tfold[sweep]' (only for sweeps)",
    "tensorflow-model-optimization": "pip install 'tfold[qat]' (only for quantisation-aware training)",
}
NEEDED = ("tensorflow", "keras", "numpy")
ADB = "Debian and Ubuntu: apt install adb; elsewhere: Android SDK Platform-Tools (only for phones)"


@click.command("doctor")
@common.json_option
@common.reported
def doctor_command(as_json):
    """Say which versions, runtimes and tools are there, what is missing and how to get it. Writes nothing.

    Exit code 1 if something is missing that folding, exporting or measuring needs.
    """
    from tfold.measure.runtimes import available_runtimes
    from tfold.version import __version__

    packages = {name: _version(name) for name in PACKAGES}
    runtimes = available_runtimes()
    adb = shutil.which("adb")
    lines = [f"tfold {__version__}, Python {platform.python_version()} on {platform.platform()}"]
    lines += [_line(name, version, PACKAGES[name]) for name, version in packages.items()]
    lines += [_line(f"runtime {name}", found.version, found.missing) for name, found in runtimes.items()]
    lines.append(_line("adb", adb, ADB))
    problems = [name for name in NEEDED if packages[name] is None]
    if not any(found.version for found in runtimes.values()):
        problems.append("a runtime")
    if as_json:
        common.write_json("doctor", {
            "tfold": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": packages,
            "runtimes": {name: {"version": found.version, "missing": found.missing} for name, found in runtimes.items()},
            "adb": adb,
            "missing": problems,
        })
    for line in lines:
        common.say(line, as_json)
    if problems:
        common.say(f"missing: {', '.join(problems)}", as_json)
        sys.exit(common.FAILED)
    common.say("everything that is needed is there; next: tfold demo", as_json)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _line(name, found, how):
    mark = "✓" if found else "–"
    return f"  {mark} {name:<32} {found or how}"
