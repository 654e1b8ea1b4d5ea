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


OLDEST = """\
============================== Run Order ==============================
\t [node type]\t  [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t CONV_2D\t    0.000\t    4.250\t    4.250\t  0.106%\t  0.106%\t     0.000\t        0\t[a/Relu6]
\t SOFTMAX\t    4.251\t    0.750\t    0.750\t  0.019%\t  0.125%\t     0.000\t        0\t[b]

Number of nodes executed: 2
============================== Summary by node type ==============================
\t [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]
\t CONV_2D\t        1\t     0.085\t    85.000%\t    85.000%\t     0.000\t        0
\t SOFTMAX\t        1\t     0.015\t    15.000%\t   100.000%\t     0.000\t        0

Timings (microseconds): count=50 first=79000 curr=81000 min=77000 max=88000 avg=80000 std=1929
Memory (bytes): count=0
2 nodes observed
"""


def test_builds_that_saw_each_op_once_in_all_runs():
    """A fault of builds before 2019: of fifty runs they counted one, so that [times called] is 1 ÷ 50 = 0."""
    profile = parse_profile(OLDEST)
    assert [(op.kind, op.average_ms, op.percent, op.times_called) for op in profile.run_order] == [
        ("CONV_2D", 4.25, 0.106, 0), ("SOFTMAX", 0.75, 0.019, 0)]
    assert profile.total_ms == 80
    with pytest.raises(OutputError, match="time of CONV_2D"):
        parse_profile(OLDEST.replace("0.085", "0.185"))


def test_no_time_at_all_has_no_shares(tool, form):
    zero = tool.report([("ADD", "[a]:0", [[1]], 0)], 1, form)
    for shown in ("0.001", "100.000%", "100%"):
        zero = zero.replace(shown, "0.000" if shown == "0.001" else "-nan%")
    zero = zero.replace("curr=1", "curr=0")
    for timings in ("curr=0", "count=0"):
        profile = READERS[form](zero.replace("count=1 curr=0", "count=0") if timings == "count=0" else zero)
        assert (profile.total_ms, profile.run_order[0].percent) == (0, None)
    with pytest.raises(OutputError, match="share"):
        READERS[form](zero.replace("curr=0", "curr=1").replace("0.000", "0.001"))
    with pytest.raises(OutputError, match="has the rows"):
        READERS[form](with_cell(zero, form, "Top by Computation Time", 0, PERCENT, "1.000%"))


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


# Twelve ops, so that two are not among the ten slowest; each called once a run.
MANY = [(f"KIND {i % 3}, F32", f"[t{i}]:{i}", [[100 * (12 - i)], [100 * (12 - i) + 1]], i) for i in range(12)]
KIND, FIRST, AVERAGE, PERCENT, CUMULATED, MEMORY, CALLED, NAME = range(8)
COUNT = 1  # in the summary


