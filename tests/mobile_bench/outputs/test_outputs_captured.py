"""What the real tool has printed, as text and as result file."""

import json

import pytest

from mobile_bench.outputs import BenchmarkFailedError, OutputError, Stats, parse_run
from tfold.errors import TfoldError

RUNS = ["plain", "memory", "no_gpu", "one_run", "unknown_flag", "profile", "profile_builtin", "profile_csv"]


def test_all_that_a_run_tells(captured):
    run = parse_run(captured("memory.txt")[0])
    assert run.inference == Stats(133, 8004, 7820, 6447, 19565, 7538.77, 1127, 6901, 7422, 8067)
    assert run.warmup == Stats(68, 7553, 6650, 6650, 8127, 7348.74, 349, 6923, 7307, 8029)
    assert (run.init_us, run.first_us, run.threads) == (10650, 7553, 2)
    assert (run.memory_init_mb, run.memory_overall_mb, run.memory_peak_mb) == (37.0938, 38.5938, 44.9961)
    assert (run.model_size_mb, run.graph) == (13.926, "/data/local/tmp/mobilenet_v2.tflite")
    assert (run.created, run.delegation, run.unsupported, run.warnings) == (("XNNPACK",), (), (), ())


def test_a_block_is_in_milliseconds_and_stands_for_the_median(captured):
    block = parse_run(captured("plain.txt")[0]).block()
    assert (block.value_ms, block.statistic, block.runs, block.warmup_runs) == (6.392, "median", 50, 1)
    assert (block.mean_ms, block.std_ms, block.min_ms, block.max_ms) == (6.56196, 0.699, 6.155, 10.63)
    assert (block.p5_ms, block.p95_ms, block.samples_ms) == (6.17, 7.253, ())


def test_one_inference_is_all_of_them(captured):
    run = parse_run(captured("one_run.txt")[0])
    assert run.inference == Stats(1, 5880, 5880, 5880, 5880, 5880.0, 0, 5880, 5880, 5880)
    assert run.first_us == 6359


@pytest.mark.parametrize(("name", "flag"), [("no_gpu", "--use_gpu=true"), ("unknown_flag", "--bogus=1")])
def test_ignored_flags_are_told(captured, name, flag):
    run = parse_run(captured(f"{name}.txt")[0])
    assert run.unconsumed_flags == (flag,)
    assert run.warnings == (f"Unconsumed cmdline flags: {flag}",)


@pytest.mark.parametrize("name", RUNS)
def test_numbers_may_come_by_either_stream_and_with_any_line_end(captured, name):
    text, code = captured(f"{name}.txt")
    run = parse_run(text, exit_code=code)
    assert parse_run("", text) == run
    assert parse_run(text.replace("\n", "\r\n")) == parse_run(text.replace("\n", "\r\r\n")) == run
    assert json.loads(json.dumps(run.to_json()))["inference"]["avg_us"] == run.inference.avg_us


def test_profiling_adds_series_that_are_not_the_measurement(captured):
    assert parse_run(captured("profile.txt")[0]).inference.avg_us == 6570.6
    assert parse_run(captured("profile_builtin.txt")[0]).inference.count == 40


@pytest.mark.parametrize(("name", "said", "way_out"), [
    ("missing_model", "Could not open '/data/local/tmp/missing.tflite'.", "Put the model at that path"),
    ("truncated_model", "The model is not a valid Flatbuffer buffer", "SHA-256"),
    ("help", "usage: ./benchmark_model <flags>", "Correct the flags"),
])
def test_failures_in_the_tools_own_words(captured, name, said, way_out):
    text, code = captured(f"{name}.txt")
    info = "".join(line for line in text.splitlines(True) if not line.startswith("ERROR"))
    errors = "".join(line for line in text.splitlines(True) if line.startswith("ERROR"))
    for streams in ((text, ""), (info, errors)):
        for exit_code in (code, 0):  # adb to an old phone tells 0
            with pytest.raises(BenchmarkFailedError, match=way_out) as failed:
                parse_run(*streams, exit_code=exit_code)
            assert failed.value.reasons[0] == said and "Benchmarking failed." not in failed.value.reasons
            assert failed.value.exit_code == exit_code
            assert said.rstrip(".") in str(failed.value)


@pytest.mark.parametrize(("error", "way_out"), [
    ("Didn't find op for builtin opcode 'CONV_2D' version '6'.", "newer benchmark_model"),
    ("Encountered unresolved custom op: FlexErf.", "_plus_flex"),
    ("Encountered unresolved custom op: MyOp.", "Replace the layers"),
    ("Failed to apply GPU delegate.", "measure on the CPU"),
    ("Disallowed CPU fallback detected.", "cannot run the whole model"),
    ("Something nobody knows.", "by hand"),
])
def test_a_way_out_for_each_cause(error, way_out):
    with pytest.raises(BenchmarkFailedError, match=way_out):
        parse_run("INFO: STARTING!\n", f"ERROR: {error}\nERROR: Benchmarking failed.\n", 1)
    with pytest.raises(BenchmarkFailedError, match=way_out):  # exit code 0, but no numbers
        parse_run("INFO: STARTING!\n", f"ERROR: {error}\n")


@pytest.mark.parametrize(("exit_code", "told"), [(139, "139 .SIGSEGV."), (-9, "-9 .SIGKILL."), (1, "exit code 1: no"),
                                                 (255, "exit code 255: no")])
def test_numbers_of_a_tool_that_failed_are_not_taken(captured, exit_code, told):
    with pytest.raises(BenchmarkFailedError, match=f"{told}.*VmRSS|{told}.*last words"):
        parse_run(captured("plain.txt")[0], exit_code=exit_code)
    with pytest.raises(BenchmarkFailedError, match="nothing else"):
        parse_run("", exit_code=exit_code)


def test_a_failure_without_a_reason(captured):
    with pytest.raises(BenchmarkFailedError, match="no reason; its last words: loading. Run"):
        parse_run("INFO: loading\n\nBenchmarking failed.\n")
    with pytest.raises(BenchmarkFailedError):
        parse_run(captured("plain.txt")[0] + "Benchmarking failed.\n")


def test_errors_that_the_tool_survived_are_warnings(captured):
    run = parse_run(captured("plain.txt")[0], "ERROR: Can not open OpenCL library.\nWARNING: slow\nWARN: slow\n")
    assert run.warnings == ("ERROR: Can not open OpenCL library.", "slow")
    assert run.inference.count == 50


@pytest.mark.parametrize(("text", "found"), [
    ("", "nothing at all"), ("\n", "nothing at all"), ("hi\n", "no line with"), ("INFO: STARTING!\n", "no line with"),
])
def test_no_measurement_is_an_error(text, found):
    with pytest.raises(OutputError, match=f"Received: {found}"):
        parse_run(text)


@pytest.mark.parametrize("again", ["INFO: STARTING!", "count=1 curr=6692", "Running benchmark for 1 iterations"])
def test_a_line_of_a_second_run(captured, again):
    with pytest.raises(OutputError, match="several runs"):
        parse_run(captured("plain.txt")[0] + again + "\n")


def test_two_runs_are_an_error(captured):
    for other in ("plain.txt", "memory.txt"):
        with pytest.raises(OutputError, match="several runs|tells one"):
            parse_run(captured("plain.txt")[0] + captured(other)[0])


def test_the_errors_are_tfolds():
    assert issubclass(OutputError, TfoldError) and issubclass(BenchmarkFailedError, TfoldError)
