"""Damage of every kind: the same numbers come out, or an error; never another number, never another exception."""

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.outputs import (
    BenchmarkFailedError,
    OutputError,
    cross_check,
    parse_logcat,
    parse_profile,
    parse_profile_csv,
    parse_result_proto,
    parse_run,
)

RUNS = ["plain", "memory", "no_gpu", "one_run", "unknown_flag", "profile_csv"]
PROFILES = {"profile.txt": parse_profile, "profile_builtin.txt": parse_profile, "profile.csv": parse_profile_csv}
REFUSED = (OutputError, BenchmarkFailedError)
SERIES = ("warmup", "inference")
PROTO = (Path(__file__).parent / "captured" / "plain.pb").read_bytes()

# Told once by the text, and so only known to be possible; see `parse_run`. The last three are words, not numbers.
TOLD_ONCE = {
    "memory_init_mb", "memory_overall_mb", "memory_peak_mb", "model_size_mb",
    *(f"{series}.{name}_us" for series in SERIES for name in ("curr", "min", "max", "std", "p5", "median", "p95")),
    "inference.first_us", "inference.count", "warmup.count", "warnings", "unconsumed_flags", "created",
}


def flat(run):
    """Every field, those of the series as "inference.avg_us"; what is not told is left out."""
    fields = asdict(run)
    series = {f"{name}.{key}": value for name in SERIES for key, value in (fields.pop(name) or {}).items()}
    return {name: value for name, value in (fields | series).items() if value not in (None, ())}


def differing(run, original):
    """Fields that tell something else than they should."""
    right = flat(original)
    return {name for name, value in flat(run).items()
            if not (set(value) <= set(right.get(name, ())) if isinstance(value, tuple) else value == right.get(name))}


def damages(text):
    """Texts with lines that are missing, doubled, exchanged or moved, or cut at either end."""
    lines = text.split("\n")
    place = st.integers(0, len(lines) - 1)
    return st.one_of(
        st.integers(0, len(text)).map(lambda at: text[:at]),
        st.integers(0, len(text)).map(lambda at: text[at:]),
        st.lists(place, min_size=1, max_size=4).map(
            lambda gone: "\n".join(line for at, line in enumerate(lines) if at not in gone)),
        st.tuples(place, place).map(lambda p: "\n".join([*lines[:p[0]], lines[p[1]], *lines[p[0]:]])),
        st.tuples(place, place).map(lambda p: "\n".join(
            lines[p[1]] if at == p[0] else lines[p[0]] if at == p[1] else line for at, line in enumerate(lines))),
        st.permutations(range(min(len(lines), 25))).map(
            lambda order: "\n".join([lines[at] for at in order] + lines[len(order):])),
    )


def changed_bytes(text):
    """The text with a byte that is another one, too many, or missing; decoded as far as it can be."""
    data = text.encode()
    new = st.integers(0, 255) | st.sampled_from(b"0123456789.-e \n\t=%")
    return st.tuples(st.integers(0, len(data) - 1), new, st.sampled_from(["replace", "insert", "remove"])).map(
        lambda c: (data[:c[0]] + (b"" if c[2] == "remove" else bytes([c[1]]))
                   + data[c[0] + (c[2] != "insert"):]).decode("utf-8", "replace"))


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_lost_or_moved_lines(captured, name):
    text, _ = captured(f"{name}.txt")
    original = parse_run(text)

    @settings(max_examples=50)
    @given(damages(text))
    def check(damaged):
        try:
            run = parse_run(damaged)
        except REFUSED:
            return
        assert not differing(run, original)

    check()


def test_runs_cut_at_every_byte(captured):
    text, _ = captured("memory.txt")
    original, whole = parse_run(text), text.index("INFO: Note")
    for end in range(len(text)):
        try:
            run = parse_run(text[:end])
        except REFUSED:
            assert not (end >= whole and text[:end].endswith("\n")), "all numbers were there"
            continue
        assert end >= whole and not differing(run, original)


@pytest.mark.parametrize("name", RUNS)
def test_runs_with_a_changed_byte(captured, name):
    text, _ = captured(f"{name}.txt")
    original = parse_run(text)

    @settings(max_examples=60)
    @given(changed_bytes(text))
    def check(damaged):
        try:
            run = parse_run(damaged)
        except REFUSED:
            return
        assert not differing(run, original) - TOLD_ONCE

    check()


def test_litert_with_a_changed_byte(tool):
    warmup, samples = [9050, 6312], [6752, 6155, 6392, 10630, 6495]
    log = tool.run(warmup, samples).splitlines(True)
    text = "".join(log[:-2]) + tool.litert_results(warmup, samples)  # without the other tool's last lines
    original = parse_run(text)
    assert (original.first_us, original.memory_peak_mb) == (9050, 45)

    @settings(max_examples=100)
    @given(changed_bytes(text) | damages(text))
    def check(damaged):
        try:
            run = parse_run(damaged)
        except REFUSED:
            return
        known, right = flat(run), flat(original)
        for name in differing(run, original) - (TOLD_ONCE - {"inference.min_us", "inference.max_us"}):
            assert known[name] == pytest.approx(right[name], abs=10)  # the block has steps of 0.01 ms

    check()


