"""Layers that are called at each step of a sequence, `TimeDistributed(layer)`, as the IR has them: on the whole tensor.

    TimeDistributed(Dense)               the same dense layer: it reads the last axis alone
    TimeDistributed(Conv2D 3×3)          a convolution of the window 1×3×3
    TimeDistributed(model)               the layers of the model, each as above

`lifted` turns what a layer computes at one step into what it computes on (batch, steps, …). `lowered` is the way back,
for the layers that are built: the steps go into the batch, where a phone needs neither a loop nor an op per step.

    (batch, steps, height, width, channels) ─ reshape ─ Conv2D ─ reshape ─▶
"""
from dataclasses import replace
from inspect import signature

from tfold.graph.call import without_mask
from tfold.graph.family import family_of, is_layer
from tfold.graph.keras_config import is_plain_call
from tfold.graph.step import Step

# What is the same on the whole tensor: these nodes stay intact.
_AGNOSTIC = "affine", "identity", "add", "slice"


def wrapped(call):
    """The layer that a `TimeDistributed` calls at each step; None for all else, and where a call says more."""
    layer = call.op
    family = family_of(layer)
    if not is_layer(layer) or not isinstance(layer, family.layers.TimeDistributed) or not family.made(layer):
        return None
    inner, shape = layer.layer, call.in_shapes[0] if call.in_shapes else None
    if isinstance(inner, family.batch_norms) or "mask" not in signature(inner.call).parameters:
        call = without_mask(call)  # the wrapper hands it on where it is taken, and a batch norm takes no notice
    if not is_plain_call(call.args, call.kwargs, len(call.reads)) or len(call.reads) != 1:
        return None
    if shape is None or len(shape) < 3 or not inner.built:
        return None
    # The wrapper casts to its own type, and calls the layer without its doing so.
    same_type = inner.compute_dtype == layer.compute_dtype or family.is_graph_model(inner)
    return inner if same_type else None


def lifted_shape(shape, times):
    """A shape at one step as that of the whole tensor."""
    return None if shape is None else (shape[0], *times, *shape[1:])


def at_one_step(shape, count):
    """A shape of the whole tensor as that at one step."""
    return None if shape is None else (shape[0], *shape[1 + count :])


def lifted(steps, shape, times):
    """`(steps, is_agnostic)`: what a chain of `Step`s is on the whole tensor, and whether the layer computes that.

    None where the IR has no op for one of them.

    Args:
        steps: what a layer computes at one step.
        shape: of what it reads at one step.
        times: how many steps there are, for each axis of them; None where unknown.
    """
    found, all_agnostic = [], True
    for step in steps:
        if step.op == "pool" and step.attrs["window"] is None:
            step, *rest = _global_pool(step, shape) or [None]
        else:
            rest = []
        for each in [step, *rest]:
            lift = None if each is None else _lifted(each, times)
            if lift is None:
                return None
            found.append(lift[0])
            all_agnostic = all_agnostic and lift[1]
        shape = step.shapes[0]
    return found, all_agnostic


def _global_pool(step, shape):
    """A global pool as one of a window as large as what it reads, and a reshape."""
    if shape is None or None in shape[1:-1]:
        return None
    window = tuple(shape[1:-1])
    pooled = (shape[0], *(1,) * len(window), shape[-1])
    attrs = {**step.attrs, "window": window, "strides": window, "padding": ((0, 0),) * len(window), "keepdims": False}
    pool = step._replace(attrs=attrs, shapes=(pooled,))
    if step.attrs["keepdims"]:
        return [pool]
    return [pool, Step("reshape", {"shape": (shape[-1],)}, step.shapes, "/flat")]


def _lifted(step, times):
    count, attrs = len(times), dict(step.attrs)
    shapes = tuple(lifted_shape(shape, times) for shape in step.shapes)
    if step.op in _LIFTS:
        attrs = _LIFTS[step.op](attrs, count, step, times)
        if attrs is None:
            return None
    elif step.op not in (*_AGNOSTIC, "alpha", "multiply"):
        return None
    is_agnostic = step.op in _AGNOSTIC or (step.op == "linear" and not attrs["map"].rank) or (
        step.op in ("activation", "alpha") and attrs == step.attrs and attrs["fn"] not in ("softmax", "log_softmax"))
    return step._replace(attrs=attrs, shapes=shapes), is_agnostic


