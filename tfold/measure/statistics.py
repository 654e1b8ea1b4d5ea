"""Numbers that latencies can be judged by.

Single inferences that follow each other are correlated: they share a process with its memory layout, a clock
frequency, a neighbour's load. Resampling them one by one would promise an interval far too narrow. So the unit is the
*block*: a run of inferences in a process of its own. Blocks of two models are measured in turns, A B B A A B …, and
the k-th blocks of both form a pair that has seen the same conditions:

    value = exp( median_k  log( median(b_k) / median(a_k) ) )        low, high: bootstrap over the pairs k

A pair cancels what drifts slowly, the median over pairs shrugs off pairs that a burst has hit.

The plain percentile bootstrap of a median promises too much where pairs are few: 87 % of intervals from 7 pairs hold
the truth, not 95 %. Two corrections, both known:

- resamples of n values vary by (n − 1) / n less than the values do: quantiles are taken at Φ(z √(n / (n − 1))) (the
  first half of Hesterberg's expanded percentiles, The American Statistician 69, 2015, section 4.2);
- medians of resamples take few different values, between which a quantile jumps: it is interpolated between the
  middles of the jumps (mid-quantiles; Ma, Genton and Parzen, Annals of the Institute of Statistical Mathematics 63,
  2011).

`benchmarks/interval_coverage.py` simulates drift, bursts and throttling, and shows what all this buys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np

from tfold.errors import BadInputError

MIN_BLOCKS = 6  # with fewer pairs, 95 % intervals of a median are a promise the bootstrap cannot keep


@dataclass(frozen=True)
class Ratio:
    """The second model's latency ÷ the first's: below 1, the second is faster.

    Attributes:
        value: the estimate.
        low, high: the bootstrap interval, low ≤ value ≤ high.
        confidence: what the interval promises, e.g. 0.95.
        blocks: how many pairs of blocks it rests on.
    """

    value: float
    low: float
    high: float
    confidence: float
    blocks: int

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1: a difference has been shown."""
        return not self.low <= 1 <= self.high

    @property
    def resolution(self) -> float:
        """Of a model compared with itself: how far this noise reaches, as a relative difference.

        0.01 says that a true difference of 1 % would be shown more often than not, and one of 2 % nearly always.
        """
        return max(self.high, 1 / self.low) - 1

    def to_json(self) -> dict:
        return {**asdict(self), "differs": self.differs}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def median(values: Sequence[float]) -> float:
    """The median, in the unit of `values`. Raises: BadInputError where `values` are not positive and finite."""
    return float(np.median(_latencies(values)))


def p90(values: Sequence[float]) -> float:
    """The 90th percentile: nine of ten runs were at least this fast. Unit and errors as `median`."""
    return float(np.quantile(_latencies(values), 0.9))


def spread(values: Sequence[float]) -> float:
    """The interquartile range ÷ the median: 0.02 says the middle half of the runs lies within 2 %. No unit."""
    low, middle, high = np.quantile(_latencies(values), [0.25, 0.5, 0.75])
    return float((high - low) / middle)


def bootstrap_ratio(
    a_blocks: Sequence[Sequence[float]],
    b_blocks: Sequence[Sequence[float]],
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Ratio:
    """How much slower `b` is than `a`, from blocks that were measured in turns.

    Args:
        a_blocks: the first model's blocks, each the latencies of its inferences.
        b_blocks: the second model's, as many, in the same unit; `b_blocks[k]` was measured next to `a_blocks[k]`.
        confidence: of the interval, between 0 and 1.
        resamples: bootstrap samples.
        seed: of the resampling; the same blocks and seed give the same interval.

    Returns:
        Ratio: b ÷ a with its interval.

    Raises:
        BadInputError: different numbers of blocks, fewer than `MIN_BLOCKS`, or an empty, NaN or non-positive latency.

    Examples:
        base = [[2.0, 2.1, 2.0]] * 10
        folded = [[1.4, 1.5, 1.4]] * 10
        bootstrap_ratio(base, folded).value     # 0.7
    """
    if len(a_blocks) != len(b_blocks) or len(a_blocks) < MIN_BLOCKS:
        raise BadInputError(
            f"A ratio needs as many blocks of one model as of the other, and at least {MIN_BLOCKS} of each. "
            f"Received: {len(a_blocks)} and {len(b_blocks)}. Measure with more blocks."
        )
    if not 0 < confidence < 1:
        raise BadInputError(f"A confidence lies between 0 and 1. Received: confidence={confidence}. Use 0.95.")
    if resamples < 1:
        raise BadInputError(f"A bootstrap needs at least 1 resample. Received: resamples={resamples}. Use 10000.")
    logs = np.log([median(b) / median(a) for a, b in zip(a_blocks, b_blocks, strict=True)])
    picks = np.random.default_rng(seed).integers(0, len(logs), (resamples, len(logs)))
    value = np.median(logs)
    level = NormalDist().cdf(NormalDist().inv_cdf((1 - confidence) / 2) * (len(logs) / (len(logs) - 1)) ** 0.5)
    low, high = _mid_quantiles(np.median(logs[picks], axis=1), [level, 1 - level])
    value, low, high = np.exp([value, min(low, value), max(high, value)])
    return Ratio(float(value), float(low), float(high), float(confidence), len(logs))


def _mid_quantiles(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles of numbers of which many are equal, interpolated between the middles of the steps."""
    distinct, counts = np.unique(values, return_counts=True)
    shares = counts / len(values)
    return np.interp(levels, np.cumsum(shares) - shares / 2, distinct)


def _latencies(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size or not np.all(np.isfinite(array)) or np.any(array <= 0):
        shown = "no values" if not array.size else f"{array.size} values from {array.min()} to {array.max()}"
        raise BadInputError(f"Latencies are positive, finite numbers, at least one. Received: {shown}. Measure again.")
    return array
