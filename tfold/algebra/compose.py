"""Two linear maps as one: in series (`compose`) and in parallel (`add`).

In series, with the window offsets of the first taken in steps of d₁ and of the second in steps of s₁·d₂:

    W[t] = Σ_{a·d₁ + b·s₁·d₂ = t} W₁[a] · W₂[b]        strides s₁·s₂, padding p₁ + s₁·p₂ on each side by itself

In parallel, the kernels are padded with zeros to one size and added; y = x is a 1×1 kernel.
"""
from math import gcd

import numpy as np

from tfold.algebra import border
from tfold.algebra.linear_map import LinearMap
from tfold.reasons import BORDER_NOT_EXACT, DIFFERENT_SHAPES, TRANSPOSED, UNKNOWN_SIZE, Refusal


def compose(first, second, size):
    """The map x ↦ second(first(x)), exact up to rounding, border pixels included.

    Args:
        first, second: `LinearMap`s; a dense one counts as 1×1 beside a convolution.
        size: spatial input size of `first`, a tuple with None for unknown axes.

    Returns:
        A `LinearMap` in float64; depthwise if both are depthwise. Its bias is a map where zero padding meets a bias.

    Raises:
        Refusal: `BORDER_NOT_EXACT`, `UNKNOWN_SIZE` or `TRANSPOSED`.

    Example:

    >>> halve, triple = LinearMap(np.eye(2) / 2), LinearMap(np.eye(2) * 3)
    >>> compose(halve, triple, ()).kernel
    array([[1.5, 0. ],
           [0. , 1.5]])
    """
    first, second = _same_rank(first, second)
    check_composable(first, second, size)
    bias = border.through(first, second, first.output_size(size))
    composed = composed_shape(first, second)
    if first.is_depthwise and second.is_depthwise and first.outputs == first.inputs:
        groups = first.groups
        a = first.kernel.repeat(second.outputs // groups, axis=-1)
        product = lambda at: a * second.kernel[at]  # noqa: E731  (channel by channel)
    else:
        first, second, groups = first.ungrouped(), second.ungrouped(), 1
        a = first.kernel
        product = lambda at: a @ second.kernel[at]  # noqa: E731
    a = np.asarray(a, np.float64)
    kernel = np.zeros((*composed["window"], a.shape[-2], second.outputs))
    for tap in np.ndindex(*second.window):
        place = tuple(
            slice(t * outer, t * outer + (k - 1) * inner + 1, inner)
            for t, outer, k, inner in zip(
                tap, composed["second_step"], first.window, composed["first_step"], strict=True)
        )
        kernel[place] += product(tap)
    return LinearMap(kernel, bias, composed["strides"], composed["dilation"], composed["padding"], groups)


def check_composable(first, second, size):
    """Raise the `Refusal` that `compose` would raise, at no cost in arithmetic."""
    first, second = _same_rank(first, second)
    if first.transposed or second.transposed:
        raise Refusal(TRANSPOSED)
    if first.padding is None or second.padding is None:
        raise Refusal(UNKNOWN_SIZE, '"same" padding with a stride depends on the input size')
    beyond = border.reads_beyond_padding(first, second, size)
    if beyond is None:
        raise Refusal(UNKNOWN_SIZE, "the border of a strided convolution depends on the input size")
    if beyond:
        raise Refusal(
            BORDER_NOT_EXACT,
            f"a {_x(first.window)} window is followed by zero padding "
            + _x(str(a) if a == b else f"({a}, {b})" for a, b in second.padding),
        )
    if (second.is_padded or second.has_bias_map) and first.bias is not None and None in size and np.any(first.bias):
        raise Refusal(UNKNOWN_SIZE, "zero padding meets a bias: the bias map needs the size of the feature map")


def composed_shape(first, second):
    """Window, strides, dilation and padding of the composed map, without its numbers."""
    steps = [(d1, s1 * d2) for d1, s1, d2 in zip(first.dilation, first.strides, second.dilation, strict=True)]
    # Offsets are multiples of both steps' common divisor; an axis with one tap has no step to respect.
    dilation = tuple(
        gcd(a if k1 > 1 else 0, b if k2 > 1 else 0) or 1
        for (a, b), k1, k2 in zip(steps, first.window, second.window, strict=True)
    )
    strides = tuple(s1 * s2 for s1, s2 in zip(first.strides, second.strides, strict=True))
    if any(s > 1 for s in strides):
        dilation = (1,) * len(dilation)  # no runtime takes a stride and a dilation in one convolution
    first_step = tuple(a // d if k > 1 else 1 for (a, _), d, k in zip(steps, dilation, first.window, strict=True))
    second_step = tuple(b // d if k > 1 else 1 for (_, b), d, k in zip(steps, dilation, second.window, strict=True))
    return {
        "first_step": first_step,
        "second_step": second_step,
        "window": tuple(
            a * (k1 - 1) + b * (k2 - 1) + 1
            for a, b, k1, k2 in zip(first_step, second_step, first.window, second.window, strict=True)
        ),
        "dilation": dilation,
        "strides": strides,
        "padding": tuple(
            (p1[0] + s * p2[0], p1[1] + s * p2[1])
            for p1, p2, s in zip(first.padding, second.padding, first.strides, strict=True)
        ),
    }


def add(maps):
    """The map x ↦ Σ map(x), for maps that read the same tensor.

    Args:
        maps: `LinearMap`s with the same strides, inputs, outputs and output size.

    Returns:
        A `LinearMap` in float64, depthwise or grouped if all of them are.

    Raises:
        Refusal: `TRANSPOSED`, `UNKNOWN_SIZE`, or `DIFFERENT_SHAPES` where strides or output sizes differ.
    """
    if any(m.transposed for m in maps):
        raise Refusal(TRANSPOSED)
    rank = max(m.rank for m in maps)
    maps = [m.with_rank(rank) for m in maps]
    if any(m.padding is None for m in maps):
        raise Refusal(UNKNOWN_SIZE, '"same" padding with a stride depends on the input size')
    first = maps[0]
    grown = [tuple(sum(p) - e for p, e in zip(m.padding, m.extent, strict=True)) for m in maps]
    if any(m.strides != first.strides for m in maps) or (any(g != grown[0] for g in grown) and max(first.strides) == 1):
        raise Refusal(DIFFERENT_SHAPES, "parallel branches need equal strides and output sizes")
    if len({m.groups for m in maps}) > 1 or len({m.outputs for m in maps}) > 1:
        maps = [m.ungrouped() for m in maps]
    if len({m.dilation for m in maps if any(k > 1 for k in m.window)}) > 1 or max(first.strides, default=1) > 1:
        maps = [m.undilated() for m in maps]
    dilation = next((m.dilation for m in maps if any(k > 1 for k in m.window)), first.dilation)
    # A 1×1 window sits at offset 0 whatever its dilation; count offsets in steps of the common dilation.
    reach = [_reach(maps, axis, dilation[axis]) for axis in range(rank)]
    before, after = [b for b, _ in reach], [a for _, a in reach]
    kernel = np.zeros((*(b + a + 1 for b, a in zip(before, after, strict=True)), *maps[0].kernel.shape[-2:]))
    bias = None
    for m in maps:
        starts = [b - p[0] // d for b, p, d in zip(before, m.padding, dilation, strict=True)]
        kernel[tuple(slice(s, s + k) for s, k in zip(starts, m.window, strict=True))] += m.kernel
        if m.bias is not None:
            bias = m.bias if bias is None else bias + m.bias
    # Zeros before: what the widest branch had. Zeros behind: so that the output size stays what it was.
    padding = tuple(
        (b * d, maps[0].padding[i][1] + (a * d - (maps[0].extent[i] - 1 - maps[0].padding[i][0])))
        for i, (b, a, d) in enumerate(zip(before, after, dilation, strict=True))
    )
    return LinearMap(kernel, bias, first.strides, dilation, padding, maps[0].groups)


def _reach(maps, axis, dilation):
    """How many steps the widest windows reach before and behind the pixel they stand on."""
    before, after = [], []
    for m in maps:
        zeros = m.padding[axis][0]
        if zeros % dilation:
            raise Refusal(DIFFERENT_SHAPES, "dilated branches are shifted against one another")
        before.append(zeros // dilation)
        after.append((m.extent[axis] - 1 - zeros) // dilation)
    return max(before), max(after)


def _same_rank(first, second):
    rank = max(first.rank, second.rank)
    return first.with_rank(rank), second.with_rank(rank)


def _x(numbers):
    return "×".join(str(n) for n in numbers)
