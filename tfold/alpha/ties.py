"""Activations that share one α, because they only help together.

    1×1 ─ σ_α ─ dw 3×3 ─ σ_α ─ 1×1         one α for both: half an inverted residual saves nothing

(Kim et al., ICML 2023, prune such a block's activations together for the same reason.)
"""

import keras

from tfold.alpha.selection import find_by_name
from tfold.errors import BadInputError


def tied(groups, chosen, paths):
    """Returns id of a layer → the layer whose α it shares, for all layers in a group.

    Args:
        groups: Lists of names of layers.
        chosen: Id of a layer → its `Site`, for all that get an α.
        paths: Layer → its paths, as `paths_by_op` gives them.

    Raises:
        ValueError: If a name is unknown or stands for a layer without an α, if a layer is in two groups, or if the
            activations of a group differ.
    """
    first_of = {}
    for group in [groups] if isinstance(groups, str) else groups:
        if isinstance(group, str) or len(group) < 2:
            raise BadInputError(
                f"tie takes groups of at least two names. Received: {group!r}. Write tie=[['relu_1', 'relu_2'], …]."
            )
        layers = [layer for name in group for layer in find_by_name(name, paths, "tie")]
        for layer in layers:
            if id(layer) not in chosen:
                raise BadInputError(
                    f"tie names activations that get an α. Received: '{layer.name}', which gets none. Leave it out."
                )
            if id(layer) in first_of:
                raise BadInputError(f"An activation can be in one group. Received: tie with '{layer.name}' in two.")
            if _spelled(chosen[id(layer)].activation) != _spelled(chosen[id(layers[0])].activation):
                raise BadInputError(
                    "One α is one layer, so the activations of a group must be equal. Received: tie with "
                    f"'{layers[0].name}' and '{layer.name}', which differ. Tie only equal ones."
                )
            first_of[id(layer)] = layers[0]
    return first_of


def _spelled(activation):
    """An activation as data, without its name."""
    if isinstance(activation, keras.layers.Layer):
        return type(activation).__name__, {**activation.get_config(), "name": None}
    return keras.activations.serialize(activation)
