"""Runs of the tool: what they return, and every way in which they must not be believed."""

import re
import runpy
import signal
import sys
from pathlib import Path

import pytest

from mobile_bench.capabilities import Capabilities, read_capabilities
from mobile_bench.condition import read_condition
from mobile_bench.device import open_device
from mobile_bench.errors import DeviceGoneError
from mobile_bench.flags import Options
from mobile_bench.outputs import BenchmarkFailedError, OutputError
from mobile_bench.phone_info import describe
from mobile_bench.run_tool import profile_once, run_once
from mobile_bench.tool_errors import (
    AffinityError,
    MissingFlagError,
    PartialDelegationError,
    SilentFallbackError,
    ToolCrashError,
    UnconsumedFlagError,
    WrongBinaryError,
)

HERE = Path(__file__).parent
LocalDevice = runpy.run_path(str(HERE / "local_device.py"))["LocalDevice"]
SOURCE = (HERE / "stand_in_benchmark_model.py").read_text()
EXACT = {"warmup_secs": 0.0, "runs": 5}


FLAGS = {}  # of each kind of build, as it has told them


def write_tool(path, **config):
    path.write_text(f"#!{sys.executable} -IS\nCONFIG = {config!r}\n{SOURCE}")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def run(tmp_path):
    """A function: `run(config, options) → RunOutput` on this machine; `run.folder` is where it works."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    device = LocalDevice(tmp_path / "bin")
    graph = tmp_path / "model.tflite"
    graph.write_bytes(b"latency_us=6000")

    def once(config=None, options=None, mask=None, does=run_once, capabilities=None, binary=None):
        config = config or {}
        binary = binary or write_tool(tmp_path / "tool", **config)
        build = (config.get("variant"), "gpu" in config, "nnapi" in config, *config.get("remove", ()))
        if build not in FLAGS:
            FLAGS[build] = read_capabilities(device, binary).flags
        found = capabilities or Capabilities(FLAGS[build])
        settings = Options(**EXACT | (options or {}))
        return does(device, binary, str(graph), found, settings, mask, str(tmp_path / "work"))

    once.folder, once.device, once.graph, once.path = tmp_path / "work", device, graph, tmp_path
    yield once
    assert list(once.folder.iterdir()) == []  # whatever happened


def test_a_run_is_what_the_tool_measured(run):
    output = run(options={"threads": 2})
    assert output.inference.count == 5 and output.threads == 2
    assert output.block().value_ms == pytest.approx(3.0, rel=0.1)  # 6 ms on two threads
    assert output.block().warmup_runs == 1 and output.warnings == ()
    calls = run.device.calls
    run()
    assert run.device.calls - calls == 1  # the run brings its result file along


def test_it_has_time_for_warm_up_and_measurement_and_a_minute_more(run):
    allowed, script = [], run.device.script

    def noted(*words, timeout=None, **options):  # and not kept to: a busy machine may need longer than 7 s
        allowed.append(timeout)
        return script(*words, **options)

    run.device.script = noted
    run(options={"max_secs": 20})
    run(options={"max_secs": 20}, does=lambda *words: run_once(*words, timeout=7))
    assert allowed == [100, 7]


def test_the_result_file_tells_what_an_old_text_does_not(run):
    output = run({"percentiles": False})
    assert output.inference.median_us is not None


def test_a_result_file_of_another_run_is_noticed(run):
    tool = write_tool(run.path / "tool")
    run.device.command("wrong", f'{tool} "$@" && for word; do case $word in --result_file_path=*) {tool} "$@" >&2;;'
                       " esac; done >/dev/null 2>&1")  # runs twice: the file is of the second run
    with pytest.raises(OutputError, match="text and the result file of a run must agree"):
        run(binary=str(run.device.bin / "wrong"))


def test_a_build_without_a_result_file_and_one_that_forgets_it(run):
    assert run({"remove": ["result_file_path"]}).warnings == ()
    with pytest.raises(OutputError, match="no file from .*another build"):
        run({"no_result_file": True})


def test_builtin_kernels_and_float16_reach_the_tool(run):
    assert run(options={"xnnpack": False}).created == ()
    assert run(options={"fp16": True}).delegation == (("XNNPACK", "complete", None),)


def test_a_flag_that_it_lacks_is_an_error_before_it_runs(run):
    with pytest.raises(MissingFlagError, match="--use_gpu=true, .* on a build without GPU"):
        run(options={"gpu": True})


def test_a_flag_that_it_ignores_is_an_error(run):
    lying = Capabilities(dict.fromkeys(("graph", "num_threads", "num_runs", "min_secs", "max_secs", "warmup_runs",
                                        "warmup_min_secs", "use_gpu", "gpu_precision_loss_allowed"), ""))
    with pytest.raises(UnconsumedFlagError, match="Received: --use_gpu=true, --gpu_precision_loss_allowed=false, whi"):
        run(options={"gpu": True}, capabilities=lying)


@pytest.mark.parametrize(("how", "said"), [("none", "GPU can run none of its ops"),
                                           ("unsupported", "this build or this phone has no GPU")])
def test_a_silent_fallback_is_an_error(run, how, said):
    with pytest.raises(SilentFallbackError, match=f"on the CPU alone: {said}"):
        run({"gpu": how}, {"gpu": True})
    with pytest.raises(SilentFallbackError):
        run({"gpu": how}, {"gpu": True, "allow_partial": True})


def test_a_delegate_of_which_nothing_is_said_was_not_applied(run):
    with pytest.raises(SilentFallbackError, match="does not say that it applied XNNPACK"):
        run({"xnnpack": "silent"}, {"xnnpack": True})


def test_a_part_is_an_error_unless_it_is_accepted(run):
    with pytest.raises(PartialDelegationError, match="only a part there, in 3 pieces"):
        run({"nnapi": "partial"}, {"nnapi": True})
    output = run({"nnapi": "partial"}, {"nnapi": True, "allow_partial": True})
    assert output.delegation == (("NNAPI", "partial", 3),)


def test_all_on_the_gpu_and_a_part_on_xnnpack_are_fine(run):
    assert run({"gpu": "complete"}, {"gpu": True}).delegation == (("GPU", "complete", None),)
    assert run({"xnnpack": "partial"}, {"xnnpack": True}).delegation == (("XNNPACK", "partial", 3),)


def test_benchmark_litert_model(run):
    assert run({"variant": "litert"}, {"threads": 2}).inference.count == 5
    assert run({"variant": "litert"}, {"gpu": True}).warnings == ()
    with pytest.raises(BenchmarkFailedError, match="Failed to compile model"):
        run({"variant": "litert", "gpu": "partial"}, {"gpu": True})
    output = run({"variant": "litert", "gpu": "partial"}, {"gpu": True, "allow_partial": True})
    assert output.warnings == ("the tool does not tell how much GPU has run",)


def test_a_killed_tool_is_explained(run):
    killed = r"exit code 137: it was killed \(SIGKILL\): .*memory was full.* It says: .*Initialized session"
    with pytest.raises(ToolCrashError, match=killed):
        run({"signal": 9})


@pytest.mark.parametrize("number", [1, 4, 6, 7, 8, 11, 12, 15, 31])
def test_every_signal_has_its_name(run, number):
    run()
    run.device.command("dying", f"exit {128 + number}")
    name = signal.Signals(number).name if number not in (1, 12) else f"signal {number} has ended it"
    with pytest.raises(ToolCrashError, match=f"exit code {128 + number}: .*{name}"):
        run(binary="dying", capabilities=Capabilities(FLAGS[None, False, False]))


def test_a_bad_model_is_the_tools_own_error(run):
    run.graph.write_bytes(b"\x1c\x00\x00\x00XXXX")
    with pytest.raises(BenchmarkFailedError, match="not a valid Flatbuffer"):
        run()
    run.graph.unlink()
    with pytest.raises(BenchmarkFailedError, match="Could not open"):
        run()


def test_a_tool_that_is_gone_meanwhile(run):
    run()
    known = Capabilities(FLAGS[None, False, False])
    with pytest.raises(WrongBinaryError, match="none: it is not there"):
        run(binary=str(run.path / "none"), capabilities=known)
    (run.path / "tool").chmod(0o644)
    with pytest.raises(WrongBinaryError, match="not made executable"):
        run(binary=str(run.path / "tool"), capabilities=known)


def test_it_is_held_on_the_cores_of_a_mask(run):
    run.device.command("taskset", f'echo "$1" > {run.path}/mask; shift; exec "$@"')
    run(mask="f0")
    assert (run.path / "mask").read_text() == "f0\n"
    run.device.command("taskset", "exit 9")
    run()  # no mask, no taskset


def test_a_mask_that_the_phone_refuses(run):
    run.device.command("taskset", "echo 'taskset: failed to set f0: Invalid argument' >&2; exit 1")
    with pytest.raises(AffinityError, match="mask f0. It says: taskset: failed to set f0"):
        run(mask="f0")


def test_a_phone_without_taskset(run):
    run()
    without = Capabilities(FLAGS[None, False, False], has_taskset=False)
    assert run(capabilities=without).warnings == ()
    assert "no taskset" in run(mask="f0", capabilities=without).warnings[0]
    with pytest.raises(AffinityError, match="Received: mask f0, and local without it"):
        run(mask="f0", capabilities=without, options={"affinity": "f0"})


@pytest.mark.parametrize(("remove", "how"), [
    ([], "--max_profiling_buffer_entries=16384.*--op_profiling_output_mode=csv.*--op_profiling_output_file=/"),
    (["op_profiling_output_mode"], "--profiling_output_csv_file=/"),
    (["op_profiling_output_mode", "profiling_output_csv_file", "max_profiling_buffer_entries"],
     "--enable_op_profiling=true$"),
])
def test_a_profile_from_new_and_older_and_old_builds(run, remove, how):
    said, script = [], run.device.script
    run.device.script = lambda *words, **options: said.append(" ".join(words)) or script(*words, **options)
    profile = run({"remove": remove}, {"runs": 3}, does=profile_once)
    assert re.search(how, said[-1])
    assert [op.kind for op in profile.run_order] == [
        "Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) DWConv", "Add (ND)", "Fully Connected (NC, F32) GEMM"]
    assert profile.run_order[0].percent == pytest.approx(50, abs=1)
    assert profile.total_ms == pytest.approx(6, rel=0.2)


def test_a_profile_is_checked_like_a_run(run):
    with pytest.raises(MissingFlagError, match="a build with op profiling"):
        run({"variant": "litert"}, does=profile_once)
    with pytest.raises(SilentFallbackError):
        run({"gpu": "none"}, {"gpu": True}, does=profile_once)


def test_over_the_real_adb(plug_in, tmp_path):
    """All that happens on a phone, once, through the real client."""
    phone = plug_in(fake={
        "getprop": 'case $1 in ro.product.cpu.abilist) echo x86_64;; *.model) echo Mini;; esac',
        "dumpsys": 'case $1 in battery) printf "  level: 80\\n  scale: 100\\n  temperature: 301\\n";; esac'})
    device = open_device(phone.serial)
    info = describe(device)
    assert (info.model, info.abis) == ("Mini", ("x86_64",))
    assert read_condition(device).battery_celsius == 30.1
    (tmp_path / "m.tflite").write_bytes(b"latency_us=800")
    write_tool(tmp_path / "tool")
    folder = str(phone.folder / "kept")
    binary = device.keep(tmp_path / "tool", folder, executable=True)
    graph = device.keep(tmp_path / "m.tflite", folder)
    capabilities = read_capabilities(device, binary)
    output = run_once(device, binary, graph, capabilities, Options(**EXACT), mask="1", folder=folder)
    assert output.block().value_ms == pytest.approx(0.8, rel=0.1) and output.graph == graph
    profile = profile_once(device, binary, graph, capabilities, Options(**EXACT), folder=folder)
    assert len(profile.run_order) == 4
    assert len(list(Path(folder).iterdir())) == 2  # the tool and the model
    killed = device.keep(Path(write_tool(tmp_path / "killed", signal=9)), folder, executable=True)
    with pytest.raises(ToolCrashError, match="SIGKILL"):
        run_once(device, killed, graph, capabilities, Options(**EXACT), folder=folder)


def test_an_old_phone_has_one_stream_and_no_exit_codes(plug_in, tmp_path):
    phone = plug_in(features="cmd")
    device = open_device(phone.serial)
    graph = phone.folder / "m.tflite"
    graph.write_bytes(b"latency_us=800")
    binary = write_tool(phone.folder / "tool")
    capabilities = read_capabilities(device, binary)
    assert capabilities.flags["graph"] == ""
    output = run_once(device, binary, str(graph), capabilities, Options(**EXACT), folder=str(phone.folder))
    assert output.inference.count == 5
    graph.unlink()
    with pytest.raises(BenchmarkFailedError, match="Could not open"):
        run_once(device, binary, str(graph), capabilities, Options(**EXACT), folder=str(phone.folder))


def test_a_phone_that_is_unplugged_while_it_measures(phone, tmp_path):
    device = open_device(phone.serial)
    phone.fake("tool", 'touch "$UNPLUG"; sleep 5')
    capabilities = Capabilities(dict.fromkeys(("graph", "num_threads", "num_runs", "min_secs", "max_secs",
                                               "warmup_runs", "warmup_min_secs", "result_file_path"), ""))
    with pytest.raises(DeviceGoneError, match="went away while running tool"):
        run_once(device, "tool", "m.tflite", capabilities, Options(**EXACT), folder=str(phone.folder))


@pytest.mark.parametrize(("asked", "changed", "said"), [
    ("--num_threads=2", "--num_threads=4", "number of threads 4 for 2"),
    ("--num_runs=5", "--num_runs=6", "least number of runs 6 for 5"),
    ("--warmup_runs=1", "--warmup_runs=2", "least number of warm-up runs 2 for 1"),
    ("--graph=", "--graph=/.", "the model /./"),
])
def test_what_the_tool_says_it_was_asked_is_what_it_was_asked(run, asked, changed, said):
    tool = write_tool(run.path / "tool")
    run.device.command("other", f"""
        for word; do shift; case $word in {asked}*) word={changed}${{word#{asked}}};; esac; set -- "$@" "$word"; done
        exec {tool} "$@" """)
    with pytest.raises(OutputError, match=f"Received: .*{said}.*another run"):
        run(binary=str(run.device.bin / "other"), options={"threads": 2})


def test_a_tool_that_does_not_end_is_ended_and_named(phone, tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nsleep 600\n")
    tool.chmod(0o755)
    capabilities = Capabilities(dict.fromkeys(("graph", "num_threads", "num_runs", "min_secs", "max_secs",
                                               "warmup_runs", "warmup_min_secs", "result_file_path"), ""))
    with pytest.raises(ToolCrashError, match=r"tool, which has not ended within 1 s\. Try it by hand"):
        run_once(open_device(), str(tool), "m.tflite", capabilities, Options(), folder=str(phone.folder), timeout=1)
    assert list(phone.folder.iterdir()) == []
