import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.measure import Worker, run_tensors
from tfold.tflite.contents import read
from tfold.tflite.cut import Cut
from tfold.tflite.op_times import op_times

QUICK = {"rounds": 1, "min_time": 0.004}


def test_an_op_cut_out_computes_what_it_computes_in_the_network(small, tmp_path):
    """Also the one whose kernel comes from a DEQUANTIZE, and the one with a constant that is no weight."""
    contents = read(small)
    image = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype("float32")
    [tensors] = run_tensors(small, image)
    with Worker("litert") as worker:
        for op in contents.ops:
            if op.kind != "DEQUANTIZE":
                path = tmp_path / f"{op.index}.tflite"
                path.write_bytes(Cut(contents, op).content())
                alone = read(path)
                assert [each.kind for each in alone.ops] == (["DEQUANTIZE"] if op.index == 5 else []) + [op.kind]
                assert len(alone.inputs) == 1
                worker.load(alone.file)
                [output] = worker.run([tensors[op.inputs[0]]]).values()
                np.testing.assert_allclose(output, tensors[op.outputs[0]], rtol=1e-5, atol=1e-5)


def test_ops_that_do_the_same_are_known_as_such(hand_made, tmp_path):
    net, rng = hand_made, np.random.default_rng(0)
    x = net.input("x", (1, 6, 6, 4))
    kernels = [net.constant(f"k{i}", rng.normal(size=(4, 3, 3, 4))) for i in range(2)]
    x = net.conv(x, kernels[0], (1, 6, 6, 4), "a")
    x = net.conv(x, kernels[1], (1, 6, 6, 4), "other weights")
    x = net.conv(x, kernels[1], (1, 6, 6, 4), "other options", activation=1)
    x = net.conv(x, kernels[1], (1, 3, 3, 4), "other shapes", stride=2)
    for permutation in ([0, 2, 1, 3], [0, 2, 1, 3], [0, 1, 2, 3]):
        order = net.constant(f"order{x}", permutation, "int32")
        x = net.op("TRANSPOSE", [x, order], net.tensor(f"transposed{x}", (1, 3, 3, 4)), "TransposeOptions")
    contents = read(net.write(tmp_path / "m.tflite", x))
    keys = [Cut(contents, op).key for op in contents.ops]
    assert keys[0] == keys[1] and keys[4] == keys[5]
    assert len(set(keys)) == 5


def test_every_op_has_a_time_and_larger_ones_a_longer(hand_made, tmp_path):
    net, rng = hand_made, np.random.default_rng(0)
    x = net.input("x", (1, 32, 32, 32))
    x = net.conv(x, net.constant("k", rng.normal(size=(32, 3, 3, 32))), (1, 32, 32, 32), "large")
    x = net.conv(x, net.constant("k2", rng.normal(size=(1, 1, 1, 32))), (1, 32, 32, 1), "little")
    half = net.constant("half", np.ones(1), "float16")
    whole = net.op("DEQUANTIZE", [half], net.tensor("whole", (1,)), version=3)
    x = net.arithmetic("ADD", x, whole, (1, 32, 32, 1), "sum")
    said = []
    times = op_times(net.write(tmp_path / "m.tflite", x), **QUICK, progress=lambda *words: said.append(words))
    assert list(times.microseconds) == [0, 1, 2, 3] and not times.missing
    assert times.microseconds[0] > 2 * times.microseconds[1] > 0
    assert times.microseconds[2] == 0  # a constant in another type is computed once
    assert times.sum == pytest.approx(sum(times.microseconds.values()))
    assert times.whole > times.call > 0
    assert [done for done, _, _ in said] == [1, 2, 3, 4, 5]  # whole, call, and three ops that differ
    assert times.to_json()["microseconds"]["0"] == times.microseconds[0]


def test_an_op_that_cannot_run_alone_is_named_with_the_reason(hand_made, tmp_path):
    net = hand_made
    x, y = net.input("x", (2, 6)), net.input("y", (3, 4))
    shape = net.op("SHAPE", [y], net.tensor("shape", (2,), "int32"), "ShapeOptions", outType=2)
    z = net.op("RESHAPE", [x, shape], net.tensor("z", (3, 4)))
    times = op_times(net.write(tmp_path / "m.tflite", z), **QUICK)
    assert list(times.microseconds) == [0] and list(times.missing) == [1]
    assert "RESHAPE" in times.missing[1] or "reshape" in times.missing[1]
    assert times.to_json()["missing"] == {"1": times.missing[1]}


@pytest.mark.parametrize(("options", "said"), [
    ({"runtime": "all"}, "Received: 'all'"), ({"threads": 0}, "threads=0"), ({"rounds": 0}, "rounds=0"),
])
def test_impossible_options(small, options, said):
    with pytest.raises(BadInputError, match=said):
        op_times(small, **options)
