import numpy as np
import pytest

from tfold.tflite.arithmetic import leftovers
from tfold.tflite.contents import read


@pytest.fixture
def found(hand_made, tmp_path):
    """A function: builds with `hand_made`, returns the leftovers by name."""
    def search(output):
        return {each.name: each for each in leftovers(read(hand_made.write(tmp_path / "m.tflite", output)))}

    return search


def test_a_batch_norm_that_stayed(small):
    mul, add = leftovers(read(small))
    assert (mul.op, mul.kind, mul.form, mul.constant, mul.bytes) == (1, "MUL", "per channel", "scale", 16)
    assert (add.kind, add.name, add.shape) == ("ADD", "bn", (4,))
    assert mul.meaning == add.meaning == "batch norm" and mul.linear and add.linear


def test_preprocessing_and_border_map(hand_made, found):
    net = hand_made
    x = net.input("image", (1, 4, 4, 2))
    x = net.arithmetic("DIV", x, net.constant("255", 255.0), (1, 4, 4, 2), "rescaled")
    x = net.arithmetic("SUB", x, net.constant("mean", [0.5, 0.4]), (1, 4, 4, 2), "centred")
    x = net.conv(x, net.constant("kernel", np.ones((3, 1, 1, 2))), (1, 4, 4, 3), "conv")
    x = net.arithmetic("ADD", x, net.constant("map", np.ones((1, 4, 4, 3))), (1, 4, 4, 3), "bordered")
    x = net.arithmetic("MUL", x, net.constant("3", 3.0), (1, 4, 4, 3), "tripled")
    left = found(x)
    assert {name: (each.form, each.meaning) for name, each in left.items()} == {
        "rescaled": ("scalar", "preprocessing"), "centred": ("per channel", "preprocessing"),
        "bordered": ("map", "border map"), "tripled": ("scalar", "")}
    assert left["bordered"].bytes == 4 * 48 and left["bordered"].to_json()["shape"] == [1, 4, 4, 3]


def test_what_is_not_linear_says_so(hand_made, found):
    net = hand_made
    x = net.op("RELU", [net.input("x", (1, 4))], net.tensor("relu", (1, 4)))
    x = net.op("POW", [x, net.constant("3", 3.0)], net.tensor("cubed", (1, 4)), "PowOptions")
    x = net.arithmetic("DIV", net.constant("1", 1.0), x, (1, 4), "inverse")
    assert {name: each.linear for name, each in found(x).items()} == {"cubed": False, "inverse": False}


def test_integers_that_count_and_sums_of_two_tensors_are_none(hand_made, found):
    net = hand_made
    x, n = net.input("x", (1, 4)), net.input("n", (1, 4), "int32")
    net.arithmetic("ADD", n, net.constant("places", [1, 2, 3, 4], "int32"), (1, 4), "indices", dtype="int32")
    assert found(net.arithmetic("ADD", x, x, (1, 4), "sum")) == {}


def test_constants_in_half_precision_and_quantised_ones_count(hand_made, found):
    net = hand_made
    half = net.constant("half", [1, 2, 3, 4], "float16")
    whole = net.op("DEQUANTIZE", [half], net.tensor("whole", (4,)), version=3)
    x = net.arithmetic("ADD", net.input("x", (1, 4)), whole, (1, 4), "sum")
    x = net.op("QUANTIZE", [x], net.tensor("q", (1, 4), "int8", scales=[0.1]))
    factor = net.constant("factor", [1, 2, 3, 4], "int8", scales=[0.1])
    left = found(net.arithmetic("MUL", x, factor, (1, 4), "product", dtype="int8", scales=[0.1]))
    assert (left["sum"].constant, left["sum"].bytes) == ("half", 8)
    assert (left["product"].constant, left["product"].bytes) == ("factor", 4)


def test_a_product_that_others_read_too_is_no_batch_norm(hand_made, found):
    net = hand_made
    x = net.op("RELU", [net.input("x", (1, 4))], net.tensor("relu", (1, 4)))
    x = net.arithmetic("MUL", x, net.constant("a", [1, 2, 3, 4]), (1, 4), "product")
    y = net.arithmetic("ADD", x, net.constant("b", [1, 2, 3, 4]), (1, 4), "sum")
    left = found(net.arithmetic("ADD", x, y, (1, 4), "both"))
    assert [each.meaning for each in left.values()] == ["", ""]
