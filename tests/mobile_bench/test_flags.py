"""Options become just the flags that measure them, or an error before anything runs."""

import math
from pathlib import Path

import pytest

from mobile_bench.capabilities import Capabilities, parse_help
from mobile_bench.flags import Options, flags_for
from mobile_bench.tool_errors import MissingFlagError
from tfold.errors import BadInputError

GRAPH = "/data/local/tmp/model.tflite"
HOST = parse_help((Path(__file__).parent / "outputs/captured/help.txt").read_text())
GPU = {"use_gpu": "false", "gpu_precision_loss_allowed": "true", "gpu_backend": ""}
NNAPI = {"use_nnapi": "false", "nnapi_accelerator_name": "", "nnapi_allow_fp16": "false", "disable_nnapi_cpu": "false"}
CPU_ONLY = Capabilities(HOST)
ANDROID = Capabilities(HOST | GPU | NNAPI)
OLD = Capabilities({name: HOST[name] for name in ("graph", "num_runs", "num_threads", "warmup_runs", "min_secs",
                                                  "max_secs", "warmup_min_secs")} | {"use_nnapi": "false"})
LITERT = Capabilities({name: HOST[name] for name in ("graph", "num_runs", "num_threads", "warmup_runs", "min_secs",
                                                     "max_secs", "warmup_min_secs", "result_file_path")}
                      | {"use_cpu": "true", "use_gpu": "false", "use_npu": "false", "dispatch_library_path": "",
                         "require_full_delegation": "false", "allow_fp16": "true", "gpu_backend": ""})


def further_flags(capabilities, **options):
    """The flags without those that every measurement has."""
    return [flag for flag in flags_for(capabilities, Options(**options), GRAPH) if not flag.startswith(
        ("--graph=", "--num_", "--min_secs", "--max_secs", "--warmup_"))]


def test_every_measurement_has_its_counts_and_times():
    assert flags_for(CPU_ONLY, Options(threads=4, runs=20, warmup_runs=3, max_secs=30), GRAPH) == [
        f"--graph={GRAPH}", "--num_threads=4", "--num_runs=20", "--min_secs=0", "--max_secs=30", "--warmup_runs=3",
        "--warmup_min_secs=0.5"]


@pytest.mark.parametrize("capabilities", [CPU_ONLY, ANDROID, OLD, LITERT])
def test_the_default_needs_nothing_further(capabilities):
    assert further_flags(capabilities) == []


@pytest.mark.parametrize(("options", "flags"), [
    ({"xnnpack": True}, ["--use_xnnpack=true"]),
    ({"xnnpack": False}, ["--use_xnnpack=false"]),
    ({"fp16": True}, ["--use_xnnpack=true", "--xnnpack_force_fp16=true"]),
    ({"gpu": True}, ["--use_gpu=true", "--gpu_precision_loss_allowed=false"]),
    ({"gpu": True, "fp16": True}, ["--use_gpu=true", "--gpu_precision_loss_allowed=true"]),
    ({"gpu": True, "fp16": True, "xnnpack": False},
     ["--use_xnnpack=false", "--use_gpu=true", "--gpu_precision_loss_allowed=true"]),
    ({"nnapi": True}, ["--use_nnapi=true", "--nnapi_allow_fp16=false", "--disable_nnapi_cpu=true"]),
    ({"nnapi": "google-edgetpu", "fp16": True},
     ["--use_nnapi=true", "--nnapi_allow_fp16=true", "--nnapi_accelerator_name=google-edgetpu"]),
    ({"extra": ("--use_caching=true", "--benchmark_name=a=b")}, ["--use_caching=true", "--benchmark_name=a=b"]),
])
def test_benchmark_model(options, flags):
    assert further_flags(ANDROID, **options) == flags


@pytest.mark.parametrize(("options", "flags"), [
    ({"gpu": True}, ["--use_gpu=true", "--allow_fp16=false", "--use_cpu=false", "--require_full_delegation=true"]),
    ({"gpu": True, "fp16": True, "allow_partial": True}, ["--use_gpu=true", "--allow_fp16=true"]),
])
def test_benchmark_litert_model(options, flags):
    assert further_flags(LITERT, **options) == flags


