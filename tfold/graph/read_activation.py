"""Activations: layers, operations such as `ops.sigmoid(x)`, and α-activations."""
from tfold.graph import activations
from tfold.graph.step import Step, keeps_floats, numpy


def _activation(layer, call):
    fn, params = activations.read_layer(layer)
    if fn == "linear":
        return [Step("identity", {}, call.out_shapes)]
    return [Step("activation", {"fn": fn, "params": params}, call.out_shapes)] if keeps_floats(call) else None


def _operation(operation, call):
    found = activations.read_operation(operation)
    if found is None or not keeps_floats(call):
        return None
    fn, params = found
    return [Step("activation", {"fn": fn, "params": params}, call.out_shapes)]


def _alpha(layer, call):
    fn, params = activations.read_function(layer.activation)
    attrs = {"fn": fn, "params": params, "alpha": float(numpy(layer.alpha)), "fused": layer.fused}
    return [Step("alpha", attrs, call.out_shapes)]


READERS = {("layers", name): _activation for name in activations.LAYERS}
READERS |= {("ops", name): _operation for name in activations.OPERATIONS}
READERS |= {("tfold", "AlphaActivation"): _alpha}
