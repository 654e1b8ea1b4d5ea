import os
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold.errors import BadInputError
from tfold.tflite.contents import read


def test_what_is_in_a_file(small):
    found = read(small)
    assert [op.kind for op in found.ops] == ["CONV_2D", "MUL", "ADD", "REVERSE_V2", "DEQUANTIZE", "CONV_2D", "SOFTMAX"]
    assert [op.activation for op in found.ops] == ["RELU6", "", "", "", "", "", ""]
    assert [op.index for op in found.ops] == list(range(7)) and not any(op.is_custom for op in found.ops)
    image, kernel, bias = (found.tensors[index] for index in found.ops[0].inputs)
    assert (bias.name, bias.shape) == ("conv;relu6/bias", (4,))
    assert (image.name, image.shape, image.dtype, image.bytes) == ("image", (1, 8, 8, 3), "float32", 0)
    assert (kernel.name, kernel.shape, kernel.bytes) == ("conv/kernel", (4, 3, 3, 3), 4 * 27 * 4)
    assert kernel.is_constant and not image.is_constant
    assert (found.inputs, found.outputs) == ((0,), found.ops[-1].outputs)
    assert found.size == small.stat().st_size and found.description == "made by hand"
    assert found.metadata == {"tfold": b'{"tfold": "0.1", "format": "float32"}'}
    [signature] = found.signatures
    assert (signature.key, signature.inputs) == ("serving_default", {"image": 0})
    assert signature.outputs == {"classes": found.outputs[0]}


def test_who_makes_a_tensor_and_who_reads_it(small):
    main = read(small).subgraphs[0]
    mul, add = main.ops[1], main.ops[2]
    assert main.producers()[mul.outputs[0]] is mul
    assert main.consumers()[mul.outputs[0]] == [add]
    assert main.name_of(mul) == "bn/mul"
    assert main.inputs[0] not in main.producers()


def test_constants_are_looked_at_where_they_lie(small):
    found = read(small)
    kernel = found.array(found.ops[0].inputs[1])
    np.testing.assert_array_equal(kernel, np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype("float32"))
    assert not kernel.flags.owndata and not kernel.flags.writeable
    assert found.array(found.ops[3].inputs[1]).tolist() == [1]


@pytest.mark.parametrize(("dtype", "content", "expected"), [
    ("int8", b"\xff\x01\x80", [-1, 1, -128]),
    ("int4", b"\x7f\x08", [-1, 7, -8]),
    ("uint4", b"\x7f\x08", [15, 7, 8]),
    ("int2", b"\x1b", [-1, -2, 1]),
    ("float16", np.float16([1, -2, 0.5]).tobytes(), [1, -2, 0.5]),
    ("bfloat16", (np.float32([1, -2, 0.5]).view("u4") >> 16).astype("u2").tobytes(), [1, -2, 0.5]),
    ("int64", np.int64([1, -2, 2**40]).tobytes(), [1, -2, 2**40]),
    ("bool", b"\1\0\1", [True, False, True]),
])
def test_numbers_of_every_type(hand_made, tmp_path, dtype, content, expected):
    index = hand_made.tensor("c", (3,), dtype, content)
    assert read(hand_made.write(tmp_path / "m.tflite")).array(index).tolist() == expected


def test_stored_numbers_stand_for_real_ones(hand_made, tmp_path):
    hand_made.tensor("one scale", (2,), "int8", scales=[0.5], zero_points=[-3])
    hand_made.tensor("one a channel", (2, 2), "int8", scales=[0.5, 2.0], axis=1)
    hand_made.tensor("floats", (2,))
    one, many, floats = read(hand_made.write(tmp_path / "m.tflite")).tensors
    assert (one.scales, one.zero_points, one.is_quantized, one.is_per_channel) == ((0.5,), (-3,), True, False)
    assert one.real(np.int8([-3, 127])).tolist() == [0, 65]
    assert many.is_per_channel and many.real(np.int8([[1, 1], [-2, -2]])).tolist() == [[0.5, 2], [-1, -4]]
    assert floats.real(np.float32([1.5, 2])).tolist() == [1.5, 2]
    with pytest.raises(BadInputError, match="A scale for each channel.*'one a channel'"):
        many.real(np.zeros((2, 3), np.int8))