def _linear(attrs, count, step, times):
    linear = attrs["map"]
    if not linear.rank:
        return attrs
    if linear.rank + count > 3 or linear.has_bias_map:
        return None
    padding = None if linear.padding is None else ((0, 0),) * count + tuple(linear.padding)
    kernel = linear.kernel.reshape((1,) * count + linear.kernel.shape)
    ones = (1,) * count
    return {**attrs, "map": replace(linear, kernel=kernel, strides=ones + tuple(linear.strides),
                                    dilation=ones + tuple(linear.dilation), padding=padding)}


def _activation(attrs, count, step, times):
    if attrs["fn"] == "custom":
        return None  # it may look at the axes
    axis = attrs["params"].get("axis", -1)
    if isinstance(axis, int):
        return attrs if axis < 0 else {**attrs, "params": {**attrs["params"], "axis": axis + count}}
    return None


def _concat(attrs, count, step, times):
    return {**attrs, "axis": attrs["axis"] + count}


def _pool(attrs, count, step, times):
    window = attrs["window"]
    if window is None or len(window) + count > 3:
        return None
    padding = None if attrs["padding"] is None else ((0, 0),) * count + tuple(attrs["padding"])
    return {**attrs, "window": (1,) * count + tuple(window), "strides": (1,) * count + tuple(attrs["strides"]),
            "padding": padding}


def _sides(name):
    def lift(attrs, count, step, times):
        pairs = attrs[name]
        return {**attrs, name: ((0, 0),) * count + tuple(pairs)} if len(pairs) + count <= 3 else None

    return lift


def _upsample(attrs, count, step, times):
    factors = (1,) * count + tuple(attrs["factors"])
    return {**attrs, "factors": factors} if attrs["interpolation"] == "nearest" and len(factors) <= 3 else None


def _reshape(attrs, count, step, times):
    shape = (*times, *attrs["shape"])
    return {"shape": shape} if shape.count(None) <= 1 else None


def _permute(attrs, count, step, times):
    return {"axes": (*range(count + 1), *(axis + count for axis in attrs["axes"][1:]))}


_LIFTS = {"linear": _linear, "activation": _activation, "concat": _concat, "pool": _pool, "pad": _sides("padding"),
          "crop": _sides("cropping"), "upsample": _upsample, "reshape": _reshape, "permute": _permute}


def per_step(node):
    """How many axes of steps a node's window lets be, in front of those of the layer that it came from: 0 for none."""
    own = _rank(node.layer)
    window, strides, sides = _window(node)
    count = len(window) - own if own is not None else 0
    if count < 1 or any(n != 1 for n in (*window[:count], *strides[:count])):
        return 0
    if sides is not None and any(side for pair in sides[:count] for side in pair):
        return 0
    if node.op == "linear" and node.map.has_bias_map and (node.map.bias != node.map.bias[(slice(0, 1),) * count]).any():
        return 0
    return count


def _rank(layer):
    """The spatial axes of a layer, by its class's name: Conv2D has two."""
    digits = [int(letter) for letter in type(layer).__name__ if letter in "123"]
    return digits[0] if digits and is_layer(layer) else None


def _window(node):
    attrs = node.attrs
    if node.op == "linear":
        return node.map.window, node.map.strides, None if node.map.transposed else node.map.padding
    if node.op == "pool" and attrs["window"] is not None:
        return attrs["window"], attrs["strides"], attrs["padding"]
    for op, name in (("pad", "padding"), ("crop", "cropping")):
        if node.op == op and not (op == "pad" and attrs["value"] is not None and _is_map(attrs["value"])):
            return (1,) * len(attrs[name]), (1,) * len(attrs[name]), attrs[name]
    if node.op == "upsample":
        return attrs["factors"], (1,) * len(attrs["factors"]), None
    return (), (), None


def _is_map(value):
    return getattr(value, "ndim", 0) > 0


def lowered(node, count):
    """The node as it is at one step, without the first `count` axes behind the batch."""
    attrs = dict(node.attrs)
    if node.op == "linear":
        linear, first = node.map, (0,) * count
        bias = linear.bias[first] if linear.has_bias_map else linear.bias
        padding = None if linear.padding is None else tuple(linear.padding[count:])
        attrs["map"] = replace(linear, kernel=linear.kernel[first], bias=bias, strides=tuple(linear.strides[count:]),
                               dilation=tuple(linear.dilation[count:]), padding=padding)
    else:
        for name in ("window", "strides", "padding", "cropping", "factors"):
            if attrs.get(name) is not None:
                attrs[name] = tuple(attrs[name][count:])
    return replace(node, attrs=attrs, shapes=tuple(at_one_step(shape, count) for shape in node.shapes))
