"""What a binary can do, from what it says: the captured --help, other builds, and files that do not run."""

import runpy
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.capabilities import Capabilities, explain_cannot_run, last_words, parse_help, read_capabilities
from mobile_bench.tool_errors import WrongBinaryError

HERE = Path(__file__).parent
LocalDevice = runpy.run_path(str(HERE / "local_device.py"))["LocalDevice"]
HELP = (HERE / "outputs/captured/help.txt").read_text()

# TensorFlow 1.13: no column for optional, no --help; it complains and prints this.
OLD_USAGE = """Unknown flag: --help
usage: ./benchmark_model
Flags:
\t--num_runs=50           \tint32\tnumber of runs
\t--run_delay=-1          \tfloat\tdelay between runs in seconds
\t--graph=                \tstring\tgraph file name
\t--use_nnapi=0           \tbool\tuse nnapi api
"""


@pytest.fixture
def device(tmp_path):
    (tmp_path / "bin").mkdir()
    return LocalDevice(tmp_path / "bin")


@pytest.fixture
def install(tmp_path):
    """Puts the stand-in on the device; returns its path there."""

    def put(**config):
        path = tmp_path / "benchmark_model"
        source = (HERE / "stand_in_benchmark_model.py").read_text()
        path.write_text(f"#!{sys.executable} -IS\nCONFIG = {config!r}\n{source}")
        path.chmod(0o755)
        return str(path)

    return put


def test_the_captured_help():
    flags = parse_help(HELP)
    assert len(flags) == HELP.count("\t--") - 2  # num_threads and gpu_invoke_loop_times are listed twice
    assert flags["num_runs"] == "50" and flags["graph"] == "" and flags["warmup_min_secs"] == "0.5"
    assert flags["gpu_invoke_loop_times"] == "1"  # the first of two
    assert flags["max_delegated_partitions"] == "0" and flags["op_profiling_output_mode"] == "stdout"
    tool = Capabilities(flags)
    assert tool.variant == "tflite" and tool.has_xnnpack and tool.has_profile and tool.has_result_file
    assert not tool.has_gpu and not tool.has_nnapi
    assert tool.to_json() == {"variant": "tflite", "gpu": False, "nnapi": False, "xnnpack": True, "profile": True,
                              "result_file": True, "taskset": tool.has_taskset}


def test_old_builds_print_their_usage_for_an_unknown_flag():
    assert parse_help(OLD_USAGE) == {"num_runs": "50", "run_delay": "-1", "graph": "", "use_nnapi": "0"}
    tool = Capabilities(parse_help(OLD_USAGE))
    assert tool.has_nnapi and not tool.has_xnnpack and not tool.has_profile and not tool.has_result_file


@settings(max_examples=40)
@given(st.integers(0, len(HELP)))
def test_a_cut_help_has_only_true_flags(length):
    assert parse_help(HELP[:length]).items() <= parse_help(HELP).items()


def test_line_ends_of_old_phones():
    assert parse_help(HELP.replace("\n", "\r\n")) == parse_help(HELP)


def test_a_binary_is_asked_by_one_call(device, install):
    tool = read_capabilities(device, install())
    assert device.calls == 1
    assert tool.flags["num_runs"] == "50" and tool.variant == "tflite" and tool.has_taskset and not tool.has_gpu
    assert read_capabilities(device, install(gpu="complete", nnapi="none")).has_gpu


def test_the_other_tool_is_told_by_its_flags(device, install):
    tool = read_capabilities(device, install(variant="litert"))
    assert Capabilities({"graph": "", "dispatch_library_path": ""}).variant == "litert"  # some builds have no NPU
    assert tool.variant == "litert" and tool.has_gpu and not tool.has_nnapi and not tool.has_profile


def test_a_phone_without_taskset(device, install):
    device.path = "/nonexistent"
    assert not read_capabilities(device, install()).has_taskset


@pytest.mark.parametrize(("said", "code", "why"), [
    ('CANNOT LINK EXECUTABLE "x": library "libc++_shared.so" not found', 1, "a library that it needs is not on this"),
    ("/system/bin/sh: x: not executable: 64-bit ELF file", 126, "another processor, or for Linux"),
    ("/system/bin/sh: x: not executable: 32-bit ELF file", 126, "another processor, or for Linux"),
    ("/system/bin/sh: x: can't execute: Permission denied", 126, "mounted noexec"),
    ("/system/bin/sh: x: inaccessible or not found", 127, "it is not there, or its loader is not"),
    ("error: only position independent executables (PIE) are supported.", 5, "not PIE"),
    ("hello world", 0, "it prints no flags, and ends with exit code 0"),
    ("", 139, "it prints no flags, and ends with exit code 139"),
])
def test_what_does_not_run_is_explained(device, tmp_path, said, code, why):
    device.command("tool", f"printf '%s\\n' {shlex.quote(said)} >&2; exit {code}")
    with pytest.raises(WrongBinaryError, match=f"on local: .*{why}") as raised:
        read_capabilities(device, str(device.bin / "tool"))
    assert (f"It says: {said.rstrip('.')}." in str(raised.value)) == bool(said)


def test_files_that_really_do_not_run_here(device, tmp_path):
    foreign, plain = tmp_path / "foreign", tmp_path / "plain"
    foreign.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xf7\x00" + bytes(100))  # eBPF
    foreign.chmod(0o755)
    plain.write_text("#!/bin/sh")
    for path, why in ((foreign, "another processor"), (plain, "noexec, or it was not made executable"),
                      (tmp_path / "none", "it is not there")):
        with pytest.raises(WrongBinaryError, match=why):
            read_capabilities(device, str(path))


def test_words_of_people():
    assert explain_cannot_run("all is well") is None
    assert last_words("") == last_words(" \n") == ""
    assert last_words("a\nb\n\nc\nd.\n") == " It says: b / c / d."
