"""TensorFlow's functions that Keras 2 takes into a network, as operations of Keras 3.

    x + 1               TFOpLambda "__operators__.add", x, y=1
    tf.nn.relu(x)       TFOpLambda "nn.relu", x
    x[:, 1:]            SlicingOpLambda, x, slice_spec=[…]

The file has the first argument by its place and all others by TensorFlow's names for them, so that the functions of
this table take their arguments under these names.
"""
from keras import ops

from tfold.keras2.errors import Untranslatable

SLICING = "__operators__.getitem"


def _binary(function):
    return lambda x, y, name=None: function(x, y)


def _unary(function):
    return lambda x, name=None: function(x)


def _reducing(function):
    return lambda x, axis=None, keepdims=False, name=None: function(
        x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)


def _matmul(a, b, transpose_a=False, transpose_b=False, name=None, **rest):
    _check_neutral("matmul", rest)
    turned = [ops.swapaxes(x, -1, -2) if turn else x for x, turn in ((a, transpose_a), (b, transpose_b))]
    return ops.matmul(*turned)


def _pad(tensor, paddings, mode="CONSTANT", constant_values=0, name=None):
    mode = mode.lower()
    return ops.pad(tensor, paddings, mode, **({"constant_values": constant_values} if mode == "constant" else {}))


def _split(value, num_or_size_splits, axis=0, num=None, name=None):
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    places = [sum(num_or_size_splits[: i + 1]) for i in range(len(num_or_size_splits) - 1)]
    return ops.split(value, places, axis)


def _unstack(value, num=None, axis=0, name=None):
    return list(ops.unstack(value, num, axis))


def _resize(images, size, method="bilinear", preserve_aspect_ratio=False, antialias=False, name=None):
    if preserve_aspect_ratio or method not in ("bilinear", "nearest", "bicubic"):
        raise Untranslatable(f"tf.image.resize with method={method!r}, "
                             f"preserve_aspect_ratio={preserve_aspect_ratio}")
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias,
                            data_format="channels_last")


def _l2_normalize(x, axis=None, epsilon=1e-12, name=None, dim=None):
    squares = ops.sum(ops.square(x), axis=dim if axis is None else axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))


def _pool(function):
    def call(input, ksize, strides, padding, data_format="NHWC", name=None):
        if data_format != "NHWC":
            raise Untranslatable(f"a pooling with data_format={data_format}")
        size, steps = (each[1:3] if isinstance(each, list) and len(each) == 4 else each for each in (ksize, strides))
        return function(input, _pair(size), _pair(steps), padding.lower(), data_format="channels_last")

    return call


def _pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def _space(function):
    return lambda input, block_size, data_format="NHWC", name=None: function(input, block_size)


def _depth_to_space(x, block):
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, block, block, channels // block**2))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height * block, width * block, channels // block**2))


def _space_to_depth(x, block):
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // block, block, width // block, block, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // block, width // block, channels * block**2))


def _einsum(equation, *inputs, **settings):
    inputs = inputs or settings.pop("inputs", ())
    _check_neutral("einsum", {key: value for key, value in settings.items() if key not in ("name", "optimize")})
    return ops.einsum(equation, *inputs)


class Shape:
    """What `tf.shape(x)` makes: the sizes of a tensor, None where they are open."""

    def __init__(self, sizes):
        self.sizes = tuple(sizes)

    def __getitem__(self, key):
        found = self.sizes[key[0] if isinstance(key, tuple) else key]
        return Shape(found) if isinstance(found, tuple) else found


def _sizes(shape):
    """A shape for `ops.reshape`, in which one open size is −1."""
    return tuple(-1 if size is None else size for size in (shape.sizes if isinstance(shape, Shape) else shape))


def _check_neutral(what, settings):
    for key, value in settings.items():
        if value not in (None, False):
            raise Untranslatable(f"tf.{what} with {key}={value!r}")


