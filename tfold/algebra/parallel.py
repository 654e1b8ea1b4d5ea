"""Linear maps that read the same tensor, as one map: added (`add`), or their channels side by side (`concat`).

    x ─┬─▶ a ─▶ + ─▶ y     kernels padded with zeros to one window, then added          y = x is a 1×1 kernel
       └─▶ b ───┘
    x ─┬─▶ a ─▶ ⊕ ─▶ y     … then put side by side along the output channels
       └─▶ b ───┘
"""
from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from tfold.algebra.linear_map import LinearMap
from tfold.reasons import DIFFERENT_SHAPES, TRANSPOSED, UNKNOWN_SIZE, Refusal


@dataclass(frozen=True)
class Frame:
    """The window that holds the windows of several maps: where each begins in it, and what they then share."""

    window: tuple
    starts: tuple
    strides: tuple
    dilation: tuple
    padding: tuple


def add(maps):
    """The map x ↦ Σ map(x).

    Args:
        maps: `LinearMap`s with the same strides, inputs, outputs and output size.

    Returns:
        A `LinearMap` in float64; depthwise or grouped where all of them are.

    Raises:
        Refusal: `TRANSPOSED`, `UNKNOWN_SIZE`, or `DIFFERENT_SHAPES` where strides or output sizes differ.

    Example:

    >>> skip, conv = identity(2, rank=0), LinearMap(np.ones((2, 2)))
    >>> add([skip, conv]).kernel
    array([[2., 1.],
           [1., 2.]])
    """
    maps, groups, frame = aligned(maps)
    kernel = np.zeros((*frame.window, maps[0].inputs // groups, maps[0].outputs))
    for m, start in zip(maps, frame.starts, strict=True):
        kernel[_place(start, m)] += m.kernel
    biases = [m.bias for m in maps if m.bias is not None]
    bias = reduce(np.add, biases) if biases else None
    return LinearMap(kernel, bias, frame.strides, frame.dilation, frame.padding, groups)


def concat(maps):
    """The map x ↦ all maps' outputs, side by side along the last axis.

    Args:
        maps: `LinearMap`s with the same strides, inputs and output size.

    Returns:
        A `LinearMap` in float64 with groups = 1.

    Raises:
        Refusal: as `add`.
    """
    maps = [m.regrouped(1) for m in maps]
    maps, _, frame = aligned(maps)
    kernel = np.zeros((*frame.window, maps[0].inputs, sum(m.outputs for m in maps)))
    at = 0
    for m, start in zip(maps, frame.starts, strict=True):
        kernel[(*_place(start, m), slice(None), slice(at, at + m.outputs))] = m.kernel
        at += m.outputs
    bias = None
    if any(m.bias is not None for m in maps):
        biases = [m.bias_or_zeros() for m in maps]
        size = next((b.shape[:-1] for b in biases if b.ndim > 1), ())
        bias = np.concatenate([np.broadcast_to(b, (*size, b.shape[-1])) for b in biases], axis=-1)
    return LinearMap(kernel, bias, frame.strides, frame.dilation, frame.padding)


def aligned(maps):
    """Parallel maps with one rank, grouping and dilation, and the `Frame` that holds their windows.

    Returns:
        `(maps, groups, frame)`.

    Raises:
        Refusal: as `add`.
    """
    rank = max(m.rank for m in maps)
    maps = [m.with_rank(rank) for m in maps]
    check_parallel(maps)
    groups = reduce(gcd, (m.groups for m in maps))
    maps = [m.regrouped(groups) for m in maps]
    if writes_out_dilation(maps):
        maps = [m.undilated() for m in maps]
    return maps, groups, frame_of(maps)


def check_parallel(maps):
    """Raise the `Refusal` that `add` and `concat` would raise."""
    if any(m.transposed for m in maps):
        raise Refusal(TRANSPOSED)
    if any(m.padding is None for m in maps):
        raise Refusal(UNKNOWN_SIZE, '"same" padding with a stride depends on the input size')
    grown = {tuple(sum(p) - e for p, e in zip(m.padding, m.extent, strict=True)) for m in maps}
    if len({m.strides for m in maps}) > 1 or (len(grown) > 1 and max(maps[0].strides, default=1) == 1):
        raise Refusal(DIFFERENT_SHAPES, "parallel branches need equal strides and output sizes")


def writes_out_dilation(maps):
    """Whether dilated windows have to be written out as larger ones with zeros in them."""
    spread = {m.dilation for m in maps if any(k > 1 for k in m.window)}
    return len(spread) > 1 or max(maps[0].strides, default=1) > 1 or (len(spread) == 1 and any(
        m.padding[axis][0] % d for m in maps for axis, d in enumerate(next(iter(spread)))))


def frame_of(maps):
    """The `Frame` of maps of one rank whose dilations agree (see `writes_out_dilation`)."""
    first = maps[0]
    # A 1×1 window sits at offset 0 whatever its dilation; offsets are counted in steps of the common one.
    dilation = next((m.dilation for m in maps if any(k > 1 for k in m.window)), first.dilation)
    before = [max(m.padding[axis][0] // d for m in maps) for axis, d in enumerate(dilation)]
    after = [max((m.extent[axis] - 1 - m.padding[axis][0]) // d for m in maps) for axis, d in enumerate(dilation)]
    # Zeros before: what the widest branch had. Zeros behind: so that the output size stays what it was.
    padding = tuple(
        (b * d, first.padding[axis][1] + a * d - (first.extent[axis] - 1 - first.padding[axis][0]))
        for axis, (b, a, d) in enumerate(zip(before, after, dilation, strict=True))
    )
    starts = tuple(
        tuple(b - m.padding[axis][0] // d for axis, (b, d) in enumerate(zip(before, dilation, strict=True)))
        for m in maps
    )
    window = tuple(b + a + 1 for b, a in zip(before, after, strict=True))
    return Frame(window, starts, first.strides, dilation, padding)


def _place(start, m):
    return tuple(slice(s, s + k) for s, k in zip(start, m.window, strict=True))
