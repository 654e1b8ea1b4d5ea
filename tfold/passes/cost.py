"""What a linear layer costs, by policy: the scale on which `merge_linear` decides.

- `always`: the number of layers, whatever they cost.
- `macs`: multiply-accumulates; of equal ones, the fewer layers.
- `latency`: microseconds on one CPU thread with XNNPACK, float32, from the constants below.
"""
from math import prod

POLICIES = ("latency", "macs", "always")

# Fitted to layer times of the XNNPACK delegate on one thread of an AVX-512 server core (benchmarks/xnnpack_layers.py:
# median error 7 %). The decision depends on their ratios alone: a depthwise convolution does less arithmetic a byte.
MACS_PER_US = {"full": 55_000.0, "grouped": 40_000.0, "depthwise": 24_000.0}
ELEMENTS_PER_US = 14_000.0
US_PER_LAYER = 0.5
UNKNOWN_SIZE = 56  # stands for an axis that the model leaves open


def of_map(linear, size, policy):
    """The cost of one linear layer whose input has the spatial size `size`."""
    positions = prod(n or UNKNOWN_SIZE for n in output_size(linear, size))
    macs = positions * prod(linear.kernel.shape)
    border = positions * linear.outputs if linear.has_bias_map else 0
    if policy == "always":
        return 1 + 1e-15 * macs
    if policy == "macs":
        return macs + border + 1e-3
    kind = "full" if linear.groups == 1 else "depthwise" if linear.is_depthwise else "grouped"
    traffic = (border + positions * linear.outputs) / ELEMENTS_PER_US
    return macs / MACS_PER_US[kind] + traffic + US_PER_LAYER + (US_PER_LAYER if border else 0)


def of_add(elements, policy):
    """The cost of adding two tensors with so many elements."""
    if policy == "always":
        return 0.5
    if policy == "macs":
        return elements
    return elements / ELEMENTS_PER_US + US_PER_LAYER


def output_size(linear, size):
    """Output size for the estimate: unknown axes and "same" padding get their most likely value."""
    size = tuple(n or UNKNOWN_SIZE for n in size)
    if linear.padding is None:
        return tuple(
            n * s if linear.transposed else -(-n // s) for n, s in zip(size, linear.strides, strict=True)
        )
    return linear.output_size(size)


def elements(shape):
    """Number of elements of a tensor of one input, unknown axes at their likely value."""
    return prod(n or UNKNOWN_SIZE for n in shape[1:])
