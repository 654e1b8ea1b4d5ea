"""What one Keras layer computes, as steps of the IR.

    Conv2D(activation="relu")  →  linear, activation          SeparableConv2D  →  linear, linear
    BatchNormalization         →  affine                      anything else    →  opaque

A reader returns the steps, or None where this configuration of the layer is not what the IR's op means
(channels first, a batch norm over another axis, quantised weights): the layer then stays a wall.
"""
from typing import NamedTuple

import keras
import numpy as np

from tfold.algebra.affine import from_batch_norm
from tfold.algebra.linear_map import LinearMap, same_padding
from tfold.graph import activations
from tfold.graph.keras_config import is_plain_call


class Step(NamedTuple):
    """One IR node to be: op, attributes, output shapes, and what is added to the layer's name."""

    op: str
    attrs: dict
    shapes: tuple
    suffix: str = ""


def read_layer(layer, args, kwargs, in_shapes, out_shapes, shared=False):
    """The steps that a call of `layer` computes, a chain: each reads the one before.

    Args:
        layer: a Keras layer or operation.
        args, kwargs: the call's arguments, tensors as `Slot`s.
        in_shapes, out_shapes: shapes of the tensors read and made, batch first; None where unknown.
        shared: the layer is called more than once.

    Returns:
        A non-empty list of `Step`s.
    """
    steps = None
    reader = READERS.get((_home(layer), type(layer).__name__))
    if reader is not None and is_plain_call(args, kwargs, len(in_shapes)) and _is_plain_layer(layer):
        steps = reader(layer, in_shapes, out_shapes)
    if steps and shared and sum(step.op == "linear" for step in steps) > 1:
        steps = None  # split in two, the calls would no longer share their weights
    return steps or [Step("opaque", {"call": (args, kwargs)}, out_shapes)]


def _home(layer):
    module = type(layer).__module__
    for start, home in (("keras.src.layers.", "layers"), ("keras.src.ops.", "ops"), ("tfold.alpha.", "tfold")):
        if module.startswith(start):
            return home
    return module


def _is_plain_layer(layer):
    return (
        getattr(layer, "data_format", None) != "channels_first"
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "lora_enabled", False)
        and not activations.may_have_weights(getattr(layer, "activation", None))
    )


