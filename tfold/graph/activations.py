"""Activation functions: Keras' many spellings of one function, as a name and parameters, and back.

`relu`, `ReLU(max_value=6)`, `relu6`, `LeakyReLU(0.1)` are all `("relu", {max_value, negative_slope, threshold})`.
The names are Keras 3's, for tf_keras' functions too, where they compute the same. What has no such name is
`("custom", {"function": callable})`.
"""
import keras

from tfold.graph import legacy_activations, operations, spellings
from tfold.graph.family import KERAS, family_of, is_layer, loaded
from tfold.graph.spellings import RELU

LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")

# Keras' operations that are an activation without settings, and those that are one with their settings as they stand.
_STOCK = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
          "Softplus": "softplus", "Softsign": "softsign", "Selu": "selu", "Exp": "exponential",
          "LogSigmoid": "log_sigmoid", "HardTanh": "hard_tanh", "TanhShrink": "tanh_shrink",
          "SparsePlus": "sparse_plus", "SparseSigmoid": "sparse_sigmoid"}
_STOCK_SETTINGS = {"Gelu": ("gelu", {"approximate": False}), "Celu": ("celu", {"alpha": 1.0}),
                   "LogSoftmax": ("log_softmax", {"axis": -1}), "SoftShrink": ("soft_shrink", {"threshold": 0.5}),
                   "HardShrink": ("hard_shrink", {"threshold": 0.5}), "Squareplus": ("squareplus", {"b": 4})}
OPERATIONS = ("Relu", "Relu6", "ReLU", "LeakyRelu", "Elu", "Softmax", *_STOCK, *_STOCK_SETTINGS)


def may_have_weights(function):
    """True for a layer used as a function, Dense(activation=PReLU()), unless it is known to have none.

    Such a layer is built by the first run of the model, so its weights may not be there yet to be seen.
    """
    return is_layer(function) and not _is_known(function) and not (function.built and not function.weights)


def _is_known(layer):
    return type(layer).__name__ in LAYERS and family_of(layer).made(layer)


def read_function(function):
    """`(fn, params)` of an activation function, or of an activation layer used as one."""
    if function is None:
        return "linear", {}
    if is_layer(function):
        if _is_known(function):
            return read_layer(function)
        return "custom", {"function": type(function).from_config(function.get_config())}  # never the caller's layer
    name = next(filter(None, (family.fn(function) for family in loaded())), None)
    if name is not None:
        return spellings.of_keras(name)
    return spellings.known(function) or ("custom", {"function": function})


def read_layer(layer):
    """`(fn, params)` of a Keras activation layer."""
    kind = type(layer).__name__
    if kind == "Activation":
        return read_function(layer.activation)
    config = layer.get_config()
    if kind == "ReLU":
        return "relu", _relu(config)
    if kind == "LeakyReLU":
        slope = config["negative_slope"] if "negative_slope" in config else config["alpha"]  # the latter in tf_keras
        return "relu", {**RELU, "negative_slope": float(slope)}
    if kind == "ELU":
        return "elu", {"alpha": float(config["alpha"])}
    return "softmax", {"axis": config["axis"]}


def read_operation(operation):
    """`(fn, params)` of one of `OPERATIONS`; None where no activation of Keras has its settings."""
    kind, config = type(operation).__name__, operation.get_config()
    if kind in _STOCK:
        return _STOCK[kind], {}
    if kind in _STOCK_SETTINGS:
        fn, settings = _STOCK_SETTINGS[kind]
        return (fn, {}) if all(config[key] == value for key, value in settings.items()) else None
    if kind == "Relu6":
        return "relu", {**RELU, "max_value": 6.0}
    if kind == "Elu":
        return "elu", {"alpha": float(config["alpha"])}
    if kind == "Softmax":
        return ("softmax", {"axis": config["axis"]}) if isinstance(config["axis"], int) else None
    return "relu", _relu(config)


def _relu(config):
    return {
        "max_value": None if config.get("max_value") is None else float(config["max_value"]),
        "negative_slope": float(config.get("negative_slope") or 0.0),
        "threshold": float(config.get("threshold") or 0.0),
    }


def as_argument(fn, params, family=KERAS):
    """What to give as `activation=` to a layer of a family, or None where only a layer of its own can say it."""
    if fn == "custom":
        return params["function"]
    changed = spellings.without_defaults(fn, params)
    if fn == "relu" and changed == {"max_value": 6.0}:
        return family.argument("relu6")
    return None if changed else family.argument(fn)


def as_layer(fn, params, family=KERAS, **kwargs):
    """A layer that computes the function, or for want of one an operation, or a function of layers.

    Raises:
        BadInputError: the family has no such function; names it.
    """
    # A policy is no plain value, and Keras writes down the arguments of a layer that has no get_config() of its own.
    if "dtype" in kwargs:
        kwargs["dtype"] = getattr(kwargs["dtype"], "name", kwargs["dtype"])
    L, argument = family.layers, as_argument(fn, params, family)
    if fn == "relu" and argument != "relu":
        return L.ReLU(**params, **kwargs)
    if argument is not None:
        return L.Activation(argument, **kwargs)
    if fn in ("elu", "softmax"):
        return {"elu": L.ELU, "softmax": L.Softmax}[fn](**params, **kwargs)
    if family is KERAS:
        like = keras.KerasTensor((None, 2, 2, 2, 2), "float32")  # the operation is the same for every shape
        return operations.named(kwargs.get("name"), lambda x: getattr(keras.ops, fn)(x, **params), like)
    return legacy_activations.as_layers(fn, params, **kwargs)
