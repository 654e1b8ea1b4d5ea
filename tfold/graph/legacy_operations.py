"""Operations of `keras.ops` that the IR has no op for, as TensorFlow functions in a tf_keras model.

    keras.ops.mean(x, axis=-1)  →  tf.reduce_mean(x, axis=-1)

What the IR has an op for is built from that.
"""
from tfold.errors import BadInputError
from tfold.graph.legacy_functions import function_layer, written

# Those that take what they compute on, and nothing else: class of the operation → function.
_PLAIN = {
    "Add": "math.add", "Subtract": "math.subtract", "Multiply": "math.multiply", "Divide": "math.truediv",
    "TrueDivide": "math.truediv", "Maximum": "math.maximum", "Minimum": "math.minimum", "Power": "math.pow",
    "Matmul": "linalg.matmul", "Negative": "math.negative", "Absolute": "math.abs", "Square": "math.square",
    "Sqrt": "math.sqrt", "Rsqrt": "math.rsqrt", "Exp": "math.exp", "Log": "math.log", "Floor": "math.floor",
    "Ceil": "math.ceil", "Sin": "math.sin", "Cos": "math.cos", "Sigmoid": "math.sigmoid", "Tanh": "math.tanh",
}
# Those with settings: function, and what it calls each of them.
_WITH_SETTINGS = {
    "Mean": ("math.reduce_mean", {"axis": "axis", "keepdims": "keepdims"}),
    "Sum": ("math.reduce_sum", {"axis": "axis", "keepdims": "keepdims"}),
    "ExpandDims": ("expand_dims", {"axis": "axis"}), "Squeeze": ("squeeze", {"axis": "axis"}),
    "Reshape": ("reshape", {"shape": "newshape"}), "Transpose": ("transpose", {"perm": "axes"}),
    "Concatenate": ("concat", {"axis": "axis"}), "Stack": ("stack", {"axis": "axis"}),
    "Split": ("split", {"num_or_size_splits": "indices_or_sections", "axis": "axis"}),
    "Clip": ("clip_by_value", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "Cast": ("cast", {"dtype": "dtype"}),
}


def as_function(operation, args, kwargs, name):
    """A call of a Keras 3 operation as one of a TensorFlow function.

    Args:
        operation: the operation.
        args, kwargs: of its call, with a `Slot` for each tensor.
        name: of the tf_keras layer.

    Returns:
        The layer, and the arguments to call it with.

    Raises:
        BadInputError: it is none of those above; names it.
    """
    kind = type(operation).__name__
    if kind in _PLAIN and not kwargs:
        return function_layer(_PLAIN[kind], name), args, {}
    if kind == "GetItem" and len(args) == 2 and not kwargs:
        return function_layer("__operators__.getitem", name), (args[0], written(args[1])), {}
    if kind in _WITH_SETTINGS and len(args) == 1 and not kwargs and _is_known(kind, operation):
        symbol, settings = _WITH_SETTINGS[kind]
        return function_layer(symbol, name), args, {key: getattr(operation, own) for key, own in settings.items()}
    raise BadInputError(
        f"A network becomes a tf_keras model of what tf_keras has. Received: {operation.name!r}, the operation {kind} "
        "of keras.ops with its arguments, whose TensorFlow function tfold does not know. Use a layer in its place."
    )


def _is_known(kind, operation):
    # An integer: that many equal parts. A list is where to cut in Keras, and how long the parts are in TensorFlow.
    return kind != "Split" or isinstance(operation.indices_or_sections, int)
