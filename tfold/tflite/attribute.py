"""Which op of a file a profiler's line means.

    file          CONV_2D      ADD     MEAN                          FULLY_CONNECTED   SOFTMAX
    profiler      IGEMM 0.35   Add 0.01  Mean 0.02  Reshape 0.00     GEMM 0.12         Softmax 0.00

The runtime's own kernels say the op's number. XNNPACK names its operators by what they do and gives their order; it
makes two of some ops (a mean that drops dimensions) and none of others (an activation or padding that it has fused into
a neighbour). So between the lines with numbers both sequences are laid beside each other, only lines and ops that fit
may meet, and the alignment in which most meet wins. What XNNPACK is known to add (a reshape, a copy, a conversion)
belongs to the op before it; a line of any other kind that meets no op stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tfold.tflite.contents import Contents
from tfold.tflite.cut import is_constant
from tfold.tflite.parts import Op

# The beginning of what XNNPACK calls an operator → the ops it can come from.
MADE_OF = {
    "Convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "Fully Connected": ("CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"),
    "Dynamic Fully Connected": ("FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D"),
    "Batch Matrix Multiply": ("BATCH_MATMUL",),
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Global Average Pooling": ("MEAN", "AVERAGE_POOL_2D"),
    "Average Pooling": ("AVERAGE_POOL_2D",),
    "Max Pooling": ("MAX_POOL_2D",),
    "Mean": ("MEAN",),
    "Global Sum Pooling": ("SUM",),
    "Sum": ("SUM",),
    "Reduce": ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"),
    "Add": ("ADD",),
    "Subtract": ("SUB",),
    "Multiply": ("MUL",),
    "Divide": ("DIV",),
    "Maximum": ("MAXIMUM", "RELU"),
    "Minimum": ("MINIMUM",),
    "Squared Difference": ("SQUARED_DIFFERENCE",),
    "Clamp": ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
    "Leaky ReLU": ("LEAKY_RELU",),
    "PReLU": ("PRELU",),
    "ELU": ("ELU",),
    "GELU": ("GELU",),
    "HardSwish": ("HARD_SWISH",),
    "Sigmoid": ("LOGISTIC",),
    "Tanh": ("TANH",),
    "Softmax": ("SOFTMAX",),
    "Abs": ("ABS",),
    "Negate": ("NEG",),
    "Square Root": ("SQRT",),
    "Reciprocal Square Root": ("RSQRT",),
    "Square": ("SQUARE",),
    "Constant Pad": ("PAD", "PADV2"),
    "Padding": ("PAD", "PADV2"),
    "Resize Bilinear": ("RESIZE_BILINEAR",),
    "Depth To Space": ("DEPTH_TO_SPACE",),
    "Space To Depth": ("SPACE_TO_DEPTH",),
    "Transpose": ("TRANSPOSE",),
    "Static Transpose": ("TRANSPOSE",),
    "Concatenate": ("CONCATENATION",),
    "Split": ("SPLIT",),
    "Slice": ("STRIDED_SLICE", "SLICE"),
    "Static Slice": ("STRIDED_SLICE", "SLICE"),
    "Static Reshape": ("RESHAPE", "EXPAND_DIMS", "SQUEEZE"),
    "Reshape": ("RESHAPE", "EXPAND_DIMS", "SQUEEZE"),
    "Copy": ("RESHAPE", "CONCATENATION", "SPLIT"),
    "Convert": ("QUANTIZE", "DEQUANTIZE", "CAST"),
}
ADDED = ("Static Reshape", "Reshape", "Copy", "Convert", "Transpose", "Static Transpose", "Constant Pad", "Padding")
_SAME, _FITS = 3, 2  # what a meeting is worth: the same name counts more than a name that may mean several ops


@dataclass(frozen=True)
class Line:
    """A profiler's line: what it calls the operator, its time, and the op's index where it tells that."""

    kind: str
    microseconds: float
    op: int | None = None


@dataclass(frozen=True)
class Attributed:
    """Times by op.

    Attributes:
        microseconds: op's index → its time; 0 for ops that the runtime has fused into a neighbour or computed once.
            Empty where most ops have no line: then the profile is of another model, or of a delegate that tells little.
        unknown: lines that fit no op.
    """

    microseconds: dict[int, float]
    unknown: tuple[Line, ...]

    @property
    def sum(self) -> float:
        """Microseconds of all ops, and of the lines that fit none."""
        return sum(self.microseconds.values()) + sum(line.microseconds for line in self.unknown)


def attribute(contents: Contents, lines: Sequence[Line]) -> Attributed:
    """Gives each of a profiler's lines to an op of the file's first subgraph.

    Args:
        contents: the file that was profiled.
        lines: in the order in which they ran, an inference's worth.

    Returns:
        Attributed: every op has a time, or none has.

    Examples:
        attribute(read("model.tflite"), [Line("Convolution (NHWC, F32) IGEMM", 348.9)]).microseconds
    """
    ops = [op for op in contents.ops if not is_constant(contents, op)]
    by_index = {op.index: op for op in ops}
    times = dict.fromkeys((op.index for op in contents.ops), 0.0)
    unknown, met = [], set()
    for line, op in _given(list(lines), ops, by_index):
        if op is None:
            unknown.append(line)
        else:
            times[op.index] += line.microseconds
            met.add(op.index)
    if 2 * len(met) < len(ops):
        return Attributed({}, tuple(lines))
    return Attributed(times, tuple(unknown))


def _given(lines: list[Line], ops: list[Op], by_index: dict[int, Op]) -> list[tuple[Line, Op | None]]:
    """The lines with their ops: those with numbers as they say, the others aligned in between."""
    given, between, begin, before = [], [], 0, None
    for line in [*lines, None]:
        index = _number(line, by_index) if line else ops[-1].index + 1 if ops else 0
        if index is None:
            between.append(line)
            continue
        given += _aligned(between, [op for op in ops if begin <= op.index < index], before)
        between, begin, before = [], max(begin, index + 1), by_index.get(index)
        if line:
            given.append((line, before))
    return given


def _number(line: Line, by_index: dict[int, Op]) -> int | None:
    """The op that a kernel of the runtime's own names, if it is of the kind that it says."""
    op = by_index.get(line.op)
    return op.index if op is not None and op.kind == line.kind else None


