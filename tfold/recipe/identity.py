"""Whether a folder's run is the run that is asked for, and whether a network and images belong together."""
import hashlib
import json

import keras
import numpy as np

from tfold.checks import differences
from tfold.errors import BadInputError
from tfold.graph.calls import check_graph_model, is_graph_model


def structure(model):
    """What tells what two networks compute with from each other, whatever their layers are called: sha256, 16 digits.

    Names are left out, since Keras counts layers without a name on and on: conv2d_7 here is conv2d in another process.
    """
    total = hashlib.sha256()
    for layer in model.layers:
        inside = structure(layer) if is_graph_model(layer) else _nameless(layer.get_config())
        total.update(f"{type(layer).__name__} {json.dumps(inside, sort_keys=True, default=str)}".encode())
    return total.hexdigest()[:16]


def digest(model):
    """What tells two trained networks apart: sha256 of structure and weights, 16 digits."""
    total = hashlib.sha256(structure(model).encode())
    for weight in model.weights:
        total.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return total.hexdigest()[:16]


def _nameless(config):
    if isinstance(config, dict):
        return {key: _nameless(value) for key, value in config.items() if key != "name"}
    return [_nameless(value) for value in config] if isinstance(config, (list, tuple)) else config


def check_same(before, now, where, way_out):
    """Raise `BadInputError` with all differences if settings are not those that a file was made with."""
    found = differences(*(json.loads(json.dumps(settings)) for settings in (before, now)))
    if found:
        raise BadInputError(
            f"A run goes on with the settings it began with. Received: {where}, begun with {'; '.join(found)}. "
            f"{way_out}"
        )


def check_fits(model, data):
    """Raise `BadInputError` unless a network takes these images and tells their classes."""
    check_graph_model(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) != 2:
        raise BadInputError(
            f"A recipe trains classifiers of one input and one output (batch, classes). Received: {model.name!r} with "
            f"{len(model.inputs)} inputs and outputs of {[tuple(t.shape) for t in model.outputs]}. Call fit yourself."
        )
    wanted, shape = tuple(model.inputs[0].shape[1:]), data.x_train.shape[1:]
    if len(wanted) != len(shape) or any(a is not None and a != b for a, b in zip(wanted, shape, strict=True)):
        raise BadInputError(
            f"Images have the shape that the network takes. Received: {data.source} with {shape}, and {model.name!r}, "
            f"which takes {wanted}. Resize them, or give them as many channels."
        )
    scaling = [layer.name for layer in model.layers if type(layer).__name__ in ("Rescaling", "Normalization")]
    if scaling and data.scale not in (None, (0.0, 255.0)):
        raise BadInputError(
            f"Images are scaled once. Received: scale={data.scale}, and {model.name!r}, which scales them itself "
            f"({scaling[0]}). Leave the scale out."
        )
    classes = model.outputs[0].shape[-1]
    if data.classes > classes:
        raise BadInputError(
            f"A network tells all classes apart. Received: {data.source} with {data.classes} classes, and "
            f"{model.name!r} with {classes} outputs. Check the labels: they count from 0."
        )
