"""Pads, crops, slices, reshapes and the like: which layers and operations are read as which op, and which as none."""
import keras
import pytest
from keras import layers, ops


def spatial(*pairs):
    return [[0, 0], *pairs, [0, 0]]


@pytest.mark.parametrize("function, shape, op, attrs", [
    (layers.ZeroPadding1D(2), (5, 3), "pad", {"padding": ((2, 2),), "value": 0.0}),
    (layers.ZeroPadding2D(((1, 0), (2, 3))), (4, 5, 3), "pad", {"padding": ((1, 0), (2, 3)), "value": 0.0}),
    (lambda x: ops.pad(x, spatial([1, 2], [0, 3])), (4, 5, 3), "pad", {"padding": ((1, 2), (0, 3)), "value": 0.0}),
    (lambda x: ops.pad(x, spatial([1, 2]), constant_values=-1), (4, 3), "pad", {"padding": ((1, 2),), "value": -1.0}),
    (layers.Cropping1D((1, 2)), (5, 3), "crop", {"cropping": ((1, 2),)}),
    (layers.Cropping2D(1), (4, 5, 3), "crop", {"cropping": ((1, 1), (1, 1))}),
    (layers.Cropping3D(((0, 1), (1, 0), (0, 0))), (4, 5, 3, 2), "crop", {"cropping": ((0, 1), (1, 0), (0, 0))}),
    (lambda x: x[..., 1:3], (4, 5, 3), "slice", {"start": 1, "stop": 3}),
    (lambda x: x[:, :, :, 1:], (4, 5, 3), "slice", {"start": 1, "stop": 3}),
    (lambda x: x[:, ..., -2:-1], (4, 5, 3), "slice", {"start": 1, "stop": 2}),
    (lambda x: x[:, 0:2:1], (3,), "slice", {"start": 0, "stop": 2}),
    (lambda x: x[..., :9], (3,), "slice", {"start": 0, "stop": 3}),
    (layers.Flatten(), (4, 5, 3), "reshape", {"shape": (60,)}),
    (layers.Flatten(), (None, 3), "reshape", {"shape": (None,)}),
    (layers.Reshape((-1, 3)), (4, 5, 3), "reshape", {"shape": (20, 3)}),
    (layers.Reshape((-1, 3)), (None, 5, 3), "reshape", {"shape": (None, 3)}),
    (lambda x: ops.reshape(x, (-1, 20, 3)), (4, 5, 3), "reshape", {"shape": (20, 3)}),
    (layers.Permute((2, 1)), (4, 3), "permute", {"axes": (0, 2, 1)}),
    (lambda x: ops.transpose(x, (0, -1, 1, 2)), (4, 5, 3), "permute", {"axes": (0, 3, 1, 2)}),
    (layers.UpSampling1D(3), (4, 3), "upsample", {"factors": (3,), "interpolation": "nearest"}),
    (layers.UpSampling2D((2, 3), interpolation="bilinear"), (4, 5, 3), "upsample",
     {"factors": (2, 3), "interpolation": "bilinear"}),
    (layers.UpSampling3D((1, 2, 3)), (4, 5, 3, 2), "upsample", {"factors": (1, 2, 3), "interpolation": "nearest"}),
    (layers.GlobalAveragePooling2D(keepdims=True), (4, 5, 3), "pool",
     {"kind": "average", "window": None, "strides": None, "padding": None, "keepdims": True}),
    (layers.MaxPooling1D(3, 2, "same"), (5, 3), "pool",
     {"kind": "max", "window": (3,), "strides": (2,), "padding": ((1, 1),), "keepdims": False}),
])
def test_what_is_read(function, shape, op, attrs, last):
    node = last(function, shape)
    assert (node.op, node.attrs) == (op, attrs)