def _numpy(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _bias(layer):
    return _numpy(layer.bias) if layer.use_bias else None


def _with_activation(layer, step):
    """The linear step, and the layer's own activation behind it."""
    fn, params = activations.read_function(layer.activation)
    if fn == "linear":
        return [step]
    return [step, Step("activation", {"fn": fn, "params": params, "fused": True}, step.shapes, f"/{fn}")]


def _padding(layer, window, strides, dilation, in_shape):
    """Explicit padding, or None for "same" with a stride at an unknown size."""
    extent = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if layer.padding == "valid":
        return ((0, 0),) * len(window)
    if layer.padding == "causal":
        return ((extent[0] - 1, 0),)
    size = in_shape[1:-1] if in_shape is not None else (None,) * len(window)
    return same_padding(size, extent, strides)


def _dense(layer, in_shapes, out_shapes):
    return _with_activation(layer, Step("linear", {"map": LinearMap(_numpy(layer.kernel), _bias(layer))}, out_shapes))


def _conv(layer, in_shapes, out_shapes):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = _padding(layer, layer.kernel_size, strides, dilation, in_shapes[0])
    linear = LinearMap(_numpy(layer.kernel), _bias(layer), strides, dilation, padding, layer.groups)
    return _with_activation(layer, Step("linear", {"map": linear}, out_shapes))


def _depthwise_kernel(kernel):
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def _depthwise(layer, in_shapes, out_shapes):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = _padding(layer, layer.kernel_size, strides, dilation, in_shapes[0])
    channels = layer.kernel.shape[-2]
    kernel = _depthwise_kernel(_numpy(layer.kernel))
    linear = LinearMap(kernel, _bias(layer), strides, dilation, padding, channels)
    return _with_activation(layer, Step("linear", {"map": linear}, out_shapes))


def _separable(layer, in_shapes, out_shapes):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = _padding(layer, layer.kernel_size, strides, dilation, in_shapes[0])
    depthwise, pointwise = _numpy(layer.depthwise_kernel), _numpy(layer.pointwise_kernel)
    rank = depthwise.ndim - 2
    ones = (1,) * rank
    first = LinearMap(_depthwise_kernel(depthwise), None, strides, dilation, padding, depthwise.shape[-2])
    second = LinearMap(pointwise, _bias(layer), ones, ones, ((0, 0),) * rank)
    between = None if out_shapes[0] is None else (*out_shapes[0][:-1], first.outputs)
    return [
        Step("linear", {"map": first}, (between,), "/depthwise"),
        *_with_activation(layer, Step("linear", {"map": second}, out_shapes)),
    ]


def _transposed(layer, in_shapes, out_shapes):
    if layer.kernel.shape[-1] != in_shapes[0][-1]:
        return None  # a grouped transposed convolution
    kernel = np.swapaxes(_numpy(layer.kernel), -1, -2)  # Keras stores (*window, outputs, inputs)
    linear = LinearMap(
        kernel, _bias(layer), tuple(layer.strides), tuple(layer.dilation_rate), None, transposed=True
    )
    return _with_activation(layer, Step("linear", {"map": linear}, out_shapes))


def _batch_norm(layer, in_shapes, out_shapes):
    shape = in_shapes[0]
    if shape is None or layer.axis not in (-1, len(shape) - 1):
        return None
    affine = from_batch_norm(
        _numpy(layer.moving_mean),
        _numpy(layer.moving_variance),
        layer.epsilon,
        _numpy(layer.gamma) if layer.scale else None,
        _numpy(layer.beta) if layer.center else None,
    )
    return [Step("affine", {"affine": affine}, out_shapes)]


def _activation(layer, in_shapes, out_shapes):
    fn, params = activations.read_layer(layer)
    if fn == "linear":
        return [Step("identity", {}, out_shapes)]
    return [Step("activation", {"fn": fn, "params": params}, out_shapes)]


def _alpha(layer, in_shapes, out_shapes):
    fn, params = activations.read_function(layer.activation)
    attrs = {"fn": fn, "params": params, "alpha": float(_numpy(layer.alpha)), "fused": layer.fused}
    return [Step("alpha", attrs, out_shapes)]


def _same_shapes(op):
    def read(layer, in_shapes, out_shapes):
        if len(in_shapes) < 2 or any(shape != in_shapes[0] or shape is None for shape in in_shapes):
            return None  # broadcasting, or a lone tensor
        return [Step(op, {}, out_shapes)]

    return read


def _concat(layer, in_shapes, out_shapes):
    rank = len(in_shapes[0])
    return [Step("concat", {"axis": layer.axis % rank}, out_shapes)]


def _pool(kind):
    def read(layer, in_shapes, out_shapes):
        window, strides = tuple(layer.pool_size), tuple(layer.strides)
        padding = _padding(layer, window, strides, (1,) * len(window), in_shapes[0])
        attrs = {"kind": kind, "window": window, "strides": strides, "padding": padding}
        return [Step("pool", attrs, out_shapes)]

    return read


def _global_pool(kind):
    def read(layer, in_shapes, out_shapes):
        attrs = {"kind": kind, "window": None, "strides": None, "padding": None}
        return [Step("pool", attrs, out_shapes)]

    return read


def _zero_padding(layer, in_shapes, out_shapes):
    padding = layer.padding
    pairs = (tuple(padding),) if isinstance(padding[0], int) else tuple(tuple(pair) for pair in padding)
    if any(side < 0 for pair in pairs for side in pair):
        return None
    return [Step("pad", {"padding": pairs}, out_shapes)]


def _identity(layer, in_shapes, out_shapes):
    return [Step("identity", {}, out_shapes)]


READERS = {("layers", f"Conv{n}D"): _conv for n in (1, 2, 3)}
READERS |= {("layers", f"Conv{n}DTranspose"): _transposed for n in (1, 2, 3)}
READERS |= {("layers", f"{kind}{n}D"): read for n in (1, 2) for kind, read in (
    ("DepthwiseConv", _depthwise), ("SeparableConv", _separable))}
READERS |= {("layers", f"{kind}Pooling{n}D"): _pool(kind.lower()) for kind in ("Max", "Average") for n in (1, 2, 3)}
READERS |= {
    ("layers", f"Global{kind}Pooling{n}D"): _global_pool(kind.lower()) for kind in ("Max", "Average") for n in (1, 2, 3)
}
READERS |= {("layers", f"ZeroPadding{n}D"): _zero_padding for n in (1, 2, 3)}
READERS |= {("layers", name): _activation for name in activations.LAYERS}
READERS |= {("layers", name): _identity for name in (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
    "AlphaDropout", "ActivityRegularization", "Identity")}
READERS |= {
    ("layers", "Dense"): _dense,
    ("layers", "BatchNormalization"): _batch_norm,
    ("layers", "Add"): _same_shapes("add"),
    ("layers", "Multiply"): _same_shapes("multiply"),
    ("layers", "Concatenate"): _concat,
    ("ops", "Add"): _same_shapes("add"),
    ("ops", "Multiply"): _same_shapes("multiply"),
    ("ops", "Concatenate"): _concat,
    ("ops", "Relu"): _activation,
    ("ops", "Relu6"): _activation,
    ("tfold", "AlphaActivation"): _alpha,
}
