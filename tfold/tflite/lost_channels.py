"""Channels of an output that quantization has rounded away, while the output as a whole looks well.

    output (1, 192, 6)      channels 0…3: boxes, 0…320      one scale for all of them: steps of 1.25
                            channels 4, 5: scores, 0…1      every score becomes 0

A signal-to-noise ratio over the whole output does not show it: the boxes are 99.99 % of the signal.
"""
from dataclasses import dataclass

import numpy as np

STEPS = 255  # of an 8-bit tensor
CONSTANT = 1e-7  # of the output's largest number: what float32 makes of a constant
FEW = 4  # steps: two bits of eight
SHOWN = 8  # channels that a sentence lists


@dataclass(frozen=True)
class LostChannels:
    """What has become of some channels of an output.

    Args:
        axis: along which they are counted, batch first.
        channels: their numbers.
        total: how many channels there are.
        lowest, highest: of their numbers in the reference.
        step: of the tensor: of its number format where the output is integers, else a 255th of its range.
        left: how many different values they have in the quantized file.
        same: how many of their numbers have become one value, 0…1.
        value: that value.
    """

    axis: int
    channels: tuple
    total: int
    lowest: float
    highest: float
    step: float
    left: int
    same: float
    value: float

    @property
    def is_all(self):
        """Whether nothing is left of the output."""
        return self.left == 1 and len(self.channels) == self.total

    def __str__(self):
        some = len(self.channels) > 1
        listed = ", ".join(map(str, self.channels[:SHOWN])) + (", …" if len(self.channels) > SHOWN else "")
        return (f"channel{'s' * some} {listed} ({len(self.channels)} of {self.total} along axis {self.axis}), "
                f"{self.lowest:.3g} to {self.highest:.3g}, {'have' if some else 'has'} {self.left} "
                f"value{'s' * (self.left > 1)} left in steps of {self.step:.2g}: {self.same:.1%} of the numbers become "
                f"{self.value:.3g}")


def lost_channels(expected, received, step=0.0):
    """The channels that one array has and the other has not; None where there are none.

    A channel is lost where its numbers differ by less than a 64th of what the widest channel's do, and lie off by much
    of that; or where the whole output has become one number. Constant channels lose nothing, and shares and
    probabilities are all of one size: there a class that hardly occurs among the samples is no loss.

    Args:
        expected, received: float64 arrays `(samples, …)`, of the reference and of the quantized file.
        step: of a quantized output, 0 for floats.
    """
    if expected.ndim < 2 or len(expected) < 2 or not expected.size:
        return None
    lowest, highest = float(expected.min()), float(expected.max())
    is_one_number = bool(received.min() == received.max())
    if lowest >= 0 and highest <= 1 and not is_one_number:
        return None
    step = step or (highest - lowest) / STEPS
    axes = [expected.ndim - 1] + ([1] if expected.ndim > 2 else [])  # channels last, channels first
    for axis in axes:
        found = _lost_along(axis, expected, received, step, is_one_number)
        if found is not None:
            return found
    return None


def _lost_along(axis, expected, received, step, is_one_number):
    rest = tuple(each for each in range(expected.ndim) if each != axis)
    low, high = expected.min(rest), expected.max(rest)
    width, error = high - low, np.abs(received - expected).max(rest)
    varies = width > CONSTANT * np.abs(expected).max()
    narrow = width < FEW * width.max() / STEPS
    lost = np.flatnonzero(varies & (narrow & (error >= width / 16) | is_one_number & (error >= width / 4)))
    if not len(lost):
        return None
    values, counts = np.unique(np.take(received, lost, axis), return_counts=True)
    return LostChannels(axis, tuple(map(int, lost)), expected.shape[axis], float(low[lost].min()),
                        float(high[lost].max()), float(step), len(values), float(counts.max() / counts.sum()),
                        float(values[counts.argmax()]))
