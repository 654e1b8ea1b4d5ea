"""Every era and every logger, with numbers that can be checked by hand.

Warm-up: 90000, 84000.  Measured: 80000, 79000, 82000, 81000, with mean 80500 and standard deviation √1250000 = 1118.03.
"""

import pytest

from mobile_bench.outputs import OutputError, Stats, parse_run

WARMUP = Stats(2, 90000, 84000, 84000, 90000, 87000.0, 3000)
MEASURED = Stats(4, 80000, 81000, 79000, 82000, 80500.0, 1118)

SERIES = (
    "Running benchmark for at least 1 iterations and at least 0.1 seconds but terminate if exceeding 150 seconds.",
    "count=2 first=90000 curr=84000 min=84000 max=90000 avg=87000 std=3000",
    "",
    "Running benchmark for at least 4 iterations and at least 0.3 seconds but terminate if exceeding 150 seconds.",
    "count=4 first=80000 curr=81000 min=79000 max=82000 avg=80500 std=1118",
    "",
)
NEW = "Inference timings in us: Init: 38467, First inference: 90000, Warmup (avg): 87000, Inference (avg): 80500"
OLD = "Average inference timings in us: Warmup: 87000, Init: 38467, Inference: 80500"
OLDEST = "Average inference timings in us: Warmup: 87000, Init: 38467, no stats: 80500"
BEFORE = ("STARTING!", "Num threads: [1]", "Graph: [/sdcard/m.tflite]", "Loaded model /sdcard/m.tflite",
          "resolved reporter", "Initialized session in 38.467ms")

PREFIXES = {
    "none": "", "2022": "INFO: ", "native": "native : benchmark_model.cc:123 ",
    "glog": "I0714 13:15:01.123456  4242 benchmark_model.cc:89] ",
    "absl": "I0000 00:00:1690000000.123456    4242 benchmark_model.cc:89] ",
    "tensorflow": "2018-09-10 12:36:37.571102: I tensorflow/tools/benchmark/benchmark_model.cc:361] ",
    "litert": "INFO: [litert/tools/benchmark_litert_model.h:69] ", "logcat": "I/tflite  ( 4242): ",
}


def text_of(lines, prefix=""):
    return "".join(f"{prefix}{line}\n" for line in lines)


@pytest.mark.parametrize("summary", [NEW, OLD, OLDEST])
@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_every_prefix_and_every_summary(prefix, summary):
    run = parse_run(text_of((*BEFORE, *SERIES, summary), prefix))
    assert (run.warmup, run.inference) == (WARMUP, MEASURED)
    assert (run.init_us, run.first_us, run.threads, run.graph) == (38467, 90000, 1, "/sdcard/m.tflite")
    assert run.warnings == ()


SEVERITIES = {
    "{}: ": ("WARN", "WARNING", "ERROR"), "{}: [litert/x.cc:7] ": ("WARN", "WARNING", "ERROR"),
    "{}0714 13:15:01.123456  4242 x.cc:89] ": "WWE", "{}0000 00:00:1690000000.123456 4242 x.cc:89] ": "WWE",
    "2018-09-10 12:36:37.571102: {} tensorflow/x.cc:361] ": "WWE", "{}/tflite  ( 4242): ": "WWE",
}


@pytest.mark.parametrize("prefix", SEVERITIES)
def test_every_loggers_severities(prefix):
    warn, warning, error = (prefix.format(letter) for letter in SEVERITIES[prefix])
    run = parse_run(f"{warn}slow\n{warning}hot\n{error}no OpenCL\n" + text_of((*SERIES, NEW)))
    assert run.warnings == ("slow", "hot", "ERROR: no OpenCL")


def test_without_percentiles_the_mean_stands_for_the_block():
    block = parse_run(text_of((*BEFORE, *SERIES, OLD))).block()
    assert (block.value_ms, block.statistic, block.p5_ms, block.mean_ms) == (80.5, "mean", None, 80.5)


def test_before_2019_only_the_number_of_runs_was_announced():
    lines = ["Running benchmark for 2 iterations", SERIES[1], "", "Running benchmark for 4 iterations ", SERIES[4]]
    assert parse_run(text_of((*BEFORE, *lines, OLDEST))).inference == MEASURED
    with pytest.raises(OutputError, match="as many inferences as were asked for"):
        parse_run(text_of((*BEFORE, *lines, OLDEST)).replace("for 4", "for 5"))


