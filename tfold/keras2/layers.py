"""A layer of Keras 3 from the configuration of a Keras 2 layer.

    DepthwiseConv2D {"groups": 1, …}        →  DepthwiseConv2D(…)
    LeakyReLU {"alpha": 0.1}                →  LeakyReLU(negative_slope=0.1)
    ThresholdedReLU {"theta": 0.5}          →  ReLU(threshold=0.5)
    Dense {"activation": "hard_sigmoid"}    →  Dense ─ Rescaling(0.2, 0.5) ─ ReLU(max_value=1)

A setting that Keras 3's class does not take is left out where it stands at the value that changes nothing. Anything
else is `Untranslatable`. Initializers are left out, since the weights are in the file.
"""
import inspect
import warnings

import keras

from tfold.keras2.errors import Untranslatable

# Settings that Keras 3's class does not take → the values at which they change nothing that is computed.
_NEUTRAL = {
    "groups": (1,), "renorm": (False,), "virtual_batch_size": (None,), "adjustment": (None,), "time_major": (False,),
    "data_format": ("channels_last", None), "ragged": (False,), "sparse": (False,), "optional": (False,),
    "causal": (False,), "interpolation": ("nearest",), "noise_shape": (None,), "supports_masking": (True, False),
    "softmax_robust_masking": (False,),
}
# Settings that say nothing about what is computed at inference, or say it again.
_OF_NO_CONSEQUENCE = {
    "fused", "renorm_momentum", "renorm_clipping", "implementation", "batch_input_shape", "batch_shape", "input_shape",
    "input_dim", "input_length", "build_input_shape", "experimental_autocast", "autocast", "query_shape", "key_shape",
    "value_shape", "synchronized", "rng_type", "force_generator", "vocabulary_size", "trainable", "weights",
}
_RENAMED_KINDS = {
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization", "LSTMV2": "LSTM", "GRUV2": "GRU",
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D", "Convolution2DTranspose": "Conv2DTranspose",
}
_RENAMED_SETTINGS = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "CategoryEncoding": {"max_tokens": "num_tokens"},
    "Discretization": {"bins": "bin_boundaries"},
}
# Functions that both have under one name, and Keras 3's name where it is another. `hard_sigmoid` is none of them.
_ACTIVATIONS = {name: name for name in (
    "linear", "relu", "relu6", "elu", "selu", "softplus", "softsign", "gelu", "mish", "sigmoid", "tanh", "exponential",
    "softmax", "log_softmax", "silu", "leaky_relu")} | {"swish": "silu"}
_OTHER_HARD_SIGMOID = "hard_sigmoid"
_REGULARIZERS = {"L1": ("l1",), "L2": ("l2",), "L1L2": ("l1", "l2")}
_CONSTRAINTS = {"maxnorm": "MaxNorm", "nonneg": "NonNeg", "unitnorm": "UnitNorm", "minmaxnorm": "MinMaxNorm"}


def make_layer(kind, config, inner, objects=()):
    """Return the layers of Keras 3 that compute, one behind the other, what a layer of Keras 2 computes.

    Args:
        kind: the layer's class as the file names it.
        config: the layer's settings. It is not changed.
        inner: a function that makes the layer or network described by a dict inside the settings (of a wrapper).
        objects: dict of the user's classes and functions by the names that files give them.

    Returns:
        list of `keras.Layer`, the first of which takes the file's weights.

    Raises:
        Untranslatable: Keras 3 has no such layer, or not with these settings.
    """
    objects = dict(objects)
    config = dict(config)
    name = plain_name(config.get("name") or kind.lower())
    if kind in objects:
        return [_of_the_user(objects[kind], {**config, "name": name})]
    kind = kind.removeprefix("Experimental>").removeprefix("keras>")
    kind = _RENAMED_KINDS.get(kind, kind)
    if kind == "ThresholdedReLU":
        kind, config["threshold"] = "ReLU", config.pop("theta", 1.0)
    made = getattr(keras.layers, kind, None)
    if not isinstance(made, type):
        raise Untranslatable(f"{kind} layers ({name!r})")
    behind = []
    settings = {"name": name}
    takes = _parameters(made)
    _check_defaults(kind, config)
    for key, value in config.items():
        key = _RENAMED_SETTINGS.get(kind, {}).get(key, key)
        if key == "name" or key.endswith("_initializer") or key == "initializer":
            continue
        if key == "dtype":
            settings[key] = _dtype(value)
        elif key.endswith("activation") and kind != "ActivityRegularization":
            settings[key], after = _activation(key, value, kind, name, inner, objects)
            behind += after
        elif key.endswith("_regularizer"):
            if value is not None and (key in takes or key == "activity_regularizer"):
                settings[key] = _regularizer(value, name, objects)
        elif key.endswith("_constraint"):
            if value is not None and key in takes:
                settings[key] = _constraint(value, name, objects)
        elif key in takes:
            settings[key] = _value(kind, key, value, inner)
        elif value is not None and key not in _OF_NO_CONSEQUENCE and value not in _NEUTRAL.get(key, ()):
            raise Untranslatable(f"{key}={value!r} in a {kind} layer ({name!r})")
    try:
        layer = made(**settings)
        layer.trainable = config.get("trainable", True) is not False
        return [layer, *behind]
    except Untranslatable:
        raise
    except Exception as error:  # whatever Keras makes of a value that it does not take
        raise Untranslatable(f"the {kind} layer {name!r} ({_first_line(error)})") from error


