import os
import subprocess
import sys

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.measure import Worker, check_tflite, run_tensors, run_tflite

# Files made by a converter, read with what tfold.tflite knows: it is the other half of what is tested here.
from tfold.tflite.contents import read


def test_every_tensor_is_what_its_op_has_computed(models, arrays):
    """Between a convolution and its end nothing is overwritten: the last layer is computed again from its input."""
    contents = read(models / "conv.tflite")
    runs = list(run_tensors(models / "conv.tflite", arrays["image"]))
    last = next(op for op in contents.ops if op.kind == "FULLY_CONNECTED")
    kernel, bias = (contents.array(index) for index in last.inputs[1:])
    assert len(runs) == 5
    for k, found in enumerate(runs):
        assert set(found) == {*contents.inputs, *(output for op in contents.ops for output in op.outputs)}
        np.testing.assert_array_equal(found[contents.inputs[0]], arrays["image"][k : k + 1])
        here = found[last.inputs[0]].reshape(1, -1) @ kernel.T + bias
        np.testing.assert_allclose(found[last.outputs[0]], here, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[contents.outputs[0]], arrays["conv"][k : k + 1], rtol=1e-4, atol=1e-5)


def test_an_addition_leaves_its_inputs_alone(models, arrays):
    contents = read(models / "two.tflite")
    add = next(op for op in contents.ops if op.kind == "ADD" and contents.tensors[op.outputs[0]].is_float)
    [first, *_] = run_tensors(models / "two.tflite", {"features": arrays["features"], "ids": arrays["ids"]})
    a, b = (first[index] for index in add.inputs)
    assert not np.array_equal(a, b)
    np.testing.assert_allclose(first[add.outputs[0]], a + b, rtol=1e-6)
    np.testing.assert_allclose(first[add.outputs[0]], arrays["summed"][:1], rtol=1e-5)


def test_numbers_come_in_the_files_own_type(models, arrays):
    contents = read(models / "int8.tflite")
    image = contents.tensors[contents.inputs[0]]
    codes = np.clip(np.round(arrays["image"] / image.scales[0]) + image.zero_points[0], -128, 127).astype(np.int8)
    outputs = run_tflite(models / "int8.tflite", codes)["output_0"]
    for k, found in enumerate(run_tensors(models / "int8.tflite", codes)):
        assert {array.dtype for array in found.values()} == {np.dtype("int8")}
        difference = found[contents.outputs[0]].astype(int) - outputs[k : k + 1]
        assert np.abs(difference).max() <= 2  # not XNNPACK's kernels, which round once where these round twice
        real = contents.tensors[contents.outputs[0]].real(found[contents.outputs[0]])
        np.testing.assert_allclose(real, arrays["conv"][k : k + 1], atol=0.05 * np.abs(arrays["conv"]).max())


def test_only_the_tensors_that_are_asked_for(models, arrays):
    contents = read(models / "conv.tflite")
    wanted = contents.ops[0].outputs[0]
    [found] = run_tensors(models / "conv.tflite", arrays["image"][:1], tensors=[wanted])
    assert list(found) == [wanted] and found[wanted].shape == contents.tensors[wanted].shape
    kernel = contents.ops[0].inputs[1]
    with pytest.raises(BadInputError, match=rf"computed and hold numbers. Received: tensors=\[{kernel}, 999\]"):
        next(run_tensors(models / "conv.tflite", arrays["image"], tensors=[kernel, 999]))


def test_sizes_that_are_open_follow_the_input(models):
    [found] = run_tensors(models / "anysize.tflite", np.ones((1, 7, 9, 3)))
    assert (1, 7, 9, 2) in {array.shape for array in found.values()}


def test_the_worker_ends_with_the_loop(models, arrays):
    runs = run_tensors(models / "conv.tflite", arrays["image"])
    next(runs)
    before = children()
    runs.close()
    assert len(children()) == len(before) - 1


def children():
    path = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    with open(path) as file:
        return file.read().split()


def test_inputs_that_do_not_fit_are_refused(models, arrays):
    with pytest.raises(BadInputError, match=r"Received: shape=\(1, 12, 11, 3\)"):
        next(run_tensors(models / "conv.tflite", np.ones((2, 12, 11, 3))))
    with pytest.raises(BadInputError, match="not found"):
        run_tensors(models / "nowhere.tflite", arrays["image"])
    with pytest.raises(BadInputError, match="Received: 'all'"):
        run_tensors(models / "conv.tflite", arrays["image"], "all")


def test_a_runtime_that_computes_in_place_is_refused(models, arrays):
    with pytest.raises(BadInputError, match="in place. Use runtime='litert'"):
        run_tensors(models / "conv.tflite", arrays["image"], "tflite-runtime")


@pytest.mark.parametrize("name", ["conv", "int8"])
def test_partitions_hold_as_many_ops_as_the_runtime_delegates(models, runtime, name):
    """The independent count: LiteRT, told not to join ops, makes one delegate for each."""
    path = models / f"{name}.tflite"
    with Worker(runtime) as worker:
        worker.load(check_tflite(path))
        ops, partitions = worker.delegation()
    assert ops == len(read(path).ops)
    delegated = [op for partition in partitions for op in partition]
    assert len(set(delegated)) == len(delegated) and set(delegated) <= set(range(ops))
    if runtime == "litert":
        code = (
            "import sys; from ai_edge_litert.interpreter import Interpreter as I\n"
            "one = I(model_path=sys.argv[1], experimental_disable_delegate_node_fusion=True); one.allocate_tensors()\n"
            "print(sum(op['op_name'] == 'DELEGATE' for op in one._get_ops_details()))"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert len(delegated) == int(done.stdout) > 0
    elif name == "int8":
        assert not delegated  # the XNNPACK of tflite-runtime's Python package takes floats alone
