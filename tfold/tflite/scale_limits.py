"""Ranges that are too narrow for the steps of what they are computed from, widened until every runtime takes them.

    layer       computes in steps of             gives its output steps of at least
    conv        step(x) · step(kernel)           a 64th of that
    x + y       step(x), step(y)                 a 64th of the longer one; each term at least a 256th of the sum's
    x · y       step(x) · step(y)                a 64th of that
    ReLU, mean  step(x)                          a 64th of that

XNNPACK refuses a file in which a ratio of steps is beyond a power of two (256 for most ops), and the interpreter then
does not load it. That happens where a branch is zero everywhere, as behind a batch norm whose γ is zero, or where a
ReLU never fires: the range is nothing, and so is the step. Numbers that are all zero stay so in any range that has a
zero in it; and steps far shorter than those of what they are computed from tell nothing: widening them loses nothing.
"""
import math

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D")
_SUMS = ("ADD", "SUB")
_PRODUCTS = ("MUL", "BATCH_MATMUL")
_ALIKE = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "MEAN", "SUM", "HARD_SWISH", "ELU",
          "GELU")
# The converter gives all that these read and make one range.
_SAME = ("CONCATENATION", "RESHAPE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "PADV2", "MIRROR_PAD", "SLICE",
         "STRIDED_SLICE", "TRANSPOSE", "GATHER", "GATHER_ND", "SPLIT", "SPLIT_V", "PACK", "UNPACK", "SQUEEZE",
         "EXPAND_DIMS", "TILE", "MAXIMUM", "MINIMUM", "REDUCE_MAX", "REDUCE_MIN", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE",
         "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2",
         "BROADCAST_TO", "SELECT", "SELECT_V2")
_OUTPUT, _TERM = 1 / 64, 1 / 256
_STEPS, _KERNEL_STEPS = 255, 127


def widened(ranges, ops):
    """Ranges in which every op can be computed.

    Args:
        ranges: tensor index → (lowest, highest).
        ops: in the order of the network: `(kind, inputs, outputs, largest)` each, with the indices of tensors and the
            largest magnitude of a constant kernel or operand, or None.

    Returns:
        dict: the same, wider where needed.
    """
    found = _Steps(ranges)
    for _ in range(len(ops) + 1):  # what is widened may ask for more behind it, less and less
        before = dict(found.ranges)
        for op in ops:
            found.apply(*op)
        if found.ranges == before:
            break
    return {index: _stretched(*each, found.wanted.get(index, 0.0)) for index, each in ranges.items()}


class _Steps:
    """The ranges as the converter will have them, and for each tensor the least step that an op asked for."""

    def __init__(self, ranges):
        self.ranges = {index: (min(low, 0.0), max(high, 0.0)) for index, (low, high) in ranges.items()}
        self.wanted = {}

    def step(self, index):
        low, high = self.ranges[index]
        return (high - low) / _STEPS

    def at_least(self, index, step):
        if self.step(index) < step:
            self.wanted[index] = step
            self.ranges[index] = _stretched(*self.ranges[index], step)

    def apply(self, kind, inputs, outputs, largest):
        """Lengthen the steps of an op's inputs and output where a runtime would refuse them."""
        read = [index for index in inputs if index in self.ranges]
        made = [index for index in outputs if index in self.ranges]
        if not read or not made:
            return
        if kind in _SAME:
            lows, highs = zip(*(self.ranges[index] for index in (*read, *made)), strict=True)
            self.ranges.update(dict.fromkeys((*read, *made), (min(lows), max(highs))))
        elif kind in _LAYERS:
            self.at_least(made[0], self.step(read[0]) * (largest or 0.0) / _KERNEL_STEPS * _OUTPUT)
        elif kind in _SUMS:
            self.at_least(made[0], max(*map(self.step, read), 2 * (largest or 0.0) / _STEPS) * _OUTPUT)
            for index in read:
                self.at_least(index, self.step(made[0]) * _TERM)
        elif kind in _PRODUCTS:
            factors = [self.step(index) for index in read] + ([largest / _STEPS] if largest else [])
            factors = factors * 2 if len(factors) == 1 else factors  # x · x reads one tensor
            self.at_least(made[0], math.prod(factors) * _OUTPUT)
        elif kind in _ALIKE:
            self.at_least(made[0], max(map(self.step, read)) * _OUTPUT)


def _stretched(low, high, step):
    """A range with steps of at least so much, by a factor, so that zero stays in its place; no width becomes [0, w]."""
    width = max(high, 0.0) - min(low, 0.0)
    if step * _STEPS <= width:
        return low, high
    if not width:
        return 0.0, step * _STEPS
    factor = step * _STEPS / width
    return min(low, 0.0) * factor, max(high, 0.0) * factor
