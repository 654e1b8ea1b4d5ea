"""Where the int8 tensors of a network are: what TFLite stores between its ops, and no other tensor.

    ●▶ conv ─●▶ border map ─▶ relu6 ─●▶ max pool ─▶ concat ─●▶ elu ─●▶ dense ─●▶ softmax ─▶

● a tensor is int8, and its range is learnt. None is in front of what TFLite makes part of the op before (ReLU, a batch
norm), behind what only moves numbers about, in front of a concatenation alone, whose inputs take its range; and none
behind a last softmax or sigmoid, where a loss wants the numbers themselves.
"""
from tfold.graph.call import Tensor
from tfold.graph.step import FLOATS
from tfold.tflite.qat_kinds import FUSING, is_relu, kind, name_of, takes_range

_FOLDING = {"Conv2D", "DepthwiseConv2D"}


def places(read):
    """Which tensors of a network are int8.

    Args:
        read: the `Calls` of a tf_keras model.

    Returns:
        dict `Tensor` → the name of its range, one of `RANGES`; tensors that are not int8 of themselves are not in it.
    """
    readers = readers_of(read)
    found = {}
    for call in read.calls:
        for i, dtype in enumerate(call.out_dtypes):
            name = _range(Tensor(call, i), readers) if dtype in FLOATS else None
            if name is not None:
                found[Tensor(call, i)] = name
    return found


def readers_of(read):
    """Tensor → the calls that read it, once for each time; a network output counts as None."""
    found = {}
    for call in read.calls:
        for tensor in call.reads:
            found.setdefault(tensor, []).append(call)
    for tensor in read.outputs:
        found.setdefault(tensor, []).append(None)
    return found


def _range(tensor, readers):
    makes, reading = kind(tensor.call), readers.get(tensor, [])
    if makes in ("input", "float"):
        return "learnt" if any(_wants_int8(reader, readers) for reader in reading) else None
    if makes == "moving":
        return None
    if makes != "computing":
        return None if None in reading else makes
    only = reading[0] if len(reading) == 1 else None
    return None if only is not None and (_is_one_op(tensor.call, only) or takes_range(only)) else "learnt"


def _wants_int8(reader, readers):
    """Whether a call computes in int8, or hands its numbers on to one that does."""
    if reader is None or kind(reader) == "float":
        return False
    made = [Tensor(reader, i) for i in range(len(reader.out_shapes))]
    return kind(reader) != "moving" or any(
        _wants_int8(behind, readers) for tensor in made for behind in readers.get(tensor, []))


def _is_one_op(call, behind):
    """Whether TFLite makes one op of a call and the one that alone reads it."""
    has_activation = getattr(getattr(call.op, "activation", None), "__name__", "linear") != "linear"
    makers = _FOLDING if name_of(behind.op) == "BatchNormalization" else FUSING if is_relu(behind) else ()
    return name_of(call.op) in makers and not has_activation
