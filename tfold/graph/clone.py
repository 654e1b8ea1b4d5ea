"""A Keras layer, copied: the same configuration anew, and the same weights.

Functions that a layer holds, such as `Dense(activation=my_function)`, go over as they are: their configuration is a
name, which Keras finds again only where the function is registered. Those that are Keras' own under another spelling
(`tf.nn.relu`) get Keras' name on the way.
"""
from contextlib import nullcontext

from tfold.errors import BadInputError
from tfold.graph import activations, spellings, walls
from tfold.graph.family import KERAS, family_of, is_layer
from tfold.stock import stock_class

FLOATS = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16")


def clone_layer(layer, dtype=None, **changes):
    """Return a new layer or operation of the same class and configuration, without its weights.

    Args:
        layer: a Keras layer or operation. It is not changed.
        dtype: the floating-point type that it is to compute in, and all layers inside it; None keeps theirs.
        **changes: entries of its configuration that are to differ.

    Raises:
        BadInputError: it cannot be made anew from its configuration.
    """
    try:
        config = {**with_dtype(config_of(layer, changes), dtype), **_layers_within(layer, changes, dtype), **changes}
        if isinstance(layer, family_of(layer).layers.Lambda):
            # The code already runs here, so it is not unsafe to copy; a copy by bytecode would lose its globals.
            clone = type(layer).from_config(config, **({"safe_mode": False} if family_of(layer) is KERAS else {}))
            clone.function = layer.function
            return clone
        inner = _inner_functions(layer)
        with _stand_ins_for(inner, family_of(layer)) if inner else nullcontext():
            clone = stock_class(layer).from_config(config)
        if inner:
            _hand_over(layer, clone)
        return clone
    except BadInputError:
        raise
    except Exception as error:  # whatever the user's own class raises
        raise BadInputError(
            f"A layer is copied by its get_config() and from_config(). Received: {layer.name!r} "
            f"({type(layer).__name__}), which fails with: {' '.join(str(error).split())} Give the class a "
            "get_config() that returns every argument of its __init__()."
        ) from error


# Settings that are functions.
_FUNCTIONS = "activation", "recurrent_activation"


def config_of(layer, without=()):
    """The configuration of a layer, with the functions in it as they are, or under the names that Keras has for them.

    Args:
        layer: a layer or operation.
        without: settings that are of no interest.

    Raises:
        BadInputError: an activation is known to be one of Keras', but with settings that only a layer can say.
    """
    functions = _functions(layer)
    if not functions:
        return layer.get_config()
    try:
        config = layer.get_config()
    except TypeError:  # a callable that Keras cannot write down, as a functools.partial
        config = stock_class(layer).get_config(_without_functions(layer))
    for key, function in functions.items():
        family = family_of(layer)
        if key in config and key not in without and not (isinstance(config[key], str) and family.fn(function)):
            config[key] = respelled(function, family, layer)
    return config


def constructor_arguments(layer):
    """The configuration of a layer with the functions and layers in it as objects, for a class of the same settings."""
    return {**config_of(layer), **_layers_within(layer, (), None)}


def _layers_within(layer, without, dtype):
    """Copies of the layers that a layer has as its activation functions: their class may be known by no name."""
    held = {key: getattr(layer, key, None) for key in _FUNCTIONS if key not in without} if is_layer(layer) else {}
    return {key: _built_alike(value, clone_layer(value, dtype)) for key, value in held.items() if is_layer(value)}


def _built_alike(layer, clone):
    """The clone, built where the layer is: the call of the layer around it does not build it."""
    shapes = layer.get_build_config() if layer.built and not clone.built else None
    if shapes:
        clone.build_from_config(shapes)
    return clone


def respelled(function, family, layer):
    """An activation function as a layer takes it and Keras saves it: by name, as a layer, or as it is.

    Args:
        function: the function.
        family: the `Family` of the layer.
        layer: whose activation it is, for the error.

    Raises:
        BadInputError: it is one of Keras' own with settings that no `activation=` can say.
    """
    fn, params = activations.read_function(function)
    argument = activations.as_argument(fn, params, family)
    if argument is not None:
        return argument
    made = activations.as_layer(fn, params, family)
    if not is_layer(made):
        raise BadInputError(
            f"An activation with settings is one that Keras has a layer for. Received: {layer.name!r} "
            f"({type(layer).__name__}) with {fn} and {params}. Put the activation into the model behind it, as an "
            f"operation: keras.ops.{fn}(x, …)."
        )
    return made