@pytest.mark.parametrize(("line", "told"), [
    ("Peak memory footprint (MB): init=4.92969 overall=138.809", (4.92969, 138.809, None)),
    ("Memory footprint delta from the start of the tool (MB): init=0 overall=-0.25", (0, -0.25, None)),
    ("Overall peak memory footprint (MB) via periodic monitoring: 44.9961", (None, None, 44.9961)),
])
def test_memory(line, told):
    run = parse_run(text_of((*BEFORE, *SERIES, NEW, line)))
    assert (run.memory_init_mb, run.memory_overall_mb, run.memory_peak_mb) == told


def test_the_app_of_2020_forgot_to_separate_the_memory():
    tail = "Overall max resident set size = 9.26562 MB, total malloc-ed size = 0 MB, in-use allocated size = 0 MB"
    run = parse_run(text_of((*BEFORE, *SERIES, OLD + tail)))
    assert (run.inference.avg_us, run.memory_overall_mb) == (80500, 9.26562)


def test_averages_above_a_million_have_six_digits():
    lines = (
        "count=1 curr=1234567", "",
        "count=2 first=1240000 curr=1240540 min=1240000 max=1240540 avg=1.24027e+06 std=270", "",
        "Inference timings in us: Init: 1007529, First inference: 1234567, Warmup (avg): 1.23457e+06, "
        "Inference (avg): 1.24027e+06", "Initialized session in 1007.53ms.",
    )
    run = parse_run(text_of(lines))
    assert (run.inference.avg_us, run.init_us, run.warmup.avg_us) == (1240270, 1007529, 1234567)
    with pytest.raises(OutputError, match="Init"):
        parse_run(text_of(lines).replace("1007.53ms", "1007.54ms"))


def test_inferences_that_all_took_as_long():
    lines = ("count=1 curr=31", "count=50 curr=30(all same) p5=30 median=30 p95=30",
             "Inference timings in us: Init: 50, First inference: 31, Warmup (avg): 31, Inference (avg): 30")
    assert parse_run(text_of(lines)).inference == Stats(50, 30, 30, 30, 30, 30.0, 0, 30, 30, 30)
    older = parse_run(text_of(lines).replace(" p5=30 median=30 p95=30", ""))
    assert older.inference == Stats(50, 30, 30, 30, 30, 30.0, 0)
    assert older.block().statistic == "mean"


@pytest.mark.parametrize("average", ["0", "nan", "-nan"])
def test_no_warm_up(average):
    lines = ("count=0", "count=1 curr=30",
             f"Inference timings in us: Init: 50, First inference: 0, Warmup (avg): {average}, Inference (avg): 30")
    run = parse_run(text_of(lines))
    assert (run.warmup, run.first_us, run.block().warmup_runs) == (Stats(0), None, 0)


def test_a_dry_run_measures_nothing():
    with pytest.raises(OutputError, match="count=0.*dry_run"):
        parse_run("count=0\ncount=0\nInference timings in us: Init: 50, First inference: 0, Warmup (avg): 0, "
                  "Inference (avg): 0\n")


RESULTS = ("", "========== BENCHMARK RESULTS ==========", "Model initialization: 38.47 ms",
           "Warmup (first):       90.00 ms", "Warmup (avg):         87.00 ms (2 runs)",
           "Inference (avg):      80.50 ms (4 runs)",
           "Inference (min):      79.00 ms", "Inference (max):      82.00 ms", "Inference (std):      1.12",
           "Throughput:           7.13 MB/s", "", "Memory Usage:", "Init footprint:       37.06 MB",
           "Overall footprint:    38.56 MB", "Peak memory:          44.99 MB", "=" * 38, "")


@pytest.mark.parametrize("prefix", ["", PREFIXES["litert"], "INFO: ", PREFIXES["absl"]])
def test_litert(prefix):
    # What begins with a line end has the prefix in the line before.
    block = "".join(f"{line}\n" if line.startswith("===") and "B" in line else f"{prefix}{line}\n" for line in RESULTS)
    first = "INFO: STARTING!\nINFO: Initialized session in 38.467ms.\n" + text_of(SERIES, "INFO: ")
    for streams in ((first + block, ""), (first, block), ("", block + first)):
        run = parse_run(*streams)
        assert (run.warmup, run.inference, run.init_us, run.first_us) == (WARMUP, MEASURED, 38467, 90000)
        assert (run.memory_init_mb, run.memory_overall_mb, run.memory_peak_mb) == (37.06, 38.56, 44.99)


