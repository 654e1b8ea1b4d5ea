"""Nodes that passes made or changed, other than linear ones, as Keras layers and operations."""
import keras
import numpy as np

from tfold.algebra.linear_map import same_padding
from tfold.graph import operations
from tfold.graph.build_linear import Weighted
from tfold.graph.clone import clone_layer
from tfold.graph.rules import SEVERAL, GraphError

L = keras.layers


def layer_for(node, inputs, size, name, dtype):
    """What a node that is not intact computes, as a new Keras layer or operation.

    Args:
        node: the IR node: of any op that is not linear, an activation or opaque.
        inputs: the Keras tensors that it will read.
        size: spatial size of the first, None for unknown axes: decides whether a pool's padding is "same".
        name: of the layer.
        dtype: type or policy that it computes in.

    Returns:
        A function from the list of tensors that the node reads to the one that it makes.

    Raises:
        GraphError: no Keras layer computes this node.
    """
    layer = _MAKERS[node.op](node, inputs, size, {"name": name, "dtype": dtype})
    return layer if node.op in SEVERAL else lambda tensors: layer(tensors[0])


def _affine(node, inputs, size, settings):
    affine = node.attrs["affine"]
    if node.attrs["kind"] == "arithmetic":
        return L.Rescaling(affine.scale.tolist(), affine.shift.tolist(), **settings)
    # A batch norm that is trainable like any other, and computes this map at inference.
    if isinstance(node.layer, L.BatchNormalization):
        layer = clone_layer(node.layer, axis=-1, center=True, scale=True, **settings)
    else:
        layer = L.BatchNormalization(**settings)
    ones = np.ones_like(affine.scale)
    return Weighted(layer, lambda: [affine.scale, affine.shift, 0 * ones, ones - layer.epsilon])


def _merge(kind):
    def make(node, inputs, size, settings):
        extra = {"axis": node.attrs["axis"]} if node.op == "concat" else {}
        return kind(**extra, **settings)

    return make


def _pad(node, inputs, size, settings):
    padding, value = node.attrs["padding"], node.attrs["value"]
    if value == 0:
        return _of_rank("ZeroPadding", len(padding))(_one_or_all(padding), **settings)
    width = [[0, 0], *map(list, padding), [0, 0]]
    pad = operations.named(settings["name"], lambda x: keras.ops.pad(x, width, constant_values=value), inputs[0])
    return lambda x: pad(x, constant_values=value)


def _crop(node, inputs, size, settings):
    cropping = node.attrs["cropping"]
    return _of_rank("Cropping", len(cropping))(_one_or_all(cropping), **settings)


def _slice(node, inputs, size, settings):
    key = (Ellipsis, slice(node.attrs["start"], node.attrs["stop"]))
    part = operations.named(settings["name"], lambda x: x[key], inputs[0])
    return lambda x: part(x, key)


def _pool(node, inputs, size, settings):
    attrs = node.attrs
    window, strides, padding, kind = attrs["window"], attrs["strides"], attrs["padding"], attrs["kind"].capitalize()
    if window is None:
        rank = len(inputs[0].shape) - 2
        return _of_rank(f"Global{kind}Pooling", rank)(keepdims=attrs["keepdims"], **settings)
    if padding is None or padding == same_padding(size, window, strides):
        word = "same" if padding is None or any(side for pair in padding for side in pair) else "valid"
    elif not any(side for pair in padding for side in pair):
        word = "valid"
    else:
        raise GraphError(f"Keras pools pad as \"same\" does, or not. Received: {node.name} with padding {padding}")
    return _of_rank(f"{kind}Pooling", len(window))(window, strides, word, **settings)


def _upsample(node, inputs, size, settings):
    factors, interpolation = node.attrs["factors"], node.attrs["interpolation"]
    if len(factors) == 2:
        settings = {**settings, "interpolation": interpolation}
    elif interpolation != "nearest":
        raise GraphError(f"Keras interpolates in two dimensions. Received: {node.name} with {interpolation}")
    return _of_rank("UpSampling", len(factors))(_one_or_all(factors), **settings)


def _reshape(node, inputs, size, settings):
    return L.Reshape([-1 if n is None else n for n in node.attrs["shape"]], **settings)


def _permute(node, inputs, size, settings):
    return L.Permute(node.attrs["axes"][1:], **settings)


def _identity(node, inputs, size, settings):
    # Keras writes down the arguments of this layer, not its configuration: a policy is no plain value.
    return L.Identity(name=settings["name"], dtype=getattr(settings["dtype"], "name", settings["dtype"]))


def _of_rank(kind, rank):
    return getattr(L, f"{kind}{rank}D")


def _one_or_all(values):
    """Layers of one axis take its value alone."""
    return values[0] if len(values) == 1 else values


_MAKERS = {
    "affine": _affine, "add": _merge(L.Add), "multiply": _merge(L.Multiply), "concat": _merge(L.Concatenate),
    "pad": _pad, "crop": _crop, "slice": _slice, "pool": _pool, "upsample": _upsample, "reshape": _reshape,
    "permute": _permute, "identity": _identity,
}
