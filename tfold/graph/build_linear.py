"""`LinearMap` → Keras layers: Dense, ConvND, DepthwiseConvND, their transposed forms, and the border map.

Padding that "same" cannot say becomes a ZeroPadding layer; a bias map becomes a bias and an added constant.
"""
from contextlib import contextmanager
from inspect import signature

import numpy as np

from tfold.algebra.linear_map import LinearMap, same_padding
from tfold.graph import operations
from tfold.graph.clone import copy_weights, with_dtype
from tfold.graph.constraints import settings_for
from tfold.graph.family import KERAS, family_of, is_operation
from tfold.graph.translate import settings_in

KEPT = "trainable", "dtype"


class Weighted:
    """A layer that gets its weights when its first call has built it."""

    def __init__(self, layer, weights):
        self.layer = layer
        self.weights = weights
        self.name = layer.name

    def __call__(self, *args, **kwargs):
        if self.weights is None:
            return self.layer(*args, **kwargs)
        with _zeros_at_first(self.layer):
            result = self.layer(*args, **kwargs)
        copy_weights(self.weights(), self.layer)
        self.weights = None
        return result


@contextmanager
def _zeros_at_first(layer):
    """Random numbers that are overwritten at once cost more than all else where layers are large (VGG16: 4 s)."""
    initializers = family_of(layer).keras.initializers
    drawing = {
        name: value for name, value in vars(layer).items()
        if name.endswith("_initializer") and isinstance(value, initializers.Initializer)
    }
    for name in drawing:
        setattr(layer, name, initializers.Zeros())
    try:
        yield
    finally:
        for name, value in drawing.items():
            setattr(layer, name, value)


def layers_for(linear, x, size, name, node, activation=None, dtype=None, family=KERAS):
    """A linear map as new Keras layers, to be called one on the other.

    Args:
        linear: the `LinearMap`.
        x: the Keras tensor that it will read.
        size: spatial size of `x`, None for unknown axes: decides whether its padding is "same".
        name: function from a node, and a suffix or none, to an unused layer name.
        node: the IR node: its label names the layer, its layer gives dtype, regularizers and trainability.
        activation: what `activation=` gets.
        dtype: a floating-point type in place of the layer's own.
        family: the `Family` of the new layers.

    Returns:
        A list of functions from one tensor to one: padding, if "same" does not say it; the layer; the border map.
    """
    template = {} if is_operation(node.layer) else with_dtype(
        settings_in(family, node.layer, without=("activation",)), dtype)
    template.setdefault("dtype", dtype or node.dtype)  # where a sum or a slice became linear
    of_weights = settings_for(node, template)
    settings = {key: value for key, value in template.items() if key in KEPT} | of_weights
    layer_name = name(node)
    bias, border_map = split_bias_map(linear.bias) if linear.has_bias_map else (linear.bias, None)
    if linear.transposed:
        config = {**template, **of_weights, "name": layer_name, "use_bias": bias is not None, "activation": activation,
                  "filters": linear.outputs, "data_format": "channels_last"}
        kind = getattr(family.layers, type(node.layer).__name__)
        steps, layer, kernel = [], kind.from_config(config), np.swapaxes(linear.kernel, -1, -2)
    else:
        padding = _padding(linear, size)
        steps = [_zeros_around(family, linear, name(node, "_pad"), template["dtype"])] if padding is None else []
        layer, kernel = _layer(family, linear, padding or "valid", bias is not None, activation, layer_name, settings)
    steps.append(Weighted(layer, lambda: [kernel] if bias is None else [kernel, bias]))
    if border_map is not None:
        steps.append(operations.of(family).constant_added(name(node, "_border"), border_map[None], x))
    return steps


def split_bias_map(bias):
    """A bias map as the bias of its middle and what is left over, which is zero away from the border."""
    middle = bias[tuple(n // 2 for n in bias.shape[:-1])]
    return middle, bias - middle


def _padding(linear, size):
    """The Keras padding argument, or None where none says it."""
    if linear.rank == 0 or not linear.is_padded:
        return "valid"
    if linear.padding is None or linear.padding == same_padding(size, linear.extent, linear.strides):
        return "same"
    return None


def _zeros_around(family, linear, name, dtype):
    L = family.layers
    kinds = L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D
    padding = linear.padding[0] if linear.rank == 1 else linear.padding
    kind = kinds[linear.rank - 1]
    return kind.from_config({"padding": padding, "name": name, "dtype": dtype, **channels_last(kind)})


def channels_last(kind):
    """The setting that says so, for a class of layers that has it: the default of a process may be another one."""
    return {"data_format": "channels_last"} if "data_format" in signature(kind.__init__).parameters else {}


def _layer(family, linear: LinearMap, padding, use_bias, activation, name, settings):
    """The Keras layer, not yet built, and the kernel in its layout."""
    L, rank, kernel = family.layers, linear.rank, linear.kernel
    settings = {**settings, "use_bias": use_bias, "activation": activation, "name": name}
    if rank == 0:
        return L.Dense.from_config({"units": linear.outputs, **settings}), linear.regrouped(1).kernel
    settings |= {
        "data_format": "channels_last",  # whatever is the default of this process
        "kernel_size": linear.window,
        "strides": linear.strides,
        "dilation_rate": linear.dilation,
        "padding": padding,
    }
    square = len(set(linear.strides)) == 1 and len(set(linear.dilation)) == 1
    if linear.is_depthwise and rank <= 2 and square:
        for kind in ("regularizer", "constraint"):
            settings[f"depthwise_{kind}"] = settings.pop(f"kernel_{kind}", None)
        kind = (L.DepthwiseConv1D, L.DepthwiseConv2D)[rank - 1]
        multiplier = linear.outputs // linear.groups
        layer = kind.from_config({**settings, "depth_multiplier": multiplier})
        return layer, kernel.reshape(*linear.window, linear.inputs, multiplier)
    kind = (L.Conv1D, L.Conv2D, L.Conv3D)[rank - 1]
    return kind.from_config({**settings, "filters": linear.outputs, "groups": linear.groups}), kernel
