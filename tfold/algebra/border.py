"""What zero padding breaks when two convolutions become one, and how it is repaired.

    y₂ = W₂ ∗ pad₂(W₁ ∗ pad₁(x) + b₁) + b₂

Between the two, pad₂ puts **zeros** around the first layer's output. The merged layer never sees that tensor:
outside it, it computes W₁ ∗ x + b₁ as anywhere else. The two agree iff both parts vanish out there:

- *kernel*: the first layer's window, placed outside its output, must read padding only (`reads_beyond_padding`).
  A 1×1 window always does. A 3×3 window with padding 1 does not, and nothing repairs that.
- *bias*: b₁ must be zero. If it is not, the merged bias is a map: constant inside, different in the outer ring
  (`through`). Adding that map instead of a bias is exact.

Where the kernel part does not vanish, `away_from` gives the bias that is right away from the border, and `disturbed`
how many pixels on each side are then wrong.

Source: Layer Folding (arXiv 2106.09309), which calls the merge across padding approximate and fine-tunes; the bias
map makes the 1×1 case exact.
"""
from dataclasses import replace

import numpy as np


def reads_beyond_padding(first, second, size):
    """True if `first`, evaluated where `second` has its zero padding, would read real pixels.

    Args:
        first, second: `LinearMap`s of one rank.
        size: spatial input size of `first`, None for unknown axes.

    Returns:
        True, False, or None where it depends on an unknown input size.
    """
    unknown = False
    for axis, n in enumerate(size):
        before, after = first.padding[axis]
        extent, stride = first.extent[axis], first.strides[axis]
        padded_before, padded_after = second.padding[axis]
        # The window of output position -1 ends at input row -stride - before + extent - 1.
        if padded_before and extent - 1 >= stride + before:
            return True
        # The window of the first position behind the output starts at row positions · stride - before, which is
        # at least n + after - (extent - 1), whatever n.
        if padded_after and after < extent - 1:
            if stride == 1:
                return True
            if n is None:
                unknown = True
            elif first.output_size(size)[axis] * stride - before < n:
                return True
    return None if unknown else False


def through(first, second, size):
    """The bias of `second` after `first`: a vector where it is uniform, else a map over `second`'s output.

    Args:
        size: spatial output size of `first`; may be unknown (None) where no map comes out.

    Returns:
        None, `(outputs,)` or `(*output size, outputs)`, float64.
    """
    if first.bias is None or not np.any(first.bias):
        return second.bias
    needs_map = second.is_padded or first.has_bias_map or second.has_bias_map
    # Without padding every output pixel sees the same: one window is enough.
    size = size if needs_map else second.extent
    bias = second.apply(np.broadcast_to(first.bias, (1, *size, first.outputs)))[0]
    flat = bias.reshape(-1, second.outputs)
    return flat[0].copy() if (flat == flat[0]).all() else bias


def away_from(first, second):
    """The bias of `second` after `first` where no padding is near: `(outputs,)`, or None."""
    if first.bias is None or not np.any(first.bias):
        return second.bias
    window = np.broadcast_to(first.bias, (1, *second.extent, first.outputs))
    inner = replace(second, padding=((0, 0),) * second.rank).apply(window)
    return inner.reshape(-1, second.outputs)[0]


def disturbed(first, second, size, ring=None):
    """How many output pixels differ, on each side of each axis, when `second` ∘ `first` is merged across padding.

    Args:
        first, second: `LinearMap`s of one rank.
        size: spatial input size of `first`; None for unknown axes is allowed where `second` has no stride.
        ring: the same of `first`'s output, where it was itself merged so; None for none.

    Returns:
        `((before, after), …)`, one pair for each axis.

    Example:

    Two 3×3 convolutions with padding 1 differ from one 5×5 convolution with padding 2 in a ring of one pixel:
    `((1, 1), (1, 1))`.
    """
    found = []
    for axis, n in enumerate(first.output_size(size)):
        before, after = (0, 0) if ring is None else ring[axis]
        zeros_before, zeros_after = second.padding[axis]
        extent, stride = second.extent[axis], second.strides[axis]
        wrong_before = -(-(before + zeros_before) // stride)
        wrong_after = after + zeros_after
        if n is not None:
            out = (n + zeros_before + zeros_after - extent) // stride + 1
            first_wrong = max(-(-(n - after - extent + 1 + zeros_before) // stride), 0)
            wrong_before, wrong_after = min(wrong_before, out), max(out - first_wrong, 0)
        found.append((wrong_before if before or zeros_before else 0, wrong_after if after or zeros_after else 0))
    return tuple(found)
