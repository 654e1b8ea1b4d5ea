"""An operation of one Keras, of which the IR does not say what it computes, as one of the other.

    keras.ops.mean(x, axis=-1)  →  tf.reduce_mean(x, axis=-1)
    keras.ops.maximum(x, y)     ↔  tf.maximum(x, y)

What the IR has an op for is built from that.
"""
import re

import keras
import numpy as np

from tfold.errors import BadInputError
from tfold.graph import operations
from tfold.graph.call import filled
from tfold.graph.family import KERAS, family_of
from tfold.graph.ir import Slot
from tfold.graph.legacy_functions import arguments, function_layer, written
from tfold.graph.step import numpy

# Those that take what they compute on, and nothing else: class of the operation → function.
_PLAIN = {
    "Add": "math.add", "Subtract": "math.subtract", "Multiply": "math.multiply", "Divide": "math.divide",
    "TrueDivide": "math.truediv", "Maximum": "math.maximum", "Minimum": "math.minimum", "Power": "math.pow",
    "Matmul": "linalg.matmul", "Negative": "math.negative", "Absolute": "math.abs", "Square": "math.square",
    "Sqrt": "math.sqrt", "Rsqrt": "math.rsqrt", "Exp": "math.exp", "Log": "math.log", "Floor": "math.floor",
    "Ceil": "math.ceil", "Sin": "math.sin", "Cos": "math.cos", "Sigmoid": "math.sigmoid", "Tanh": "math.tanh",
    "Sign": "math.sign", "Round": "round", "Expm1": "math.expm1", "Log1p": "math.log1p", "Erf": "math.erf",
    "Reciprocal": "math.reciprocal", "FloorDivide": "math.floordiv",
}
# Those whose result is of another type than what they read: what is true of a tensor, and what is chosen by that.
_COMPARING = {"Greater": "math.greater", "GreaterEqual": "math.greater_equal", "Less": "math.less",
              "LessEqual": "math.less_equal", "Equal": "math.equal", "NotEqual": "math.not_equal",
              "LogicalAnd": "math.logical_and", "LogicalOr": "math.logical_or", "LogicalNot": "math.logical_not",
              "Where": "where"}