def test_an_old_nnapi_build_computes_in_float32_anyhow():
    assert further_flags(OLD, nnapi=True) == ["--use_nnapi=true"]


@pytest.mark.parametrize(("capabilities", "options", "said"), [
    (CPU_ONLY, {"gpu": True}, "--use_gpu=true, --gpu_precision_loss_allowed=false on a build without GPU"),
    (CPU_ONLY, {"nnapi": True}, "--use_nnapi=true on a build without NNAPI"),
    (OLD, {"nnapi": True, "fp16": True}, "--nnapi_allow_fp16=true on a build without NNAPI"),
    (OLD, {"nnapi": "dsp"}, "--nnapi_accelerator_name=dsp on a build without NNAPI"),
    (OLD, {"fp16": True}, "--use_xnnpack=true, --xnnpack_force_fp16=true on a build without float16"),
    (OLD, {"xnnpack": False}, "--use_xnnpack=false on a build without a switch for XNNPACK"),
    (LITERT, {"xnnpack": True}, "--use_xnnpack=true"),
    (LITERT, {"nnapi": True}, "--use_nnapi=true on a build without NNAPI"),
    (LITERT, {"fp16": True}, "--xnnpack_force_fp16=true on a build without float16"),
    (CPU_ONLY, {"extra": ("--bogus=1",)}, "--bogus=1 on a build without them"),
    (Capabilities({"graph": ""}), {}, "--num_threads=1, --num_runs=50, .* on a build without them"),
])
def test_what_the_build_lacks_is_an_error(capabilities, options, said):
    with pytest.raises(MissingFlagError, match=f"Received: {said}"):
        flags_for(capabilities, Options(**options), GRAPH)


@pytest.mark.parametrize("options", [
    {"threads": 0}, {"threads": 1.5}, {"threads": True}, {"threads": "4"}, {"threads": 2**31}, {"runs": 0},
    {"warmup_runs": -1}, {"min_secs": -1}, {"min_secs": math.nan}, {"max_secs": math.inf}, {"max_secs": 0},
    {"min_secs": 10, "max_secs": 10}, {"warmup_secs": "1"}, {"gpu": True, "nnapi": True}, {"nnapi": "two words"},
    {"nnapi": "x;reboot"}, {"fp16": True, "xnnpack": False}, {"extra": ("bogus",)}, {"extra": ("--bogus",)},
    {"affinity": "small"}, {"affinity": "xyz"},
])
def test_values_that_are_no_measurement(options):
    with pytest.raises(BadInputError, match="Received: "):
        flags_for(ANDROID, Options(**options), GRAPH)


def test_the_least_that_is_a_measurement():
    Options(threads=1, runs=1, warmup_runs=0, warmup_secs=0, min_secs=0, max_secs=0.1).check()


@pytest.mark.parametrize("word", ["--num_runs=1", "--graph=other", "--use_gpu=false", "--use_caching=1"])
def test_a_flag_is_given_once(word):
    options = Options(gpu=True, extra=("--use_caching=true", word))
    with pytest.raises(BadInputError, match=f"given once. Received: {word}"):
        flags_for(ANDROID, options, GRAPH)


def test_flags_for_callers_come_last():
    assert flags_for(CPU_ONLY, Options(), GRAPH, result_file_path="/r.pb")[-1] == "--result_file_path=/r.pb"


@pytest.mark.parametrize(("options", "delegate"), [
    ({}, None), ({"xnnpack": False}, None), ({"xnnpack": True}, "XNNPACK"), ({"fp16": True}, "XNNPACK"),
    ({"gpu": True, "fp16": True, "xnnpack": True}, "GPU"), ({"nnapi": "dsp"}, "NNAPI"),
])
def test_who_must_run_the_model(options, delegate):
    assert Options(**options).delegate == delegate


def test_numbers_are_written_so_that_the_tool_reads_them():
    flags = flags_for(CPU_ONLY, Options(min_secs=0.1, max_secs=1e6, warmup_secs=2), GRAPH)
    assert flags[3:5] == ["--min_secs=0.1", "--max_secs=1000000"] and flags[6] == "--warmup_min_secs=2"
