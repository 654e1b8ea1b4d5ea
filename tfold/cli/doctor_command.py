"""`tfold doctor`"""
import importlib.metadata
import os
import platform
import shlex
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
    "optuna": "pip install optuna (only for tfold sweep)",
    "jax": "pip install jax (only for training on Keras' JAX backend)",
    "torch": "pip install torch (only for training on Keras' torch backend)",
}
TESTED = ((3, 11), (3, 13))
FOR_PHONES = "(only for phones)"
BUILD = "tfold doctor --build-kernels"


@click.command("doctor")
@click.option("--build-kernels", is_flag=True,
              help="Compile TensorFlow operations for faster training on CPUs, with your C++ compiler ($CXX, or the "
                   "one on PATH), into your cache.")
@common.json_option
@common.reported
def doctor_command(build_kernels, as_json):
    """Say which versions, runtimes and tools are there, what is missing and how to get it.

    Writes nothing, unless it is asked to build. Each runtime is started once, in a process of its own. Exit code 1 if
    something is missing or broken that folding, exporting or measuring needs.
    """
    from tfold.measure.runtimes import RUNTIMES
    from tfold.version import __version__

    built = _build(as_json) if build_kernels else None
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
    kernels = _kernels(packages["tensorflow"], built)
    row("kernels", *_kernels_row(kernels, packages["tensorflow"], built))
    kept = _cache()
    if kept["problem"]:
        row("cache", None, f"{kept['folder']} cannot be used, {kept['problem']}: choose another with "
            "XDG_CACHE_HOME=/path (only for --build-kernels)")
    common.write_json("doctor", {
        "tfold": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "runtimes": {name: {"version": version, "missing": wrong} for name, (version, wrong) in runtimes.items()},
        "adb": adb,
        "kernels": kernels,
        "cache": kept,
        "missing": problems,
    })
    for line in (f"tfold {__version__} on {platform.platform()}", *lines):
        common.say(line, as_json)
    written = "nothing written"
    if built:
        written = f"written: {built.path}" if built.fresh else f"{written}, already built: {built.path}"
    if problems:
        common.say(f"{written}; next: get what is marked ✗ ({', '.join(problems)})", as_json)
        return common.FAILED
    if built:
        common.say(f"{written}; next: {_how_to_use(kernels)}", as_json)
        return
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


def _cache():
    """Where what is built is kept, and why nothing can be."""
    from tfold.training.kernels import cache

    return {"folder": str(cache.folder()), "problem": cache.unusable()}


def _build(as_json):
    """Builds the operations, unless they are there and work."""
    from tfold.training.kernels.build import make

    common.say("building TensorFlow operations for this machine: some ten seconds", as_json)
    return make()


def _kernels(tensorflow, built):
    """The operations' state, the library's path, why they are not in use, and the compiler that is there."""
    from tfold.errors import TfoldError
    from tfold.training.kernels import load
    from tfold.training.kernels.compiler import find_compiler
    from tfold.training.kernels.trial import how_it_stands

    try:
        compiler, wrong = find_compiler(), ""
    except TfoldError as error:
        compiler, wrong = None, str(error)
    if tensorflow is None:
        found = load.Found(load.NOT_BUILT, None, "TensorFlow is missing")
    elif built and not os.environ.get(load.VARIABLE):
        found = load.Found(load.LOADED, built.path, instruction_set=built.instruction_set)  # as has just been tried
    else:
        found = how_it_stands()
    lacking = found.state == load.NOT_BUILT and compiler is None
    return {
        "state": "no compiler" if lacking else found.state,
        "path": found.path and str(found.path),
        "reason": (wrong if lacking else "") or found.reason or None,
        "instruction_set": found.instruction_set or None,
        "compiler": shlex.join(compiler) if compiler else None,
    }


def _kernels_row(kernels, tensorflow, built):
    """What is found, and what is to be done: the one or the other."""
    state, why = kernels["state"], f" ({kernels['reason']})" if kernels["reason"] else ""
    if state == "in use":
        already = "already " if built and not built.fresh else ""
        return (f"{already}built for TensorFlow {tensorflow} ({kernels['path']}), agree with the reference, "
                f"{kernels['instruction_set']} instructions"), ""
    return None, {
        "off": f"off{why}",
        "not built": f"not built{why}: {BUILD} (only for faster training)",
        "build failed": f"could not be built, and training uses TensorFlow's own fused batch norm: {kernels['reason']}",
        "no compiler": f"no C++ compiler{why}: training uses TensorFlow's own fused batch norm",
        "broken": f"broken: {kernels['reason']}. {_mend()}",
    }[state]


def _mend():
    from tfold.training.kernels.load import mend

    return mend()


def _how_to_use(kernels):
    if kernels["state"] == "in use":
        return "tfold.restructure_batch_norm(model) trains with them"
    return "unset TFOLD_KERNELS, which keeps them from being used"
