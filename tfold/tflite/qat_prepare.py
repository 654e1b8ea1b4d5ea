"""A graph rewritten, exactly, into layers that TFLite computes in int8 one by one.

    dense (softmax)       ⇒  dense ─▶ softmax              an int8 tensor stands between the two
    conv ─▶ x · s + t     ⇒  conv'                         so do dense, transposed and one-dimensional layers ─▶ bn,
                                                           which the converter would leave in floats
    bn, alone             ⇒  depthwise 1×1                 with a scale for each channel, which no multiplication has
    x · s + t             ⇒  x · s ─▶ + t                  two layers that can be wrapped; a border map is the latter
    hard_silu             ⇒  hard swish                    one op of TFLite
    hard_sigmoid          ⇒  + 3 ─▶ relu6 ─▶ · 1/6

A batch norm behind a two-dimensional convolution stays one: it goes on in training, and the converter folds it.
"""
import numpy as np

from tfold.graph.activations import RELU
from tfold.graph.family import KERAS, family_of, is_operation
from tfold.graph.ir import Node, Slot
from tfold.graph.legacy_functions import arguments
from tfold.graph.step import numpy
from tfold.graph.walls import contents
from tfold.tflite.qat_layers import HardSwish, WithConstant

_RELU6 = {**RELU, "max_value": 6.0}
# Operations of Keras 3, and functions of TensorFlow, with a constant: which of them, and what becomes of the constant.
_WITH_CONSTANT = {
    **dict.fromkeys(("Add", "math.add", "__operators__.add"), ("add", lambda c: c)),
    **dict.fromkeys(("Subtract", "math.subtract"), ("add", lambda c: -c)),
    **dict.fromkeys(("Multiply", "math.multiply"), ("multiply", lambda c: c)),
}


def prepare(graph):
    """Rewrite a captured graph in place; it computes what it computed before, and is to be built as tf_keras.

    Returns:
        The graph.
    """
    for node in graph:
        if node.op == "multiply" and (x := _hard_swish_of(graph, node)):
            node.inputs = (x,)
            _become(node, HardSwish())
    for node in graph:
        if node.op == "activation":
            _activation(graph, node)
        elif node.op == "affine" and node.attrs["affine"].is_finite:
            _affine(graph, node)
        elif node.op == "opaque" and (found := _constant_of(node)):
            _become(node, *found)
    graph.validate()
    return graph


def _activation(graph, node):
    fn, params = node.attrs["fn"], node.attrs["params"]
    if node.attrs.get("fused") and not (fn == "relu" and params in (RELU, _RELU6)):
        _split(graph, node)
    if fn == "hard_silu":
        _become(node, HardSwish())
    elif fn == "hard_sigmoid":
        _become(_before(graph, node, "plus"), *_with_constant("add", 3.0))
        clipped = _before(graph, node, "relu6")
        clipped.op, clipped.attrs, clipped.intact = "activation", {"fn": "relu", "params": _RELU6}, False
        _become(node, *_with_constant("multiply", 1 / 6))


def _split(graph, node):
    """The activation becomes a layer of its own, and takes the layer's name where that is an output's."""
    node.attrs, node.intact = {**node.attrs, "fused": False}, False
    linear = graph[node.inputs[0]]
    if node.ref in graph.outputs:
        node.label, linear.label = linear.label, f"{linear.label}_linear"


def _become(node, layer, constant=None):
    """A node computes what a layer computes; `constant` is the layer's, where it has one."""
    if constant is not None:
        layer.build(None)
        layer.constant.assign(constant)
    node.op, node.attrs, node.layer = "opaque", contents(layer), layer
    node.call, node.intact, node.shared, node.step = ((Slot(0),), {}), True, False, 0
    node.steps, node.moved = 0, False


def _with_constant(function, constant):
    constant = np.asarray(constant, np.float32)
    return WithConstant(function, constant.shape), constant


