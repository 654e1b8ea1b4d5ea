"""What an operation costs, by policy: the scale on which `merge_linear` decides.

- `latency`: microseconds on one CPU thread with XNNPACK, float32, from the constants below.
- `macs`: multiply-accumulates; of equally many, the fewer elements written.
- `always`: the number of layers, whatever they cost.

A policy is a function of an `Operation`; where the target is another machine, pass your own:

    def microseconds(op):
        return table[op.kind, op.window] * op.macs + 2.0

    tfold.fold(model, policy=microseconds)
"""
from dataclasses import dataclass
from math import isfinite, prod

from tfold.algebra.linear_map import same_padding
from tfold.errors import BadInputError

# Fitted to layer times of the XNNPACK delegate on one thread of an AVX-512 server core (benchmarks/xnnpack_layers.py:
# median error 7 %). The decision depends on their ratios alone: a depthwise convolution does less arithmetic a byte.
MACS_PER_US = {"full": 55_000.0, "grouped": 40_000.0, "depthwise": 24_000.0, "transposed": 40_000.0}
ELEMENTS_PER_US = 14_000.0
PADDED_PER_US = 600.0  # PADV2 runs outside the delegate: a stem of MobileNetV3 took 2.4 times as long with it
US_PER_LAYER = 0.5
UNKNOWN_SIZE = 56  # stands for an axis that the model leaves open


@dataclass(frozen=True)
class Operation:
    """One operation of a network, as a policy sees it; sizes are of one input, without the batch.

    Args:
        kind: "full", "grouped", "depthwise" or "transposed" (a linear layer), or "elementwise" (an addition, a batch
            norm, a border map), "concat", "pool", "pad" (with zeros), "pad_value" (with another number).
        macs: multiply-accumulates; 0 for what is not linear.
        elements: elements written.
        inputs, outputs: channels.
        window, strides: of a linear layer or a pool, one number an axis; empty for a dense layer.
        size: spatial size of the input.
    """

    kind: str
    macs: int
    elements: int
    inputs: int = 0
    outputs: int = 0
    window: tuple = ()
    strides: tuple = ()
    size: tuple = ()


def latency(op):
    elements = op.elements / (PADDED_PER_US if op.kind == "pad_value" else ELEMENTS_PER_US)
    return op.macs / MACS_PER_US.get(op.kind, 1.0) + elements + US_PER_LAYER


def macs(op):
    # Of equally many, the fewer elements written, and of these, the fewer layers.
    return op.macs + 1e-6 * op.elements + 1e-9


def always(op):
    # A linear layer less counts more than any number of what stands between them. Of equally many, the fewer MACs.
    return (1.0 if op.macs else 1e-3) + 1e-15 * op.macs


POLICIES = {"latency": latency, "macs": macs, "always": always}


def policy_named(policy):
    """The cost function that a policy's name stands for; a function is checked whenever it is asked.

    Raises:
        BadInputError: there is no such policy, or the function gives something that is not a cost.
    """
    if not callable(policy):
        if policy not in POLICIES:
            raise BadInputError(
                f"policy is one of {', '.join(POLICIES)}, or a function of an Operation. Received: policy={policy!r}. "
                "The default is latency."
            )
        return POLICIES[policy]

    def checked(op):
        answer = policy(op)
        try:
            cost = float(answer)
        except (TypeError, ValueError):
            cost = float("nan")
        if not (isfinite(cost) and cost >= 0):
            raise BadInputError(
                "A policy gives the cost of an operation, a number that is not negative. "
                f"Received: {answer!r} for {op}."
            )
        return cost

    return checked


def of_map(linear, size, policy):
    """The cost of a linear layer whose input has the spatial size `size`, with its border map and padding layer."""
    if linear.rank == 0 and size:
        linear = linear.with_rank(len(size))  # a dense layer on a feature map works at each of its pixels
    pads = linear.rank and linear.is_padded and linear.padding not in (
        None, same_padding(size, linear.extent, linear.strides))
    size = likely(size)
    made = output_size(linear, size)
    kind = "transposed" if linear.transposed else "full" if linear.groups == 1 else (
        "depthwise" if linear.is_depthwise else "grouped")
    positions = prod(size if linear.transposed else made)
    elements = prod(made) * linear.outputs
    work = positions * prod(linear.kernel.shape)
    total = policy(Operation(kind, work, elements, linear.inputs, linear.outputs, linear.window, linear.strides, size))
    if linear.has_bias_map:
        total += of_elements(elements, policy)
    if pads:  # "same" does not say it, so that it takes a layer of its own
        padded = prod(n + sum(pair) for n, pair in zip(size, linear.padding, strict=True))
        total += of_elements(padded * linear.inputs, policy, "pad")
    return total


def of_elements(count, policy, kind="elementwise"):
    """The cost of an operation that writes so many elements: an addition, a batch norm, a concatenation."""
    return policy(Operation(kind, 0, count))


def of_affine(affine, count, policy):
    """A batch norm that stays multiplies and adds, or one of the two."""
    return operations_of(affine) * of_elements(count, policy)


def operations_of(affine):
    """How many operations an `Affine` is: a multiplication and an addition, one of them, or none."""
    return int((affine.scale != 1).any()) + int(affine.shift.any())


def of_pool(shape, window, strides, channels, size, policy):
    """The cost of a pooling layer with output shape `shape`."""
    return policy(Operation("pool", 0, elements(shape), channels, channels, window, strides, likely(size)))


def likely(size):
    """A size with unknown axes at a likely value."""
    return tuple(n or UNKNOWN_SIZE for n in size)


def output_size(linear, size):
    """Output size for the estimate: unknown axes and "same" padding get their most likely value."""
    if linear.padding is None:
        return tuple(
            n * s if linear.transposed else -(-n // s) for n, s in zip(size, linear.strides, strict=True)
        )
    return tuple(max(n, 1) for n in linear.output_size(size))


def elements(shape):
    """Number of elements of a tensor of one input, unknown axes at their likely value."""
    return prod(n or UNKNOWN_SIZE for n in shape[1:])