def is_foreign(layer):
    """Whether a layer, or one inside it, has one of Keras' own activation functions under another spelling."""
    return any(family_of(part).fn(function) is None and spellings.known(function) is not None
               for part in walls.parts(layer) for function in _functions(part).values())


def split_activation(layer):
    """`[layer without activation, operation]` where its function is Keras' own, but none that `activation=` can say.

    Keras 3's `gelu` approximates or does not, for instance, and only the operation says which. None for all else.
    """
    function = _functions(layer).get("activation")
    if function is None or KERAS.fn(function) is not None:
        return None
    fn, params = activations.read_function(function)
    if fn == "custom" or activations.as_argument(fn, params) is not None or fn in ("relu", "elu", "softmax"):
        return None
    operation = activations.as_layer(fn, params, name=f"{layer.name}_{fn}")
    if type(layer) is KERAS.layers.Activation:
        return [operation]
    return [clone_layer(layer, activation="linear"), operation]


def _functions(layer):
    """Setting → function, of those that are neither missing nor layers."""
    if walls.is_alpha(layer) and is_layer(layer.activation):
        return {}
    found = {key: getattr(layer, key, None) for key in _FUNCTIONS} if is_layer(layer) else {}
    return {key: value for key, value in found.items() if callable(value) and not is_layer(value)}


def _without_functions(layer):
    """What stands in for a layer where its configuration is read: the same attributes, but linear."""
    double = object.__new__(type(layer))
    vars(double).update(vars(layer))
    linear = family_of(layer).keras.activations.linear
    vars(double).update({key: linear for key in _FUNCTIONS if key in vars(layer) and not is_layer(vars(layer)[key])})
    if is_layer(vars(layer).get("cell")):
        vars(double)["cell"] = _without_functions(layer.cell)
    return double


def _inner_functions(layer):
    """The functions of the layers inside a wrapper or a nested model that Keras would not find by their names."""
    found = []
    for part in list(walls.parts(layer))[1:]:
        family = family_of(part)
        found += [function for function in _functions(part).values() if family.fn(function) is None]
    return found


def _stand_ins_for(functions, family):
    """While the scope lasts, Keras takes the functions' names for the linear activation; `_hand_over` mends that."""
    linear = family.keras.activations.linear
    names = {getattr(function, "__name__", "") for function in functions}
    return family.keras.utils.custom_object_scope(
        {name: linear for name in names if name and not hasattr(family.keras.activations, name)})


def _hand_over(layer, clone):
    """Give the layers inside a copy the functions of those inside the original."""
    for part, copied in zip(list(walls.parts(layer))[1:], list(walls.parts(clone))[1:], strict=True):
        for key, function in _functions(part).items():
            if key in vars(part) and family_of(part).fn(function) is None:
                value = respelled(function, family_of(part), part)
                setattr(copied, key, family_of(part).keras.activations.get(value))


def with_dtype(config, dtype):
    """A configuration with every floating-point type in it replaced; `dtype` None leaves it as it is."""
    if dtype is None:
        return config
    if isinstance(config, dict):
        return {
            key: dtype if key == "dtype" and _names_float(value) else with_dtype(value, dtype)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        # Not as it was: TensorFlow wraps lists of a layer's attributes in a class of its own.
        return (tuple if isinstance(config, tuple) else list)([with_dtype(item, dtype) for item in config])
    return config


def _names_float(value):
    # A policy is written as its name, or as {"class_name": "DTypePolicy", "config": {"name": …}}.
    name = value["config"].get("name") if isinstance(value, dict) and "config" in value else value
    return name in FLOATS


def copy_weights(weights, layer):
    """Give a built layer these weights.

    Raises:
        BadInputError: it has another number of them.
    """
    if len(weights) != len(layer.weights):
        raise BadInputError(
            f"A layer is copied with its weights. Received: {layer.name!r} with {len(weights)} of them, "
            f"whose copy has {len(layer.weights)}. Build all weights in build(); put an activation that "
            "has some (PReLU) into the model as a layer of its own."
        )
    layer.set_weights(weights)
    if isinstance(layer, family_of(layer).layers.Normalization):
        layer.finalize_state()  # it computes with constants made from its weights
