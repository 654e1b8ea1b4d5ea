"""Keras operations with names: what `keras.ops.pad` and `x[..., 1:]` make in a model takes no name of its own."""
import sys

import keras
import numpy as np

from tfold.graph import legacy_functions
from tfold.graph.family import KERAS


def named(name, function, *like):
    """The operation behind a function of `keras.ops`, under a name, to be called with the function's other arguments.

    Args:
        name: as Keras and TensorFlow take it, unique in the model.
        function: from Keras tensors to what the operation makes of them.
        *like: Keras tensors like those that it will be called on.

    Example:

    >>> negative = named("minus", keras.ops.negative, x)
    >>> y = negative(x)
    """
    probes = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in like]
    operation = keras.Model(probes, function(*probes)).operations[-1]
    return type(operation).from_config({**operation.get_config(), "name": name})


def of(family):
    """The module that has the functions below for a family."""
    return sys.modules[__name__] if family is KERAS else legacy_functions


def constant_added(name, constant, x):
    """A function that adds an array of shape (1, …) to tensors like `x`."""
    added = named(name, lambda tensor: keras.ops.add(tensor, np.float32(1)), x)
    return lambda y: added(y, constant.astype(keras.backend.standardize_dtype(y.dtype)))


def padded(name, width, value, x):
    """A function that pads each axis of tensors like `x` with a number."""
    pad = named(name, lambda tensor: keras.ops.pad(tensor, width, constant_values=value), x)
    return lambda y: pad(y, constant_values=value)


def reshaped(name, shape, x):
    """A function that gives tensors like `x` another shape, the batch included; -1 for one axis."""
    reshape = named(name, lambda tensor: keras.ops.reshape(tensor, shape), x)
    return lambda y: reshape(y)


def channels(name, start, stop, x):
    """A function that takes a range of the channels of tensors like `x`."""
    key = (Ellipsis, slice(start, stop))
    part = named(name, lambda tensor: tensor[key], x)
    return lambda y: part(y, key)