@pytest.mark.parametrize(("old", "new"), [
    ("38.47 ms", "38.97 ms"), ("90.00 ms", "91.00 ms"), ("87.00 ms", "87.01 ms"), ("80.50 ms", "80.51 ms"),
    ("(2 runs)", "(3 runs)"), ("(4 runs)", "(5 runs)"), ("79.00 ms", "79.10 ms"), ("82.00 ms", "81.99 ms"),
    ("1.12\n", "1.13\n"), ("1.12\n", "1.1\n"), ("82.00 ms", "82.00"), ("=" * 38 + "\n", ""), ("82.00 ms", "8x.00 ms"),
    ("Inference (min)", "Inference (max)"), ("Model initialization: 38.47 ms\n", ""), (" (4 runs)", ""),
    ("90.00 ms", "90.0 ms"), ("82.00 ms", "82.00 ms (4 runs)"), ("Inference (max):      82", "Inference (max):82"),
])
def test_litert_contradicting_itself(old, new):
    text = "Initialized session in 38.467ms.\n" + text_of(SERIES) + text_of(RESULTS)
    assert text.count(old) == 1
    with pytest.raises(OutputError):
        parse_run(text.replace(old, new))


@pytest.mark.parametrize("results", [RESULTS * 2, RESULTS[:2] + RESULTS])
def test_litert_twice(results):
    with pytest.raises(OutputError, match="second block"):
        parse_run(text_of(SERIES) + text_of(results))


def test_litert_without_its_end_or_a_beginning():
    with pytest.raises(OutputError, match="no end missing"):
        parse_run(text_of((*SERIES, NEW, *RESULTS[:-2])))
    with pytest.raises(OutputError, match="init_ms missing"):
        parse_run(text_of((*SERIES, NEW, *RESULTS)).replace("Model init", "Xodel init"))
    assert parse_run(text_of((*SERIES, NEW, "=" * 38))).inference == MEASURED


def test_litert_without_a_warm_up():
    text = text_of(("count=0", "count=1 curr=80500", *RESULTS)).replace("90.00 ms", "0.00 ms").replace(
        "87.00 ms (2 runs)", "0.00 ms (0 runs)").replace("4 runs", "1 runs").replace("79.00", "80.50").replace(
        "82.00", "80.50").replace("1.12", "0.00")
    run = parse_run(text)
    assert (run.warmup, run.inference.avg_us, run.first_us, run.init_us) == (Stats(0), 80500, None, 38470)
    with pytest.raises(OutputError, match="average of 0"):
        parse_run(text.replace("curr=80500", "curr=0").replace("80.50", "0.00"))


def test_litert_cut_where_the_block_would_not_tell():
    first = text_of(SERIES).replace("std=1118", "std=1118 p5=79000 median=80000 p95=82000").rstrip("\n")
    assert parse_run(first + "\n", text_of(RESULTS)).inference.p95_us == 82000
    with pytest.raises(OutputError, match="unstripped"):
        parse_run(first, text_of(RESULTS))


DELEGATES = {
    "Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.":
        ("GPU", "complete", None),
    "Explicitly applied NNAPI delegate, and the model graph will be partially executed by the delegate w/ 3 delegate "
    "kernels.": ("NNAPI", "partial", 3),
    "Applied GPU delegate, and the model graph will be completely executed w/ the delegate.": ("GPU", "complete", None),
    "Applied GPU delegate, and the model graph will be partially executed w/ the delegate.": ("GPU", "partial", None),
    "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.":
        ("GPU", "none", None),
}


@pytest.mark.parametrize("line", DELEGATES)
def test_delegation(line):
    text = text_of((*BEFORE, line, line, *SERIES, NEW), "INFO: ")
    assert parse_run(text).delegation == (DELEGATES[line],)
    with pytest.raises(OutputError, match="delegate must be readable"):
        parse_run(text.replace(" executed ", " exxcuted "))


