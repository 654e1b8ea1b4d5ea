"""TensorFlow functions in a tf_keras model, `x * 2` or `tf.nn.relu(x)`: what the IR has an op for.

They are read by the readers of Keras 3's operations, with the arguments under TensorFlow's names. A model that was
saved and loaded has lists where there were arrays, and names where there were positions.
"""
import numpy as np

from tfold.graph import read_affine, read_shape
from tfold.graph.activations import RELU
from tfold.graph.ir import Slot
from tfold.graph.legacy_functions import arguments, as_index
from tfold.graph.step import Step, keeps_floats


def read(layer, call):
    """The steps of a function layer's call; None where the IR has no op for it."""
    given = arguments(layer, call.args, call.kwargs)
    if given is None or layer.symbol not in _READERS:
        return None
    return _READERS[layer.symbol](given, call)


def _of_two(operation):
    def read(given, call):
        operands = [value for name, value in given.items() if name != "name"]
        if all(isinstance(value, Slot) for value in operands):
            merge = read_shape.READERS.get(("ops", operation))
            return merge(call.op, call) if merge and operands == [0, 1] else None
        if len(call.reads) > 1:
            return None  # a constant that holds a tensor
        return read_affine.with_constant(operation, operands, call)

    return read


def _negative(given, call):
    return read_affine.negative(None, call)


def _concat(given, call):
    axis, values = given["axis"], given["values"]
    in_order = isinstance(values, (list, tuple)) and all(isinstance(value, Slot) for value in values)
    return read_shape.concat(axis, call) if in_order and isinstance(axis, int) else None


def _pad(given, call):
    width = _integers(given["paddings"])
    if given["mode"].upper() != "CONSTANT" or width is None or isinstance(given["constant_values"], Slot):
        return None
    return read_shape.pad(width, given["constant_values"], call)


def _reshape(given, call):
    shape = _integers(given["shape"])
    return None if shape is None else read_shape.reshape(shape, call)


def _transpose(given, call):
    axes = None if given["perm"] is None else _integers(given["perm"])
    return None if given.get("conjugate") or axes is None else read_shape.transpose(axes, call)


def _slice(given, call):
    return read_shape.channels(as_index(given["slice_spec"]), call) if len(call.reads) == 1 else None


def _identity(given, call):
    return [Step("identity", {}, call.out_shapes)]


def _integers(value):
    """An argument as nested lists of integers; None if it is anything else, or holds a tensor."""
    if _holds_tensor(value):
        return None
    try:
        value = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return value.tolist() if value.dtype.kind in "iu" else None


def _holds_tensor(value):
    return isinstance(value, Slot) or isinstance(value, (list, tuple)) and any(map(_holds_tensor, value))


def _activation(fn, params=None, settings=None):
    """A reader of an activation: `params` makes its parameters of the arguments, `settings` are what others must be."""
    def read(given, call):
        held = all(given.get(name) in allowed for name, allowed in (settings or {}).items())
        if not held or len(call.reads) != 1 or not keeps_floats(call):
            return None
        return [Step("activation", {"fn": fn, "params": params(given) if params else {}}, call.out_shapes)]

    return read



_READERS = {
    "__operators__.add": _of_two("Add"), "math.add": _of_two("Add"),
    "math.subtract": _of_two("Subtract"), "math.multiply": _of_two("Multiply"),
    "math.truediv": _of_two("TrueDivide"), "math.divide": _of_two("Divide"), "math.negative": _negative,
    "concat": _concat, "pad": _pad, "compat.v1.pad": _pad, "reshape": _reshape, "transpose": _transpose,
    "compat.v1.transpose": _transpose, "__operators__.getitem": _slice, "identity": _identity,
    "nn.relu": _activation("relu", lambda given: dict(RELU)),
    "nn.relu6": _activation("relu", lambda given: {**RELU, "max_value": 6.0}),
    "nn.leaky_relu": _activation("relu", lambda given: {**RELU, "negative_slope": float(given["alpha"])}),
    "nn.elu": _activation("elu", lambda given: {"alpha": 1.0}),
    "nn.selu": _activation("selu"), "nn.softsign": _activation("softsign"), "math.softsign": _activation("softsign"),
    "math.softplus": _activation("softplus"), "nn.softplus": _activation("softplus"),
    "math.sigmoid": _activation("sigmoid"), "math.tanh": _activation("tanh"), "math.exp": _activation("exponential"),
    "math.log_sigmoid": _activation("log_sigmoid"),
    "nn.silu": _activation("silu", settings={"beta": (None, 1.0)}),
    "nn.gelu": _activation("gelu", settings={"approximate": (False,)}),
    "nn.softmax": _activation("softmax", lambda given: {"axis": -1 if given["axis"] is None else given["axis"]}),
    "nn.log_softmax": _activation("log_softmax", settings={"axis": (None, -1)}),
}
