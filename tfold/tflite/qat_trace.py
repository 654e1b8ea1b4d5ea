"""A quantisation-aware model as one TensorFlow function, for the converter, which takes it as it is.

`trace` does this for a graph, and builds that first; but what TFMOT's wrappers have learnt is theirs, so here the
model's own layers are called, and say in the same way which op comes from which of them.

The converter makes int8 of it because rounding is in it: with `optimizations = [tf.lite.Optimize.DEFAULT]` and no
representative data, and with TFLITE_BUILTINS as supported ops, not TFLITE_BUILTINS_INT8, which asks for data.
"""

import numpy as np

from tfold.errors import BadInputError, one_line
from tfold.graph.call import Tensor, filled
from tfold.graph.execute import execute
from tfold.graph.family import family_of
from tfold.graph.legacy_calls import read_calls
from tfold.graph.scopes import scope_name
from tfold.tflite.trace import Trace, input_names, output_names


def concrete(model, batch=1):
    """Trace a quantisation-aware model at inference, for `batch` inputs at a time.

    Args:
        model: what `quantize_aware` made, or TFMOT; trained.
        batch: how many inputs the function takes.

    Returns:
        A `Trace`.

    Raises:
        BadInputError: it has not been trained, so its int8 numbers have no ranges yet; or its input size is open.

    Example:

    >>> converted(concrete(model), format_named("int8"), "uint8", "uint8")
    """
    import tensorflow as tf

    _check_trained(model)
    family, read = family_of(model), read_calls(model)
    specs = [_specification(tf, call, batch) for call in read.calls if call.op is None]
    layers = [call for call in read.calls if call.op is not None]
    makers = {Tensor(call, i): number for number, call in enumerate(layers) for i in range(len(call.out_shapes))}
    calls = [(call.reads, [Tensor(call, i) for i in range(len(call.out_shapes))], _scoped(tf, number, call))
             for number, call in enumerate(layers)]
    given = [Tensor(call) for call in read.calls if call.op is None]

    @tf.function(input_signature=specs, autograph=False)
    def network(*inputs):
        values = execute(calls, dict(zip(given, inputs, strict=True)), family=family)
        return [tf.identity(values[tensor]) for tensor in read.outputs]

    try:
        function = network.get_concrete_function()
    except Exception as error:  # a layer that counts on another batch size raises whatever it likes
        raise BadInputError(
            f"A .tflite file takes as many inputs as it is made for. Received: {model.name!r}, which cannot take "
            f"{batch}: {one_line(error)} Build the model without a batch size."
        ) from error
    return Trace(function, model, tuple(map(_title, layers)), input_names(model), output_names(model),
                 tuple(makers.get(tensor) for tensor in read.outputs))


def _check_trained(model):
    for variable in model.weights:
        values = variable.numpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BadInputError(
                f"Weights must be finite numbers. Received: NaN or infinity in {variable.name}. The training has "
                "diverged: begin again with a smaller learning rate."
            )
    waiting = [layer.name for layer in model.layers if not getattr(layer, "has_learnt", True)]
    if waiting:
        raise BadInputError(
            f"The ranges of int8 numbers are learnt in training. Received: {model.name!r}, with {len(waiting)} of them "
            f"that no batch has passed in training ({waiting[0]}, …). Call its fit() first."
        )


def _specification(tf, call, batch):
    shape = call.out_shapes[0]
    if None in shape[1:]:
        raise BadInputError(
            f"A .tflite file has a fixed input size. Received: input {call.name!r} of shape {shape}. Make the model "
            "that you quantise with an Input of the size it will run at."
        )
    return tf.TensorSpec((batch, *shape[1:]), call.dtype, name=scope_name(call.name))


def _scoped(tf, number, call):
    def function(tensors):
        with tf.name_scope(f"tfold.{number}"):
            return call.op(*filled(call.args, tensors), **filled(call.kwargs, tensors))

    return function


def _title(call):
    """The name of the layer that a call is about: a wrapper that only rounds is about the one before it."""
    rounds_only = getattr(call.op, "rounds_only", False)
    return call.reads[0].call.name if rounds_only else call.name
