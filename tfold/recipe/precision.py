"""The same network computing in another number type: weights stay float32, the arithmetic becomes bfloat16, or back."""
import keras

from tfold.errors import BadInputError
from tfold.graph.calls import is_graph_model
from tfold.graph.clone import clone_layer
from tfold.graph.rebuild import rebuild

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def in_precision(model, precision):
    """Return a copy of a model whose layers compute in `precision`, with the same weights.

    On processors with bfloat16 instructions (AVX512-BF16, AMX, Arm v8.6) a training step takes about half the time.

    Args:
        model: a built Functional or Sequential model. It is not changed.
        precision: "float32", or "bfloat16": mixed precision; weights, losses and batch norm's statistics are float32.

    Returns:
        An uncompiled model.

    Raises:
        BadInputError: another word.

    Example:

    >>> in_precision(CifarResNet(20), "bfloat16").compute_dtype
    'bfloat16'
    """
    if precision not in POLICIES:
        raise BadInputError(
            f"precision is one of {', '.join(POLICIES)}. Received: precision={precision!r}. The default is float32."
        )

    def replace(op):
        # An operation (keras.ops.cast) computes in what it is given, or in what it says.
        if is_graph_model(op) or not isinstance(op, keras.layers.Layer):
            return None
        return [clone_layer(op, POLICIES[precision])]

    return rebuild(model, replace)