_BINARY = {
    "add": ops.add, "subtract": ops.subtract, "multiply": ops.multiply, "divide": ops.divide,
    "truediv": ops.true_divide, "maximum": ops.maximum, "minimum": ops.minimum, "pow": ops.power,
    "floordiv": ops.floor_divide, "mod": ops.mod, "floormod": ops.mod, "equal": ops.equal,
    "not_equal": ops.not_equal, "greater": ops.greater, "greater_equal": ops.greater_equal, "less": ops.less,
    "less_equal": ops.less_equal, "logical_and": ops.logical_and, "logical_or": ops.logical_or,
}
_UNARY = {
    "abs": ops.absolute, "negative": ops.negative, "square": ops.square, "sqrt": ops.sqrt, "rsqrt": ops.rsqrt,
    "exp": ops.exp, "log": ops.log, "floor": ops.floor, "ceil": ops.ceil, "sin": ops.sin, "cos": ops.cos,
    "sigmoid": ops.sigmoid, "tanh": ops.tanh, "softplus": ops.softplus, "sign": ops.sign, "erf": ops.erf,
    "logical_not": ops.logical_not, "reciprocal": lambda x: ops.divide(1.0, x), "expm1": ops.expm1, "log1p": ops.log1p,
    "log_sigmoid": ops.log_sigmoid, "identity": lambda x: x, "stop_gradient": ops.stop_gradient,
    "zeros_like": ops.zeros_like, "ones_like": ops.ones_like,
}
_REDUCING = {"reduce_mean": ops.mean, "reduce_sum": ops.sum, "reduce_max": ops.max, "reduce_min": ops.min,
             "reduce_prod": ops.prod, "reduce_variance": ops.var, "reduce_std": ops.std,
             "reduce_logsumexp": ops.logsumexp, "reduce_any": ops.any, "reduce_all": ops.all}
_OPERATORS = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "truediv", "div": "divide", "pow": "pow",
              "floordiv": "floordiv", "mod": "mod", "neg": "negative", "abs": "abs", "matmul": "matmul", "eq": "equal",
              "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}

# By the last part of TensorFlow's name; the place before it is one of `_PLACES`.
_FUNCTIONS = {
    **{name: _binary(function) for name, function in _BINARY.items()},
    **{name: _unary(function) for name, function in _UNARY.items()},
    **{name: _reducing(function) for name, function in _REDUCING.items()},
    "matmul": _matmul,
    "add_n": lambda inputs, name=None: sum(inputs[1:], inputs[0]),
    "relu": lambda features, name=None: ops.relu(features),
    "relu6": lambda features, name=None: ops.relu6(features),
    "elu": lambda features, name=None: ops.elu(features),
    "selu": lambda features, name=None: ops.selu(features),
    "softsign": lambda features, name=None: ops.softsign(features),
    "silu": lambda features, beta=1.0, name=None: (
        ops.silu(features) if beta == 1 else ops.multiply(features, ops.sigmoid(ops.multiply(beta, features)))),
    "gelu": lambda features, approximate=False, name=None: ops.gelu(features, approximate),
    "leaky_relu": lambda features, alpha=0.2, name=None: ops.leaky_relu(features, alpha),
    "softmax": lambda logits, axis=-1, name=None: ops.softmax(logits, -1 if axis is None else axis),
    "log_softmax": lambda logits, axis=-1, name=None: ops.log_softmax(logits, -1 if axis is None else axis),
    "l2_normalize": _l2_normalize,
    "bias_add": lambda value, bias, data_format=None, name=None: ops.add(value, bias),
    "avg_pool2d": _pool(ops.average_pool), "avg_pool": _pool(ops.average_pool),
    "max_pool2d": _pool(ops.max_pool), "max_pool": _pool(ops.max_pool),
    "depth_to_space": _space(_depth_to_space), "space_to_depth": _space(_space_to_depth),
    "resize": _resize,
    "concat": lambda values, axis, name=None: ops.concatenate(values, axis),
    "stack": lambda values, axis=0, name=None: ops.stack(values, axis),
    "unstack": _unstack, "split": _split,
    "reshape": lambda tensor, shape, name=None: ops.reshape(tensor, _sizes(shape)),
    "shape": lambda input, out_type=None, name=None: Shape(input.shape),
    "einsum": _einsum,
    "expand_dims": lambda input, axis=None, name=None: ops.expand_dims(input, axis),
    "squeeze": lambda input, axis=None, name=None: ops.squeeze(
        input, tuple(axis) if isinstance(axis, list) else axis),
    "transpose": lambda a, perm=None, conjugate=False, name=None: ops.transpose(a, perm),
    "cast": lambda x, dtype, name=None: ops.cast(x, dtype),
    "clip_by_value": lambda t, clip_value_min, clip_value_max, name=None: ops.clip(t, clip_value_min, clip_value_max),
    "pad": _pad,
    "tile": lambda input, multiples, name=None: ops.tile(input, multiples),
    "where": lambda condition, x=None, y=None, name=None: ops.where(condition, x, y),
    "argmax": lambda input, axis=None, output_type="int64", name=None: ops.cast(ops.argmax(input, axis), output_type),
    "one_hot": lambda indices, depth, on_value=None, off_value=None, axis=None, dtype=None, name=None: ops.one_hot(
        indices, depth, axis=-1 if axis is None else axis, dtype=dtype),
    "gather": lambda params, indices, axis=None, batch_dims=0, name=None: ops.take(params, indices, axis or 0),
    "cumsum": lambda x, axis=0, exclusive=False, reverse=False, name=None: ops.cumsum(x, axis),
    "tensordot": lambda a, b, axes, name=None: ops.tensordot(a, b, axes),
}
_FUNCTIONS |= {"swish": _FUNCTIONS["silu"], "mean": _FUNCTIONS["reduce_mean"], "sum": _FUNCTIONS["reduce_sum"],
               "clip": lambda x, min_value, max_value: ops.clip(x, min_value, max_value)}
