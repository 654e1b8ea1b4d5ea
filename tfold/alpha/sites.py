"""Where an activation σ sits in a Keras model: as a layer, inside a layer (`activation=`), or as an operation."""

import dataclasses
from typing import Any

import keras

from tfold.alpha.activation import AlphaActivation, not_elementwise
from tfold.stock import stock_class

ACTIVATION_LAYERS = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)

LINEAR_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)

# Operations on Keras tensors, `keras.ops.relu(x)`, by the name of their class. Others that take arguments, for instance
# the tanh approximation of gelu, have no stock Keras activation with the same values and are left alone.
_PLAIN_OPERATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Silu": "silu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Selu": "selu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "LogSigmoid": "log_sigmoid",
}
_OPERATIONS_WITH_ARGUMENTS = {
    "LeakyRelu": keras.layers.LeakyReLU,
    "Elu": keras.layers.ELU,
    "ReLU": keras.layers.ReLU,  # keras.activations.relu(x, negative_slope=…)
}
_SOFTMAX_OPERATIONS = ("Softmax", "LogSoftmax", "Sparsemax", "Glu")


@dataclasses.dataclass(frozen=True)
class Site:
    """One activation of a model.

    Attributes:
        op: The layer, or the Keras operation, that applies it.
        activation: σ, as `AlphaActivation` takes it; None where σ is not elementwise.
        fused: Whether σ is the `activation=` of a layer that also does something else.
    """

    op: Any
    activation: Any
    fused: bool = False


def find_site(op):
    """Returns the `Site` of a layer or operation, or None where there is no activation to speak of.

    A site whose `activation` is None is a softmax or its like: an activation that can have no α.
    """
    if isinstance(op, AlphaActivation):
        return None
    if isinstance(op, keras.layers.Softmax):
        return Site(op, None)
    if isinstance(op, ACTIVATION_LAYERS):
        return None if op.weights else _layer_site(op)
    if is_linear_layer(op):
        return _function_site(op, op.activation, fused=True)
    if not isinstance(op, keras.layers.Layer) and type(op).__module__.startswith("keras."):
        return _operation_site(op)
    return None


def is_linear_layer(op):
    """Whether `op` is a dense or convolutional layer that ends with its `activation=`, as Keras defines it."""
    # A subclass with a `call` of its own may use its activation anywhere.
    return any(isinstance(op, kind) and stock_class(op).call is kind.call for kind in LINEAR_LAYERS)


def _layer_site(layer):
    if stock_class(layer) is keras.layers.Activation:
        return _function_site(layer, layer.activation, fused=False)
    return Site(layer, stock_class(layer).from_config(layer.get_config()))


def _function_site(layer, activation, fused):
    if activation is None or activation is keras.activations.linear:
        return None
    if not_elementwise(activation):
        return Site(layer, None, fused)
    if isinstance(activation, keras.layers.Layer):
        if isinstance(activation, keras.layers.PReLU) or activation.weights:
            return None
        activation = type(activation).from_config(activation.get_config())
    return Site(layer, activation, fused)


def _operation_site(operation):
    kind = type(operation).__name__
    if kind in _SOFTMAX_OPERATIONS:
        return Site(operation, None)
    if kind in _PLAIN_OPERATIONS:
        return Site(operation, keras.activations.get(_PLAIN_OPERATIONS[kind]))
    if kind in _OPERATIONS_WITH_ARGUMENTS:
        return Site(operation, _OPERATIONS_WITH_ARGUMENTS[kind].from_config(operation.get_config()))
    if kind == "Gelu" and not operation.get_config()["approximate"]:
        return Site(operation, keras.activations.gelu)
    return None