def _before(graph, node, suffix):
    """A new node of the same shape in front of a node, which reads it from now on."""
    new = Node(graph.unique(f"{node.name}_{suffix}"), "identity", node.inputs, {}, (graph.shape(node.inputs[0]),),
               label=f"{node.label}_{suffix}", dtype=node.dtype)
    graph.insert_before(node, new)
    node.inputs = (new.ref,)
    return new


def _hard_swish_of(graph, node):
    """The tensor x where a product is x · relu6(x + 3) / 6; else None."""
    if len(node.inputs) != 2:
        return None
    readers = graph.consumers()
    for x, gate in (node.inputs, node.inputs[::-1]):
        steps = [gate]
        while len(steps) < 4 and graph[steps[-1]].inputs:
            steps.append(graph[steps[-1]].inputs[0])
        if steps[3:] == [x] and all(len(readers[ref]) == 1 for ref in steps[:3]):
            sixth, clipped, moved = (graph[ref] for ref in steps[:3])
            if _is_affine(sixth, 1 / 6, 0) and _is_relu6(clipped) and _is_affine(moved, 1, 3):
                for part in (sixth, clipped, moved):
                    graph.remove(part)
                return x
    return None


def _is_affine(node, scale, shift):
    affine = node.attrs.get("affine")
    return node.op == "affine" and np.allclose(affine.scale, scale) and np.allclose(affine.shift, shift)


def _is_relu6(node):
    return node.op == "activation" and (node.attrs["fn"], node.attrs["params"]) == ("relu", _RELU6)


def _affine(graph, node):
    producer, affine = graph[node.inputs[0]], node.attrs["affine"]
    is_alone = len(graph.consumers()[producer.ref]) == 1 and not (producer.shared or node.shared)
    if producer.op == "linear" and is_alone and producer.dtype == node.dtype:
        goes_on = node.attrs["kind"] == "batch_norm" and producer.map.rank == 2 and not producer.map.transposed
        if not goes_on:
            _fold(graph, producer, node)
        return
    is_uniform = all((values == values[0]).all() for values in (affine.scale, affine.shift))
    if node.shape is not None and len(node.shape) == 4 and not is_uniform:
        node.attrs, node.intact = {"affine": affine, "kind": "batch_norm", "depthwise": True}, False
        return
    scale, shift = (values[0] if is_uniform else values for values in (affine.scale, affine.shift))
    moves, scales = np.any(shift != 0), np.any(scale != 1)
    if moves and scales:
        _become(_before(graph, node, "scaled"), *_with_constant("multiply", scale))
    _become(node, *(_with_constant("add", shift) if moves else _with_constant("multiply", scale)))


def _fold(graph, producer, node):
    """The linear layer computes what the affine one made of its output, under the name of that tensor."""
    node.attrs = {**producer.attrs, "map": producer.map.scaled(node.attrs["affine"])}
    node.op, node.inputs, node.label, node.layer = "linear", producer.inputs, producer.label, producer.layer
    node.covers, node.intact = producer.covers + node.covers, False
    graph.remove(producer)


def _constant_of(node):
    """For `x + constant` and its like the layer, and the constant; else None."""
    if not is_operation(node.layer):
        return None
    is_keras = family_of(node.layer) is KERAS
    name = type(node.layer).__name__ if is_keras else node.layer.symbol
    operands = list(node.call[0]) if is_keras else [
        value for key, value in (arguments(node.layer, *node.call) or {}).items() if key != "name"]
    if name not in _WITH_CONSTANT or len(operands) != 2 or len(node.inputs) != 1:
        return None
    if not isinstance(operands[0], Slot):
        operands = operands[::-1] if "ubtract" not in name else operands
    function, change = _WITH_CONSTANT[name]
    if not isinstance(operands[0], Slot) or isinstance(operands[1], Slot):
        return None
    constant = numpy(operands[1])
    return _with_constant(function, change(constant)) if constant.dtype.kind in "fiu" else None