def plain_name(name):
    """Return a layer's name without the slashes that Keras 3 does not take.

    Example:

    >>> plain_name("block_1/conv")
    'block_1_conv'
    """
    return str(name).replace("/", "_")


def _check_defaults(kind, config):
    """Raise where a setting is missing whose default has changed since."""
    if kind == "GRU" and "reset_after" not in config:
        config["reset_after"] = False  # as it was before the setting was there
    if kind in ("LSTM", "GRU") and "recurrent_activation" not in config:
        raise Untranslatable(f"the {kind} layer without a recurrent_activation")


def _of_the_user(found, config):
    if isinstance(found, type) and issubclass(found, keras.Layer):
        try:
            return found.from_config(config)
        except Exception as error:  # the user's own code
            raise Untranslatable(f"{found.__name__} layers ({_first_line(error)})") from error
    raise Untranslatable(f"{getattr(found, '__name__', found)}, which is not a layer of Keras 3")


def _parameters(kind):
    """Names of the settings that a class takes, and those it hands the rest on to."""
    found = {"name", "dtype"}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            found |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found - {"self", "weights", "input_shape", "batch_input_shape"}


def _dtype(value):
    """A type or policy by its name: Keras 2 writes Policy objects in several ways."""
    if isinstance(value, dict):
        config = value.get("config")
        value = config.get("name") if isinstance(config, dict) else None
    if value is not None and not isinstance(value, str):
        raise Untranslatable(f"dtype={value!r}")
    return value


def function_name(value):
    """Return the name of a function that a configuration describes by it, or by a dict; None for anything else."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return value if isinstance(value, str) else None


def _activation(key, value, kind, name, inner, objects):
    """`(activation, layers behind)` for an activation as Keras 2 writes it."""
    if value is None:
        return None, []
    called = function_name(value)
    if called is None:
        if isinstance(value, dict) and "class_name" in value:
            return inner(value), []
        raise Untranslatable(f"the {kind} layer {name!r}, whose {key} is a function of its own")
    if called in objects:
        return objects[called], []
    if called == _OTHER_HARD_SIGMOID and key == "activation" and not _is_recurrent(kind):
        # x / 5 + 1 / 2 between 0 and 1; Keras 3's function of this name has the slope 1 / 6.
        return None if kind != "Activation" else "linear", [
            keras.layers.Rescaling(0.2, 0.5, name=f"{name}_hard_sigmoid_scale"),
            keras.layers.ReLU(max_value=1.0, name=f"{name}_hard_sigmoid")]
    if called not in _ACTIVATIONS:
        raise Untranslatable(f"the activation {called} ({name!r})")
    return _ACTIVATIONS[called], []


def _is_recurrent(kind):
    return kind.endswith(("RNN", "LSTM", "GRU", "Cell")) or kind.startswith("ConvLSTM")


def _regularizer(value, name, objects):
    """A regularizer. It is of no consequence at inference, so that an unknown one goes with a word of it."""
    if isinstance(value, dict) and str(value.get("class_name")) in objects:
        return objects[value["class_name"]].from_config(value["config"])
    kind = str(value.get("class_name")) if isinstance(value, dict) else function_name(value) or ""
    kind = {"l1": "L1", "l2": "L2", "l1_l2": "L1L2", "l1l2": "L1L2"}.get(kind, kind)
    settings = value.get("config") if isinstance(value, dict) else {}
    if kind in _REGULARIZERS and isinstance(settings, dict):
        settings = {key: settings[key] for key in _REGULARIZERS[kind] if key in settings}
        return getattr(keras.regularizers, kind)(**settings)
    return _left_out("regularizer", kind, name)


def _constraint(value, name, objects):
    """A constraint, which is of no consequence at inference either."""
    if isinstance(value, dict) and str(value.get("class_name")) in objects:
        return objects[value["class_name"]].from_config(value["config"])
    kind = str(value.get("class_name")) if isinstance(value, dict) else function_name(value) or ""
    made = _CONSTRAINTS.get(kind.replace("_", "").lower())
    if made is None:
        return _left_out("constraint", kind, name)
    settings = dict(value.get("config") or {}) if isinstance(value, dict) else {}
    return getattr(keras.constraints, made)(**settings)


def _left_out(what, kind, name):
    warnings.warn(f"The {what} {kind} of layer {name!r} is left out: Keras 3 has none of this name. It is of use in "
                  "training alone.", stacklevel=2)


def _value(kind, key, value, inner):
    if isinstance(value, dict) and "class_name" in value and key in ("layer", "backward_layer", "cell"):
        return inner(value)
    if isinstance(value, list) and key == "cells":
        return [inner(each) for each in value]
    if key == "axis" and kind == "BatchNormalization" and isinstance(value, (list, tuple)):
        if len(value) != 1:
            raise Untranslatable(f"axis={value} in a BatchNormalization")
        return value[0]
    if isinstance(value, dict) and "class_name" in value:
        raise Untranslatable(f"{key}={value['class_name']} in a {kind} layer")
    return tuple(value) if key in ("target_shape", "dims") and isinstance(value, list) else value


def _first_line(error):
    return " ".join(str(error).split())[:200]
