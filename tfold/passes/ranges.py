"""How wide kernels are, and what merging made of them: what 8 bits a channel keep of it.

A kernel of an int8 file has one step for each output channel, 1/127 of the channel's largest weight. Where one weight
of a channel stands out, the step is coarse for all others. Merging multiplies kernels, and products spread wider.
"""
from dataclasses import dataclass

import numpy as np

STEPS = 127


@dataclass(frozen=True)
class KernelRange:
    """How wide one kernel is.

    Args:
        name: of the layer.
        largest: max |w|.
        spread: the widest output channel ÷ the median one: what one scale for all channels would lose.
        decibels: what is left at 8 bits a channel: 10·log10 of mean w² ÷ mean rounding error², in the mean over
            channels.
    """

    name: str
    largest: float
    spread: float
    decibels: float


@dataclass(frozen=True)
class MergedRange:
    """A kernel that was merged, and those that it was made of."""

    kernel: KernelRange
    parts: tuple

    def __str__(self):
        def each(name, form):
            parts = ", ".join(form.format(getattr(part, name)) for part in self.parts)
            return f"{form.format(getattr(self.kernel, name))} (parts {parts})"

        return (f"{self.kernel.name}: largest weight {each('largest', '{:.2g}')}, widest channel ÷ median "
                f"{each('spread', '{:.1f}')}, signal ÷ noise at 8 bits {each('decibels', '{:.0f}')} dB")


def kernel_range(name, linear):
    """The `KernelRange` of a `LinearMap`; None for one without weights or of zeros alone."""
    kernel = np.abs(np.asarray(linear.kernel, np.float64)).reshape(-1, linear.outputs)
    widest = kernel.max(0, initial=0)
    used = widest > 0
    if not used.any():
        return None
    step = widest[used] / STEPS
    exact = kernel[:, used]
    noise = np.square(exact - step * np.round(exact / step)).mean(0)
    # A channel whose weights are all on its grid, one weight say, loses nothing: as good as the format can say.
    noise = np.maximum(noise, np.square(exact).mean(0) * 1e-12)
    return KernelRange(name, float(widest.max()), float(widest.max() / np.median(widest[used])),
                       float(np.mean(10 * np.log10(np.square(exact).mean(0) / noise))))


def merged_ranges(original, folded):
    """A `MergedRange` for each layer that was made of several.

    Args:
        original, folded: the `Graph` before and after the passes.
    """
    before = {node.label: node for node in original if node.op == "linear"}
    found = []
    for node in folded:
        parts = [before[name] for name in node.covers if name in before] if node.op == "linear" else ()
        if len(parts) < 2:
            continue
        ranges = [kernel_range(part.label, part.map) for part in parts]
        own = kernel_range(node.label, node.map)
        if own is not None:
            found.append(MergedRange(own, tuple(each for each in ranges if each is not None)))
    return tuple(found)
