"""Two linear maps in series as one.

With the window offsets of the first taken in steps of d₁ and of the second in steps of s₁·d₂:

    W[t] = Σ_{a·d₁ + b·s₁·d₂ = t} W₁[a] · W₂[b]        strides s₁·s₂, padding p₁ + s₁·p₂ on each side by itself

Of g₁ and g₂ groups, gcd(g₁, g₂) remain: depthwise after depthwise stays depthwise. A transposed convolution composes
with what works on each pixel by itself (1×1, dense).
"""
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from tfold.algebra import border
from tfold.algebra.linear_map import LinearMap
from tfold.reasons import BORDER_NOT_EXACT, TRANSPOSED, UNKNOWN_SIZE, Refusal


def compose(first, second, size, approximate=False):
    """The map x ↦ second(first(x)), exact up to rounding, border pixels included.

    Args:
        first, second: `LinearMap`s; a dense one counts as 1×1 beside a convolution.
        size: spatial input size of `first`, a tuple with None for unknown axes.
        approximate: where zero padding behind a window wider than 1×1 makes it impossible, return the map that is
            right away from the border instead of refusing (`border.disturbed` says how far the border reaches).

    Returns:
        A `LinearMap` in float64 with gcd(groups) groups. Its bias is a map where zero padding meets a bias.

    Raises:
        Refusal: `BORDER_NOT_EXACT`, `UNKNOWN_SIZE` or `TRANSPOSED`.

    Example:

    >>> halve, triple = LinearMap(np.eye(2) / 2), LinearMap(np.eye(2) * 3)
    >>> compose(halve, triple, ()).kernel
    array([[1.5, 0. ],
           [0. , 1.5]])
    """
    first, second = same_rank(first, second)
    exact = check_composable(first, second, size, approximate)
    if first.transposed or second.transposed:
        return _with_pointwise(first, second)
    bias = border.through(first, second, first.output_size(size)) if exact else border.away_from(first, second)
    shape = composed_shape(first, second)
    groups = gcd(first.groups, second.groups)
    first, second = first.regrouped(groups), second.regrouped(groups)
    a = np.asarray(first.kernel, np.float64)
    kernel = np.zeros((*shape.window, a.shape[-2], second.outputs))
    for tap in np.ndindex(*second.window):
        place = tuple(
            slice(t * outer, t * outer + (k - 1) * inner + 1, inner)
            for t, outer, k, inner in zip(tap, shape.second_step, first.window, shape.first_step, strict=True)
        )
        kernel[place] += _product(a, second.kernel[tap], groups)
    return LinearMap(kernel, bias, shape.strides, shape.dilation, shape.padding, groups)


def _product(a, b, groups):
    """`a` (…, inputs ÷ groups, middle) times `b` (middle ÷ groups, outputs), group by group."""
    if groups == 1:
        return a @ b
    a = a.reshape(*a.shape[:-1], groups, -1)
    b = b.reshape(b.shape[0], groups, -1)
    return np.einsum("...igm,mgo->...igo", a, b).reshape(*a.shape[:-2], -1)


def _with_pointwise(first, second):
    """A transposed convolution and a map that works on each pixel by itself, in either order."""
    if second.transposed:
        kernel = first.regrouped(1).kernel.reshape(first.inputs, -1) @ np.asarray(second.kernel, np.float64)
        return replace(second, kernel=kernel)
    pointwise = second.regrouped(1).kernel.reshape(-1, second.outputs)
    bias = border.through(first, second, second.extent)
    return replace(first, kernel=np.asarray(first.kernel, np.float64) @ pointwise, bias=bias)


def check_composable(first, second, size, approximate=False):
    """Raise the `Refusal` that `compose` would raise, at no cost in arithmetic.

    Returns:
        Whether the composition is exact; it always is unless `approximate`.
    """
    first, second = same_rank(first, second)
    if first.transposed or second.transposed:
        other = second if first.transposed else first
        if other.transposed or not other.is_pointwise:
            raise Refusal(TRANSPOSED)
        if first.has_bias_map or second.has_bias_map or (second.transposed and _is_not_zero(first.bias)):
            raise Refusal(TRANSPOSED, "it would make a bias that differs by pixel")
        return True
    if first.padding is None or second.padding is None:
        raise Refusal(UNKNOWN_SIZE, '"same" padding with a stride depends on the input size')
    beyond = border.reads_beyond_padding(first, second, size)
    if beyond is None:
        raise Refusal(UNKNOWN_SIZE, "the border of a strided convolution depends on the input size")
    if beyond and not approximate:
        raise Refusal(
            BORDER_NOT_EXACT,
            f"a {_x(first.window)} window is followed by zero padding "
            + _x(str(a) if a == b else f"({a}, {b})" for a, b in second.padding),
        )
    if beyond:
        if first.has_bias_map or second.has_bias_map:
            raise Refusal(BORDER_NOT_EXACT, "a border map stands at this border already")
        if max(second.strides) > 1 and None in size:
            raise Refusal(UNKNOWN_SIZE, "how far the border reaches depends on the input size")
        return False
    if (second.is_padded or second.has_bias_map) and None in size and _is_not_zero(first.bias):
        raise Refusal(UNKNOWN_SIZE, "zero padding meets a bias: the bias map needs the size of the feature map")
    return True


@dataclass(frozen=True)
class ComposedShape:
    """A composed map without its numbers, and the steps, in its kernel, of the two windows it is made of."""

    window: tuple
    strides: tuple
    dilation: tuple
    padding: tuple
    first_step: tuple
    second_step: tuple


def composed_shape(first, second):
    """Window, strides, dilation and padding of `compose(first, second)`, maps of one rank."""
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
    window = tuple(
        a * (k1 - 1) + b * (k2 - 1) + 1
        for a, b, k1, k2 in zip(first_step, second_step, first.window, second.window, strict=True)
    )
    padding = tuple(
        (p1[0] + s * p2[0], p1[1] + s * p2[1])
        for p1, p2, s in zip(first.padding, second.padding, first.strides, strict=True)
    )
    return ComposedShape(window, strides, dilation, padding, first_step, second_step)


def same_rank(first, second):
    """Both maps with the rank of the larger: a dense map beside a convolution is a 1×1 convolution."""
    rank = max(first.rank, second.rank)
    return first.with_rank(rank), second.with_rank(rank)


def _is_not_zero(bias):
    return bias is not None and bool(np.any(bias))


def _x(numbers):
    return "×".join(str(n) for n in numbers)
