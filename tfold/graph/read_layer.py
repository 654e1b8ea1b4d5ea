"""What one call of a Keras layer or operation computes, as steps of the IR.

    Conv2D(activation="relu")  →  linear, activation          SeparableConv2D  →  linear, linear
    BatchNormalization, 2 * x  →  affine                      anything else    →  opaque

A reader, `(layer, call) → steps`, returns None where this configuration of the layer is not what the IR's op means
(channels first, a batch norm over another axis, quantised weights): the layer then stays a wall.
"""
from dataclasses import replace

from tfold.graph import activations, read_activation, read_affine, read_legacy, read_linear, read_shape
from tfold.graph.family import family_of, is_layer
from tfold.graph.ir import Slot
from tfold.graph.keras_config import changes_nothing, is_plain_call
from tfold.graph.step import Step
from tfold.graph.steps import at_one_step, lifted, wrapped

READERS = read_linear.READERS | read_affine.READERS | read_activation.READERS | read_shape.READERS
READERS_OF_CALLS = read_affine.READERS_OF_CALLS | read_shape.READERS_OF_CALLS
# These leave out what a mask hides, which they get beside the tensor, from any layer before them.
MASKED = ("GlobalAveragePooling1D", "Softmax")


def read_layer(call, shared=False, masked=False):
    """The steps that a call computes, a chain: each reads the one before.

    Args:
        call: a `Call`.
        shared: the layer is called more than once.
        masked: some layer of the network makes masks.

    Returns:
        A non-empty list of `Step`s.
    """
    layer, steps = call.op, None
    key = _home(layer), type(layer).__name__
    if key in READERS and is_plain_call(call.args, call.kwargs, len(call.reads)) and _is_plain_layer(layer, call):
        steps = READERS[key](layer, call)
    if steps is None and key in READERS_OF_CALLS and len(call.reads) == 1:
        steps = READERS_OF_CALLS[key](layer, call)
    if key[0] == "tf":
        steps = read_legacy.read(layer, call)
    if steps and shared and sum(step.op == "linear" for step in steps) > 1:
        steps = None  # split in two, the calls would no longer share their weights
    if masked and key[0] == "layers" and key[1] in MASKED:
        steps = None
    return steps or [Step("opaque", {}, call.out_shapes)]


def read_call(call, shared=False, masked=False):
    """`(steps, is_own)`: the steps that a call computes, and whether its layer, called as it is, computes them.

    It does not where a layer is called at each step of a sequence and the IR has another op for the whole of it.
    """
    if not call.steps:
        return read_layer(call, shared, masked), True
    once = _at_one_step(call)
    steps = read_layer(once, shared, masked)
    found = None if steps[0].op == "opaque" else lifted(steps, once.in_shapes[0], call.times)
    return found or ([Step("opaque", {}, call.out_shapes)], True)


def can_be_lifted(call):
    """Whether a layer that is called at each step may stand in the network by itself.

    What the IR does not know has to be a layer of Keras that treats every sample by itself, and reads one tensor.
    """
    if not changes_nothing(call.kwargs):
        return False
    if read_call(call)[0][0].op != "opaque":
        return True
    layer = call.op
    known = is_layer(layer) and family_of(layer).made(layer) and not isinstance(layer, family_of(layer).layers.Lambda)
    return (known and not getattr(layer, "stateful", False) and is_plain_call(call.args, call.kwargs, 1)
            and len(call.out_shapes) == 1 and call.out_shapes[0] is not None and call.in_shapes[0] is not None)


def _at_one_step(call):
    shapes = [tuple(at_one_step(shape, call.steps) for shape in shapes) for shapes in (call.in_shapes, call.out_shapes)]
    return replace(call, in_shapes=shapes[0], out_shapes=shapes[1], steps=0)


def _home(layer):
    module = type(layer).__module__
    for start, home in (("keras.src.layers.", "layers"), ("keras.src.ops.", "ops"), ("tfold.alpha.", "tfold"),
                        ("keras.src.activations.", "ops"), ("tf_keras.src.layers.core.tf_op_layer", "tf"),
                        ("tf_keras.src.layers.", "layers")):
        if module.startswith(start):
            return home
    return module


def _is_plain_layer(layer, call):
    return (
        (getattr(layer, "data_format", None) != "channels_first" or call.moved)
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "lora_enabled", False)
        and not activations.may_have_weights(getattr(layer, "activation", None))
    )


def each_step(call, calls, apply):
    """Append the calls of what is called at each step; None, and nothing appended, where that cannot be opened.

    Args:
        call: the `Call` of a wrapper (`TimeDistributed`), or of anything else.
        calls: the list that `apply` appends to.
        apply: function from a call to the tensors that it makes.
    """
    inner = wrapped(replace(call, in_shapes=tuple(at_one_step(shape, call.steps) for shape in call.in_shapes)))
    if inner is None:
        return None
    before = len(calls)
    found = apply(replace(call, op=inner, reads=call.reads[:1], args=(Slot(0),), kwargs={},
                          in_shapes=call.in_shapes[:1], steps=call.steps + 1))
    if all(map(can_be_lifted, calls[before:])):
        return found
    del calls[before:]
    return None
