import numpy as np
import pytest

from tfold.tflite import summary
from tfold.tflite.contents import read


def test_ops_and_bytes(small):
    found = read(small)
    assert summary.ops_by_kind(found) == {
        "CONV_2D": 2, "MUL": 1, "ADD": 1, "REVERSE_V2": 1, "DEQUANTIZE": 1, "SOFTMAX": 1}
    assert summary.bytes_by_type(found) == {"float32": 432 + 3 * 16 + 8, "float16": 16, "int32": 4}
    assert summary.custom_ops(found) == []


def test_a_buffer_that_several_tensors_share_counts_once(hand_made, tmp_path):
    for name in "ab":
        hand_made.constant(name, np.ones(100))
    hand_made.graph.tensors[1].buffer = hand_made.graph.tensors[0].buffer
    assert summary.bytes_by_type(read(hand_made.write(tmp_path / "m.tflite"))) == {"float32": 400}


def layers(net, kernel, between, half=False):
    """conv ─ conv ─ NEG; the first kernel is of type `kernel`, what lies between of type `between`."""
    def quantised(dtype, count=1):
        return {} if dtype.startswith("float") else {"scales": [0.1] * count}

    def tensor(name, shape, dtype):
        return net.tensor(name, shape, dtype, **quantised(dtype))

    x = net.input("x", (1, 4, 4, 2), between, **quantised(between))
    first = net.constant("kernel", np.ones((2, 1, 1, 2)), kernel, **quantised(kernel, 2))
    if half:
        first = net.op("DEQUANTIZE", [first], net.tensor("whole", (2, 1, 1, 2)))
    second = net.constant("kernel2", np.ones((2, 1, 1, 2)))
    for index, name in ((first, "one"), (second, "two")):
        x = net.op("CONV_2D", [x, index], tensor(name, (1, 4, 4, 2), between), "Conv2DOptions")
    if not between.startswith("float"):
        x = net.op("DEQUANTIZE", [x], net.tensor("real", (1, 4, 4, 2)))
    return net.op("NEG", [x], net.tensor("neg", (1, 4, 4, 2)))


@pytest.mark.parametrize(("kernel", "between", "half", "form"), [
    ("float32", "float32", False, "float32"),
    ("float16", "float32", True, "float16"),
    ("int8", "float32", True, "weight-only"),
    ("int8", "float32", False, "dynamic"),
    ("int8", "int8", False, "int8"),
    ("int8", "int16", False, "int16"),
])
def test_how_a_file_is_quantised(hand_made, tmp_path, kernel, between, half, form):
    output = layers(hand_made, kernel, between, half)
    found = summary.quantization(read(hand_made.write(tmp_path / "m.tflite", output)))
    assert found.format == form
    assert found.kernels == ({"float32": 2} if kernel == "float32" else {kernel: 1, "float32": 1})
    assert found.per_channel == (kernel == "int8")
    assert [name for _, name in found.float_kernels] == (["two"] if kernel == "int8" else [])
    # Conversions at the end are no computing; what comes behind them is.
    assert [name for _, name in found.float_ops] == ([] if between == "float32" else ["neg"])
    assert found.activations == {"float32": 3} if between == "float32" else {between: 2, "float32": 2}
