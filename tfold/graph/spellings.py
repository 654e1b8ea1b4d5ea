"""Activation functions that are Keras' own under another spelling.

    tf.nn.relu, jax.nn.relu, keras.ops.relu          relu
    functools.partial(relu, max_value=2.0)           relu, max_value 2
    jax.nn.gelu, keras.ops.gelu                      gelu, approximate: their default is not that of Keras' activation

TensorFlow's tutorials write `Dense(128, activation=tf.nn.relu)`. Keras saves such a function by a name that it cannot
always find again, so what is known is read as the function that it is, and gets Keras' name.
"""
import functools
import inspect
import sys

import keras

RELU = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
_RELU6 = {**RELU, "max_value": 6.0}

# Function → what the names of its settings are here. The settings of the relu family are those of `relu`.
_SETTINGS = {
    "relu": {"max_value": "max_value", "negative_slope": "negative_slope", "threshold": "threshold"},
    "elu": {"alpha": "alpha"}, "celu": {"alpha": "alpha"}, "gelu": {"approximate": "approximate"},
    "softmax": {"axis": "axis"}, "log_softmax": {"axis": "axis"}, "soft_shrink": {"threshold": "threshold"},
    "hard_shrink": {"threshold": "threshold"}, "squareplus": {"b": "b"},
}
_LEAKY = {"negative_slope": "negative_slope", "alpha": "negative_slope"}  # "alpha" in TensorFlow
_DEFAULTS = {"elu": {"alpha": 1.0}, "celu": {"alpha": 1.0}, "gelu": {"approximate": False}, "softmax": {"axis": -1},
             "log_softmax": {"axis": -1}, "soft_shrink": {"threshold": 0.5}, "hard_shrink": {"threshold": 0.5},
             "squareplus": {"b": 4}}
_PLAIN = ("relu", "relu6", "elu", "selu", "celu", "softplus", "softsign", "soft_sign", "sigmoid", "tanh", "silu",
          "swish", "mish", "softmax", "log_softmax", "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish",
          "hard_tanh", "squareplus", "sparse_plus", "sparse_sigmoid", "tanh_shrink", "soft_shrink", "hard_shrink",
          "exponential", "linear")
_ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "soft_sign": "softsign"}


def known(function):
    """`(fn, params)` of a function that computes what one of Keras' does; None where tfold does not know it.

    Args:
        function: any callable: of Keras, TensorFlow or JAX, or a `functools.partial` of one with settings by name.
    """
    if isinstance(function, functools.partial):
        inner = known(function.func)
        if inner is None or function.args:
            return None
        return _with_settings(function.func, *inner, function.keywords)
    for table in _tables():
        for candidate, found in table:
            if candidate is function:
                return found[0], dict(found[1])
    return None


def of_keras(name):
    """`(fn, params)` of Keras 3's activation function of this name."""
    if name == "relu6":
        return "relu", dict(_RELU6)
    if name == "leaky_relu":
        return "relu", {**RELU, "negative_slope": 0.2}  # the function's default; the layer's is 0.3
    name = _ALIASES.get(name, name)
    return name, dict(RELU) if name == "relu" else {}


def without_defaults(fn, params):
    """The parameters that differ from those that the function has by its name alone."""
    usual = RELU if fn == "relu" else _DEFAULTS.get(fn, {})
    return {key: value for key, value in params.items() if key not in usual or usual[key] != value}


def _with_settings(function, fn, params, given):
    names = _LEAKY if getattr(function, "__name__", "") == "leaky_relu" else _SETTINGS.get(fn, {})
    params = dict(params)
    for name, value in given.items():
        if name == "name":  # of TensorFlow's op
            continue
        if name not in names or not _is_plain(value):
            return None
        params[names[name]] = float(value) if fn == "relu" and value is not None else value
    if fn == "relu" and (params["negative_slope"] is None or params["threshold"] is None):
        return None
    return fn, params


def _is_plain(value):
    return value is None or isinstance(value, (bool, int, float))


@functools.cache
def _of_keras_itself():
    """Keras 3's own: its activations, and the operations that compute the same."""
    found = []
    for module in (keras.activations, keras.ops):
        for name in (*_PLAIN, "leaky_relu"):
            if hasattr(module, name):
                found.append((getattr(module, name), of_keras(name)))
    found.append((keras.activations.gelu, ("gelu", {})))
    found.append((keras.ops.gelu, ("gelu", {"approximate": _default(keras.ops.gelu, "approximate")})))
    found.append((keras.ops.exp, ("exponential", {})))
    return found


@functools.cache
def _of_tensorflow():
    import tensorflow as tf

    names = ("relu", "relu6", "elu", "selu", "softplus", "softsign", "sigmoid", "tanh", "silu", "swish", "softmax",
             "log_softmax", "leaky_relu")
    found = [(getattr(tf.nn, name), of_keras(name)) for name in names]
    found += [(getattr(tf.compat.v1.nn, name), of_keras(name)) for name in ("relu", "softmax", "log_softmax")]
    return [*found, (tf.nn.gelu, ("gelu", {"approximate": False})), (tf.identity, ("linear", {})),
            (tf.math.tanh, ("tanh", {})), (tf.math.sigmoid, ("sigmoid", {})), (tf.math.softplus, ("softplus", {})),
            (tf.exp, ("exponential", {})), (tf.math.log_sigmoid, ("log_sigmoid", {}))]


@functools.cache
def _of_jax():
    import jax

    found = [(getattr(jax.nn, name), of_keras(name)) for name in _PLAIN if hasattr(jax.nn, name)]
    return [*found, (jax.nn.leaky_relu, ("relu", {**RELU, "negative_slope": 0.01})), (jax.numpy.tanh, ("tanh", {})),
            (jax.nn.gelu, ("gelu", {"approximate": _default(jax.nn.gelu, "approximate")})),
            (jax.numpy.exp, ("exponential", {}))]


def _tables():
    """Those of the frameworks that are loaded: no function of another can have been passed."""
    yield _of_keras_itself()
    if "tensorflow" in sys.modules:
        yield _of_tensorflow()
    if "jax" in sys.modules:
        yield _of_jax()


def _default(function, name):
    return inspect.signature(function).parameters[name].default
