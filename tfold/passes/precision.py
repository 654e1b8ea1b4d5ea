"""What a shift costs where it is folded: of a large number that is added and taken off again, float32 keeps ε times it.

    Normalization       (x − μ)/σ               x = μ = 254, σ = 1e-7:     0, to the last bit
    folded              (w/σ)·x − w·μ/σ         2.5e9·w − 2.5e9·w:         ± 150·w

An affine map s·x + t takes off what the mean of its input makes of it, |s·μ|: of that, ε is lost to rounding. A layer
that computes (x − μ)·s does not lose it, and where x is a sum, the sum has lost it already. The statistics of a batch
norm or a Normalization tell μ and how far its output spreads; of other arithmetic it is taken that the channels behind
it are of one size. Layers behind an affine node that would cost more than verification tolerates do not take it in.

In 8 bits a channel the same holds for scales: beside one channel that is multiplied by 1e7, nothing is left of the
weights of the others.
"""
from dataclasses import replace

import numpy as np

from tfold.algebra.affine import Affine
from tfold.reasons import IMPRECISE

# A tensor that is shifted by r of its own spreads is known to r·ε of a spread: at most what verification tolerates.
LARGEST_SHIFT = {"float64": 4e10, "float32": 80, "float16": 10, "bfloat16": 12}
# A sum in front of a batch norm is rounded to ε of its own size, whether the batch norm is folded into it or not.
WHERE_SUMMED = 12
LARGEST_SCALE = 1e4
CONSTANT = 1e-6


def mark_imprecise(graph, report, options):
    """Mark the affine nodes that no layer behind them may take in: `attrs["stays"]`."""
    consumers = graph.consumers()
    for node in graph:
        if not _is_finite_affine(node) or "stays" in node.attrs:
            continue
        why = _why(node)
        for reader in consumers[node.ref]:
            if reader is None or why:
                break
            if reader.op == "linear":
                why = _why(node, weights=_weights(reader.map))
            elif _is_finite_affine(reader) and not _why(reader):
                why = _why(replace(node, attrs=chained(node, reader)))
                if why:
                    reader.attrs["stays"] = IMPRECISE, why
        if why:
            node.attrs["stays"] = IMPRECISE, why


def fits_before(linear, norm):
    """Whether a linear layer can take in the batch norm behind it.

    Args:
        linear: the `LinearMap` with the batch norm in it.
        norm: the affine node.
    """
    if "stays" not in norm.attrs:
        return True
    return norm.attrs["stays"][0] == IMPRECISE and not _why(norm, bias=linear.bias_or_zeros())


def tame_constant_channels(graph):
    """Give channels that never varied the scale of the others, for files of integers; at their mean nothing changes.

    A constant tensor of such a file has one step for all its numbers: beside a scale of 1e7 those of the others are 0.
    What such a channel makes of anything but its mean is out of range there in any case.
    """
    mark_imprecise(graph, None, None)
    for node in graph:
        if node.op != "affine" or node.attrs.get("stays", ("",))[0] != IMPRECISE or "statistics" not in node.attrs:
            continue
        affine, (mean, deviation) = node.attrs["affine"], node.attrs["statistics"]
        spread = np.abs(affine.scale) * deviation
        varies = spread > CONSTANT * spread.max()
        if varies.all() or not varies.any():
            continue
        usual = np.median(np.abs(affine.scale[varies]))
        scale = np.where(varies | (np.abs(affine.scale) < usual), affine.scale, np.sign(affine.scale) * usual)
        node.attrs["affine"] = Affine(scale, affine(mean) - scale * mean)
        node.intact = False


def chained(first, second):
    """The attrs of one affine node that computes two."""
    attrs = {"affine": first.attrs["affine"].then(second.attrs["affine"]), "kind": second.attrs["kind"]}
    affine = first.attrs["affine"]
    if "statistics" in first.attrs:
        attrs["statistics"] = first.attrs["statistics"]
    elif "statistics" in second.attrs and affine.scale.all():
        mean, deviation = second.attrs["statistics"]
        attrs["statistics"] = affine.inverse()(mean), deviation / np.abs(affine.scale)
    return attrs


def is_precise(attrs, dtype):
    """Whether a layer may compute an affine map as s·x + t, or take it in."""
    return not _reason(attrs, dtype)


def _is_finite_affine(node):
    return node.op == "affine" and node.attrs["affine"].is_finite


def _why(node, bias=None, weights=1.0):
    return _reason(node.attrs, node.dtype, bias, weights)


def _reason(attrs, dtype, bias=None, weights=1.0):
    """Why an affine map costs too many digits, in words; None where it does not.

    Args:
        attrs: of an affine node.
        dtype: what it computes in.
        bias: of the linear layer in front that would take it in; None: it would go into the layers behind it.
        weights: how much a layer behind it makes of each channel.
    """
    affine, statistics = attrs["affine"], attrs.get("statistics")
    if statistics is None:
        center = 0.0
        unit = np.median(np.maximum(np.abs(affine.scale), np.abs(affine.shift)) * weights)
    else:
        mean, deviation = statistics
        center = affine.scale * mean + affine.shift
        unit = np.sqrt(np.mean((np.square(center) + np.square(affine.scale * deviation)) * np.square(weights)))
    taken_off, most = np.abs(affine.shift - center), LARGEST_SHIFT.get(dtype, 80)
    if bias is not None:
        # What the statistics say is the mean may be the layer's own bias, which goes.
        taken_off, most = np.abs(bias - center).reshape(-1, taken_off.size).max(0), most * WHERE_SUMMED
    taken_off = taken_off * weights
    channel = int(np.argmax(taken_off))
    if taken_off[channel] > most * unit:
        times = f"{taken_off[channel] / unit:.0e} times" if unit else "infinitely often"
        return f"in channel {channel} it takes off {times} the spread of what it makes"
    if bias is None and statistics is not None and attrs["kind"] == "arithmetic":
        scale, varies = np.abs(affine.scale), deviation > 0
        channel = int(np.argmax(scale))
        if not varies[channel] and varies.any() and scale[channel] > LARGEST_SCALE * np.median(scale[varies]):
            times = scale[channel] / np.median(scale[varies])
            return f"channel {channel}, which never varied, has {times:.0e} times the scale of the others"
    return None


def _weights(linear):
    """The weight of each input channel of a `LinearMap`."""
    kernel = linear.kernel.reshape(-1, *linear.kernel.shape[-2:])
    of_rows = np.square(kernel).sum(0).reshape(kernel.shape[1], linear.groups, -1).sum(2)  # rows of a group, groups
    return np.sqrt(of_rows.T.reshape(-1))
