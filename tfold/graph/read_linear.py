"""Layers with a kernel: dense, convolution, depthwise, separable (two steps), transposed.

A reader returns the steps, or None where this configuration of the layer is not what the IR's op means.
"""
import numpy as np

from tfold.algebra.linear_map import LinearMap, same_padding
from tfold.graph import activations
from tfold.graph.step import Step, numpy


def read_padding(layer, window, strides, dilation, in_shape):
    """Explicit padding, or None for "same" with a stride at an unknown size."""
    extent = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if layer.padding == "valid":
        return ((0, 0),) * len(window)
    if layer.padding == "causal":
        return ((extent[0] - 1, 0),)
    size = in_shape[1:-1] if in_shape is not None else (None,) * len(window)
    return same_padding(size, extent, strides)


def _bias(layer):
    return numpy(layer.bias) if layer.use_bias else None


def _with_activation(layer, step):
    """The linear step, and the layer's own activation behind it."""
    fn, params = activations.read_function(layer.activation)
    if fn == "linear":
        return [step]
    return [step, Step("activation", {"fn": fn, "params": params, "fused": True}, step.shapes, f"/{fn}")]


def _dense(layer, call):
    return _with_activation(layer, Step("linear", {"map": LinearMap(numpy(layer.kernel), _bias(layer))},
                                        call.out_shapes))


def _conv(layer, call):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = read_padding(layer, layer.kernel_size, strides, dilation, call.in_shapes[0])
    linear = LinearMap(numpy(layer.kernel), _bias(layer), strides, dilation, padding, layer.groups)
    return _with_activation(layer, Step("linear", {"map": linear}, call.out_shapes))


def _depthwise_kernel(kernel):
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def _depthwise(layer, call):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = read_padding(layer, layer.kernel_size, strides, dilation, call.in_shapes[0])
    kernel = numpy(layer.kernel if hasattr(layer, "kernel") else layer.depthwise_kernel)  # the latter in tf_keras
    linear = LinearMap(_depthwise_kernel(kernel), _bias(layer), strides, dilation, padding, kernel.shape[-2])
    return _with_activation(layer, Step("linear", {"map": linear}, call.out_shapes))


def _separable(layer, call):
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    padding = read_padding(layer, layer.kernel_size, strides, dilation, call.in_shapes[0])
    depthwise, pointwise = numpy(layer.depthwise_kernel), numpy(layer.pointwise_kernel)
    rank = depthwise.ndim - 2
    ones = (1,) * rank
    first = LinearMap(_depthwise_kernel(depthwise), None, strides, dilation, padding, depthwise.shape[-2])
    second = LinearMap(pointwise, _bias(layer), ones, ones, ((0, 0),) * rank)
    between = None if call.out_shapes[0] is None else (*call.out_shapes[0][:-1], first.outputs)
    return [
        Step("linear", {"map": first}, (between,), "/depthwise"),
        *_with_activation(layer, Step("linear", {"map": second}, call.out_shapes)),
    ]


def _transposed(layer, call):
    if layer.kernel.shape[-1] != call.in_shapes[0][-1]:
        return None  # a grouped transposed convolution
    kernel = np.swapaxes(numpy(layer.kernel), -1, -2)  # Keras stores (*window, outputs, inputs)
    linear = LinearMap(
        kernel, _bias(layer), tuple(layer.strides), tuple(layer.dilation_rate), None, transposed=True
    )
    return _with_activation(layer, Step("linear", {"map": linear}, call.out_shapes))


READERS = {("layers", f"Conv{n}D"): _conv for n in (1, 2, 3)}
READERS |= {("layers", f"Conv{n}DTranspose"): _transposed for n in (1, 2, 3)}
READERS |= {("layers", f"{kind}{n}D"): read for n in (1, 2) for kind, read in (
    ("DepthwiseConv", _depthwise), ("SeparableConv", _separable))}
READERS |= {("layers", "Dense"): _dense}
