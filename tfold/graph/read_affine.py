"""Scale and shift of each channel: batch norm, Rescaling, Normalization, and arithmetic with constants.

    BatchNormalization                                   →  affine, kind "batch_norm"
    Rescaling, Normalization, 2 * x + 1, ops.add(x, c)   →  affine, kind "arithmetic"

A constant is a number, or one for each channel of the last axis. What varies over pixels, makes the result larger than
x, or changes the type of number, is not affine here.
"""
import keras
import numpy as np

from tfold.algebra.affine import Affine, from_batch_norm
from tfold.graph.family import KERAS, family_of, is_layer, is_operation
from tfold.graph.ir import Slot
from tfold.graph.step import Step, keeps_floats, numpy


def _batch_norm(layer, call):
    shape = call.in_shapes[0]
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]  # tf_keras keeps a list
    own = (1,) if call.moved else (-1, len(shape or ()) - 1)
    if shape is None or axes[0] not in own or len(axes) > 1 or not keeps_floats(call):
        return None
    if getattr(layer, "renorm", False) or getattr(layer, "virtual_batch_size", None):
        return None  # tf_keras: they train in ways that a folded or a new batch norm would not go on with
    gamma = numpy(layer.gamma).astype(np.float64) if layer.scale else None
    beta = numpy(layer.beta).astype(np.float64) if layer.center else None
    affine = from_batch_norm(numpy(layer.moving_mean), numpy(layer.moving_variance), layer.epsilon, gamma, beta)
    attrs = {"affine": affine, "kind": "batch_norm", "statistics": _statistics(
        layer.moving_mean, np.sqrt(np.maximum(numpy(layer.moving_variance).astype(np.float64), 0)))}
    if beta is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            attrs["offset"] = np.where(beta == 0, 0.0, beta / (1.0 if gamma is None else gamma))
    return [Step("affine", attrs, call.out_shapes)]


def _rescaling(layer, call):
    if keras.config.image_data_format() == "channels_first" and np.ndim(layer.scale) and family_of(layer) is KERAS:
        return None  # the layer lines up its numbers with another axis
    scale, offset = (_number(value, layer.compute_dtype) for value in (layer.scale, layer.offset))
    return None if scale is None or offset is None else _arithmetic(call, scale, offset)


def _layer_scale(layer, call):
    return _arithmetic(call, numpy(layer.gamma), 0.0)


def _normalization(layer, call):
    if getattr(layer, "mean", None) is None or any(n != 1 for n in layer.mean.shape[:-1]):
        return None  # not built, or over other axes than the last
    # `layer.mean` is rounded to what the layer computes in; what it is made from is not.
    given = layer.input_mean is not None
    mean, variance = (layer.input_mean, layer.input_variance) if given else (layer.adapt_mean, layer.adapt_variance)
    # Plain numbers become float32 there.
    mean, variance = (numpy(value if hasattr(value, "dtype") else np.float32(value)).astype(np.float64)
                      for value in (mean, variance))
    deviation = np.maximum(np.sqrt(variance), family_of(layer).epsilon())
    if layer.invert:
        return _arithmetic(call, deviation, mean)
    steps = _arithmetic(call, 1 / deviation, -mean / deviation)
    if steps is not None:
        channels = steps[0].attrs["affine"].scale.size
        steps[0].attrs["statistics"] = _statistics(*(np.broadcast_to(values.reshape(-1), (channels,)) for values in (
            mean, np.sqrt(variance))))
    return steps


def _statistics(mean, deviation):
    """What a layer says of the numbers that it reads: their mean and standard deviation, for each channel."""
    return numpy(mean).astype(np.float64), deviation


_LARGEST = {"float16": 65504.0, "float64": np.finfo(np.float64).max}
_LARGEST["float32"] = _LARGEST["bfloat16"] = float(np.finfo(np.float32).max)  # bfloat16 ends a little earlier

# What an operation computes, for x on the left of the constant and for x on the right; None: nothing affine.
_OPERATIONS = {
    "Add": (lambda c: (1.0, c), lambda c: (1.0, c)),
    "Subtract": (lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "Multiply": (lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "Divide": (lambda c: (1.0 / c, 0.0), None),
    "TrueDivide": (lambda c: (1.0 / c, 0.0), None),
}


def _operation(layer, call):
    return None if len(call.args) != 2 or call.kwargs else with_constant(type(layer).__name__, call.args, call)


def with_constant(operation, operands, call):
    """Steps of an operation of `_OPERATIONS` on two operands, one of them a tensor; None if it is not affine."""
    is_right = not isinstance(operands[0], Slot)
    constant, apply = operands[not is_right], _OPERATIONS[operation][is_right]
    if apply is None or not keeps_floats(call):
        return None
    constant = _number(constant, call.in_dtypes[0])
    if constant is None:
        return None
    with np.errstate(divide="ignore"):
        return _arithmetic(call, *apply(constant))


def constant_map(call):
    """What `x + c` adds to each pixel of one image, where c is as large as x: a border map. None for all else."""
    if is_layer(call.op) or type(call.op).__name__ != "Add" or len(call.args) != 2 or call.kwargs:
        return None
    shape = call.out_shapes[0]
    given = [arg for arg in call.args if not isinstance(arg, Slot)]
    added = _number(given[0], call.in_dtypes[0]) if len(given) == 1 and keeps_floats(call) else None
    if added is None or shape is None or len(shape) < 3 or added.shape[-len(shape) + 1 :] != tuple(shape[1:]):
        return None
    return added.reshape(shape[1:]) if added.size == np.prod(shape[1:]) else None


def negative(layer, call):
    return _arithmetic(call, -1.0, 0.0)


def _number(value, dtype):
    """A constant in float64; None if it is no array of numbers, or not finite in the type that the call computes in."""
    try:
        value = numpy(value)
        value = value.astype(np.float64) if value.dtype.kind in "fiub" or value.dtype.name == "bfloat16" else None
    except (TypeError, ValueError):
        return None
    return value if value is not None and np.all(np.abs(value) <= _LARGEST[dtype]) else None


def _arithmetic(call, scale, shift):
    shape = call.in_shapes[0]
    if shape is None or len(shape) < 2 or shape[-1] is None or not keeps_floats(call):
        return None
    dtype = call.in_dtypes[0] if is_operation(call.op) else call.op.compute_dtype
    scale, shift = (_number(value, dtype) for value in (scale, shift))
    if scale is None or shift is None:
        return None
    scale, shift = (_for_each_channel(value, len(shape), shape[-1]) for value in (scale, shift))
    if scale is None or shift is None:
        return None
    return [Step("affine", {"affine": Affine(scale, shift), "kind": "arithmetic"}, call.out_shapes)]


def _for_each_channel(value, rank, channels):
    """A constant as one number a channel; None where it is not constant over all other axes."""
    if value.ndim > rank or value.size not in (1, channels) or value.shape[-1:] not in ((), (1,), (value.size,)):
        return None
    return np.broadcast_to(value.reshape(-1), (channels,)).copy()


READERS = {("layers", name): _batch_norm for name in ("BatchNormalization", "SyncBatchNormalization")}
READERS |= {("layers", "Rescaling"): _rescaling, ("layers", "Normalization"): _normalization,
            ("ops", "Negative"): negative}
READERS |= {(f"{family}.src.applications.convnext", "LayerScale"): _layer_scale for family in ("keras", "tf_keras")}
# These look at the arguments of the call by themselves.
READERS_OF_CALLS = {("ops", name): _operation for name in _OPERATIONS}
