"""Windows that slide over pixels, in NumPy: transposed convolution, pooling, upsampling."""
import numpy as np


def convolve_transposed(linear, x, size):
    """A transposed convolution whose output has the spatial size `size`.

    It is the gradient of the convolution with the same kernel, strides and padding that reads `size` pixels and makes
    as many as `x` has, as in TensorFlow. So the size alone tells where it begins: what the windows reach beyond `size`
    is that convolution's padding, half of it in front, the odd pixel behind. "valid" reaches nothing beyond.

    Args:
        linear: a `LinearMap` with `transposed` set.
        x: array `(batch, *spatial, inputs)`.
        size: spatial size of the output.

    Returns:
        A float64 array `(batch, *size, outputs)`.
    """
    linear = linear.regrouped(1)
    x = np.asarray(x, np.float64)
    reach = [(n - 1) * s + e for n, s, e in zip(x.shape[1:-1], linear.strides, linear.extent, strict=True)]
    before = [max(r - n, 0) // 2 for r, n in zip(reach, size, strict=True)]
    whole = np.zeros((len(x), *(max(r, b + n) for r, b, n in zip(reach, before, size, strict=True)), linear.outputs))
    for tap in np.ndindex(*linear.window):
        reached = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, linear.dilation, x.shape[1:-1], linear.strides, strict=True)
        )
        whole[(slice(None), *reached)] += x @ linear.kernel[tap]
    inside = tuple(slice(b, b + n) for b, n in zip(before, size, strict=True))
    return whole[(slice(None), *inside)] + linear.bias_or_zeros()


def pool(x, kind, window, strides, padding):
    """The largest or the average of each window; what is padded counts for neither.

    Args:
        x: array `(batch, *spatial, channels)`.
        kind: "max" or "average".
        window, strides: one number for each spatial axis.
        padding: `(before, after)` for each spatial axis.
    """
    x = np.asarray(x, np.float64)
    if kind == "max":
        return _over_windows(np.maximum, x, -np.inf, window, strides, padding)
    there = np.ones((1, *x.shape[1:-1], 1))
    total, count = (_over_windows(np.add, values, 0.0, window, strides, padding) for values in (x, there))
    return total / count


def _over_windows(combine, x, missing, window, strides, padding):
    x = np.pad(x, [(0, 0), *padding, (0, 0)], constant_values=missing)
    size = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:-1], window, strides, strict=True)]
    found = None
    for tap in np.ndindex(*window):
        seen = tuple(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, size, strides, strict=True))
        values = x[(slice(None), *seen)]
        found = values if found is None else combine(found, values)
    return found


def upsample(x, factors, interpolation):
    """More pixels: each repeated ("nearest"), or in between ("bilinear") with the centres of pixels half a pixel in."""
    for axis, factor in enumerate(factors, start=1):
        x = np.repeat(x, factor, axis) if interpolation == "nearest" else _between(x, factor, axis)
    return x


def _between(x, factor, axis):
    at = np.clip((np.arange(x.shape[axis] * factor) + 0.5) / factor - 0.5, 0, x.shape[axis] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    weight = (at - low).reshape(-1, *(1,) * (x.ndim - axis - 1))
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
