"""The other way to measure: TFLite's benchmark app, which Android schedules as it schedules people's apps.

    adb install -r -d -g android_aarch64_benchmark_model.apk          once
    am start -S -n PACKAGE/ACTIVITY --es args '--graph=… --num_threads=4'
    logcat:  tflite : Inference timings in us: Init: …, Inference (avg): 6561.96

The app has no exit code and no standard output. It writes to the phone's log, and what it writes is all there is: a
line of our own is put there first, and only what comes behind it counts. It splits its arguments at blanks, so that
none may have one.
"""

from __future__ import annotations

import re
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

from mobile_bench.capabilities import Capabilities, last_words
from mobile_bench.flags import Options, flags_for
from mobile_bench.outputs import RunOutput, parse_logcat
from mobile_bench.run_tool import START_UP_S, check_delegation
from mobile_bench.tool_errors import AppNotInstalledError, ToolCrashError, UnconsumedFlagError
from tfold.errors import BadInputError

PACKAGE = "org.tensorflow.lite.benchmark"
ACTIVITY = ".BenchmarkModelActivity"
MARKER = "tfold"  # the tag of our own line in the log
LOG_FILTER = (f"{MARKER}:V", "tflite:V", "AndroidRuntime:E", "libc:F", "DEBUG:F", "*:S")

# The app cannot be asked for its flags. These are those of TFLite's nightly app; what it ignores is seen in the log.
APP_FLAGS = Capabilities(
    dict.fromkeys(
        ("graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs", "warmup_min_secs", "use_xnnpack",
         "xnnpack_force_fp16", "use_gpu", "gpu_precision_loss_allowed", "gpu_backend", "use_nnapi", "nnapi_allow_fp16",
         "nnapi_accelerator_name", "disable_nnapi_cpu", "use_caching", "enable_op_profiling"), ""),
    has_taskset=False,
)

_ENDED = re.compile(r"nference timings in us: .*(?:Inference(?: \(avg\))?|no stats): [0-9]|Benchmarking failed")


def install_apk(device, path, timeout: float = 300.0) -> None:
    """Installs the benchmark app, over an older or newer one.

    Raises:
        BadInputError: the file is no APK.
        AppNotInstalledError: the phone does not take it.
    """
    path = Path(path)
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise BadInputError(f"An app is an .apk file. Received: {path}. Fetch android_aarch64_benchmark_model.apk from "
                            "TFLite's nightly bucket.")
    ended = device.adb("install", "-r", "-d", "-g", str(path), timeout=timeout, check=False)
    if ended.code or "Failure" in ended.out + ended.err:
        raise AppNotInstalledError(f"The phone must take the app. Received: {device.serial} does not."
                                   f"{last_words(ended.out + ended.err)} Remove an older one first: "
                                   f"adb -s {device.serial} uninstall {PACKAGE}")


def run_apk(
    device,
    graph: str,
    options: Options,
    package: str = PACKAGE,
    activity: str = ACTIVITY,
    timeout: float | None = None,
    poll_s: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunOutput:
    """Runs the benchmark app once and returns what it wrote to the phone's log.

    Args:
        device: the phone.
        graph: where the model lies on it, where apps may read too: in /data/local/tmp. It is made readable for all.
        options: what to measure; Android chooses the cores of an app, so that `affinity` says nothing here.
        package, activity: of the app.
        timeout: in seconds; None is as long as these options may take.
        poll_s: how often to look into the log, in seconds.
        clock, sleep: the time, in seconds.

    Raises:
        AppNotInstalledError: the app is not there.
        BadInputError: a flag with a blank.
        ToolCrashError: it crashed, or wrote no result in time.
        UnconsumedFlagError, SilentFallbackError, PartialDelegationError: as of `run_once`.
        PhoneError: the phone does not answer.
    """
    flags = flags_for(APP_FLAGS, options, graph)
    blank = [flag for flag in flags if re.search(r"\s", flag)]
    if blank:
        raise BadInputError(f"The app splits its arguments at blanks. Received: {blank[0]!r}. Use names without any.")
    if not device.shell("pm", "path", package, check=False).out.startswith("package:"):
        raise AppNotInstalledError(
            f"Measuring in an app needs the app {package}. Received: {device.serial} without it. Install it: "
            f"adb -s {device.serial} install -r -d -g android_aarch64_benchmark_model.apk"
        )
    device.script('chmod 644 "$1" && chmod 755 "${1%/*}"', graph, check=False)
    marker = f"begin {uuid.uuid4().hex}"
    device.shell("log", "-t", MARKER, marker, check=True)
    started = device.shell("am", "start", "-S", "-n", f"{package}/{activity}", "--es", "args", " ".join(flags))
    if started.code or "Error" in started.out + started.err:
        raise ToolCrashError(f"The app {package} must start. Received: {device.serial} does not start it."
                             f"{last_words(started.out + started.err)} Install the app again.")
    patience = 2 * options.max_secs + START_UP_S if timeout is None else timeout
    run = _await_result(device, package, marker, patience, poll_s, clock, sleep)
    if run.unconsumed_flags:
        raise UnconsumedFlagError(f"The app takes every flag that it is given. Received: "
                                  f"{', '.join(run.unconsumed_flags)}, ignored. Leave these options out.")
    return check_delegation(run, options, APP_FLAGS)


def _await_result(device, package, marker, patience, poll_s, clock, sleep) -> RunOutput:
    """Looks into the log until the app has written its result, or is gone without one."""
    began, process, gone = clock(), "", False
    while True:
        alive = device.shell("pidof", "-s", package, check=False).out.strip()
        process, gone = alive or process, bool(process) and not alive
        # Read after asking for the process: what it wrote before it went is there then.
        log = _behind(marker, process, device.shell("logcat", "-d", "-v", "threadtime", *LOG_FILTER, check=True).out)
        if _ENDED.search(log):
            return parse_logcat(log, pid=int(process) if process.isdecimal() else None)
        crash = _crash(log, package, process)
        if crash or gone or clock() - began > patience:
            what = crash or ("its process is gone" if gone else f"nothing within {patience:.0f} s")
            raise ToolCrashError(
                f"The app {package} writes its result to the phone's log. Received, on {device.serial}: {what}. "
                "Try the tool instead of the app to see why, or other options, or a smaller model."
            )
        sleep(poll_s)


def _behind(marker: str, process: str, log: str) -> str:
    """What the log holds since our own line; where a busy phone has dropped that already, what the process wrote."""
    if marker in log:
        return log.partition(marker)[2]
    return "".join(line for line in log.splitlines(keepends=True) if process and line.split()[2:3] == [process])


def _crash(log: str, package: str, process: str) -> str | None:
    """What the log says of this app's crash: by an exception in Java, or by a signal in the tool itself."""
    java = re.search(rf"Process: {re.escape(package)}, PID.*\n.*?AndroidRuntime: *(.*)", log)
    if java:
        return f"it crashed with {java[1].strip()}"
    native = re.search(rf"Fatal signal \d+ \((\w+)\).*pid {process or 'unknown'}\b", log)
    if native:
        return f"it crashed with {native[1]}"
    return "it crashed" if f">>> {package} <<<" in log else None