def test_other_lines_about_applying():
    run = parse_run(text_of((*BEFORE, "Applied 3 patches.", "The model graph is fine.", *SERIES, NEW)))
    assert run.delegation == ()


def test_several_delegates_and_two_fates_of_one():
    complete, partial, _, other, none = DELEGATES
    text = text_of((*BEFORE, complete, partial, *SERIES, NEW))
    assert parse_run(text).delegation == (DELEGATES[complete], DELEGATES[partial])
    for second in (none, other):
        with pytest.raises(OutputError, match="applied once"):
            parse_run(text.replace(partial, second))


def test_what_was_created_and_what_is_unsupported():
    run = parse_run(text_of((
        "Created TensorFlow Lite XNNPACK delegate for CPU.", "Created TensorFlow Lite delegate for GPU.",
        "GPU acceleration is unsupported on this platform.", *BEFORE, *SERIES, NEW)))
    assert (run.created, run.unsupported, run.delegation) == (("XNNPACK", "GPU"), ("GPU",), ())


def test_several_ignored_flags():
    run = parse_run(text_of(("Unconsumed cmdline flags: --use_gpu=true --a='b c'", *BEFORE, *SERIES, NEW)))
    assert run.unconsumed_flags == ("--use_gpu=true", "--a='b c'")
    assert len(run.warnings) == 1


def test_the_runtime_chooses_the_threads():
    assert parse_run(text_of((*SERIES, NEW, "Num threads: [-1]"))).threads is None


@pytest.mark.parametrize(("old", "new", "match"), [
    ("Warmup (avg): 87000", "Warmup (avg): 87001", "Warmup .avg."),
    ("Inference (avg): 80500", "Inference (avg): 80501", "Inference .avg."),
    ("First inference: 90000", "First inference: 84000", "First inference"),
    ("Init: 38467", "Init: 38468", "Init"),
    ("Init: 38467", "Init: 0", "Init"),
    ("Init: 38467", "Init: 38467x", "timings of a run"),
    ("Inference (avg): 80500", "Inference (avg): 805x0", "timings of a run"),
    ("Inference (avg): 80500", "Inference (avg): 8.05000001e+04", "8.05000001e.04"),
    ("count=4 ", "count=5 ", "integer|asked for|std"),
    ("count=4 ", "count=04 ", "one of the forms"),
    ("count=4 ", "count=4x ", "one of the forms"),
    ("std=1118", "std=11x18", "one of the forms"),
    ("std=1118", "std=nan", "one of the forms"),
    ("std=1118", "std=1502", "std lies"),
    ("std=1118", "std=1058", "std lies"),
    ("std=1118", "std=1118 p5=79000", "one of the forms"),
    ("std=1118", "std=1118 p5=78999 median=80500 p95=82000", "min ≤ p5"),
    ("std=1118", "std=1118 p5=79001 median=79000 p95=82000", "p5 ≤ median"),
    ("std=1118", "std=1118 p5=79001 median=81000 p95=80000", "median ≤ p95"),
    ("std=1118", "std=1118 p5=79001 median=81000 p95=82001", "p95 ≤ max"),
    ("first=80000", "first=82001", "min ≤ first ≤ max"),
    ("curr=81000", "curr=78000", "min ≤ curr ≤ max"),
    ("curr=81000", "curr=", "one of the forms"),
    ("min=79000", "min=80501", "min ≤"),
    ("max=82000", "max=80000", "avg ≤ max|curr ≤ max"),
    ("avg=80500", "avg=80500.3", "integer|Inference"),
    ("avg=80500", "avg=82000.5", "avg ≤ max"),
    ("avg=80500", "avg=1e+999", "Received: '1e.999'"),
    ("count=2 first=90000 curr=84000", "count=2 first=90000 curr=85000", "fastest and the slowest"),
    ("38.467ms", "38.4x7ms", "session_ms"),
    ("Num threads: [1]", "Num threads: [1.5]", "threads"),
    ("Num threads: [1]", "Num threads: [-2]", "threads"),
    ("Num threads: [1]", "Num threads: [1", "must go on"),
    ("Loaded model /sdcard/m.tflite", "Loaded model /sdcard/n.tflite", "one graph"),
    ("Running benchmark for at least 4 iter", "Running benchmark for at least 5 iter", "asked for"),
    ("Running benchmark for at least 4", "Running benchmark for at least 4x", "announces"),
    ("std=1118", "std=1118\n std=1118", "one line"),
])
def test_numbers_that_cannot_be(old, new, match):
    text = text_of((*BEFORE, *SERIES, NEW))
    assert text.count(old) == 1
    with pytest.raises(OutputError, match=match):
        parse_run(text.replace(old, new))


