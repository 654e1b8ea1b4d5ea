"""How far two tensors lie apart, at the border and away from it, and what all comparisons of a fold come to."""
from dataclasses import asdict, dataclass

import keras
import numpy as np

from tfold.errors import ParityError


@dataclass(frozen=True)
class Difference:
    """How far two tensors lie apart: max |a − b| ÷ max |a|, over all, and over border and inner pixels."""

    node: str
    relative: float
    border: float | None
    interior: float | None

    def __str__(self):
        interior = "of nothing" if self.interior is None else f"{self.interior:.1e}"
        where = "" if self.border is None else f" (border {self.border:.1e}, interior {interior})"
        return f"{self.node}: relative difference {self.relative:.1e}{where}"


@dataclass(frozen=True)
class Verification:
    """All comparisons of one fold.

    Args:
        compared: `Difference`s in the order of the network, outputs last.
        tolerance: what was allowed.
        rounding: None, or, where layers were compared by themselves or in float64, how far the networks lie apart in
            their own precision: that is rounding alone.
        rounding_of_original: how far the outputs of the original network then lie from what it computes in float64.
        how: in words, where it was not simply running both.
        approximate: `Difference`s of the layers that were merged across padding: border and interior.
    """

    compared: tuple
    tolerance: float
    rounding: float | None = None
    how: str = ""
    approximate: tuple = ()
    rounding_of_original: float | None = None

    @property
    def worst(self):
        return max(self.compared, key=lambda d: d.relative)

    @property
    def parting(self):
        """The first tensor where the two networks part by more than the tolerance, or None."""
        return next((each for each in self.compared if not each.relative <= self.tolerance), None)

    def to_json(self):
        return {"tolerance": self.tolerance, "compared": len(self.compared), "worst": asdict(self.worst),
                "rounding": self.rounding, "rounding_of_original": self.rounding_of_original,
                "approximate": [asdict(each) for each in self.approximate]}

    def __str__(self):
        count = len(self.compared)
        lines = [f"verified at {count} tensor{'s' * (count != 1)}, tolerance {self.tolerance:.0e}; worst: {self.worst}"]
        lines[0] += f"; {self.how}" if self.how else ""
        if self.approximate:
            lines.append(f"approximate at the border, exact inside ({len(self.approximate)})")
            lines += [f"  {each}" for each in self.approximate]
        return "\n".join(lines)


def difference(name, a, b, ring=None):
    """Compare two arrays of one shape.

    Args:
        name: of the tensor.
        a, b: arrays or tensors, batch first.
        ring: `(before, after)` for each spatial axis: how many pixels at the edge count as border; None for one.

    Raises:
        ParityError: their shapes differ.
    """
    a, b = to_numpy(a), to_numpy(b)
    if a.shape != b.shape:
        raise ParityError(f"A fold must keep every shape. Received: {a.shape} and {b.shape} at {name}.")
    scale = float(np.abs(a).max(initial=0)) or 1.0
    error = np.abs(np.subtract(a, b, dtype=np.result_type(a, b, np.float32)))
    largest = float(error.max(initial=0)) / scale
    if a.ndim < 3 or (ring is None and min(a.shape[1:-1]) < 3):
        return Difference(name, largest, None, None)
    ring = ring or ((1, 1),) * (a.ndim - 2)
    inner = (slice(None), *(slice(before, n - after) for (before, after), n in zip(ring, a.shape[1:-1], strict=True)))
    interior = float(error[inner].max()) / scale if error[inner].size else None  # a small map may be border alone
    error[inner] = 0
    return Difference(name, largest, float(error.max(initial=0)) / scale, interior)


def to_numpy(tensor):
    """A tensor as an array; half precision as float32."""
    if not isinstance(tensor, np.ndarray) and "float16" in str(tensor.dtype):
        tensor = keras.ops.cast(tensor, "float32")  # NumPy has no bfloat16
    return np.asarray(keras.ops.convert_to_numpy(tensor))
