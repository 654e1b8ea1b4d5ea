"""Reads every α of a model, and moves λ_c."""

import keras

from tfold.alpha.activation import AlphaActivation
from tfold.alpha.penalty import AlphaPenalty
from tfold.errors import BadInputError


def alpha_layers(model):
    """Returns a dict of name → `AlphaActivation`, from inputs to outputs; "outer/inner" in a nested model."""
    found = {}
    _collect(model, "", found, set())
    return found


def alphas(model):
    """Returns a dict of name → α as a float, from inputs to outputs; "outer/inner" in a nested model.

    Example:

    >>> alphas(prefold(keras.applications.MobileNetV2(weights=None)))
    {"Conv1_relu": 0.0, "expanded_conv_depthwise_relu": 0.0, …}
    """
    layers = alpha_layers(model)
    unbuilt = [name for name, layer in layers.items() if layer.alpha is None]
    if unbuilt:
        raise BadInputError(
            f"An α exists only in a built model. Received: '{model.name}', where {unbuilt} are not built. "
            "Call model.build(input_shape)."
        )
    return {name: float(keras.ops.convert_to_numpy(layer.alpha)) for name, layer in layers.items()}


def set_strength(model, strength):
    """Sets λ_c of every α that has an `AlphaPenalty`; takes effect in the next train step, without compiling again.

    Raises:
        ValueError: If no α has an `AlphaPenalty`, or the strength is negative or not finite.
    """
    penalties = [layer.alpha_regularizer for layer in alpha_layers(model).values()]
    penalties = [penalty for penalty in penalties if isinstance(penalty, AlphaPenalty)]
    if not penalties:
        raise BadInputError(
            f"λ_c can be set only where an α has an AlphaPenalty. Received: model '{model.name}' with none. "
            "Make it with tfold.prefold(model, penalty=tfold.AlphaPenalty())."
        )
    for penalty in penalties:
        penalty.strength = strength


def _collect(model, prefix, found, seen):
    for layer in model.layers:
        if id(layer) in seen:
            continue  # shared between models: it has one α, under its first name
        seen.add(id(layer))
        if isinstance(layer, AlphaActivation):
            found[prefix + layer.name] = layer
        elif isinstance(layer, keras.Model):
            _collect(layer, f"{prefix}{layer.name}/", found, seen)
