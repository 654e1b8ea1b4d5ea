"""Curves in two pieces: flat above a point, and below it falling, or flat and lower.

    accuracy │        ┌─ k                  accuracy │        ┌────
             │       ╱‾‾‾‾‾‾‾                        │        │
             │     ╱                                 │  ──────┘ k
             └──────────────── depth                 └──────────────── depth
               a bend: y = c + s·min(0, d − k)         a step: y = c below k, c + h from k on

Both are fitted by least squares over all k. Whether there is a k at all, Schwarz' criterion decides (BIC, Annals of
Statistics 6, 1978): the better of the two against a straight line and a constant, which have fewer parameters. A
network's accuracy that rises with depth all along is a straight line, and has no knee to be named.
"""
import math
from dataclasses import dataclass

import numpy as np

RESOLUTION = 0.0005  # of an accuracy: a residual below it says nothing, and its logarithm must not rule
GAP = 4.0  # Raftery (Sociological Methodology 25, 1995): 2 to 6 is positive evidence. Of straight lines some 2 % pass.
GRID = 0.25  # of k


@dataclass(frozen=True)
class Piecewise:
    """The better of a bend and a step.

    Attributes:
        kind: "bend" or "step".
        at: k, a depth.
        drop: from the upper piece to the curve at the least depth.
        evidence: BIC of the better of line and constant, minus this curve's BIC: above `GAP`, there is a k.
    """

    kind: str
    at: float
    drop: float
    evidence: float

    @property
    def stands(self):
        """Whether the two pieces explain the points better than one, and the curve falls towards small depths."""
        return self.evidence > GAP and self.drop > 0


def fit_two_pieces(depths, values):
    """Fit a bend and a step; the better of the two.

    Args:
        depths: an array of numbers, four different ones at least.
        values: as many.

    Returns:
        A `Piecewise`.

    Example:

    >>> fit_two_pieces(np.arange(2, 10), np.minimum(0.9, 0.5 + 0.1 * (np.arange(2, 10) - 2))).at
    6.0
    """
    depths, values = np.asarray(depths, float), np.asarray(values, float)
    levels = np.unique(depths)
    # Each piece holds two different depths at least: of a piece with one, no slope can be told.
    bend_at, slope, bend_rss = _bend(depths, values, np.arange(levels[1], levels[-2] + GRID / 2, GRID))
    step_at, height, step_rss = _step(depths, values, levels[1:-1])
    total, line_rss = ((values - values.mean()) ** 2).sum(), _line(depths, values)
    plain = min(_bic(total, len(values), 1), _bic(line_rss, len(values), 2))
    evidence = plain - _bic(min(bend_rss, step_rss), len(values), 3)
    if step_rss < bend_rss:
        return Piecewise("step", float(step_at), float(height), evidence)
    return Piecewise("bend", float(bend_at), float(slope * (bend_at - levels[0])), evidence)


def _bend(depths, values, ends):
    below = np.minimum(0.0, depths[None] - ends[:, None])  # a row for each k
    below -= below.mean(axis=1, keepdims=True)
    variance, covariance = (below**2).sum(axis=1), below @ (values - values.mean())
    rss = ((values - values.mean()) ** 2).sum() - covariance**2 / variance
    best = rss.argmin()
    return ends[best], covariance[best] / variance[best], max(rss[best], 0.0)


def _step(depths, values, ends):
    found = []
    for end in ends:
        upper, lower = values[depths >= end], values[depths < end]
        rss = ((upper - upper.mean()) ** 2).sum() + ((lower - lower.mean()) ** 2).sum()
        found.append((rss, end, upper.mean() - lower.mean()))
    rss, end, height = min(found)
    return end, height, rss


def _line(depths, values):
    x, y = depths - depths.mean(), values - values.mean()
    return max((y**2).sum() - (x @ y) ** 2 / (x @ x), 0.0)


def _bic(rss, n, parameters):
    return n * math.log(max(rss / n, RESOLUTION**2)) + (parameters + 1) * math.log(n)  # one more: the noise itself
