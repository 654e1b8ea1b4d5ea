"""Which activations a sweep of batch norm can take along: those that clip, v → min(max(v, 0), limit), mixed with v.

    act(v) = slope·v + (1 − slope)·min(max(v, 0), limit)         ReLU 0, ∞;  ReLU6 0, 6;  leaky ReLU slope, ∞;  σ_α α, …
"""

import math

import keras

from tfold.stock import stock_class


def clip_limit(activation):
    """The limit of an activation that only clips: ∞ for ReLU, 6 for ReLU6; None for any other."""
    slope, limit = slope_and_limit(activation) or (None, None)
    return limit if slope == 0.0 else None


def slope_and_limit(activation):
    """(slope, limit) of an activation function or layer; None if it is not of this kind."""
    if activation in (keras.activations.relu, keras.ops.relu):
        return 0.0, math.inf
    if activation in (keras.activations.relu6, keras.ops.relu6):
        return 0.0, 6.0
    if activation is keras.activations.leaky_relu:
        return 0.2, math.inf  # its default, and it is called without arguments
    if isinstance(activation, keras.layers.Layer):
        return _of_layer(activation)
    return None


def _of_layer(layer):
    kind = stock_class(layer)  # a subclass of the user's own may do anything
    if kind is keras.layers.Activation:
        return None if layer.activation is layer else slope_and_limit(layer.activation)
    if kind is keras.layers.LeakyReLU:
        return float(layer.negative_slope), math.inf
    if kind is keras.layers.ReLU and not layer.threshold:
        slope, limit = float(layer.negative_slope), math.inf if layer.max_value is None else float(layer.max_value)
        if slope == 0.0 or limit == math.inf:  # above its limit Keras' is flat, whatever its slope below 0
            return slope, limit
    return None
