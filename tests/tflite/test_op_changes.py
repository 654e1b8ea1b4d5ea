"""Ops of two files beside each other by layer, and a profiler's lines given to ops; files without a runtime."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold.measure.tflite_file import TFLiteFile
from tfold.tflite.attribute import Line, attribute
from tfold.tflite.contents import Contents
from tfold.tflite.op_changes import op_changes
from tfold.tflite.parts import Op, Subgraph
from tfold.tflite.tensor import Tensor


def file(*ops):
    """A file that is a chain of ops: (kind, name)."""
    tensors = [Tensor(i, name, (1,), (1,), "float32", 0, 0) for i, (_, name) in enumerate([("", "input"), *ops])]
    chain = tuple(Op(i, kind, (i,), (i + 1,)) for i, (kind, _) in enumerate(ops))
    graph = Subgraph("main", chain, tuple(tensors), (0,), (len(ops),))
    return Contents(TFLiteFile("m.tflite", 1, ()), "", (graph,), (), {}, None)


BASE = file(
    ("CONV_2D", "stem;stem_bn;stem_relu"),
    ("CONV_2D", "b1_expand;b1_expand_relu"), ("DEPTHWISE_CONV_2D", "b1_depthwise;b1_relu"), ("CONV_2D", "b1-project"),
    ("ADD", "b1_add"), ("RELU", "out_relu"), ("FULLY_CONNECTED", "head"), ("SOFTMAX", "softmax"),
)


def changes(before, after, times=None):
    times_of = lambda contents: times or {op.index: 1.0 for op in contents.ops}  # noqa: E731
    return [(change.what, [op for op, *_ in change.before], [op for op, *_ in change.after])
            for change in op_changes(before, after, times_of(before), times_of(after))]


@pytest.mark.parametrize("merged", ["b1_expand-b1_depthwise-b1-project", "b1_expand+b1_depthwise+b1-project"])
def test_a_merged_block_and_its_border_map_stand_beside_what_they_come_from(merged):
    folded = file(("CONV_2D", "stem;stem_relu"), ("CONV_2D", merged), ("ADD", f"{merged};{merged}_border"),
                  ("ADD", "b1_add"), ("FULLY_CONNECTED", "head"), ("SOFTMAX", "softmax"))
    assert changes(BASE, folded) == [
        ("same", [0], [0]), ("merged", [1, 2, 3], [1, 2]), ("same", [4], [3]), ("removed", [5], []),
        ("same", [6], [4]), ("same", [7], [5]),
    ]
    found = op_changes(BASE, folded, dict.fromkeys(range(8), 10.0), {1: 12.0, 2: 3.0})
    assert (found[1].microseconds, found[1].saved) == ((30.0, 15.0), 15.0)
    assert found[1].to_json()["before"][0] == {
        "op": 1, "kind": "CONV_2D", "name": "b1_expand;b1_expand_relu", "microseconds": 10.0}
    assert found[0].to_json()["after"][0]["microseconds"] is None
    assert sum(change.saved for change in found) == 80.0 - 15.0


def test_every_op_of_both_files_stands_in_one_place():
    other = file(("CONV_2D", "another"), ("CONV_2D", "stem"), ("PAD", "new"), ("SOFTMAX", "softmax"))
    found = changes(BASE, other)
    assert sorted(op for _, before, _ in found for op in before) == list(range(8))
    assert sorted(op for _, _, after in found for op in after) == list(range(4))
    assert [after for what, _, after in found if what == "added"] == [[0], [2]]
    assert found[0] == ("added", [], [0]) and found[1] == ("same", [0], [1]) and found[2] == ("added", [], [2])


def test_names_that_every_op_carries_connect_nothing():
    ops = [("CONV_2D", f"model/block_{n}/Relu6;model/block_{n}/convolution") for n in range(6)]
    assert changes(file(*ops), file(*ops[:3], *ops[4:])) == [
        *(("same", [n], [n]) for n in range(3)), ("removed", [3], []), ("same", [4], [3]), ("same", [5], [4])]


def test_another_op_for_the_same_layer_is_a_change():
    assert changes(file(("CONV_2D", "a")), file(("FULLY_CONNECTED", "a"))) == [("changed", [0], [0])]


CONV, DEPTHWISE, GEMM = (f"{name} (NHWC, F32) {how}" for name, how in (
    ("Convolution", "IGEMM"), ("Convolution", "DWConv"), ("Fully Connected", "GEMM")))


def attributed(contents, *lines):
    found = attribute(contents, [Line(kind, time) for kind, time in lines])
    assert found.sum == pytest.approx(sum(time for _, time in lines))
    return {op: time for op, time in found.microseconds.items() if time}, [line.kind for line in found.unknown]


def test_xnnpacks_operators_in_the_order_of_the_ops():
    times, unknown = attributed(
        BASE, (CONV, 8.0), (GEMM, 1.0), (DEPTHWISE, 2.0), (GEMM, 3.0), ("Add (ND)", 4.0), (GEMM, 5.0),
        ("Softmax (NC, F32)", 6.0))
    assert times == {0: 8.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 6: 5.0, 7: 6.0} and not unknown  # the RELU is fused


def test_what_xnnpack_makes_besides_belongs_to_the_op_before():
    contents = file(("CONV_2D", "a"), ("MEAN", "b"), ("FULLY_CONNECTED", "c"))
    times, unknown = attributed(contents, ("Convert (NC, F32)", 9.0), (CONV, 1.0), ("Mean (ND) Reduce2", 2.0),
                                ("Static Reshape (NC)", 0.5), (GEMM, 4.0))
    assert times == {0: 1.0, 1: 2.5, 2: 4.0} and unknown == ["Convert (NC, F32)"]


def test_the_runtimes_own_kernels_name_their_op():
    lines = [Line("CONV_2D", 1.0, 0), Line("CONV_2D", 5.0, 1), Line("ADD", 4.0, 3), Line("SOFTMAX", 2.0, 7)]
    found = attribute(BASE, lines)  # number 3 is no ADD: it is not believed, and aligned by its kind
    assert {op: time for op, time in found.microseconds.items() if time} == {7: 2.0, 0: 1.0, 1: 5.0, 4: 4.0}


def test_a_profile_of_something_else_is_given_to_nobody():
    lines = [("Add (ND)", 4.0), ("Tanh (NC, F32)", 5.0)]
    assert attributed(BASE, *lines) == ({}, [kind for kind, _ in lines])


def test_a_line_of_an_unknown_kind_is_nobodys():
    contents = file(("CONV_2D", "a"), ("CUSTOM", "b"), ("SOFTMAX", "c"))
    lines = [Line(CONV, 100.0), Line("CUSTOM", 5.0, 1), Line("Never Heard Of", 777.0), Line("Softmax (NC, F32)", 1.0)]
    found = attribute(contents, lines)
    assert found.microseconds == {0: 100.0, 1: 5.0, 2: 1.0}
    assert [line.kind for line in found.unknown] == ["Never Heard Of"]


def test_lines_with_numbers_bound_what_lies_between():
    contents = file(("CONV_2D", "a"), ("CUSTOM", "b"), ("CONV_2D", "c"), ("SOFTMAX", "d"))
    lines = [Line("CUSTOM", 5.0, 1), Line(CONV, 7.0), Line("Copy (NC, X32)", 1.0), Line("SOFTMAX", 2.0, 3)]
    assert attribute(contents, lines).microseconds == {0: 0.0, 1: 5.0, 2: 8.0, 3: 2.0}
    lines = [Line(CONV, 7.0), Line("CUSTOM", 5.0, 1), Line("Copy (NC, X32)", 1.0), Line("SOFTMAX", 2.0, 3)]
    assert attribute(contents, lines).microseconds == {0: 7.0, 1: 6.0, 2: 0.0, 3: 2.0}


KINDS = {"CONV_2D": CONV, "DEPTHWISE_CONV_2D": DEPTHWISE, "ADD": "Add (ND)", "SOFTMAX": "Softmax (NC, F32)"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12), st.data())
def test_lines_of_every_op_find_it_whatever_comes_in_between(kinds, data):
    lines, expected = [], {}
    for op, kind in enumerate(kinds):
        lines.append((KINDS[kind], expected.setdefault(op, op + 1.0)))
        if data.draw(st.booleans()):
            lines.append(("Static Reshape (NC)", 0.25))
            expected[op] += 0.25
    times, unknown = attributed(file(*((kind, f"op{n}") for n, kind in enumerate(kinds))), *lines)
    assert times == expected and not unknown
