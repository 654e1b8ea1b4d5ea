"""Run a graph in Keras, tensor by tensor, with the layers it was captured from or with those it was built into.

The caller's own layers are called, none is copied: that costs one run of the network and nothing else.
"""
import math

import numpy as np

from tfold.graph import activations
from tfold.graph.call import filled, inference_arguments
from tfold.graph.channels_first import to_first, to_last
from tfold.graph.family import KERAS, family_named, family_of
from tfold.graph.ir import Ref
from tfold.graph.walls import parts


def execute(calls, values, again=(), family=KERAS):
    """Make calls, in order.

    Args:
        calls: `captured_calls(graph)`, or `built_calls(graph, built)`.
        values: dict `Ref` → tensor, for the inputs at least. What has a value is not computed, and what is computed
            does not replace it: every call reads `values` where it can.
        again: tensors to compute although they have a value.
        family: the `Family` of the layers.

    Returns:
        dict `Ref` → tensor: what was computed, and `values` for all else.
    """
    read, made = dict(values), {}

    def run():
        for reads, makes, function in calls:
            if all(ref in values and ref not in again for ref in makes):
                continue
            results = family.flatten(function([read[ref] for ref in reads]))
            made.update(zip(makes, results, strict=True))
            read.update({ref: result for ref, result in zip(makes, results, strict=True) if ref not in values})

    _at_inference(run, family)
    return {**values, **made}


def _at_inference(function, family):
    """Call a function in which every layer computes as in `model(x, training=False)`."""

    class AtInference(family.layers.Layer):
        def call(self, x, training=None):
            function()
            return x

    layer = AtInference(autocast=False)
    layer.built = True
    layer(np.zeros(1, "float32"), training=False)


def captured_calls(graph):
    """`(reads, makes, function)` for each call of the layers that a graph was captured from, α settled or not."""
    family = family_named(graph.family)
    following = {node.inputs[0]: node for node in graph if node.step}
    calls = []
    for node in graph:
        if node.op == "input" or node.step:
            continue
        last = node
        while last.ref in following:
            last = following[last.ref]  # a convolution with its activation is two nodes and one call
        makes = tuple(Ref(last.name, i) for i in range(len(last.shapes)))
        calls.append((node.inputs, makes, _call_of(node, family)))
    return calls


def _call_of(node, family):
    if node.op == "activation" and not node.intact:  # an α-activation that was settled
        layer = activations.as_layer(node.attrs["fn"], node.attrs["params"], dtype=node.layer.dtype_policy)
        return lambda tensors: layer(tensors[0])
    if node.layer is None:  # a permutation between channels first and last
        return lambda tensors: family.transpose(tensors[0], node.attrs["axes"])
    if node.steps:
        return _each_step(node)
    if node.moved:
        return _with_channels_first(node)
    return _own_call(node)


def _own_call(node):
    args, kwargs = node.call
    # Left as it is, training=True would hold for all layers that come later as well.
    kwargs = inference_arguments(node.layer, kwargs)
    return lambda tensors: node.layer(*filled(args, tensors), **filled(kwargs, tensors))


def _with_channels_first(node):
    """The call of a layer that has channels first, on tensors that have them last."""
    function, family = _own_call(node), family_of(node.layer)

    def permuted(tensor, permutation):
        rank = len(tensor.shape)
        return family.transpose(tensor, permutation(rank)) if rank > 2 else tensor

    def call(tensors):
        given = [permuted(tensor, to_first) for tensor in tensors]
        try:
            made = function(given)
        except Exception:  # some processors compute such layers in compiled functions only
            made = family.compiled(lambda: function(given))
        return family.map_structure(lambda tensor: permuted(tensor, to_last), made)

    return call


def run_model(model, inputs, family):
    """What a model makes of inputs at inference, in a compiled function where it has to be one.

    Without oneDNN, TensorFlow computes layers with channels first on a CPU in no other way.
    """
    try:
        return model(inputs, training=False)
    except Exception:
        if not any(getattr(layer, "data_format", None) == "channels_first" for layer in parts(model)):
            raise
        return family.compiled(lambda: model(inputs, training=False))


def _each_step(node):
    """The call of a layer at each step: of all steps at once, as so many more samples."""
    args, kwargs = node.call
    family, count = family_of(node.layer), 1 + node.steps

    def call(tensors):
        lead = tuple(tensors[0].shape[:count])
        flat = [family.reshape(tensor, (math.prod(lead), *tensor.shape[count:])) for tensor in tensors]
        made = node.layer(*filled(args, flat), **filled(kwargs, flat))
        return family.map_structure(lambda tensor: family.reshape(tensor, (*lead, *tensor.shape[1:])), made)

    return call


def built_calls(graph, built):
    """The same for the layers that a graph was built into.

    Args:
        graph: the `Graph`.
        built: what `build_with_tensors` made of it.
    """
    behind = {node.inputs[0]: node for node in graph if node.op == "activation" and node.name not in built.functions}
    calls = []
    for node in graph:
        if node.op != "input" and node.name in built.functions:
            last = behind.get(node.ref, node)  # an activation that went into the layer before it
            makes = tuple(Ref(last.name, i) for i in range(len(last.shapes)))
            function = built.functions[node.name]
            calls.append((node.inputs, makes, getattr(function, "at_inference", function)))
    return calls
