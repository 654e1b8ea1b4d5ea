"""The weights of a Keras 2 file in the layers of Keras 3 that were made for them.

An .h5 file lists the arrays of each layer with their names, "conv/kernel:0". Arrays are given to variables by place, as
Keras 2 did, and only where the names' last parts agree; where they do not, by name. A .keras file numbers the arrays of
each layer, and has a folder for each layer inside a layer.
"""
import re

import keras
import numpy as np

from tfold.errors import BadInputError
from tfold.keras2.calls import MODELS
from tfold.keras2.errors import Untranslatable
from tfold.keras2.network import PRUNED


def load_hdf5(path, file, part):
    """Give the layers of a network the weights of an .h5 file.

    Args:
        path: of the file, for messages.
        file: the opened `h5py.File`.
        part: the network's `Part`.

    Raises:
        BadInputError: arrays are missing, or of another shape.
        Untranslatable: it cannot be told which array belongs where.
    """
    group = file.get("model_weights", file)
    stored = {}
    for name in _names(group, "layer_names"):
        layer = group[name]
        stored[name] = [(weight, layer[weight]) for weight in _names(layer, "weight_names")]
    used = set()
    for each in part.parts:
        arrays = stored.get(each.name, [])
        used.add(each.name)
        if each.layer is not None or arrays:
            _give(path, each, _without_wrapper(each, arrays))
    extra = [name for name, arrays in stored.items() if arrays and name not in used]
    if extra:
        raise BadInputError(
            f"A model's weights belong to its layers. Received: {path}, which has weights of {extra[0]!r}, a layer "
            "that is not in its configuration. Save the model again.")
    _finish(part)


def load_archive(path, file, part):
    """Give the layers of a network the weights of a .keras file; as `load_hdf5`."""
    _load_folder(path, file, part)
    _finish(part)


def _names(group, key):
    """The list of names in an attribute, which HDF5's limits may have cut into several."""
    if key in group.attrs:
        found = group.attrs[key]
    else:
        found = []
        while f"{key}{len(found)}" in group.attrs:
            found.append(group.attrs[f"{key}{len(found)}"])
        found = [name for each in found for name in each]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _without_wrapper(part, arrays):
    """Arrays without those that pruning has kept beside the kernel."""
    kept = ("mask", "threshold", "pruning_step") if part.kind == PRUNED else ()
    return [each for each in arrays if _last(each[0]) not in kept]


def _last(name):
    """The variable's own name: "kernel" of "block/conv_1/kernel:0"."""
    return re.sub(r":\d+$", "", name.rpartition("/")[2])


def _give(path, part, arrays):
    variables = _variables(part)
    if len(variables) != len(arrays):
        raise BadInputError(
            f"A model's weights fit its layers. Received: {path}, which has {len(arrays)} arrays for the "
            f"{len(variables)} weights of layer {part.name!r}. Save the model again.")
    pairs = [(owner, variable, name, array) for (owner, variable), (name, array) in zip(variables, arrays, strict=True)]
    if not all(_fits(*pair) for pair in pairs):
        pairs = _by_name(path, part, variables, arrays)
    for _, variable, name, array in pairs:
        _assign(path, part, variable, name, array)


def _fits(owner, variable, name, array):
    own, stored = _name_in_keras2(owner, variable), _last(name)
    same = own == stored or own not in _KNOWN or stored not in _KNOWN
    return same and tuple(array.shape) == tuple(variable.shape)


def _name_in_keras2(owner, variable):
    depthwise = isinstance(owner.layer, (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D))
    return {"kernel": "depthwise_kernel"}.get(variable.name, variable.name) if depthwise else variable.name


# Names that are alike in both Keras; others, as of the user's own layers, say nothing.
_KNOWN = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "depthwise_kernel", "pointwise_kernel",
          "recurrent_kernel", "embeddings", "alpha", "mean", "variance", "count"}


def _by_name(path, part, variables, arrays):
    """Pairs by the names of layer and variable."""
    found = {}
    for owner, variable in variables:
        found.setdefault((owner.name, _name_in_keras2(owner, variable)), []).append((owner, variable))
    pairs = []
    for name, array in arrays:
        pieces = name.split("/")
        fitting = found.get((pieces[-2] if len(pieces) > 1 else part.name, _last(name)), [])
        if len(fitting) != 1 or tuple(fitting[0][1].shape) != tuple(array.shape):
            if len(part.parts) == 0 and len(arrays) == len(variables):
                _check_shapes(path, part, variables, arrays)
            raise Untranslatable(f"weights of {part.name!r}, of which {name!r} belongs to no layer for certain")
        pairs.append((*fitting[0], name, array))
    if len({id(variable) for _, variable, _, _ in pairs}) < len(variables):
        raise Untranslatable(f"weights of {part.name!r}, two of which belong to one variable")
    return pairs


def _check_shapes(path, part, variables, arrays):
    for (_, variable), (name, array) in zip(variables, arrays, strict=True):
        if tuple(variable.shape) != tuple(array.shape):
            raise BadInputError(
                f"A model's weights fit its layers. Received: {path}, whose {name!r} of shape {tuple(array.shape)} "
                f"belongs to the {variable.name} of layer {part.name!r}, of shape {tuple(variable.shape)}. "
                "Save the model again.")


