"""A linear layer as data: kernel, bias, strides, dilation, padding of each side, groups.

One class stands for dense layers (no spatial axis), convolutions in 1, 2 and 3 dimensions, grouped and
depthwise ones (groups = channels), and transposed ones. The kernel has Keras' layout for a convolution,
`(*window, inputs per group, outputs)`, with a group's outputs next to one another; a depthwise kernel
`(*window, channels, multiplier)` becomes `(*window, 1, channels · multiplier)`.

The bias is None, a vector `(outputs,)`, or a **map** `(*output size, outputs)`: a bias that differs near the
border, which is what a zero-padded convolution makes of the bias of the layer before it (see `border`).
"""
from dataclasses import dataclass, replace

import numpy as np

from tfold.algebra.affine import Affine


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = kernel ∗ x + bias.

    Args:
        kernel: array, `(*window, inputs // groups, outputs)`; for a transposed map the window is not flipped,
            as in Keras, but inputs and outputs are in the order given here.
        bias: None, `(outputs,)` or `(*output size, outputs)`.
        strides, dilation: one integer for each spatial axis.
        padding: `(before, after)` zeros for each spatial axis, or None for "same" where the input size,
            on which it depends, is unknown. Unused (None) in a transposed map.
        groups: the channels are split into so many independent convolutions.
        transposed: a transposed convolution; its padding is what the Keras layer says.

    Example:

    >>> dense = LinearMap(np.eye(3), np.ones(3))
    >>> dense.apply(np.zeros((1, 3)))
    array([[1., 1., 1.]])
    """

    kernel: np.ndarray
    bias: np.ndarray | None = None
    strides: tuple = ()
    dilation: tuple = ()
    padding: tuple | None = ()
    groups: int = 1
    transposed: bool = False

    @property
    def rank(self):
        """Number of spatial axes: 0 for a dense layer."""
        return self.kernel.ndim - 2

    @property
    def window(self):
        return self.kernel.shape[:-2]

    @property
    def extent(self):
        """Window size in input pixels, dilation included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.window, self.dilation, strict=True))

    @property
    def inputs(self):
        return self.kernel.shape[-2] * self.groups

    @property
    def outputs(self):
        return self.kernel.shape[-1]

    @property
    def is_depthwise(self):
        return self.groups > 1 and self.groups == self.inputs

    @property
    def is_pointwise(self):
        """It works on each pixel by itself: 1×1 or dense, no stride, no padding."""
        return not self.transposed and max(self.window + self.strides, default=1) == 1 and not self.is_padded

    @property
    def is_diagonal(self):
        """It only scales and shifts each channel, as a batch norm does."""
        return self.is_pointwise and self.groups == self.inputs == self.outputs and not self.has_bias_map

    @property
    def is_padded(self):
        return self.padding is None or any(side for pair in self.padding for side in pair)

    @property
    def has_bias_map(self):
        return self.bias is not None and self.bias.ndim > 1

    def bias_or_zeros(self):
        return np.zeros(self.outputs) if self.bias is None else self.bias

    def output_size(self, size):
        """Spatial output size for a spatial input size; None where an axis is unknown."""
        if self.transposed or self.padding is None:
            return tuple(None for _ in size)
        return tuple(
            None if n is None else (n + sum(pair) - extent) // stride + 1
            for n, pair, extent, stride in zip(size, self.padding, self.extent, self.strides, strict=True)
        )

    def with_rank(self, rank):
        """A dense map as the 1×1 convolution of `rank` axes that it is on a feature map."""
        if rank == self.rank:
            return self
        if self.rank:
            raise ValueError(f"Only a dense map can change its rank. Received: rank {self.rank}, wanted {rank}")
        kernel = self.kernel.reshape((1,) * rank + self.kernel.shape)
        return replace(self, kernel=kernel, strides=(1,) * rank, dilation=(1,) * rank, padding=((0, 0),) * rank)

    def regrouped(self, groups):
        """The same map with fewer groups, a divisor of those it has: zeros where it reads nothing."""
        if groups == self.groups:
            return self
        joined = self.groups // groups
        rows = self.kernel.shape[-2]
        kernel = np.zeros((*self.window, joined * rows, self.outputs), self.kernel.dtype)
        place_in_group = np.arange(self.outputs) // (self.outputs // self.groups) % joined
        for place in range(joined):
            columns = place_in_group == place
            kernel[..., place * rows : (place + 1) * rows, columns] = self.kernel[..., columns]
        return replace(self, kernel=kernel, groups=groups)

    def undilated(self):
        """The same map with the dilation written out as zeros in the kernel."""
        if all(d == 1 for d in self.dilation):
            return self
        kernel = np.zeros((*self.extent, *self.kernel.shape[-2:]), self.kernel.dtype)
        kernel[tuple(slice(None, None, d) for d in self.dilation)] = self.kernel
        return replace(self, kernel=kernel, dilation=(1,) * self.rank)

    def trimmed(self, size):
        """The same map without the zeros behind the input that no window reaches: there are some where it strides."""
        if self.transposed or self.padding is None or None in size:
            return self
        unread = [
            n + sum(pair) - ((out - 1) * stride + extent)
            for n, pair, out, stride, extent in zip(
                size, self.padding, self.output_size(size), self.strides, self.extent, strict=True)
        ]
        return replace(self, padding=tuple(
            (before, max(after - more, 0)) for (before, after), more in zip(self.padding, unread, strict=True)))

    def scaled(self, affine):
        """This map followed by a per-channel affine map."""
        return replace(self, kernel=self.kernel * affine.scale, bias=affine(self.bias_or_zeros()))

    def fed_by(self, affine):
        """This map behind a per-channel affine map. Exact only without padding or with a shift of zero.

        The caller decides about the border (see `border`); transposed maps overlap unevenly, so they take a
        scale alone.
        """
        # Output o of a grouped map reads the inputs of its own group only.
        group_of_output = np.arange(self.outputs) // (self.outputs // self.groups)
        per_output = affine.scale.reshape(self.groups, -1)[group_of_output].T
        shift = affine.shift.reshape(self.groups, -1)[group_of_output].T
        bias = self.bias_or_zeros()
        if shift.any():
            taps = self.kernel.reshape(-1, *self.kernel.shape[-2:]).sum(axis=0, dtype=np.float64)
            bias = bias + (taps * shift).sum(axis=0)
        return replace(self, kernel=self.kernel * per_output, bias=bias)

    def apply(self, x):
        """Evaluate on a batch `(batch, *size, inputs)`, in float64: the reference for every merge."""
        if self.transposed or self.padding is None:
            raise ValueError("Only maps with known padding that are not transposed can be evaluated.")
        x = np.asarray(x, np.float64)
        leading = x.ndim - self.rank - 1  # a dense map applies to the last axis, whatever stands before it
        size = self.output_size(x.shape[leading:-1])
        x = np.pad(x, [(0, 0)] * leading + list(self.padding) + [(0, 0)])
        y = np.zeros((*x.shape[:leading], *size, self.outputs))
        for tap in np.ndindex(*self.window):
            window = tuple(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, self.dilation, size, self.strides, strict=True)
            )
            y += self._channels(x[(slice(None),) * leading + window], self.kernel[tap])
        return y + self.bias_or_zeros()

    def _channels(self, x, matrix):
        if self.groups == 1:
            return x @ matrix
        if self.is_depthwise:
            return np.repeat(x, self.outputs // self.groups, axis=-1) * matrix[0]
        split = x.reshape(*x.shape[:-1], self.groups, -1)
        matrices = matrix.reshape(matrix.shape[0], self.groups, -1).transpose(1, 0, 2)
        return np.einsum("...gi,gio->...go", split, matrices).reshape(*x.shape[:-1], self.outputs)


def identity(channels, rank):
    """The map y = x, as a 1×1 depthwise convolution; of a vector for rank 0."""
    return diagonal(Affine(np.ones(channels), np.zeros(channels)), rank)


def diagonal(affine, rank):
    """An affine map per channel, as a 1×1 depthwise convolution; of a vector for rank 0."""
    kernel = affine.scale.reshape((*(1,) * rank, 1, -1))
    bias = affine.shift if affine.shift.any() else None
    return LinearMap(kernel, bias, (1,) * rank, (1,) * rank, ((0, 0),) * rank, groups=affine.scale.size)


def selection(channels, start, stop, rank):
    """The map that keeps the channels start…stop."""
    kernel = np.eye(channels)[:, start:stop].reshape((*(1,) * rank, channels, -1))
    return LinearMap(kernel, None, (1,) * rank, (1,) * rank, ((0, 0),) * rank)


def averaging(channels, window, strides):
    """Average pooling without padding, as a depthwise convolution."""
    rank = len(window)
    kernel = np.full((*window, 1, channels), 1.0 / np.prod(window))
    return LinearMap(kernel, None, tuple(strides), (1,) * rank, ((0, 0),) * rank, groups=channels)


def same_padding(size, extent, strides):
    """TensorFlow's and Keras' "same" padding, `(before, after)` an axis: the odd zero goes behind.

    None where it depends on a size that is unknown (a stride above 1).
    """
    pairs = []
    for n, e, s in zip(size, extent, strides, strict=True):
        if s == 1:
            total = e - 1
        elif n is None:
            return None
        else:
            total = max((-(-n // s) - 1) * s + e - n, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)
