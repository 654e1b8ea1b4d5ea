"""TensorFlow functions as tf_keras takes them into a model: what `x + 1` and `tf.nn.relu(x)` make there.

tf_keras puts the function into a layer (`TFOpLambda`; `SlicingOpLambda` for `x[:, 1:]`) and writes down its public
name, so that the model loads anywhere. These layers have no public class, but can be made as loading makes them.
"""
import inspect

from tfold.graph.family import family_named

_SLICING = "__operators__.getitem"


def function_layer(symbol, name):
    """A layer that calls a TensorFlow function with the arguments of its call.

    Args:
        symbol: the function's public name without "tf.": "math.add".
        name: of the layer.

    Example:

    >>> y = function_layer("math.add", "plus_one")(x, 1.0)
    """
    kind = "SlicingOpLambda" if symbol == _SLICING else "TFOpLambda"
    config = {"name": name, "function": symbol}
    return family_named("tf_keras").layers.deserialize({"class_name": kind, "config": config})


def arguments(layer, args, kwargs):
    """The arguments of a function layer's call by the names of the function's parameters; None if they do not fit.

    A model that was just made gives most of them by position, one that was loaded by name.
    """
    try:
        bound = inspect.signature(layer.function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    bound.apply_defaults()
    return dict(bound.arguments)


def written(key):
    """An index, `x[key]`, as a function layer takes and saves it: with a dict for each slice."""
    if isinstance(key, slice):
        return {"start": key.start, "stop": key.stop, "step": key.step}
    return type(key)(map(written, key)) if isinstance(key, (list, tuple)) else key


def as_index(key):
    """The reverse of `written`."""
    if isinstance(key, dict):
        return slice(key["start"], key["stop"], key["step"])
    return tuple(map(as_index, key)) if isinstance(key, (list, tuple)) else key


# As `operations` has them for Keras 3; these need no tensor to see what they will be called on.


def constant_added(name, constant, x):
    """A function that adds an array of shape (1, …) to a tensor."""
    added = function_layer("math.add", name)
    return lambda y: added(y, constant.astype(y.dtype.as_numpy_dtype))


def padded(name, width, value, x):
    """A function that pads each axis with a number."""
    pad = function_layer("pad", name)
    return lambda x: pad(x, width, constant_values=value)


def reshaped(name, shape, x):
    """A function that gives tensors another shape, the batch included; -1 for one axis."""
    reshape = function_layer("reshape", name)
    return lambda x: reshape(x, shape)


def channels(name, start, stop, x):
    """A function that takes a range of the channels of tensors like `x`."""
    part = function_layer(_SLICING, name)
    whole = slice(None, None, None)  # not `...`, which tf_keras cannot write into a .keras file
    key = written([whole] * (len(x.shape) - 1) + [slice(start, stop, None)])
    return lambda x: part(x, key)
