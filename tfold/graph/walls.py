"""What a layer that stays as it is holds: the IR looks into none, but people want to know.

A wall is an `opaque` node: an unknown or custom layer, a wrapper, a nested model called in a special way, or a known
layer with settings or arguments that the IR has no op for.
"""
import keras

from tfold.graph.family import family_of, is_layer, is_operation

PRODUCTS = "conv", "matmul", "einsum", "dot"  # in the names of operations
NAMED = 3


def parts(layer):
    """A layer and all layers inside it: of a nested model, in a wrapper, as an activation."""
    if not is_layer(layer):
        return
    yield layer
    within = [*getattr(layer, "layers", ()), *getattr(layer, "cells", ())]
    within += [getattr(layer, name, None) for name in _INSIDE]
    for inner in {id(each): each for each in within}.values():
        yield from parts(inner)


def held(layer):
    """A layer and every layer that it holds: in attributes, lists and dicts too, however deep."""
    return list({id(each): each for each in layer._flatten_layers()}.values()) if is_layer(layer) else []


# Where wrappers and recurrent layers hold others.
_INSIDE = "layer", "forward_layer", "backward_layer", "cell", "activation"


def is_alpha(layer):
    return keras.saving.get_registered_name(type(layer)) == "tfold>AlphaActivation"


def may_mask(layer):
    """Whether a layer makes a mask for the layers behind it, or may."""
    return any(map(_makes_mask, parts(layer)))


def _makes_mask(layer):
    family = family_of(layer)
    if isinstance(layer, family.layers.Masking) or getattr(layer, "mask_zero", False):
        return True
    return not family.made(layer) and type(layer).compute_mask is not family.layers.Layer.compute_mask


def carries_linear_map(layer):
    """Whether a layer's weights mix its inputs: dense, convolution, attention, recurrent, unknown with a matrix."""
    if not is_layer(layer) or is_alpha(layer):
        return False
    family = family_of(layer)
    L = family.layers
    others = L.LayerNormalization, L.GroupNormalization, L.Normalization, L.PReLU, L.Embedding
    if isinstance(layer, (*family.batch_norms, *others)):
        return False
    return any(len(weight.shape) >= 2 for weight in layer.weights)


def contents(layer, call=None):
    """What the report tells of a wall: attributes of its `opaque` node.

    Args:
        layer: the layer, or the operation.
        call: its `Call`, where it was captured.
    """
    norms = list(filter(_is_batch_norm, held(layer)))
    is_linear = carries_linear_map(layer)
    why = _why(layer, call, norms) if norms else _why_unread(layer) if is_linear else ""
    homogeneous = family_of(layer).made(layer) and type(layer).__name__ == "PReLU" if is_layer(layer) else False
    return {"is_linear": is_linear, "batch_norms": len(norms), "why": why, "homogeneous": homogeneous,
            "ends_linear": is_linear or _may_end_in_a_product(layer)}


def _may_end_in_a_product(layer):
    """What comes with Keras and has no matrix of weights does not; of layers of the user's own nobody knows."""
    if is_operation(layer):
        name = f"{type(layer).__name__} {getattr(layer, 'name', '')}".lower()
        return any(product in name for product in PRODUCTS)
    return not family_of(layer).made(layer)


def _why_unread(layer):
    """What stands against reading a layer that has a weight matrix."""
    if getattr(layer, "data_format", None) == "channels_first":
        return "its channels come first, and what it computes then is not what it would with its channels last"
    if getattr(layer, "quantization_mode", None) is not None:
        return "its weights are quantised"
    if getattr(layer, "lora_enabled", False):
        return "it has LoRA weights"
    return "tfold has no rule for it, or for the way it is called"


def _is_batch_norm(layer):
    return isinstance(layer, family_of(layer).batch_norms)


def _why(layer, call, norms):
    if not _is_batch_norm(layer):
        names = ", ".join(norm.name for norm in norms[:NAMED]) + (", …" if len(norms) > NAMED else "")
        stands = f"it ({names}) stands" if len(norms) == 1 else f"its {len(norms)} ({names}) stand"
        return f"{stands} inside {layer.name}, a {type(layer).__name__} that is kept as it is"
    rank = layer.input_spec.ndim if layer.input_spec is not None else None
    if rank and layer.axis not in (-1, rank - 1, [rank - 1]):
        return f"it normalizes axis {layer.axis}, not the last"
    arguments = {} if call is None else call.kwargs
    given = {name: value for name, value in arguments.items()
             if value is not None and (name, value) != ("training", False)}
    if given.get("training") is True:
        return "it is called with training=True, so that it normalizes by each batch's own mean and variance"
    if given:
        return f"it is called with {', '.join(f'{name}=' for name in sorted(given))}"
    if getattr(layer, "renorm", False) or getattr(layer, "virtual_batch_size", None):
        return "it trains with renorm or in virtual batches, which a folded one would not go on with"
    if call is not None and len(call.reads) != 1:
        return f"it is called with {len(call.reads)} tensors"
    return "it reads a tensor of unknown shape, or numbers that are no floats"
