"""Keras' activation functions in NumPy float64, under Keras' names.

    compute("relu", {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}, x)

Not here: `glu`, which halves an axis; `threshold`, which goes by no name alone; and `sparsemax`, of which Keras 3.15
does not compute the definition where more than one number is in the support.
"""
import math

import numpy as np

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def knows(fn):
    """Whether a name is that of a function here."""
    return fn in _FUNCTIONS


def compute(fn, params, x):
    """Evaluate an activation.

    Args:
        fn, params: as in the attributes of an `activation` node.
        x: array of any shape.

    Returns:
        A float64 array of the same shape.

    Raises:
        KeyError: there is no such function here (see `knows`).
    """
    return _FUNCTIONS[fn](np.asarray(x, np.float64), **params)


def relu(x, max_value=None, negative_slope=0.0, threshold=0.0):
    above = np.where(x > threshold, x, 0.0)
    above = np.maximum(above, 0.0) if max_value is None else np.clip(above, 0.0, max_value)
    return above - negative_slope * np.maximum(threshold - x, 0.0) if negative_slope else above


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x):
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def celu(x, alpha=1.0):
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def softplus(x):
    return np.logaddexp(x, 0.0)


def log_sigmoid(x):
    return -softplus(-x)


def sigmoid(x):
    return np.exp(log_sigmoid(x))


def silu(x):
    return x * sigmoid(x)


def mish(x):
    return x * np.tanh(softplus(x))


def gelu(x, approximate=False):
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    # erfc, not 1 + erf: far below zero the sum would cancel to nothing.
    return 0.5 * x * _ERFC(-x / math.sqrt(2))


_ERFC = np.vectorize(math.erfc, otypes=[np.float64])


def squareplus(x, b=4):
    return (x + np.sqrt(x**2 + b)) / 2


def sparse_plus(x):
    return np.where(x <= -1, 0.0, np.where(x < 1, (x + 1) ** 2 / 4, x))


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def hard_silu(x):
    return x * hard_sigmoid(x)


def soft_shrink(x, threshold=0.5):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def hard_shrink(x, threshold=0.5):
    return np.where(np.abs(x) > threshold, x, 0.0)


def _axes(axis):
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def log_softmax(x, axis=-1):
    x = x - x.max(axis=_axes(axis), keepdims=True)
    return x - np.log(np.exp(x).sum(axis=_axes(axis), keepdims=True))


def softmax(x, axis=-1):
    return np.exp(log_softmax(x, axis))


_FUNCTIONS = {
    "linear": lambda x: x, "relu": relu, "elu": elu, "selu": selu, "celu": celu,
    "relu6": lambda x: relu(x, 6.0), "leaky_relu": lambda x, negative_slope=0.2: relu(x, None, negative_slope),
    "softplus": softplus, "sigmoid": sigmoid, "log_sigmoid": log_sigmoid, "silu": silu, "swish": silu, "mish": mish,
    "gelu": gelu, "squareplus": squareplus, "sparse_plus": sparse_plus, "exponential": np.exp, "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)), "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu, "hard_swish": hard_silu,
    "hard_tanh": lambda x: np.clip(x, -1, 1), "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "soft_shrink": soft_shrink, "hard_shrink": hard_shrink,
    "softmax": softmax, "log_softmax": log_softmax,
}
