"""Nodes that passes made or changed, other than linear ones, as Keras layers and operations."""
from functools import partial

import numpy as np

from tfold.algebra.linear_map import same_padding
from tfold.graph import operations
from tfold.graph.build_linear import Weighted, channels_last
from tfold.graph.family import KERAS, family_of
from tfold.graph.rules import SEVERAL, GraphError
from tfold.graph.translate import layer_in


def layer_for(node, inputs, size, name, dtype, family=KERAS):
    """What a node that is not intact computes, as a new Keras layer or operation.

    Args:
        node: the IR node: of any op that is not linear, an activation or opaque.
        inputs: the Keras tensors that it will read.
        size: spatial size of the first, None for unknown axes: decides whether a pool's padding is "same".
        name: of the layer.
        dtype: type or policy that it computes in.
        family: the `Family` of the new layer.

    Returns:
        A function from the list of tensors that the node reads to the one that it makes.

    Raises:
        GraphError: no Keras layer computes this node.
    """
    layer = _MAKERS[node.op](node, inputs, size, {"name": name, "dtype": dtype}, family)
    return layer if node.op in SEVERAL else lambda tensors: layer(tensors[0])


FROZEN_EPSILON = 2.0**-10  # 1 − ε and (1 − ε) + ε are exact, so that a scale of one is one, and no multiplication


def _affine(node, inputs, size, settings, family):
    affine = node.attrs["affine"]
    if node.attrs["kind"] == "arithmetic" and not _is_lined_up_otherwise(affine, family):
        return family.layers.Rescaling(_one_if_equal(affine.scale), _one_if_equal(affine.shift), **settings)
    if node.attrs.get("depthwise"):
        layer = family.layers.DepthwiseConv2D(1, data_format="channels_last", **settings)
        return Weighted(layer, lambda: [affine.scale.reshape(1, 1, -1, 1), affine.shift])
    # Frozen: it computes this map in training too. Its statistics are not those of what it reads now.
    changes = {"axis": -1, "center": True, "scale": True, "trainable": False, "epsilon": FROZEN_EPSILON,
               "gamma_constraint": None, "beta_constraint": None, **settings}
    if isinstance(node.layer, family_of(node.layer).layers.BatchNormalization):
        layer = layer_in(family, node.layer, **changes)
    else:
        layer = family.layers.BatchNormalization(**changes)
    ones = np.ones_like(affine.scale)
    return Weighted(layer, lambda: [affine.scale, affine.shift, 0 * ones, ones - FROZEN_EPSILON])


def _is_lined_up_otherwise(affine, family):
    """Whether Rescaling would line up one number a channel with another axis: by the default form of this process."""
    differs = any((values != values[0]).any() for values in (affine.scale, affine.shift))
    return differs and family is KERAS and KERAS.keras.config.image_data_format() == "channels_first"


def _one_if_equal(values):
    """One number for all channels where it is one: runtimes are several times faster with it than with three."""
    return float(values[0]) if (values == values[0]).all() else values.tolist()


def _merge(kind):
    def make(node, inputs, size, settings, family):
        if "weights" in node.attrs:
            raise GraphError(f"A weighted sum is repeated as it was captured. Received: {node.name}, changed")
        extra = {"axis": node.attrs["axis"]} if node.op == "concat" else {}
        return getattr(family.layers, kind)(**extra, **settings)

    return make


def _pad(node, inputs, size, settings, family):
    padding, value = node.attrs["padding"], node.attrs["value"]
    zeros = _of_rank(family, "ZeroPadding", len(padding))(_one_or_all(padding), **settings)
    if np.ndim(value):
        ring = np.pad(np.zeros([1, *size, 1]), [(0, 0), *padding, (0, 0)], constant_values=1.0) * value
        padded = family.keras.Input(batch_shape=node.shape, dtype=inputs[0].dtype)
        border = operations.of(family).constant_added(f"{settings['name']}_border", ring, padded)
        return lambda x: border(zeros(x))
    if value == 0:
        return zeros
    width = [[0, 0], *map(list, padding), [0, 0]]
    return operations.of(family).padded(settings["name"], width, value, inputs[0])


def _crop(node, inputs, size, settings, family):
    cropping = node.attrs["cropping"]
    return _of_rank(family, "Cropping", len(cropping))(_one_or_all(cropping), **settings)


def _slice(node, inputs, size, settings, family):
    return operations.of(family).channels(settings["name"], node.attrs["start"], node.attrs["stop"], inputs[0])


def _pool(node, inputs, size, settings, family):
    attrs = node.attrs
    window, strides, padding, kind = attrs["window"], attrs["strides"], attrs["padding"], attrs["kind"].capitalize()
    if window is None:
        rank = len(inputs[0].shape) - 2
        return _of_rank(family, f"Global{kind}Pooling", rank)(keepdims=attrs["keepdims"], **settings)
    if padding is None or padding == same_padding(size, window, strides):
        word = "same" if padding is None or any(side for pair in padding for side in pair) else "valid"
    elif not any(side for pair in padding for side in pair):
        word = "valid"
    else:
        raise GraphError(f"Keras pools pad as \"same\" does, or not. Received: {node.name} with padding {padding}")
    return _of_rank(family, f"{kind}Pooling", len(window))(window, strides, word, **settings)


def _upsample(node, inputs, size, settings, family):
    factors, interpolation = node.attrs["factors"], node.attrs["interpolation"]
    if len(factors) == 2:
        settings = {**settings, "interpolation": interpolation}
    elif interpolation != "nearest":
        raise GraphError(f"Keras interpolates in two dimensions. Received: {node.name} with {interpolation}")
    return _of_rank(family, "UpSampling", len(factors))(_one_or_all(factors), **settings)


def _reshape(node, inputs, size, settings, family):
    return family.layers.Reshape([-1 if n is None else n for n in node.attrs["shape"]], **settings)


def _permute(node, inputs, size, settings, family):
    return family.layers.Permute(node.attrs["axes"][1:], **settings)


def _identity(node, inputs, size, settings, family):
    # Keras writes down the arguments of this layer, not its configuration: a policy is no plain value.
    return family.layers.Identity(name=settings["name"], dtype=getattr(settings["dtype"], "name", settings["dtype"]))


def _of_rank(family, kind, rank):
    layer = getattr(family.layers, f"{kind}{rank}D")
    return partial(layer, **channels_last(layer))


def _one_or_all(values):
    """Layers of one axis take its value alone."""
    return values[0] if len(values) == 1 else values


_MAKERS = {
    "affine": _affine, "add": _merge("Add"), "multiply": _merge("Multiply"), "concat": _merge("Concatenate"),
    "pad": _pad, "crop": _crop, "slice": _slice, "pool": _pool, "upsample": _upsample, "reshape": _reshape,
    "permute": _permute, "identity": _identity,
}
