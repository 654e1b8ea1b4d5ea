"""The result file, bit by bit, and against the text of the same run."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.outputs import OutputError, Stats, cross_check, parse_logcat, parse_result_proto, parse_run
from mobile_bench.outputs.result_proto import ResultProto

DATA = (Path(__file__).parent / "captured" / "plain.pb").read_bytes()


@pytest.fixture(scope="session")
def run(captured):
    return parse_run(captured("plain.txt")[0])


def varint(value):
    value %= 2**64
    return bytes([value % 128 + 128]) + varint(value // 128) if value > 127 else bytes([value])


def message(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def single(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


def result(latency=((1, 2.0),), memory=(), runs=50, more=b""):
    body = message(2, b"".join(single(*field) for field in latency))
    body += message(3, b"".join(varint(number << 3) + varint(value) for number, value in memory))
    return body + message(4, varint(2 << 3) + varint(runs)) + more


def test_every_number_of_the_captured_file():
    file = parse_result_proto(DATA)
    assert [round(value, 5) for value in (
        file.avg_ms, file.min_ms, file.max_ms, file.std_ms, file.median_ms, file.p5_ms, file.p95_ms, file.init_ms,
        file.first_ms, file.warmup_avg_ms)] == [6.56196, 6.155, 10.63, 0.699, 6.392, 6.17, 7.253, 12.025, 6.692, 6.692]
    assert (file.memory_init_kb, file.memory_overall_kb, file.memory_peak_mb) == (37948, 39484, None)
    assert (round(file.model_size_mb, 3), file.runs, file.warmup_runs) == (13.926, 50, 1)
    assert file.throughput_mb_s * file.avg_ms / 1000 * 2**20 == pytest.approx(224 * 224 * 3 * 4)
    assert "memory_peak_mb" not in file.to_json() and file.to_json()["runs"] == 50


@pytest.mark.parametrize("end", range(len(DATA)))
def test_cut_anywhere_it_is_an_error(end):
    with pytest.raises(OutputError):
        parse_result_proto(DATA[:end])


def test_unknown_fields_are_skipped():
    more = varint(99 << 3) + varint(2**63) + varint(98 << 3 | 1) + bytes(8) + message(97, b"x") + single(96, 1.0)
    plain = parse_result_proto(result())
    assert parse_result_proto(more + result(((1, 2.0), (11, 9.0)), more=more)) == plain == ResultProto(2.0, 50)
    assert parse_result_proto(result(memory=((1, -5), (2, 7)))).memory_init_kb == -5
    assert parse_result_proto(result(more=message(1, b"m\xc3\xbc"))).name == "mü"


@pytest.mark.parametrize(("data", "match"), [
    (b"", "no avg_ms and no runs"),
    (result(()), "no avg_ms"),
    (message(2, single(1, 2.0)), "no runs"),
    (result(runs=0), "runs=0"),
    (result(runs=-1), "runs=-1"),
    (result(((1, 0.0),)), "avg_ms=0"),
    (result(((1, -2.0),)), "avg_ms=-2"),
    (result(((1, float("nan")),)), "nan"),
    (result(((1, float("inf")),)), "inf"),
    (result(((1, 2.0), (1, 2.0))), "twice"),
    (result(more=message(3, b"")), "field 3 twice"),
    (result(more=message(1, b"a") * 2), "name twice"),
    (result(more=message(1, b"\xff")), "UTF-8"),
    (result(more=varint(1 << 3) + b"\0"), "wire type"),
    (result(((1, 2.0), (2, 3.0), (3, 4.0))), "min_ms=3 above avg_ms=2"),
    (result(((1, 2.0), (6, 3.0), (5, 2.5))), "p5_ms=3 above median_ms=2.5"),
    (result(((1, 2.0), (2, 1.0), (3, 3.0), (4, 1.1))), "std_ms"),
    (message(2, varint(1 << 3) + b"\2"), "avg_ms with wire type 0"),
    (varint(2 << 3) + b"\2", "no message"),
    (varint(0) + b"\2", "field number 0"),
    (varint(5 << 3 | 3), "wire type 3"),
    (b"\xff" * 11, "64 bits"), (b"\xff" * 9 + b"\x7f", "64 bits"), (result(runs=2**31), "runs=2147483648"),
    (b"\x90\x80\x00", "empty bytes"),
    (b"not a proto", "Received"),
    (b"\n", "end in the middle"),
])
def test_what_is_no_result_file(data, match):
    with pytest.raises(OutputError, match=match):
        parse_result_proto(data)


def test_text_and_file_of_one_run_agree(run):
    assert cross_check(run, parse_result_proto(DATA)) == run


def test_what_either_does_not_tell(run):
    assert cross_check(run, ResultProto(6.56196, 50)) == run
    nothing = parse_run("count=0\ncount=1 curr=2000\n"
                        "Average inference timings in us: Warmup: 0, Init: 9, no stats: 2000\n")
    assert cross_check(replace(nothing, init_us=None, warmup=None), ResultProto(2.0, 1)).init_us is None
    few = cross_check(replace(nothing, inference=Stats(avg_us=2000)), ResultProto(2.0, 2, min_ms=1.0, max_ms=3.0))
    assert (few.inference.min_us, few.inference.std_us) == (1000, None)
    with pytest.raises(OutputError, match="one inference"):
        cross_check(replace(nothing, inference=Stats(avg_us=2000)), ResultProto(2.0, 1, min_ms=1.0, max_ms=3.0))


def test_a_second_of_loading_is_told_to_six_digits(run):
    assert cross_check(replace(run, init_us=1007530), ResultProto(6.56196, 50, init_ms=1007.529)).init_us == 1007530
    with pytest.raises(OutputError, match="init"):
        cross_check(replace(run, init_us=1007530), ResultProto(6.56196, 50, init_ms=1007.519))


def test_the_file_tells_what_the_app_does_not(run):
    log = ("I/tflite  (  77): Inference timings in us: Init: 12025, First inference: 6692, Warmup (avg): 6692, "
           "Inference (avg): 6561.96\n")
    known = cross_check(parse_logcat(log), parse_result_proto(DATA))
    assert known.inference == replace(run.inference, first_us=None, curr_us=None)
    assert (known.block(), known.init_us, known.first_us) == (run.block(), run.init_us, run.first_us)
    assert known.warmup.count == 1
    assert known.memory_overall_mb == pytest.approx(run.memory_overall_mb, abs=5e-5)
    assert known.model_size_mb == pytest.approx(13.926, abs=5e-5)
    sparse = cross_check(parse_logcat(log), ResultProto(6.56196, 50))
    assert sparse.inference == Stats(count=50, avg_us=6561.96)


def test_no_warm_up_in_either():
    text = "count=0\ncount=1 curr=2000\nInference timings in us: Init: 9, First inference: 0, Warmup (avg): 0, " \
           "Inference (avg): 2000\n"
    run = parse_run(text)
    assert cross_check(run, ResultProto(2.0, 1, warmup_avg_ms=0.0, first_ms=0.0, warmup_runs=0)) == run


@pytest.mark.parametrize(("name", "wrong"), [
    ("avg_ms", 6.56195), ("runs", 51), ("min_ms", 6.154), ("max_ms", 10.631), ("std_ms", 0.7), ("median_ms", 6.393),
    ("p5_ms", 6.171), ("p95_ms", 7.252), ("init_ms", 12.026), ("first_ms", 6.693), ("warmup_avg_ms", 6.6921),
    ("memory_init_kb", 37942), ("memory_overall_kb", 39490), ("model_size_mb", 13.9261), ("warmup_runs", 2),
])
def test_every_number_is_compared(run, name, wrong):
    with pytest.raises(OutputError, match="must agree"):
        cross_check(run, replace(parse_result_proto(DATA), **{name: wrong}))


def test_a_digit_that_the_text_tells_once_is_noticed_by_the_file(captured):
    text, _ = captured("plain.txt")
    damaged = parse_run(text.replace("median=6392", "median=6492"))  # between p5 and p95: possible
    assert damaged.inference.median_us == 6492
    with pytest.raises(OutputError, match="inference median 6492 in the text, 6392"):
        cross_check(damaged, parse_result_proto(DATA))


@settings(max_examples=60)
@given(position=st.integers(0, len(DATA) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_of_the_file_is_noticed_by_the_text(run, position, byte):
    data = DATA[:position] + bytes([byte]) + DATA[position + 1:]
    try:
        checked = cross_check(run, parse_result_proto(data))
    except OutputError:
        return
    # What the text tells stays, and the file's throughput is not taken; so only a memory peak could have come in.
    assert replace(checked, memory_peak_mb=None) == run