def test_more_inferences_than_asked_for_need_time_to_be_left():
    text = text_of((*BEFORE, *SERIES, NEW)).replace("at least 4 iter", "at least 3 iter")
    assert parse_run(text).inference == MEASURED  # the first three took 0.241 s of 0.3 s
    with pytest.raises(OutputError, match="asked for"):
        parse_run(text.replace("at least 0.3", "at least 0.2"))


def test_too_few_inferences_need_the_time_to_be_up():
    text = text_of((*BEFORE, *SERIES, NEW)).replace("at least 4 iter", "at least 50 iter")
    with pytest.raises(OutputError, match="asked for"):
        parse_run(text)
    ended = text.replace("0.3 seconds but terminate if exceeding 150", "0.3 seconds but terminate if exceeding 0.3")
    assert parse_run(ended).inference == MEASURED
    for waited in ("Inter-run delay (seconds): [40]", "Number of prorated runs per second: [0.02]"):
        assert parse_run(text.replace("Num threads: [1]", waited)).inference == MEASURED
    with pytest.raises(OutputError, match="asked for"):
        parse_run(text.replace("exceeding 150", "exceeding 0.1"))


@pytest.mark.parametrize(("missing", "found"), [
    (0, "another order"), (1, "one line with count="), (2, "another order"), (3, "one line with count="),
    (4, "not the timings"),
])
def test_lines_that_are_missing(missing, found):
    lines = [line for line in (*SERIES, NEW) if line]
    with pytest.raises(OutputError, match=f"A run prints a warm-up.*{found}"):
        parse_run(text_of(lines[:missing] + lines[missing + 1:]))


def test_lines_in_another_order():
    announced, warmup, _, again, measured, _ = SERIES
    for lines in ([NEW, *SERIES], [warmup, announced, again, measured, NEW], [warmup, announced, measured, *RESULTS]):
        with pytest.raises(OutputError, match="another order"):
            parse_run(text_of(lines))


def test_loading_takes_some_time():
    with pytest.raises(OutputError, match="Init: 0"):
        parse_run(text_of((*SERIES, NEW)).replace("Init: 38467", "Init: 0"))


def test_the_summary_alone_is_no_output():
    with pytest.raises(OutputError, match="no line with count="):
        parse_run(text_of((NEW,)))


@pytest.mark.parametrize("line", [
    "count=4", "count=4 curr=80500", "count=1 curr=80500(all same)", "count=0 curr=80500", "count=0(all same)",
    "count=0 p5=1 median=1 p95=1", "count=1 first=1 curr=1 min=1 max=1 avg=1 std=0", "count=4 curr=80500 (all same)",
])
def test_forms_that_do_not_fit_the_count(line):
    with pytest.raises(OutputError, match="one of the forms"):
        parse_run(text_of((*SERIES, NEW)).replace(SERIES[4], line))


def test_the_sum_of_integers_is_one():
    with pytest.raises(OutputError, match="integer"):  # in both lines
        parse_run(text_of((*SERIES, NEW)).replace("80500", "80500.4"))


def test_exchanged_series_are_noticed():
    with pytest.raises(OutputError, match="First inference"):
        parse_run(text_of((SERIES[4], SERIES[1], NEW)))


def test_an_end_without_line_end_may_be_cut():
    text = text_of((*SERIES, NEW, "Peak memory footprint (MB): init=4.92969 overall=138.809"))
    with pytest.raises(OutputError, match="unstripped"):
        parse_run(text[:-1])
    with pytest.raises(OutputError, match="unstripped"):
        parse_run(text, "INFO: Num threads: [1]")
    with pytest.raises(OutputError, match="unstripped"):
        parse_run(text, "WARN: Unconsumed cmdline flags: --use_g")
    assert parse_run(text[:-1] + "\r") == parse_run(text)
    assert parse_run(text, "Killed") == parse_run(text)
