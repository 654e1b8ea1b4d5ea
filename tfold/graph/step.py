"""What readers of Keras layers return: the nodes that one call becomes."""
from typing import NamedTuple

import keras
import numpy as np

from tfold.graph.family import is_operation

FLOATS = ("float16", "bfloat16", "float32", "float64")


class Step(NamedTuple):
    """One IR node to be: op, attributes, output shapes, and what is added to the layer's name."""

    op: str
    attrs: dict
    shapes: tuple
    suffix: str = ""


def numpy(variable):
    """A Keras variable or tensor as an array."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def keeps_floats(call):
    """Whether a call computes in floating point what it reads in floating point, of one type.

    A layer converts floats to the type it computes in by itself, and only floats; an operation such as `x + 1` on
    integers, or with a float64 array beside a float32 tensor, makes another type of number than it reads.
    """
    if any(dtype not in FLOATS for dtype in call.in_dtypes):
        return False
    return not is_operation(call.op) or set(call.in_dtypes) == set(call.out_dtypes)
