"""A linear map's shape without its numbers: what planning needs, at no cost in memory or arithmetic.

An outline is a `LinearMap` whose kernel and bias are a single 1, stretched; a bias of zeros counts as none. For
everything that makes one map of several there is a function here that makes the outline of the result.
"""
from dataclasses import replace
from functools import reduce
from math import gcd

import numpy as np

from tfold.algebra.compose import check_composable, composed_shape, same_rank
from tfold.algebra.linear_map import LinearMap
from tfold.algebra.parallel import check_parallel, frame_of, writes_out_dilation


def outline(linear):
    """The outline of a `LinearMap`."""
    bias = linear.bias
    return replace(
        linear,
        kernel=_ones(linear.kernel.shape),
        bias=None if bias is None or not np.any(bias) else _ones(bias.shape),
    )


def compose(first, second, size, approximate=False):
    """The outline of `compose.compose(first, second, size, approximate)`.

    Raises:
        Refusal: as that.
    """
    first, second = same_rank(first, second)
    exact = check_composable(first, second, size, approximate)
    has_bias = first.bias is not None or second.bias is not None
    vector = _ones((second.outputs,)) if has_bias else None
    if second.transposed:
        return replace(second, kernel=_ones((*second.window, first.inputs, second.outputs)))
    if first.transposed:
        return replace(first, kernel=_ones((*first.window, first.inputs, second.outputs)), bias=vector)
    shape = composed_shape(first, second)
    groups = gcd(first.groups, second.groups)
    kernel = _ones((*shape.window, first.inputs // groups, second.outputs))
    needs_map = first.has_bias_map or second.has_bias_map or (second.is_padded and first.bias is not None)
    if exact and needs_map:
        vector = _ones((*second.output_size(first.output_size(size)), second.outputs))
    return LinearMap(kernel, vector, shape.strides, shape.dilation, shape.padding, groups)


def add(maps):
    """The outline of `parallel.add(maps)`.

    Raises:
        Refusal: as that.
    """
    return _parallel(maps, reduce(gcd, (m.groups for m in maps)), maps[0].outputs)


def concat(maps):
    """The outline of `parallel.concat(maps)`.

    Raises:
        Refusal: as that.
    """
    return _parallel(maps, 1, sum(m.outputs for m in maps))


def _parallel(maps, groups, outputs):
    rank = max(m.rank for m in maps)
    maps = [m.with_rank(rank) for m in maps]
    check_parallel(maps)
    if writes_out_dilation(maps):
        maps = [replace(m, kernel=_ones((*m.extent, *m.kernel.shape[-2:])), dilation=(1,) * rank) for m in maps]
    frame = frame_of(maps)
    size = next((m.bias.shape[:-1] for m in maps if m.has_bias_map), ())
    bias = _ones((*size, outputs)) if any(m.bias is not None for m in maps) else None
    kernel = _ones((*frame.window, maps[0].inputs // groups, outputs))
    return LinearMap(kernel, bias, frame.strides, frame.dilation, frame.padding, groups)


def _ones(shape):
    return np.broadcast_to(np.float32(1), shape)
