"""The rules of each op of the IR: which attributes it has, what they may be, and how many tensors it reads.

`Graph.validate` asks for them after every pass; which shape an op makes of which is the business of `shapes`.
"""
import numpy as np

from tfold.errors import TfoldError
from tfold.graph.shapes import spatial_rank

ATTRS = {
    "input": ("dtype",),
    "linear": ("map",),
    "affine": ("affine", "kind"),
    "activation": ("fn", "params"),
    "alpha": ("fn", "params", "alpha"),
    "add": (),
    "multiply": (),
    "concat": ("axis",),
    "slice": ("start", "stop"),
    "pool": ("kind", "window", "strides", "padding", "keepdims"),
    "pad": ("padding", "value"),
    "crop": ("cropping",),
    "upsample": ("factors", "interpolation"),
    "reshape": ("shape",),
    "permute": ("axes",),
    "identity": (),
    "opaque": ("is_linear", "batch_norms", "why", "homogeneous"),
}
SEVERAL = ("add", "multiply", "concat")  # ops that read two tensors or more


class GraphError(TfoldError):
    """A rule of the IR is broken: an error in tfold, never the user's."""


def check(node, in_shapes):
    """Raise `GraphError` unless a node keeps the rules of its op.

    Args:
        node: a `Node`.
        in_shapes: the shape of each tensor that it reads, batch first; None where unknown.
    """
    if node.op not in ATTRS:
        raise GraphError(f"Ops are {', '.join(ATTRS)}. Received: {node.op!r} in node {node.name}")
    missing = [key for key in ATTRS[node.op] if key not in node.attrs]
    if missing:
        raise GraphError(f"Op {node.op} needs {', '.join(missing)}. Received: node {node.name} without")
    _check_arity(node)
    if node.op in _RULES:
        broken = _RULES[node.op](node.attrs, in_shapes[0])
        if broken:
            raise GraphError(f"{broken}. Received: {node.name}, {node.op} with {_told(node)} on {in_shapes[0]}")


def _check_arity(node):
    count = len(node.inputs)
    wanted, right = {
        "input": ("nothing", count == 0),
        "opaque": ("anything", True),
    }.get(node.op, ("two tensors or more", count >= 2) if node.op in SEVERAL else ("one tensor", count == 1))
    if not right:
        raise GraphError(f"Op {node.op} reads {wanted}. Received: {node.name}, which reads {count}")
    if node.op != "opaque" and len(node.shapes) != 1:
        raise GraphError(f"Op {node.op} makes one tensor. Received: {node.name}, which makes {len(node.shapes)}")


def _told(node):
    if node.op == "linear":
        m = node.attrs["map"]
        return f"kernel {m.kernel.shape}, bias {None if m.bias is None else m.bias.shape}, padding {m.padding}"
    if node.op == "affine":
        return f"{node.attrs['kind']}, scale {node.attrs['affine'].scale.shape}"
    return ", ".join(f"{key} {node.attrs[key]}" for key in ATTRS[node.op])


# Each returns the broken rule in words, or nothing. `shape` is that of the first tensor read, or None.


def _linear(attrs, shape):
    linear = attrs["map"]
    if shape is not None and shape[-1] not in (None, linear.inputs):
        return f"A linear node reads as many channels as its kernel has, {linear.inputs}"
    if shape is not None and linear.rank and linear.rank != spatial_rank(shape):
        return f"A linear node has the spatial axes of what it reads, or none; not {linear.rank}"
    if linear.outputs % linear.groups:
        return f"Groups, {linear.groups}, share out the outputs evenly"
    if linear.bias is not None and linear.bias.shape[-1] != linear.outputs:
        return "A bias has one value a channel"
    if linear.bias is not None and linear.bias.ndim not in (1, linear.rank + 1):
        return "A bias map has the spatial axes of the kernel"
    if linear.rank and not linear.transposed and linear.padding is not None:
        return _pairs(linear.padding, linear.rank, "Padding")


def _affine(attrs, shape):
    affine = attrs["affine"]
    if attrs["kind"] not in ("batch_norm", "arithmetic"):
        return "An affine map is of kind batch_norm or arithmetic"
    if affine.scale.ndim != 1 or affine.scale.shape != affine.shift.shape:
        return "An affine map has one scale and one shift a channel"
    if shape is not None and shape[-1] not in (None, affine.scale.size):
        return f"An affine map reads as many channels as it has, {affine.scale.size}"


def _function(attrs, shape):
    if not isinstance(attrs["fn"], str) or not isinstance(attrs["params"], dict):
        return "A function is a name and a dict of parameters"


def _concat(attrs, shape):
    if not isinstance(attrs["axis"], int) or attrs["axis"] < 1 or (shape is not None and attrs["axis"] >= len(shape)):
        return "Tensors are joined along an axis behind the batch, counted from the front"


def _slice(attrs, shape):
    channels = None if shape is None else shape[-1]
    if not 0 <= attrs["start"] < attrs["stop"] or (channels is not None and attrs["stop"] > channels):
        return "A slice is a range of the channels, not empty"


def _pool(attrs, shape):
    if attrs["kind"] not in ("max", "average"):
        return "A pool is of kind max or average"
    window, strides, padding = attrs["window"], attrs["strides"], attrs["padding"]
    if window is None:
        return "A global pool has no strides and no padding" if strides or padding else None
    if attrs["keepdims"]:
        return "keepdims is for global pools"
    if len(window) != len(strides) or (shape is not None and len(window) != spatial_rank(shape)):
        return "A pool has a window and a stride for each spatial axis"
    if any(n < 1 for n in (*window, *strides)):
        return "Windows and strides are 1 or more"
    return None if padding is None else _pairs(padding, len(window), "Padding")


def _pad(attrs, shape):
    value = attrs["value"]
    if not np.isfinite(value).all() or np.shape(value) not in ((), (None if shape is None else shape[-1],)):
        return "Padding is with a finite number, or one a channel"
    return _pairs(attrs["padding"], _rank_or(shape, attrs["padding"]), "Padding")


def _crop(attrs, shape):
    cropping = attrs["cropping"]
    broken = _pairs(cropping, _rank_or(shape, cropping), "Cropping")
    if broken or shape is None:
        return broken
    if any(n is not None and n <= sum(pair) for n, pair in zip(shape[1:-1], cropping, strict=True)):
        return "Cropping leaves something"


def _upsample(attrs, shape):
    factors = attrs["factors"]
    if len(factors) != _rank_or(shape, factors) or any(factor < 1 for factor in factors):
        return "Upsampling has a factor of 1 or more for each spatial axis"


def _reshape(attrs, shape):
    if not isinstance(attrs["shape"], tuple) or attrs["shape"].count(None) > 1:
        return "A reshape has at most one open axis"


def _permute(attrs, shape):
    axes = tuple(attrs["axes"])
    rank = len(axes) if shape is None else len(shape)
    if axes[:1] != (0,) or sorted(axes) != list(range(rank)):
        return "A permutation names each axis once, the batch first"


def _pairs(pairs, rank, what):
    if len(pairs) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        return f"{what} is (before, after), not negative, for each spatial axis"


def _rank_or(shape, given):
    return len(given) if shape is None else spatial_rank(shape)


_RULES = {
    "linear": _linear, "affine": _affine, "activation": _function, "alpha": _function, "concat": _concat,
    "slice": _slice, "pool": _pool, "pad": _pad, "crop": _crop, "upsample": _upsample, "reshape": _reshape,
    "permute": _permute,
}
