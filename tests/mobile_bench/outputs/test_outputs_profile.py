"""Op profiles: as captured, as older builds print them, with loops and delegates, and printed from random times."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.outputs import OutputError, ProfiledOp, parse_profile, parse_profile_csv

READERS = {"text": parse_profile, "csv": parse_profile_csv}
NAMES = {"text": "profile.txt", "csv": "profile.csv"}


@pytest.fixture(params=NAMES)
def form(request):
    return request.param


def test_xnnpack(captured):
    profile = parse_profile(captured("profile.txt")[0])
    assert (profile.nodes, len(profile.run_order), profile.total_ms) == (66, 66, pytest.approx(6.39998))
    assert profile.run_order[3] == ProfiledOp(
        "Fully Connected (NC, F32) GEMM", "Delegate/Fully Connected (NC, F32) GEMM:3", 0.318, 0.306, 4.787, 0.0, 1)
    assert profile.initialization == (
        ProfiledOp("ModifyGraphWithDelegate", "ModifyGraphWithDelegate/0", 6.587, 6.587, 67.331, 25984.0, 1),
        ProfiledOp("AllocateTensors", "AllocateTensors/0", 3.196, 3.196, 32.669, 7424.0, 1))
    assert json.loads(json.dumps(profile.to_json()))["run_order"][65]["kind"] == "Softmax (NC, F32)"


def test_builtin_kernels(captured):
    profile = parse_profile(captured("profile_builtin.txt")[0])
    assert (profile.nodes, profile.total_ms) == (65, pytest.approx(25.0795))
    assert [op.kind for op in profile.run_order[-3:]] == ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert profile.run_order[-1].name == "[StatefulPartitionedCall_1:0]:64"


def test_csv_gets_its_commas_back(captured):
    profile = parse_profile_csv(captured("profile.csv")[0])
    assert (profile.nodes, profile.total_ms) == (66, pytest.approx(6.09883))
    assert profile.run_order[0] == ProfiledOp(
        "Convolution (NHWC, F32) IGEMM", "Delegate/Convolution (NHWC, F32) IGEMM:0", 0.341, 0.348888, 5.72058, 0.0, 1)
    assert profile.run_order[35].average_ms == 6.21118e-06


def test_csv_in_the_output_and_any_line_end(captured, form):
    text = captured(NAMES[form])[0]
    around = captured("profile_csv.txt")[0] if form == "csv" else ""
    marked = text.replace("Profiling Info for B", "INFO: Profiling Info for B").replace("Oper", "INFO: Oper")
    shown = around + (marked if form == "csv" else text)
    assert READERS[form](shown) == READERS[form](text) == READERS[form](text.replace("\n", "\r\n"))


OPS = [
    ("CONV_2D", "[a, b]:0", [[300], [200]], 12), ("CONV_2D", "[c]:1", [[100], [151]], 0),
    ("ADD", "[d]:2", [[7, 8], [5, 6]], 0), ("Softmax (NC, F32)", "[e]:3", [[1], [0]], 0),
]


@pytest.mark.parametrize("prefix", ["INFO: ", ""])
def test_by_hand(tool, form, prefix):
    profile = READERS[form](tool.profile(OPS, 2, form, prefix))
    assert profile.total_ms == pytest.approx((416 + 362) / 2 / 1000, rel=1e-5)
    conv, _, add, softmax = profile.run_order
    assert (conv.kind, conv.name) == ("CONV_2D", "[a, b]:0")
    assert (conv.first_ms, conv.average_ms, conv.memory_kb) == (0.3, 0.25, 12)
    assert conv.percent == pytest.approx(500 / 778 * 100, abs=1e-3)
    assert (add.times_called, add.first_ms) == (2, 0.007)
    assert add.average_ms == pytest.approx(0.0065, abs=0.0005)
    assert (softmax.kind, softmax.times_called) == ("Softmax (NC, F32)", 1)
    assert profile.initialization[0].memory_kb == 64


def with_start(text, form):
    """The same tables as builds before 2023 print them: those of ops have a column more."""
    lines, of_ops = [], False
    for line in text.splitlines():
        if line.startswith("=="):
            of_ops = "Summary" not in line
        elif of_ops and line.count("\t" if form == "text" else ",") >= 7:
            head = "node type" in line.lower()
            if form == "text":
                before, kind, rest = line.split("\t", 2)
                line = "\t".join([before, kind, "          [start]" if head else "            0.000", rest])
            else:
                kind, *rest = line.rsplit(",", 7)
                line = ",".join([kind, " start" if head else " 0", *rest])
        lines.append(line + "\n")
    return "".join(lines)


def test_older_builds_have_a_column_more(captured, form):
    text = captured(NAMES[form])[0]
    older = with_start(text, form)
    assert older.count("[start]" if form == "text" else ", start,") == 4
    assert READERS[form](older) == READERS[form](text)


def test_before_2020_there_were_no_titles(tool, form):
    titled = tool.profile(OPS, 2, form)
    untitled = READERS[form](tool.report(OPS, 2, form))
    assert untitled.run_order == READERS[form](titled).run_order
    assert untitled.initialization == ()


@pytest.mark.parametrize("instead", [" ", "   "])
def test_tabs_may_have_become_spaces(captured, instead):
    for name in ("profile.txt", "profile_builtin.txt"):
        text = captured(name)[0]
        assert parse_profile(text.replace("\t", instead)) == parse_profile(text)
        assert parse_profile(with_start(text, "text").replace("\t", instead)) == parse_profile(text)


def test_loops_and_delegates_have_reports_of_their_own(tool, form):
    body = [("MUL", "[m]:0", [[5, 6, 7], [5, 6]], 0), ("LESS", "[l]:1", [[1], [2, 3]], 0)]
    inside = [("DelegateOpInvoke", "Delegate/Conv:0", [[40], [50]], 0)]
    main = tool.profile(OPS, 2, form)
    text = main + "Subgraph (index: 1, name: body) profile:\n" + tool.report(body, 2, form).replace(
        "Timings", "Subgraph (index: 1, name: body) Timings") + "Delegate internal: \n" + tool.report(inside, 2, form)
    profile = READERS[form](text.replace("Runs:\n", "Runs:\nPrimary graph (name: main) profile:\n"))
    assert profile.run_order == READERS[form](main).run_order
    assert [op.times_called for op in profile.subgraphs[0]] == [2, 1]
    assert [op.name for op in profile.inside_delegates] == ["Delegate/Conv:0"]
    with pytest.raises(OutputError, match="two reports"):
        READERS[form](text + "Delegate internal: \n" + tool.report(inside, 2, form))


def test_calls_that_old_builds_divided_to_nothing(tool):
    """A table of before 2019: an op seen in one run of two has [times called] 0, and half its time in [%]."""
    text = tool.report([("ADD", "[a]:0", [[8], []], 0), ("MUL", "[b]:1", [[6], [7]], 0)], 2, "text")
    profile = parse_profile(text)
    assert [op.times_called for op in profile.run_order] == [0, 1]


def test_no_time_at_all_has_no_shares(tool, form):
    zero = tool.report([("ADD", "[a]:0", [[1]], 0)], 1, form)
    for shown in ("0.001", "100.000%", "100%"):
        zero = zero.replace(shown, "0.000" if shown == "0.001" else "-nan%")
    zero = zero.replace("curr=1", "curr=0")
    profile = READERS[form](zero)
    assert (profile.total_ms, profile.run_order[0].percent) == (0, None)
    with pytest.raises(OutputError, match="share"):
        READERS[form](zero.replace("curr=0", "curr=1").replace("0.000", "0.001"))


times = st.lists(st.integers(0, 3_000_000) | st.integers(0, 300), min_size=6, max_size=6)


@settings(max_examples=50)
@given(series=st.lists(times, min_size=1, max_size=14), runs=st.sampled_from([1, 2, 3, 6]),
       kinds=st.sampled_from([1, 2, 5]), form=st.sampled_from(["text", "csv"]))
def test_whatever_the_tool_prints_is_read(tool, series, runs, kinds, form):
    calls = 6 // runs
    ops = [(f"KIND ({i % kinds}, F32)", f"[tensor, {i}]:{i}", [each[r * calls:(r + 1) * calls] for r in range(runs)], i)
           for i, each in enumerate(series)]
    ops[0][2][0][0] += 1  # some time is spent
    profile = READERS[form](tool.profile(ops, runs, form))
    assert [(op.kind, op.name, op.memory_kb, op.times_called) for op in profile.run_order] == [
        (kind, name, kb, calls) for kind, name, _, kb in ops]
    for op, (_, _, spent, _) in zip(profile.run_order, ops, strict=True):
        flat = [time for each in spent for time in each]
        assert op.first_ms == pytest.approx(flat[0] / 1000, rel=5e-6)
        assert op.average_ms == pytest.approx(sum(flat) / 6000, rel=5e-6, abs=0.00051 if form == "text" else 0)


CHANGES = [
    ("Number of nodes executed: 4", "Number of nodes executed: 5"), ("4 nodes observed", "3 nodes observed"),
    ("4 nodes observed\n", ""), ("first=416", "first=417"), ("avg=389", "avg=390"), ("[d]:2", "[e]:3"),
    ("Top by Computation Time ======", "Top by Computation Time ====x="), ("Number of nodes executed: 4\n", ""),
    ("Timings (microseconds): count=2", "Timings (microseconds): count=x"), ("ADD", "SUB"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_tables_that_disagree(tool, form, old, new):
    text = tool.report(OPS, 2, form)
    assert old in text
    READERS[form](text)
    with pytest.raises(OutputError):
        READERS[form](text.replace(old, new, 1))


def test_every_digit_of_a_time_matters(tool, form):
    """Each digit of the first row of each table, one after the other, made another one."""
    text = tool.report(OPS, 2, form)
    lines = text.splitlines(True)
    whole = READERS[form](text)
    for number, line in enumerate(lines):
        if "CONV_2D" not in line:
            continue
        start = line.index("CONV_2D") + len("CONV_2D")
        end = line.index("[") if "[" in line else len(line)
        for at in range(start, end):
            if line[at].isdigit():
                changed = line[:at] + str((int(line[at]) + 4) % 10) + line[at + 1:]
                damaged = "".join([*lines[:number], changed, *lines[number + 1:]])
                try:
                    assert READERS[form](damaged) == whole, changed
                except OutputError:
                    continue


@pytest.mark.parametrize("text", ["", "INFO: STARTING!\n", "Profiling Info for Benchmark Initialization:\n"])
def test_no_profile(form, text):
    with pytest.raises(OutputError, match="enable_op_profiling"):
        READERS[form](text)


def test_the_initialization_alone_is_no_profile(tool, form):
    text = tool.profile(OPS, 2, form)
    alone = text[:text.index("INFO: Operator")]
    for cut in (alone, alone.partition("\n")[2]):
        with pytest.raises(OutputError, match="ops of the runs"):
            READERS[form](cut)


def test_the_other_format_is_not_taken_for_it(captured):
    with pytest.raises(OutputError, match="head is not readable"):
        parse_profile(captured("profile.csv")[0])
    with pytest.raises(OutputError, match="head is not readable"):
        parse_profile_csv(captured("profile.txt")[0])