# Settings whose other values compute something else than the function of the table.
_ONLY = {"cumsum": {"exclusive": False, "reverse": False}, "gather": {"batch_dims": 0},
         "one_hot": {"on_value": None, "off_value": None}, "transpose": {"conjugate": False},
         "bias_add": {"data_format": None}, "depth_to_space": {"data_format": "NHWC"},
         "space_to_depth": {"data_format": "NHWC"}}
_PLACES = ("", "math", "nn", "linalg", "image", "keras.backend", "dtypes")


def call(symbol, first, arguments):
    """Return what a function of TensorFlow makes of tensors of Keras 3.

    Args:
        symbol: the function's public name without "tf.": "math.add".
        first: its first argument: a tensor, a list of tensors or a constant.
        arguments: dict of its other arguments by TensorFlow's names for them.

    Raises:
        Untranslatable: the function is not known here, or not with these arguments.
    """
    symbol = symbol.removeprefix("compat.v1.").removeprefix("compat.v2.")
    if symbol == SLICING:
        return first[_index(arguments.get("slice_spec", arguments.get("key")))]
    place, _, name = symbol.rpartition(".")
    if place == "__operators__":
        place, name = "math", _OPERATORS.get(name.removeprefix("r"), _OPERATORS.get(name, name))
        if symbol.rpartition(".")[2] not in _OPERATORS:  # x.__radd__: nobody has met one, and its order is another
            raise Untranslatable(f"tf.{symbol}")
    function = _FUNCTIONS.get(name) if place in _PLACES else None
    if function is None:
        raise Untranslatable(f"tf.{symbol}")
    for key, value in _ONLY.get(name, {}).items():
        if arguments.get(key, value) != value:
            raise Untranslatable(f"tf.{symbol} with {key}={arguments[key]!r}")
    try:
        return function(first, **arguments)
    except Untranslatable:
        raise
    except Exception as error:  # an argument that is missing here, or a shape that Keras does not take
        raise Untranslatable(f"tf.{symbol} ({' '.join(str(error).split())[:200]})") from error


def _index(key):
    """An index as it was before it was written: with slices in place of dicts."""
    if isinstance(key, dict):
        if key.get("class_name") == "__ellipsis__":
            return Ellipsis
        return slice(key.get("start"), key.get("stop"), key.get("step"))
    return tuple(map(_index, key)) if isinstance(key, (list, tuple)) else key
