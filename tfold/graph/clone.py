"""A Keras layer, copied: the same configuration anew, and the same weights."""
from tfold.errors import BadInputError
from tfold.graph.family import KERAS, family_of
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
        config = {**with_dtype(layer.get_config(), dtype), **changes}
        if isinstance(layer, family_of(layer).layers.Lambda):
            # The code already runs here, so it is not unsafe to copy; a copy by bytecode would lose its globals.
            clone = type(layer).from_config(config, **({"safe_mode": False} if family_of(layer) is KERAS else {}))
            clone.function = layer.function
            return clone
        return stock_class(layer).from_config(config)
    except Exception as error:  # whatever the user's own class raises
        raise BadInputError(
            f"A layer is copied by its get_config() and from_config(). Received: {layer.name!r} "
            f"({type(layer).__name__}), which fails with: {' '.join(str(error).split())} Give the class a "
            "get_config() that returns every argument of its __init__()."
        ) from error


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
