"""The benchmark app's lines in Android's log, in its three formats, among others'."""

import pytest

from mobile_bench.outputs import BenchmarkFailedError, OutputError, Stats, parse_logcat, parse_run

SUMMARY = ("Inference timings in us: Init: 1007529, First inference: 4098, Warmup (avg): 1686.59, "
           "Inference (avg): 1687.92")
OLD = "Average inference timings in us: Warmup: 91471, Init: 4108, Inference: 80660.1"
FORMATS = {
    "brief": "{0}/{1:<8}({2:>5}): {3}",
    "threadtime": "01-13 15:00:04.407 {2:>5} {2:>5} {0} {1:<8}: {3}",
    "threadtime, year, zone and user": "2024-01-13 15:00:04.407123 +0000  10123 {2:>5} {2:>5} {0} {1:<8}: {3}",
    "time": "01-13 15:00:04.407 {0}/{1:<8}({2:>5}): {3}",
}


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def log(request):
    """A function: lines of a process, in a format. What is empty stays so."""

    def written(lines, pid=24897, tag="tflite", letter="I"):
        return "".join(request.param.format(letter, tag, pid, line) + "\n" for line in lines)

    return written


@pytest.mark.parametrize(("line", "init", "first", "average"), [
    (SUMMARY, 1007529, 4098, 1687.92), (OLD, 4108, None, 80660.1),
    (OLD + "Overall max resident set size = 9.3 MB, total malloc-ed size = 0 MB", 4108, None, 80660.1),
])
def test_one_line_may_be_all(log, line, init, first, average):
    text = "--------- beginning of main\n" + log([line], letter="E")
    run = parse_logcat(text)
    assert (run.init_us, run.first_us, run.inference, run.warmup) == (init, first, Stats(avg_us=average), None)
    assert run.warnings == ()
    block = run.block()
    assert (block.value_ms, block.statistic, block.runs) == (average / 1000, "mean", 0)
    assert parse_logcat(text, pid=24897) == run


def test_no_warm_up(log):
    line = "Inference timings in us: Init: 9, First inference: 0, Warmup (avg): 0, Inference (avg): 7"
    assert parse_logcat(log([line])).first_us is None
    with pytest.raises(OutputError, match="count=0"):
        parse_logcat(log([line.replace("(avg): 7", "(avg): nan")]))


def test_the_whole_log_is_read_as_any_other(log, captured):
    text, _ = captured("plain.txt")
    bare = [line.removeprefix("INFO: ") for line in text.splitlines()]
    others = log(["STARTING!", "count=1 curr=7", SUMMARY], 77, "chatty") + log(["Created a delegate."], 88)
    assert parse_logcat(others + log(bare) + others) == parse_run(text)
    assert parse_logcat((others + log(bare)).replace("\n", "\r\n")) == parse_run(text)


def test_litert_logs_under_a_tag_of_its_own(log, tool):
    text = log(tool.run([7], [5, 6], prefix="").splitlines()[:-2]) + log(
        ["========== BENCHMARK RESULTS ==========", "Model initialization: 12.03 ms", "Warmup (first):       0.01 ms",
         "Warmup (avg):         0.01 ms (1 runs)", "Inference (avg):      0.01 ms (2 runs)", "=" * 38], tag="litert")
    assert parse_logcat(text).inference.avg_us == 5.5


def test_several_runs_are_never_the_first(log):
    text = log([SUMMARY], 111) + log([OLD], 222)
    with pytest.raises(OutputError, match="111, 222.*pid="):
        parse_logcat(text)
    assert parse_logcat(text, pid=111).init_us == 1007529
    assert parse_logcat(text, pid=222).init_us == 4108
    with pytest.raises(OutputError, match="pid=333, and runs of 111, 222"):
        parse_logcat(text, pid=333)
    with pytest.raises(OutputError, match="several runs"):
        parse_logcat(log([SUMMARY, SUMMARY]), pid=24897)


def test_warnings_and_errors_by_their_letter(log):
    text = log(["Unconsumed cmdline flags: --x=1"], letter="W") + log(["No OpenCL."], letter="E") + log([SUMMARY])
    run = parse_logcat(text)
    assert run.warnings == ("Unconsumed cmdline flags: --x=1", "ERROR: No OpenCL.")
    assert run.unconsumed_flags == ("--x=1",)


@pytest.mark.parametrize("begun", [[], ["STARTING!"]])
def test_an_app_that_failed(log, begun):
    with pytest.raises(BenchmarkFailedError, match="Could not open") as failed:
        parse_logcat(log(begun) + log(["Could not open '/m.tflite'."], letter="E"))
    assert failed.value.reasons == ("Could not open '/m.tflite'.",)


def test_errors_without_a_run(log):
    failing = log(["Could not open '/m.tflite'."], pid=5, letter="E")
    with pytest.raises(BenchmarkFailedError):
        parse_logcat(failing + log([SUMMARY], pid=6), pid=5)
    others = log(["No OpenCL."], pid=7, letter="E")
    with pytest.raises(OutputError, match="none of a run; its last one: 'No OpenCL.'"):  # whose is it?
        parse_logcat(failing + others)
    with pytest.raises(BenchmarkFailedError, match="Could not open"):
        parse_logcat(failing + others, pid=5)
    with pytest.raises(OutputError, match="none of a run; its last one: 'Loaded"):
        parse_logcat(log(["Loaded OpenCL."], pid=7))
    with pytest.raises(OutputError, match="pid=8, and runs of no process"):
        parse_logcat(failing, pid=8)


def test_half_a_log(log, tool):
    lines = [line for line in tool.run([7], [5, 6], prefix="").splitlines() if line]
    assert parse_logcat(log(lines)).inference.count == 2
    for gone in range(1, len(lines) - 2):  # what the log's ring has lost is at its beginning
        if lines[gone - 1].startswith(("count=", "Running")) and "count=2" not in lines[gone - 1]:
            with pytest.raises(OutputError, match="warm-up"):
                parse_logcat(log(lines[gone:]))
    with pytest.raises(OutputError, match="unstripped"):
        parse_logcat(log([SUMMARY])[:-1])
    with pytest.raises(OutputError, match="timings of a run|unstripped"):
        parse_logcat(log([SUMMARY])[:-5])


@pytest.mark.parametrize("text", ["", SUMMARY + "\n", "I/other  (  1): " + SUMMARY + "\n"])
def test_no_run(text):
    with pytest.raises(OutputError, match="none of a run"):
        parse_logcat(text)