@cache
def _worth(line: str, op: str) -> int:
    """What a meeting of a line and an op of these kinds is worth; 0 where they cannot mean the same."""
    if line == op:
        return _SAME
    kinds = max((kinds for begin, kinds in MADE_OF.items() if _begins(line, begin)), key=len, default=())
    if op not in kinds:
        return 0
    if kinds == MADE_OF["Convolution"]:
        return _SAME if ("DWConv" in line) == (op == "DEPTHWISE_CONV_2D") else _FITS
    return _SAME if len(kinds) == 1 else _FITS


def _begins(line: str, begin: str) -> bool:
    return re.match(rf"{re.escape(begin)}\b", line) is not None


def _aligned(lines: list[Line], ops: list[Op], before: Op | None) -> list[tuple[Line, Op | None]]:
    """The lines with their ops, in the order-keeping pairing that is worth most; `before` is the op that ran before."""
    worth = [[_worth(line.kind, op.kind) for op in ops] for line in lines]
    best = [[0] * (len(ops) + 1) for _ in range(len(lines) + 1)]  # of the lines and ops from here on
    for i in reversed(range(len(lines))):
        for k in reversed(range(len(ops))):
            meet = worth[i][k] + best[i + 1][k + 1] if worth[i][k] else 0
            best[i][k] = max(meet, best[i + 1][k], best[i][k + 1])
    pairs, k = [], 0
    for i, line in enumerate(lines):
        while k < len(ops) and best[i][k] == best[i][k + 1] and best[i][k] != best[i + 1][k]:
            k += 1  # this op has no line
        if k < len(ops) and worth[i][k] and best[i][k] == worth[i][k] + best[i + 1][k + 1]:
            before = ops[k]
            pairs.append((line, before))
            k += 1
        else:
            pairs.append((line, before if any(_begins(line.kind, added) for added in ADDED) else None))
    return pairs