_BACK = {symbol: kind for kind, symbol in _PLAIN.items()} | {"__operators__.add": "Add"}
# Those with settings: function, and what it calls each of them.
_REDUCED = {"axis": "axis", "keepdims": "keepdims"}
_WITH_SETTINGS = {
    "Max": ("math.reduce_max", _REDUCED), "Amax": ("math.reduce_max", _REDUCED), "Min": ("math.reduce_min", _REDUCED),
    "Amin": ("math.reduce_min", _REDUCED), "Prod": ("math.reduce_prod", _REDUCED), "Std": ("math.reduce_std", _REDUCED),
    "Var": ("math.reduce_variance", _REDUCED), "Any": ("math.reduce_any", _REDUCED),
    "All": ("math.reduce_all", _REDUCED), "Logsumexp": ("math.reduce_logsumexp", _REDUCED),
    "Mean": ("math.reduce_mean", _REDUCED), "Sum": ("math.reduce_sum", _REDUCED),
    "Cumsum": ("math.cumsum", {"axis": "axis"}), "Tile": ("tile", {"multiples": "repeats"}),
    "Gelu": ("nn.gelu", {"approximate": "approximate"}), "BroadcastTo": ("broadcast_to", {"shape": "shape"}),
    "ExpandDims": ("expand_dims", {"axis": "axis"}), "Squeeze": ("squeeze", {"axis": "axis"}),
    "Reshape": ("reshape", {"shape": "newshape"}), "Transpose": ("transpose", {"perm": "axes"}),
    "Concatenate": ("concat", {"axis": "axis"}), "Stack": ("stack", {"axis": "axis"}),
    "Split": ("split", {"num_or_size_splits": "indices_or_sections", "axis": "axis"}),
    "Clip": ("clip_by_value", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "Cast": ("cast", {"dtype": "dtype"}),
}


def translated(node, inputs, name):
    """The call of an operation as a function from a list of tensors of the other Keras to what it makes of them.

    Args:
        node: the node of the operation.
        inputs: the tensors that it will read.
        name: of the new operation.

    Raises:
        BadInputError: the other Keras has none, or tfold does not know it; names it.
    """
    operation, (args, kwargs) = node.layer, node.call
    found = (_as_function if family_of(operation) is KERAS else _as_operation)(operation, args, kwargs, name, inputs)
    changes_type = type(operation).__name__ in _PLAIN and node.dtype != keras.backend.standardize_dtype(inputs[0].dtype)
    if found is None or changes_type:
        what = getattr(operation, "symbol", None) or type(operation).__name__
        raise BadInputError(
            f"A network goes over to the other Keras operation by operation. Received: {node.label!r}, {what}, which "
            "tfold does not know there, or not with these arguments. Use a layer in its place."
        )
    call, args, settings = found
    return lambda tensors: call(*filled(args, tensors), **settings)


def _as_function(operation, args, kwargs, name, inputs):
    """A TensorFlow function for an operation of Keras 3, its arguments, and its settings."""
    kind = type(operation).__name__
    if kwargs:
        return None
    if kind in _PLAIN:
        return function_layer(_PLAIN[kind], name), _of_type(inputs[0].dtype.as_numpy_dtype, args), {}
    if kind in _COMPARING:
        # Constants are of the type of the tensors that they stand beside, not of that of a condition.
        floats = [x.dtype.as_numpy_dtype for x in inputs if x.dtype.name != "bool"]
        dtype = floats[0] if floats else inputs[0].dtype.as_numpy_dtype
        return function_layer(_COMPARING[kind], name), _of_type(dtype, args), {}
    if kind == "GetItem" and len(args) == 2:
        key = written(_without_ellipsis(args[1], len(inputs[0].shape)))
        return function_layer("__operators__.getitem", name), (args[0], key), {}
    # A list of sections is where to cut in Keras, and how long the parts are in TensorFlow.
    if kind in _WITH_SETTINGS and len(args) == 1 and _is_usual(operation):
        symbol, settings = _WITH_SETTINGS[kind]
        return function_layer(symbol, name), args, {key: getattr(operation, own) for key, own in settings.items()}
    return None


def _is_usual(operation):
    """Whether an operation's settings are those that its TensorFlow function has too."""
    return (isinstance(getattr(operation, "indices_or_sections", 0), int)
            and all(getattr(operation, name, None) is None for name in ("initial", "where"))
            and None not in (getattr(operation, "shape", None) or ()))


def _of_type(dtype, operands):
    """Operands with the constants among them as arrays: TensorFlow takes no 2 / x, but 2.0 / x."""
    return [value if isinstance(value, Slot) else np.asarray(numpy(value), dtype) for value in operands]


def _without_ellipsis(key, rank):
    """An index with the slices that `...` stands for: tf_keras cannot write `...` into a .keras file."""
    key = key if isinstance(key, tuple) else (key,)
    taken = sum(part is not None and part is not Ellipsis for part in key)
    return sum(((slice(None),) * (rank - taken) if part is Ellipsis else (part,) for part in key), ())


def _as_operation(layer, args, kwargs, name, inputs):
    """An operation of Keras 3 for a TensorFlow function, its arguments, and no settings."""
    given = arguments(layer, args, kwargs)
    if given is None or layer.symbol not in _BACK:
        return None
    operands = [value for key, value in given.items() if key != "name"]
    if sum(isinstance(value, Slot) for value in operands) < len(inputs):
        return None  # an argument that holds tensors, or a setting
    operands = _of_type(inputs[0].dtype, operands)
    function = getattr(keras.ops, re.sub("(?<!^)(?=[A-Z])", "_", _BACK[layer.symbol]).lower())
    operation = operations.named(name, lambda *like: function(*filled(operands, like)), *inputs)
    return operation, operands, {}