def packed(model):
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_weights_behind_the_flatbuffer(hand_made, tmp_path):
    """So are those of files above 2 GB: the buffer has an offset and a size instead of data."""
    index = hand_made.tensor("c", (4,), "float32", b"")
    buffer = hand_made.model.buffers[1]
    buffer.data, buffer.size, buffer.offset = None, 16, 10**9  # an offset that takes as much place as the right one
    buffer.offset = length = len(packed(hand_made.model))
    (tmp_path / "m.tflite").write_bytes(packed(hand_made.model) + np.float32([1, 2, 3, 4]).tobytes())
    found = read(tmp_path / "m.tflite")
    assert (found.size, found.tensors[index].bytes) == (length + 16, 16)
    assert found.array(index).tolist() == [1, 2, 3, 4]


CONTRADICTIONS = {
    "an input of op 0, RELU, is number 7 of 2": lambda net: net.graph.operators[0].inputs.__setitem__(0, 7),
    "an output of op 0, RELU, is number -2 of 2": lambda net: net.graph.operators[0].outputs.__setitem__(0, -2),
    "the code of op 0 is number 3 of 1": lambda net: setattr(net.graph.operators[0], "opcodeIndex", 3),
    "op code 9999 is none": lambda net: setattr(net.model.operatorCodes[0], "builtinCode", 9999),
    "the buffer of tensor 0 is number 5 of 1": lambda net: setattr(net.graph.tensors[0], "buffer", 5),
    "number type 99 of tensor 1": lambda net: setattr(net.graph.tensors[1], "type", 99),
    r"tensor 0 has the shape \(1, -4\)": lambda net: setattr(net.graph.tensors[0], "shape", [1, -4]),
    "an output of the network is number 2 of 2": lambda net: net.graph.outputs.append(2),
}


@pytest.mark.parametrize("said", CONTRADICTIONS)
def test_a_file_that_contradicts_itself_is_refused(hand_made, tmp_path, said):
    hand_made.op("RELU", [hand_made.input("x", (1, 4))], hand_made.tensor("y", (1, 4)))
    hand_made.graph.outputs = [1]
    CONTRADICTIONS[said](hand_made)
    with pytest.raises(BadInputError, match=rf"agree with itself. Received: .*m\.tflite: {said}"):
        read(hand_made.write(tmp_path / "m.tflite"))


@settings(max_examples=150)
@given(changes=st.dictionaries(st.integers(8, 6000), st.integers(0, 255), min_size=1, max_size=6))
def test_changed_bytes_never_end_in_another_error(small, tmp_path_factory, changes):
    data = bytearray(small.read_bytes())
    for position, value in changes.items():
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "changed.tflite"
    path.write_bytes(data)
    try:
        found = read(path)
        for tensor in found.tensors:
            if tensor.is_constant:
                found.array(tensor)
    except BadInputError as error:
        assert "changed.tflite" in str(error)


def test_what_is_no_constant_of_numbers_has_no_array(hand_made, tmp_path):
    computed = hand_made.tensor("computed", (2,))
    short = hand_made.tensor("short", (3,), "float32", b"12345678")
    text = hand_made.tensor("text", (1,), "string", b"12345678")
    found = read(hand_made.write(tmp_path / "m.tflite"))
    for index in (computed, short, text):
        with pytest.raises(BadInputError, match=f"as many numbers as its shape says. Received: tensor {index}"):
            found.array(index)


def test_a_custom_op_goes_by_its_own_name(hand_made, tmp_path):
    hand_made.op("Mine", [hand_made.input("x", (1, 4)), -1], hand_made.tensor("y", (1, 4)))
    [op] = read(hand_made.write(tmp_path / "m.tflite", 1)).ops
    assert (op.kind, op.is_custom, op.inputs) == ("Mine", True, (0, -1))


def test_pipes_are_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.tflite")
    with pytest.raises(BadInputError, match="a device or pipe"):
        read(tmp_path / "pipe.tflite")


def test_reading_loads_neither_tensorflow_nor_a_runtime(small):
    code = (
        "import sys; from tfold.tflite.contents import read; from tfold.tflite import arithmetic, coverage, summary\n"
        f"assert len(read({str(small)!r}).ops) == 7\n"
        "assert not {'tensorflow', 'keras', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert 'libLiteRt' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
