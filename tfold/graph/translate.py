"""A layer of one Keras as a layer of the other: the class of the same name, with the same settings.

    keras.layers.Conv2D(8, 3)       →  tf_keras.layers.Conv2D(8, 3)
    keras.layers.LeakyReLU(0.1)     →  tf_keras.layers.LeakyReLU(alpha=0.1)

A setting that the other class does not know is left out where it stands at its default, which changes nothing; anything
else is an error that names it. What a layer computes is checked where both networks are run, not here.
"""
import inspect

from tfold.errors import BadInputError, one_line
from tfold.graph.clone import clone_layer, config_of, with_dtype
from tfold.graph.family import KERAS, NAMES, family_named, family_of
from tfold.graph.scopes import is_scope, scope_name

# Keras 3's name of a setting → tf_keras'.
_ALIASES = {"LeakyReLU": {"negative_slope": "alpha"}}
# tf_keras wants to know for which shapes the copy of a layer is to be built. It is built by its first call.
_UNKNOWN_SHAPES = {"MultiHeadAttention": ("query_shape", "key_shape", "value_shape")}


def layer_in(family, layer, dtype=None, **changes):
    """A new layer of a family, of the same class and configuration, without its weights.

    Args:
        family: the `Family` wanted.
        layer: a layer of either; one of the same family is cloned. It is not changed.
        dtype: the floating-point type that it is to compute in; None keeps its own.
        **changes: entries of its configuration that are to differ.

    Raises:
        BadInputError: the family has no such layer, or not with these settings; names it.
    """
    if family_of(layer) is family:
        return clone_layer(layer, dtype, **changes)
    try:
        config = {**with_dtype(settings_in(family, layer, without=changes), dtype), **changes}
        if family is not KERAS:
            config |= dict.fromkeys(_UNKNOWN_SHAPES.get(type(layer).__name__, ()))
        return getattr(family.layers, type(layer).__name__).from_config(config)
    except BadInputError:
        raise
    except Exception as error:  # whatever the other Keras makes of a setting it does not take
        raise _untranslatable(family, layer, one_line(error)) from error


def settings_in(family, layer, without=()):
    """The configuration of a layer as a family's layer of this name takes it.

    Args:
        family, layer: as of `layer_in`.
        without: settings that are of no interest, so that the family need not know them.

    Raises:
        BadInputError: as `layer_in`.
    """
    if family_of(layer) is family:
        return config_of(layer, without)
    name, known = type(layer).__name__, family_of(layer).made(layer)
    if not known or name == "Lambda":
        raise _untranslatable(family, layer, "Its code is your own, and written for the other.")
    if not hasattr(family.layers, name):
        raise _untranslatable(family, layer, f"It has no {name} layer.")
    config = {key: value for key, value in config_of(layer, without).items() if key not in without}
    try:
        return _translated(config, type(layer), getattr(family.layers, name), family)
    except _Unknown as error:
        raise _untranslatable(family, layer, str(error)) from error


def _untranslatable(family, layer, why):
    return BadInputError(
        f"A network becomes a {family} model of what {family} has. Received: {layer.name!r} ({type(layer).__name__}). "
        f"{why} Replace the layer, or build the network with family={family_of(layer).name!r}."
    )


# What a layer that takes no data_format has.
_USUAL = "data_format", "channels_last"


class _Unknown(Exception):
    """A setting that the other class does not take."""


def _translated(config, kind, twin, family):
    """The entries of a configuration that the twin of a class takes."""
    accepted, defaults = _parameters(twin), _parameters(kind)
    aliases = _ALIASES.get(kind.__name__, {})
    if family is KERAS:
        aliases = {there: here for here, there in aliases.items()}
    found = {}
    for key, value in config.items():
        key = aliases.get(key, key)
        if key == "axis" and kind.__name__ == "BatchNormalization" and isinstance(value, (list, tuple)):
            value = value[0] if len(value) == 1 else value  # tf_keras keeps a list
        if key in accepted:
            try:
                found[key] = _value(key, value, family)
            except _Unknown:
                if not key.endswith("_initializer"):  # the weights are copied: how they began is of no consequence
                    raise
        elif value is not None and value != defaults.get(key, value) and (key, value) != _USUAL:
            raise _Unknown(f"Its {twin.__name__} takes no {key}={value!r}.")
    return found


def _parameters(kind):
    """Parameter → default, of a class and those it hands the rest on to."""
    found = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            for parameter in parameters:
                if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                    found.setdefault(parameter.name, parameter.default)
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                break
    return found


def _value(key, value, family):
    """One setting; objects inside it are translated too."""
    if key == "name" and family is not KERAS and isinstance(value, str):
        return value if is_scope(value) else scope_name(value)
    if key == "dtype":
        return value["config"]["name"] if isinstance(value, dict) else value  # both know a policy by its name
    if key.endswith("activation") and isinstance(value, str):
        return _activation(value, family)
    if isinstance(value, dict) and (value.get("module") or "").startswith("keras.") and "class_name" in value:
        return _object(value, family)
    if isinstance(value, list):
        return [_value(key, item, family) for item in value]
    return value


def _activation(name, family):
    # Both know one by its name, unless the name means two functions.
    if name == "swish":
        return name
    found = family_named("tf_keras").argument(name)
    if found is None:
        raise _Unknown(f"It has no activation {name}.")
    return found


def _object(value, family):
    """An initializer, a regularizer, a layer inside a wrapper, as written in a configuration."""
    place, name = value["module"].removeprefix("keras."), value["class_name"]
    kinds = [getattr(getattr(each.keras, place, None), name, None) for each in (_other(family), family)]
    if None in kinds:
        raise _Unknown(f"It has no {name}.")
    # What the layer inside was built for is left out: it is built when it is called.
    return {"module": value["module"], "class_name": name, "registered_name": None,
            "config": _translated(value["config"], *kinds, family)}


def _other(family):
    return family_named(next(name for name in NAMES if name != family.name))