@pytest.mark.parametrize("function", [
    lambda x: ops.pad(x, [[1, 0], [0, 0], [0, 0], [0, 0]]), lambda x: ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, 1]]),
    lambda x: ops.pad(x, spatial([1, 1], [0, 0]), mode="reflect"),
    lambda x: ops.pad(x, spatial([1, 1], [0, 0]), constant_values=float("nan")),
    lambda x: x[..., ::2], lambda x: x[..., ::-1], lambda x: x[..., 1], lambda x: x[:, 1:], lambda x: x[1:, :],
    lambda x: x[..., 1:2, :], lambda x: x[..., None, 1:2], lambda x: x[:, 1:, :, 1:2], lambda x: x[..., 2:2],
    lambda x: ops.reshape(x, (-1, 3)), lambda x: ops.reshape(x, (-1, 10, 3)), lambda x: ops.reshape(x, (10, -1, 3)),
    ops.transpose, lambda x: ops.transpose(x, (1, 0, 2, 3)),
    lambda x: ops.concatenate([x, x], axis=0), lambda x: ops.concatenate([x], axis=-1),
])
def test_what_is_not(function, last):
    assert last(function).op == "opaque"


def test_channels_of_an_unknown_number(last):
    assert last(lambda x: x[..., :2], (4, None)).op == "opaque"
    assert last(lambda x: ops.reshape(x, (-1, 4, 3)), (None, 3)).op == "opaque"  # the batch, or four rows each?


def test_a_slice_of_a_fixed_batch_of_vectors_is_of_its_channels(read):
    from tfold.graph.capture import capture

    x = keras.Input(batch_shape=(4, 3))
    graph = capture(keras.Model(x, [x[..., 1:], x[1:, :], ops.reshape(x, (4, 3, 1)), ops.reshape(x, (2, 6))]))
    assert [node.op for node in graph] == ["input", "slice", "opaque", "reshape", "opaque"]


@pytest.mark.parametrize("function, axis", [
    (layers.Concatenate(), 3), (layers.Concatenate(axis=-2), 2), (layers.Concatenate(axis=1), 1),
    (lambda tensors: ops.concatenate(tensors, axis=-1), 3), (lambda tensors: ops.concatenate(tensors, 3), 3),
])
def test_concatenations(function, axis, last):
    node = last(lambda x, y: function([x, y, x]), (4, 5, 3), (4, 5, 3))
    assert (node.op, node.attrs, len(node.inputs)) == ("concat", {"axis": axis}, 3)


@pytest.mark.parametrize("shapes, op", [
    ([(4, 5, 3), (4, 5, 3)], "multiply"), ([(4, 5, 3), (1, 1, 3)], "multiply"), ([(4, 1, 3), (1, 5, 1)], "multiply"),
    ([(None, 5, 3), (4, 5, 3)], "multiply"), ([(4, 5, 3), (3,)], "opaque"), ([(4, 3), (1,)], "opaque"),
])
@pytest.mark.parametrize("function", [lambda x, y: x * y, lambda x, y: layers.Multiply()([x, y])])
def test_products(function, shapes, op, last):
    assert last(function, *shapes).op == op


def test_the_sum_of_three(last):
    assert last(lambda x, y: layers.Add()([x, y, x]), (3,), (3,)).op == "add"
    assert last(lambda x, y: layers.Add()([x, y, x]), (4, 3), (1, 3)).op == "opaque"


@pytest.mark.parametrize("function", [
    lambda x: x + x, lambda x: x * x, layers.MaxPooling2D(), layers.AveragePooling2D(2), layers.GlobalMaxPooling2D(),
    ops.relu, layers.ReLU(),
])
def test_arithmetic_on_integers_is_none_of_ours(function, last):
    assert last(function, dtype="int32").op == "opaque"


def test_a_sum_of_two_types_of_number(read):
    from tfold.graph.capture import capture

    x, y = keras.Input((3,), dtype="float32"), keras.Input((3,), dtype="float16")
    graph = capture(keras.Model([x, y], [x + y, layers.Add()([x, y]), layers.Concatenate()([x, y])]))
    assert sorted(node.op for node in graph) == ["add", "concat", "input", "input", "opaque"]


def test_moving_integers_about_is(last):
    functions = {"pad": layers.ZeroPadding2D(), "slice": lambda x: x[..., 1:], "reshape": layers.Flatten()}
    for op, function in functions.items():
        assert last(function, dtype="int32").op == op


def test_constants_in_a_call_are_kept_with_it(last):
    args, kwargs = last(lambda x: ops.pad(x, spatial([1, 1], [0, 0]), constant_values=2.0)).call
    assert (args, kwargs) == ((0,), {"constant_values": 2.0})
    args, kwargs = last(lambda x: 2 - x).call
    assert (args, kwargs) == ((2, 0), {})