def test_a_changed_byte_is_noticed_by_the_result_file(captured):
    text, _ = captured("plain.txt")
    original, file = parse_run(text), parse_result_proto(PROTO)

    @settings(max_examples=60)
    @given(changed_bytes(text))
    def check(damaged):
        try:
            run = cross_check(parse_run(damaged), file)
        except REFUSED:
            return
        wrong = differing(run, original) - {"created", "warnings"}
        known, right = flat(run), flat(original)
        for name in wrong & {"memory_init_mb", "memory_overall_mb", "model_size_mb", "warmup.avg_us"}:
            assert known[name] == pytest.approx(right[name], abs=0.006)  # compared up to how the tools round
            wrong.discard(name)
        assert not wrong - {"inference.first_us", "inference.curr_us"}  # the file does not tell these

    check()


@pytest.mark.parametrize("name", RUNS)
def test_two_outputs_in_one(captured, name):
    text, _ = captured(f"{name}.txt")

    @settings(max_examples=15)
    @given(st.sampled_from([*RUNS, "missing_model", "profile"]), st.data())
    def check(other, data):
        first, second = text.splitlines(True), captured(f"{other}.txt")[0].splitlines(True)
        order = data.draw(st.lists(st.booleans(), max_size=60))  # interleaved, the rest behind each other
        mixed = "".join((first if turn else second).pop(0) for turn in order if (first if turn else second))
        with pytest.raises(REFUSED):
            parse_run(mixed + "".join(first + second))

    check()


@pytest.mark.parametrize("name", ["help", "missing_model", "truncated_model"])
def test_damaged_failures_are_errors(captured, name):
    text, _ = captured(f"{name}.txt")

    @settings(max_examples=20)
    @given(damages(text) | changed_bytes(text))
    def check(damaged):
        for exit_code in (0, 1):
            with pytest.raises(REFUSED):
                parse_run(damaged, exit_code=exit_code)

    check()


def test_damaged_logs(captured):
    lines = captured("plain.txt")[0].splitlines()
    log = "".join(f"01-13 15:00:04.407 24897 24897 I tflite  : {line.removeprefix('INFO: ')}\n" for line in lines)
    original = parse_logcat(log)

    @settings(max_examples=60)
    @given(damages(log) | changed_bytes(log), st.sampled_from([None, 24897]))
    def check(damaged, pid):
        try:
            run = parse_logcat(damaged, pid)
        except REFUSED:
            return
        alone = run.inference.count is None  # the last line, of which nothing is told twice, and no byte is changed
        assert not differing(run, original) - (set() if alone else TOLD_ONCE)

    check()


@pytest.mark.parametrize("name", PROFILES)
def test_damaged_profiles(captured, name):
    text, _ = captured(name)
    read = PROFILES[name]
    original = read(text)

    @settings(max_examples=40)
    @given(damages(text) | changed_bytes(text))
    def check(damaged):
        try:
            profile = read(damaged)
        except REFUSED:
            return
        assert profile.nodes == original.nodes
        assert profile.total_ms == pytest.approx(original.total_ms, rel=1e-4)
        for part in ("initialization", "run_order"):
            ops, right = getattr(profile, part), getattr(original, part)
            assert not ops or len(ops) == len(right)
            for op, same in zip(ops, right, strict=bool(ops)):  # names are told once, of most ops
                assert (op.kind, op.first_ms, op.times_called, op.memory_kb) == (
                    same.kind, same.first_ms, same.times_called, same.memory_kb)
                assert op.average_ms == pytest.approx(same.average_ms, rel=1e-5, abs=0.001)
                assert op.percent == pytest.approx(same.percent, rel=1e-5, abs=0.002)

    check()


@settings(max_examples=60)
@given(warmup=st.lists(st.integers(1, 10**7), max_size=5),
       samples=st.lists(st.integers(0, 30) | st.integers(1, 2 * 10**6), min_size=1, max_size=40).filter(any),
       percentiles=st.booleans(), init_us=st.integers(1, 10**8))
def test_whatever_the_tool_prints_is_read(tool, warmup, samples, percentiles, init_us):
    run = parse_run(tool.run(warmup, samples, init_us, percentiles))
    told = run.inference
    assert (told.count, told.first_us, told.curr_us, told.min_us, told.max_us, told.std_us) == (
        len(samples), samples[0], samples[-1], min(samples), max(samples), tool.deviation(samples))
    assert told.avg_us == pytest.approx(sum(samples) / len(samples), rel=5e-6)
    assert told.median_us == (tool.percentile(samples, 50) if percentiles else None)
    assert (run.init_us, run.first_us) == (init_us, warmup[0] if warmup else None)
    assert run.warmup.count == len(warmup)


@settings(max_examples=50)
@given(st.text(max_size=60) | st.text("count=1 fircuminaxvgstdp59.\n%[]:,\t", max_size=80), st.integers(0, 1))
def test_any_text_is_refused_and_nothing_else(text, exit_code):
    for read in (lambda: parse_run(text, exit_code=exit_code), lambda: parse_logcat(text),
                 lambda: parse_profile(text), lambda: parse_profile_csv(text)):
        with pytest.raises(REFUSED):
            read()


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_are_refused_and_nothing_else(data):
    with pytest.raises(OutputError):
        parse_result_proto(data)
