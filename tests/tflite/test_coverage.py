import subprocess
import sys

import pytest

from tfold.measure.delegation import partitions
from tfold.measure.errors import UnsupportedModelError
from tfold.tflite.coverage import coverage


def test_what_xnnpack_does_not_know_is_named(small):
    found = coverage(small)
    assert found.partitions == ((0, 1, 2, 4), (5, 6))  # 4 makes a kernel: it waits for nothing
    assert [(op.kind, name) for op, name in found.left] == [("REVERSE_V2", "reverse")]
    assert str(found) == "6 of 7 ops in 2 partitions"
    document = found.to_json()
    assert (document["ops"], document["delegated"]) == (7, 6)
    assert document["left"] == [{"op": 3, "kind": "REVERSE_V2", "name": "reverse"}]


def test_the_runtime_counts_as_many(small):
    """Asked to give each op to a delegate of its own, LiteRT makes as many as there are ops in the partitions."""
    code = (
        "import sys; from ai_edge_litert.interpreter import Interpreter as I\n"
        "one = I(model_path=sys.argv[1], experimental_disable_delegate_node_fusion=True); one.allocate_tensors()\n"
        "print(sum(op['op_name'] == 'DELEGATE' for op in one._get_ops_details()))"
    )
    done = subprocess.run([sys.executable, "-c", code, small], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(coverage(small).delegated) == 6


def test_nothing_delegated(hand_made, tmp_path):
    x, axis = hand_made.input("x", (1, 4)), hand_made.constant("axis", [1], "int32")
    y = hand_made.op("REVERSE_V2", [x, axis], hand_made.tensor("y", (1, 4)))
    found = coverage(hand_made.write(tmp_path / "m.tflite", y))
    assert (str(found), found.partitions, found.delegated) == ("none of 1 ops", (), frozenset())


def test_a_file_the_runtime_cannot_load(hand_made, tmp_path):
    y = hand_made.op("Mine", [hand_made.input("x", (1, 4))], hand_made.tensor("y", (1, 4)))
    with pytest.raises(UnsupportedModelError, match="Mine, which litert lacks"):
        coverage(hand_made.write(tmp_path / "m.tflite", y))


def test_partitions_end_at_their_inputs():
    """0 ─▶ 1 ─▶ 2 ─▶ 3, where 3 also reads what 1 makes; 2 stays with the runtime."""
    def op(index, kind, inputs, outputs):
        return {"index": index, "op_name": kind, "inputs": inputs, "outputs": outputs}

    ops = [op(0, "CONV_2D", [0, 10], [1]), op(1, "RELU", [1], [2]), op(2, "ROUND", [2], [3]), op(3, "ADD", [3, 2], [4])]
    delegates = [op(4, "DELEGATE", [0, 10], [2]), op(5, "DELEGATE", [3, 2], [4])]
    assert partitions(ops + delegates) == [[0, 1], [3]]
    assert partitions(ops) == []
