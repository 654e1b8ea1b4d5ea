"""The benchmark app: started with one string, followed in the phone's log, and believed only if it ends well."""

import runpy
import sys
import zipfile
from pathlib import Path

import pytest

from mobile_bench.apk import PACKAGE, install_apk, run_apk
from mobile_bench.device import open_device
from mobile_bench.flags import Options
from mobile_bench.outputs import BenchmarkFailedError
from mobile_bench.tool_errors import (
    AppNotInstalledError,
    PartialDelegationError,
    SilentFallbackError,
    ToolCrashError,
    UnconsumedFlagError,
)
from tfold.errors import BadInputError

HERE = Path(__file__).parent
LocalDevice = runpy.run_path(str(HERE / "local_device.py"))["LocalDevice"]
EXACT = Options(warmup_secs=0.0, runs=5)
SUMMARY = "Inference timings in us: Init: 12025, First inference: 6692, Warmup (avg): 6692, Inference (avg): 6561.96"
PID = 4711


def line(text, tag="tflite", letter="I", pid=PID):
    return f"11-21 12:00:00.123 {pid:5} {pid + 1:5} {letter} {tag:8}: {text}\n"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def fakes(folder):
    """Programs of a phone with the app: what `am` starts is in `does`, and writes to the log."""
    log, alive = folder / "log.txt", folder / "alive"
    log.write_text("--------- beginning of main\n" + line(SUMMARY.replace("6561.96", "99"), pid=99))
    return {
        "pm": f"test \"$*\" = 'path {PACKAGE}' && echo package:/data/app/base.apk",
        "log": f'echo "11-21 12:00:00.000   500   500 I $2   : $3" >> {log}',
        "logcat": f"cat {log}",
        "pidof": f"test -e {alive} && echo {PID}",
        "am": f'echo "$*" > {folder}/started; touch {alive}; sh {folder}/does "$7"',
    }


@pytest.fixture
def app(tmp_path):
    """A function: `app(lines, options)` runs an app that logs these lines."""
    (tmp_path / "bin").mkdir()
    device = LocalDevice(tmp_path / "bin")
    for name, script in fakes(tmp_path).items():
        device.command(name, script)
    (tmp_path / "m.tflite").write_bytes(b"latency_us=6000")

    def run(lines="", options=EXACT, then="", **how):
        (tmp_path / "lines").write_text(lines)
        (tmp_path / "does").write_text(f"cat {tmp_path}/lines >> {tmp_path}/log.txt\n{then}")
        clock = Clock()
        return run_apk(device, str(tmp_path / "m.tflite"), options, clock=clock, sleep=clock.sleep, **how)

    run.device, run.folder = device, tmp_path
    return run


def test_the_app_gets_one_string_of_flags(app):
    app(line(SUMMARY))
    graph = app.folder / "m.tflite"
    assert (app.folder / "started").read_text() == (
        f"start -S -n {PACKAGE}/.BenchmarkModelActivity --es args --graph={graph} --num_threads=1 --num_runs=5 "
        "--min_secs=0 --max_secs=150 --warmup_runs=1 --warmup_min_secs=0\n")
    assert graph.stat().st_mode & 0o777 == 0o644 and app.folder.stat().st_mode & 0o777 == 0o755


def test_only_what_comes_behind_our_own_line_counts(app):
    assert app(line(SUMMARY)).inference.avg_us == 6561.96  # and not 99, of an earlier run


def test_an_app_of_old_that_logs_a_mean_alone(app):
    output = app(line("Average inference timings in us: Warmup: 751932, Init: 21039, no stats: 747733"))
    assert output.inference.avg_us == 747733


def test_an_app_that_logs_everything(app):
    tool = app.folder / "tool"
    tool.write_text(f"#!{sys.executable} -IS\n" + (HERE / "stand_in_benchmark_model.py").read_text())
    tool.chmod(0o755)
    prefix = line("").rstrip("\n")
    output = app(then=f"{tool} $1 | sed 's/^INFO: //; s/^/{prefix}/' >> {app.folder}/log.txt")
    assert output.inference.count == 5 and output.block().statistic == "median"


def test_a_busy_phone_has_dropped_our_line_already(app):
    app.device.command("log", "true")
    assert app(line(SUMMARY)).inference.avg_us == 6561.96  # by the process
    app.device.command("pidof", "exit 1")
    with pytest.raises(ToolCrashError, match="nothing within 3 s"):
        app(line(SUMMARY), timeout=3)


def test_a_phone_without_pidof(app):
    app.device.command("pidof", "exit 127")
    assert app(line(SUMMARY)).inference.avg_us == 6561.96


def test_it_waits_for_the_result(app):
    app.device.command("logcat", f"echo >> {app.folder}/looks; cat {app.folder}/log.txt; "
                       f"test $(wc -l < {app.folder}/looks) -lt 3 || cat {app.folder}/later")
    (app.folder / "later").write_text(line(SUMMARY))
    assert app().inference.avg_us == 6561.96
    assert (app.folder / "looks").read_text() == "\n" * 3


