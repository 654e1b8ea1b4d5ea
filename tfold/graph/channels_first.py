"""Channels first, (batch, channels, height, width), as the IR has it: channels last.

    image ─ conv ─ bn(axis=1) ─ relu ─ flatten          the caller's, all tensors channels first
    image ─ permute ─ conv ─ bn ─ relu ─ permute ─ …    the graph: a permutation where the two forms meet

A layer that has `data_format="channels_first"`, and a batch norm over axis 1, reads and makes tensors whose channels
the graph has last; what treats every number by itself, joins or adds tensors, follows. All else, and the network's
inputs and outputs, has the caller's form. So the network that is built computes with channels last inside, as phones
want it, on the same weights: in both forms a kernel is stored alike.
"""
from dataclasses import replace

from tfold.graph import functions
from tfold.graph.activations import LAYERS as ACTIVATIONS
from tfold.graph.activations import OPERATIONS, read_function
from tfold.graph.family import KERAS, family_of, is_layer
from tfold.graph.ir import Slot
from tfold.graph.read_shape import IDENTITIES

_FORMATTED = {f"{kind}{n}D" for n in (1, 2, 3) for kind in (
    "Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling", "GlobalMaxPooling",
    "GlobalAveragePooling", "ZeroPadding", "Cropping", "UpSampling")}
_FORMATTED |= {f"Conv{n}DTranspose" for n in (1, 2, 3)} | {"Flatten"}
# What follows where one of the tensors that it reads has its channels last already. `Concatenate` has an axis.
_FOLLOWING = {*ACTIVATIONS, *OPERATIONS, *IDENTITIES, "AlphaActivation", "Add", "Subtract", "Average", "Multiply",
              "Concatenate"} - {"Softmax", "LogSoftmax"}
_FUNCTIONS = {"math.add", "__operators__.add", "math.subtract", "math.multiply", "nn.relu", "nn.relu6", "nn.silu",
              "nn.leaky_relu", "math.sigmoid", "math.tanh", "nn.elu", "nn.gelu"}


def is_first(call):
    """Whether a layer itself says that its channels come first."""
    layer = call.op
    if call.steps or not is_layer(layer) or not _is_map(call) or not family_of(layer).made(layer):
        return False
    if type(layer).__name__ not in _FORMATTED or getattr(layer, "data_format", None) != "channels_first":
        return False
    if _adds_bias_along_width(layer, call.out_shapes[0]):
        return False
    return is_elementwise(getattr(layer, "activation", None))


def is_norm(call):
    """Whether a call is of a batch norm over axis 1, which in a network with channels first is that of the channels."""
    layer = call.op
    if call.steps or not is_layer(layer) or not isinstance(layer, family_of(layer).batch_norms):
        return False
    return layer.axis in (1, [1]) and _is_map(call)


def _is_map(call):
    return bool(call.in_shapes) and call.in_shapes[0] is not None and len(call.in_shapes[0]) > 2


def _adds_bias_along_width(layer, shape):
    """Whether Keras 3.15 adds a bias to the wrong axis on TensorFlow: the last, where that is as long as the bias."""
    if not getattr(layer, "use_bias", False) or family_of(layer) is not KERAS or shape is None:
        return False
    return KERAS.keras.backend.backend() == "tensorflow" and shape[1] == shape[-1] != 1


def is_elementwise(activation):
    """Whether an activation function is known to treat every number by itself."""
    fn, _ = read_function(activation)
    return functions.knows(fn) and fn not in ("softmax", "log_softmax")


def follows(call):
    """Whether a call computes the same in both forms, on tensors that all have one."""
    layer, ranks = call.op, {None if shape is None else len(shape) for shape in (*call.in_shapes, *call.out_shapes)}
    if call.steps or len(ranks) != 1 or None in ranks or min(ranks) < 3:
        return False
    if is_layer(layer) and getattr(layer, "symbol", None) in _FUNCTIONS:
        return _has_plain_constants((*call.args, *call.kwargs.values()))
    kind = type(layer).__name__
    if kind == "Activation" and not is_elementwise(layer.activation):
        return False
    known = not is_layer(layer) or family_of(layer).made(layer) or kind == "AlphaActivation"
    return known and kind in _FOLLOWING and _has_plain_constants((*call.args, *call.kwargs.values()))


def _has_plain_constants(values):
    """Whether what a call gives beside tensors is the same for every channel and pixel."""
    flat = [part for value in values for part in (value if isinstance(value, (list, tuple)) else [value])]
    return all(isinstance(part, (Slot, bool, int, float, str)) or part is None for part in flat)


def to_last(rank):
    """The permutation that moves the channels of a tensor of `rank` axes to the end."""
    return 0, *range(2, rank), 1


def to_first(rank):
    return 0, rank - 1, *range(1, rank - 1)


def moved_shape(shape):
    """A shape with channels first as that with channels last; others as they are."""
    return shape if shape is None or len(shape) < 3 else tuple(shape[axis] for axis in to_last(len(shape)))


def moved(call):
    """A call as a reader sees it that reads and makes tensors whose channels come last."""
    shapes = [tuple(map(moved_shape, shapes)) for shapes in (call.in_shapes, call.out_shapes)]
    return replace(call, in_shapes=shapes[0], out_shapes=shapes[1], moved=True)


def moved_axis(axis, rank):
    """Where an axis of a tensor with channels first is in the same with channels last."""
    return to_last(rank).index(axis % rank)


def changes(layer, family):
    """What is different in the configuration of a layer that reads and makes channels last."""
    if isinstance(layer, family.batch_norms):
        return {"axis": -1}
    return {"data_format": "channels_last"} if getattr(layer, "data_format", None) == "channels_first" else {}
