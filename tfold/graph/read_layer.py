"""What one call of a Keras layer or operation computes, as steps of the IR.

    Conv2D(activation="relu")  →  linear, activation          SeparableConv2D  →  linear, linear
    BatchNormalization, 2 * x  →  affine                      anything else    →  opaque

A reader, `(layer, call) → steps`, returns None where this configuration of the layer is not what the IR's op means
(channels first, a batch norm over another axis, quantised weights): the layer then stays a wall.
"""
from tfold.graph import activations, read_activation, read_affine, read_legacy, read_linear, read_shape
from tfold.graph.keras_config import is_plain_call
from tfold.graph.step import Step

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
    if key in READERS and is_plain_call(call.args, call.kwargs, len(call.reads)) and _is_plain_layer(layer):
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


def _home(layer):
    module = type(layer).__module__
    for start, home in (("keras.src.layers.", "layers"), ("keras.src.ops.", "ops"), ("tfold.alpha.", "tfold"),
                        ("keras.src.activations.", "ops"), ("tf_keras.src.layers.core.tf_op_layer", "tf"),
                        ("tf_keras.src.layers.", "layers")):
        if module.startswith(start):
            return home
    return module


def _is_plain_layer(layer):
    return (
        getattr(layer, "data_format", None) != "channels_first"
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "lora_enabled", False)
        and not activations.may_have_weights(getattr(layer, "activation", None))
    )