def test_it_waits_for_warm_up_and_measurement_and_a_minute_more(app):
    with pytest.raises(ToolCrashError, match="nothing within 80 s"):
        app("", Options(max_secs=10), poll_s=40)


@pytest.mark.parametrize(("log", "said"), [
    (line("FATAL EXCEPTION: main", "AndroidRuntime", "E")
     + line(f"Process: {PACKAGE}, PID: {PID}", "AndroidRuntime", "E")
     + line("java.lang.UnsatisfiedLinkError: no tensorflowlite_benchmark", "AndroidRuntime", "E"),
     "it crashed with java.lang.UnsatisfiedLinkError: no tensorflowlite_benchmark"),
    (line(f"Fatal signal 11 (SIGSEGV), code 1 in tid {PID} (lite.benchmark), pid {PID} (lite.benchmark)", "libc", "F"),
     "it crashed with SIGSEGV"),
    (line(f"pid: {PID}, tid: {PID}, name: lite.benchmark  >>> {PACKAGE} <<<", "DEBUG", "F"), "it crashed"),
    ("", "nothing within 3 s"),
    (line("Process: another.app, PID: 12", "AndroidRuntime", "E") + line("java.lang.Error", "AndroidRuntime", "E")
     + line("Fatal signal 6 (SIGABRT), code -1 in tid 12 (x), pid 12 (x)", "libc", "F"), "nothing within 3 s"),
])
def test_a_crash_is_told_from_others(app, log, said):
    with pytest.raises(ToolCrashError, match=f"Received, on local: {said}. Try the tool"):
        app(log, timeout=3)


def test_an_app_that_is_gone_without_a_word(app):
    app.device.command("pidof", f"test -e {app.folder}/seen || echo {PID}; touch {app.folder}/seen")
    with pytest.raises(ToolCrashError, match="its process is gone"):
        app()


def test_an_app_that_failed(app):
    with pytest.raises(BenchmarkFailedError, match="Failed to load model"):
        app(line("Failed to load model m.tflite", letter="E") + line("Benchmarking failed.", letter="E"))


def test_what_it_ignored_or_ran_elsewhere(app):
    with pytest.raises(UnconsumedFlagError, match="--use_gpu=true"):
        app(line("Unconsumed cmdline flags: --use_gpu=true", letter="W") + line(SUMMARY), Options(gpu=True))
    with pytest.raises(SilentFallbackError, match="does not say that it applied GPU"):
        app(line(SUMMARY), Options(gpu=True))
    partial = line("Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate "
                   "w/ 3 delegate kernels.") + line(SUMMARY)
    with pytest.raises(PartialDelegationError, match="in 3 pieces"):
        app(partial, Options(gpu=True))
    assert app(partial, Options(gpu=True, allow_partial=True)).delegation == (("GPU", "partial", 3),)


def test_an_app_that_is_not_there(app):
    app.device.command("pm", "exit 1")
    with pytest.raises(AppNotInstalledError, match="adb -s local install -r -d -g"):
        app()


def test_an_app_that_does_not_start(app):
    app.device.command("am", "echo 'Error type 3'; echo 'Error: Activity class {x/y} does not exist.'")
    with pytest.raises(ToolCrashError, match="does not start it. It says: Error type 3 / Error: Activity class"):
        app()


def test_blanks_are_refused(app):
    with pytest.raises(BadInputError, match="splits its arguments at blanks"):
        run_apk(app.device, "/data/local/tmp/my model.tflite", EXACT)


def test_installing(app, tmp_path):
    apk = tmp_path / "benchmark.apk"
    with zipfile.ZipFile(apk, "w") as file:
        file.writestr("AndroidManifest.xml", "")
    app.device.command("adb", f'echo "$*" > {tmp_path}/installed; echo Success')
    install_apk(app.device, apk)
    assert (tmp_path / "installed").read_text() == f"-s local install -r -d -g {apk}\n"
    app.device.command("adb", "echo 'adb: failed to install x.apk: Failure [INSTALL_FAILED_NO_MATCHING_ABIS]' >&2")
    with pytest.raises(AppNotInstalledError, match="It says: adb: failed to install .*NO_MATCHING_ABIS"):
        install_apk(app.device, apk)
    for path in (tmp_path / "none.apk", HERE / "test_apk.py"):
        with pytest.raises(BadInputError, match="An app is an .apk file. Received: "):
            install_apk(app.device, path)


def test_over_the_real_adb(phone):
    device = open_device(phone.serial)
    for name, script in fakes(phone.folder).items():
        phone.fake(name, script)
    (phone.folder / "lines").write_text(line(SUMMARY))
    (phone.folder / "does").write_text(f"cat {phone.folder}/lines >> {phone.folder}/log.txt")
    (phone.folder / "m.tflite").write_bytes(b"")
    output = run_apk(device, str(phone.folder / "m.tflite"), EXACT)
    assert output.inference.avg_us == 6561.96 and output.block().statistic == "mean"
    assert "--es args --graph=" in (phone.folder / "started").read_text()