def with_cell(text, form, table, row, column, change):
    """The text with one cell of a table changed."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if f"= {table} =" in line) + 2 + row
    last = 6 if table.startswith("Summary") else 7
    cells = lines[at].split("\t")[1:] if form == "text" else lines[at].rsplit(",", last)
    assert len(cells) == last + 1
    cells[column] = change(cells[column]) if callable(change) else change
    lines[at] = "\t" + "\t".join(cells) if form == "text" else ",".join(cells)
    return "".join(f"{line}\n" for line in lines)


def plus(amount):
    """A change of a number, as it is printed."""

    def change(cell):
        number = cell.strip().removesuffix("%")
        shown = f"{float(number) + amount:.3f}" if "." in number else str(int(number) + amount)
        return cell.replace(number, shown)

    return change


CELLS = [
    ("Run Order", 11, FIRST, plus(0.001), "first. adds up"), ("Run Order", 11, AVERAGE, plus(0.002), "avg ms"),
    ("Run Order", 11, PERCENT, plus(0.1), "avg ms|has the rows"), ("Run Order", 10, CUMULATED, plus(0.1), "cdf%"),
    ("Run Order", 11, CALLED, "2", "times called"), ("Run Order", 11, MEMORY, plus(1), "memory of"),
    ("Run Order", 11, NAME, "[t10]:10", "every name once"), ("Run Order", 11, KIND, "KIND 1, F32", "number of"),
    ("Run Order", 11, KIND, "KIND 4, F32", "kinds"),
    ("Run Order", 11, PERCENT, "nan%", "share of each row"), ("Run Order", 11, CUMULATED, "-nan%", "share of each row"),
    ("Run Order", 11, KIND, " ", "column says"), ("Run Order", 11, FIRST, "-0.100", "column says"),
    ("Run Order", 11, FIRST, "0.1x0", "column says"), ("Run Order", 11, PERCENT, "1.292", "column says"),
    ("Run Order", 11, CALLED, "1.0", "readable to its end"),
    *(("Top by Computation Time", 3, column, plus(0.1), "has the rows") for column in (FIRST, AVERAGE, PERCENT)),
    *(("Top by Computation Time", 3, column, "2", "has the rows") for column in (KIND, NAME, CALLED)),
    ("Top by Computation Time", 3, CUMULATED, plus(0.1), "cdf%"),
    ("Top by Computation Time", 3, PERCENT, "nan%", "has the rows"),
    ("Top by Computation Time", 3, MEMORY, plus(1), "has the rows"),
    ("Summary by node type", 0, COUNT, "5", "number of"), ("Summary by node type", 0, 6, "5", "number of"),
    ("Summary by node type", 0, 2, plus(0.01), "time of"), ("Summary by node type", 0, 3, plus(0.1), "share of"),
    ("Summary by node type", 0, 4, plus(0.1), "cdf%"), ("Summary by node type", 0, 5, plus(1), "memory of"),
    ("Summary by node type", 0, 0, "KIND 1, F32", "kinds"),
]


@pytest.mark.parametrize(("table", "row", "column", "change", "match"), CELLS)
def test_every_cell_is_told_again(tool, form, table, row, column, change, match):
    text = tool.report(MANY, 2, form)
    damaged = with_cell(text, form, table, row, column, change)
    assert damaged != text and len(READERS[form](text).run_order) == 12
    with pytest.raises(OutputError, match=match):
        READERS[form](damaged)


def test_a_cell_of_a_text_table_has_three_decimals(tool):
    with pytest.raises(OutputError, match="column says"):
        parse_profile(with_cell(tool.report(MANY, 2, "text"), "text", "Run Order", 11, FIRST, "0.1000"))


def test_memory_may_shrink(tool, form):
    profile = READERS[form](tool.report([("ADD", "[a]:0", [[8]], -12), ("MUL", "[b]:1", [[6]], 5)], 1, form))
    assert [op.memory_kb for op in profile.run_order] == [-12, 5]


def without(text, *parts):
    for part in parts:
        assert part in text
        text = text.replace(part, "", 1)
    return text


def test_lines_that_are_missing_or_twice(tool, form):
    text = tool.report(MANY, 2, form)
    timings = next(line for line in text.splitlines(True) if line.startswith("Timings"))
    top = text[text.index("= Top by") - 29:text.index("Number of nodes")]
    last = next(line for line in text.splitlines(True) if "[t11]" in line)
    head = next(line for line in text.splitlines(True) if "node type" in line)
    summary = text[text.index("= Summary") - 29:text.index("Timings")]
    for damaged, match in [
        (without(text, "12 nodes observed\n"), "without its end"), (without(text, timings), "without its timings"),
        (without(text, "Number of nodes executed: 12\n"), "without its executed"),
        (without(text, summary), "without its Summary"),
        (text.replace(timings, timings * 2), "a line twice"), (text.replace(top, top * 2), "a table twice"),
        (text.replace("executed: 12", "executed: 13"), "as many rows"),
        (text.replace("12 nodes", "11 nodes"), "as many rows"),
        (text.replace("executed: 12", "executed: 1x"), "readable"), (without(text, head), "head is not readable"),
        (without(text, f"{'=' * 30} Run Order {'=' * 30}\n"), "head of a table without its title"),
        (text.replace("mem KB", "mem XB"), "head is not readable"),
        (text.replace("times called", "mem KB"), "head is not readable"),
        (text.replace(head, head.replace("mem KB", "mem KB],[mem KB" if form == "text" else "mem KB, mem KB")), "head"),
        (text.replace(head, "\n"), "without a head"), (text[:text.index("\n\n")], "without its end"),
        (text[:text.index(" nodes observed")] + " nodes observed", "is cut"),
        (text + "12 nodes observed\n", "belongs to no table"), (timings + text, "belongs to no table"),
        (text + text, "two reports"), (timings.replace("Timings", "12 nodes observed\nTimings") + text, "no table"),
        (without(text, last).replace("executed: 12", "executed: 11").replace("12 nodes", "11 nodes"), "100 %"),
        (text.replace(top, "\n".join([*top.split("\n")[:3], *top.split("\n")[2:]])), "each row once"),
        (text.replace("first=7800", "first=7801"), "first|adds up"), (text.replace("avg=7806", "avg=7807"), "avg"),
    ]:
        assert damaged != text
        with pytest.raises(OutputError, match=match):
            READERS[form](damaged)


def test_the_top_may_be_missing_and_other_lines_are_passed_over(tool, form):
    text = tool.report(MANY, 2, form)
    top = text[text.index("= Top by") - 29:text.index("Number of nodes")]
    around = "[something] [else]\nINFO: 3 nodes\n\ttab\n"
    assert READERS[form](around + without(text, top) + around) == READERS[form](text)


def empty(form, timings="count=0"):
    head = {"text": "\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n",
            "csv": "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n"}[form]
    summary = {"text": "\t[Node type]\t[count]\t[avg ms]\t[avg %]\t[cdf %]\t[mem KB]\t[times called]\n",
               "csv": "node type, count, avg_ms, avg %, cdf %, mem KB, times called\n"}[form]
    return (f"== Run Order ==\n{head}\nNumber of nodes executed: 0\n== Summary by node type ==\n{summary}\n"
            f"Timings (microseconds): {timings}\nMemory (bytes): count=0\n0 nodes observed\n\n")


def test_an_initialization_of_which_nothing_is_told(tool, form):
    runs = "Operator-wise Profiling Info for Regular Benchmark Runs:\n" + tool.report(MANY, 2, form)
    for timings in ("count=0", "count=1 curr=5"):
        text = "Profiling Info for Benchmark Initialization:\n" + empty(form, timings)
        assert READERS[form](text + runs).initialization == ()
        with pytest.raises(OutputError, match="ops of the runs"):
            READERS[form](empty(form, timings))
    more = "Subgraph (index: 1) profile:\n" + tool.report(OPS, 2, form)
    assert READERS[form](text + more + runs).subgraphs == ()


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
