"""Run a graph in Keras, tensor by tensor, with the layers it was captured from or with those it was built into.

The caller's own layers are called, none is copied: that costs one run of the network and nothing else.
"""
import numpy as np

from tfold.graph import activations
from tfold.graph.call import filled, inference_arguments
from tfold.graph.family import KERAS
from tfold.graph.ir import Ref


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
    following = {node.inputs[0]: node for node in graph if node.step}
    calls = []
    for node in graph:
        if node.op == "input" or node.step:
            continue
        last = node
        while last.ref in following:
            last = following[last.ref]  # a convolution with its activation is two nodes and one call
        makes = tuple(Ref(last.name, i) for i in range(len(last.shapes)))
        calls.append((node.inputs, makes, _call_of(node)))
    return calls


def _call_of(node):
    if node.op == "activation" and not node.intact:  # an α-activation that was settled
        layer = activations.as_layer(node.attrs["fn"], node.attrs["params"], dtype=node.layer.dtype_policy)
        return lambda tensors: layer(tensors[0])
    args, kwargs = node.call
    # Left as it is, training=True would hold for all layers that come later as well.
    kwargs = inference_arguments(node.layer, kwargs)
    return lambda tensors: node.layer(*filled(args, tensors), **filled(kwargs, tensors))


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