def _variables(part):
    """`(the part that owns it, variable)` of a part in Keras 2's order: all that can be trained, then the rest."""
    if part.layer is None:
        return []
    trainable, rest = _ordered(part)
    return trainable + rest


def _ordered(part):
    if part.kind in MODELS:
        found = [_ordered(each) for each in part.parts if each.layer is not None]
        trainable = [pair for first, _ in found for pair in first]
        rest = [pair for _, second in found for pair in second]
        return (trainable, rest) if part.layer.trainable else ([], trainable + rest)
    layer = part.layer
    trainable = [(part, variable) for variable in _own_trainable(layer)]
    known = {id(variable) for _, variable in trainable}
    rest = [(part, variable) for variable in layer.weights if id(variable) not in known]
    return (trainable, rest) if layer.trainable else ([], trainable + rest)


def _own_trainable(layer):
    """Variables that Keras 2 counts as trainable before it asks whether the layer is frozen."""
    was, layer.trainable = layer.trainable, True
    try:
        return list(layer.trainable_weights)
    finally:
        layer.trainable = was


def _assign(path, part, variable, name, array):
    if tuple(array.shape) != tuple(variable.shape):
        raise BadInputError(
            f"A model's weights fit its layers. Received: {path}, whose {name!r} of shape {tuple(array.shape)} belongs "
            f"to the {variable.name} of layer {part.name!r}, of shape {tuple(variable.shape)}. Save the model again.")
    value = np.asarray(array)
    if value.dtype.kind not in "fiub":
        raise BadInputError(
            f"A model's weights are numbers. Received: {path}, whose {name!r} holds {value.dtype}. "
            "Save the model again.")
    variable.assign(value)


def _load_folder(path, group, part):
    """Give a network its weights from a folder of a .keras file's weights."""
    place = next((name for name in ("layers", "_layer_checkpoint_dependencies") if name in group), None)
    folders = _folders([_of_todays_class(each) for each in part.parts])
    for each, folder in zip(part.parts, folders, strict=True):
        if each.layer is None:
            continue
        if place is None or folder not in group[place]:
            if each.layer.weights:
                raise Untranslatable(f"weights of the layer {each.name!r}, which are not where they belong")
        elif each.kind in MODELS:
            _load_folder(path, group[place][folder], each)
        else:
            _load_layer(path, group[place][folder], each, each.layer)


def _of_todays_class(part):
    return {"Model": "Functional"}.get(part.kind, part.kind.rpartition(">")[2])


def _snake(name):
    """A class' name as Keras names folders: "ReLU" → "re_lu", "Conv2D" → "conv2d"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _load_layer(path, group, part, layer):
    """Give a layer its own weights, and those of the layers inside it, which lie under their attributes' names."""
    given = _given(path, group, part, layer)
    left = [variable.name for variable in layer.weights if id(variable) not in given]
    if left:
        raise Untranslatable(f"weights of the layer {part.name!r}, whose {left[0]} is not where it belongs")


def _given(path, group, part, layer):
    """Assign what lies in a folder; return the ids of the variables that it was assigned to."""
    nested = next((each for each in part.parts if each.layer is layer), None)
    if part.kind == PRUNED and part.layer is layer:
        return _given(path, group["layer"], part.parts[0], layer)
    if nested is not None and nested.kind in MODELS:
        _load_folder(path, group, nested)
        return {id(variable) for variable in layer.weights}
    stored = group.get("vars", {})
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    if len(stored) > len(own):
        raise Untranslatable(f"weights of the layer {part.name!r}, of which there are {len(stored)}, not {len(own)}")
    for i in range(len(stored)):
        if str(i) not in stored:
            raise Untranslatable(f"weights of the layer {part.name!r}, of which number {i} is missing")
        _assign(path, part, own[i], f"{layer.name}/{own[i].name}", stored[str(i)])
    given = {id(variable) for variable in own[: len(stored)]}
    for name in group:
        inside = getattr(layer, name, None)
        if isinstance(inside, keras.Layer):
            given |= _given(path, group[name], part, inside)
        elif isinstance(inside, (list, tuple)):
            names = _folders([type(each).__name__ for each in inside])
            given |= {key for folder, each in zip(names, inside, strict=True) if folder in group[name]
                      for key in _given(path, group[name][folder], part, each)}
    return given


def _folders(kinds):
    """The folders' names of layers in a list: "conv2d", "conv2d_1", …"""
    counts, found = {}, []
    for kind in map(_snake, kinds):
        counts[kind] = counts.get(kind, -1) + 1
        found.append(f"{kind}_{counts[kind]}" if counts[kind] else kind)
    return found


def _finish(part):
    """Let layers take in what was assigned: `Normalization` computes with copies of its variables."""
    for each in part.parts:
        if isinstance(each.layer, keras.layers.Normalization) and each.layer.weights:
            each.layer.finalize_state()
        _finish(each)
