"""The knee of accuracy over depth: EDNL, the effective degree of non-linearity of a task.

    accuracy │            plateau: median of the trials at the deepest third of depths
             │  - - - - ●-●- -●- -●- -    ┐ tolerance
             │ - - - ●- - - - - - - -     ┘
             │   ●   ┊
             │ ●     ┊
             └───────┴──────────────── depth
                   EDNL: the least depth whose mean is within the tolerance

Networks of different depth, pruned with growing λ_c, keep their accuracy down to about the same depth, and lose it
below (Layer Folding, arXiv 2106.09309, sec. 4). Noise bends a curve as well, so a knee is named only if two pieces
explain the points better than one (`tfold.sweeps.piecewise`); the interval tells how much other trials would move it.
"""
from dataclasses import asdict, dataclass

import numpy as np

from tfold.errors import BadInputError
from tfold.sweeps.piecewise import fit_two_pieces

TOLERANCE = 0.01
LEAST_DEPTHS, LEAST_TRIALS = 4, 5
RESAMPLES = 500


@dataclass(frozen=True)
class Knee:
    """What is found.

    Attributes:
        depth: EDNL; None without a knee.
        interval: [low, high], of 95 % of the bootstrap's resamples; None where too few of them have a value.
        how: a sentence: how it was determined.
        why_not: a sentence, where there is none.
        plateau: the accuracy that larger depths have; None with too few trials.
        noise: the spread (standard deviation) of the plateau's trials, or where these are two, of trials of one depth;
            None where that cannot be told either.
        bend: where two fitted pieces meet, as a check on `depth`.
    """

    depth: int | None = None
    interval: list | None = None
    how: str = ""
    why_not: str = ""
    plateau: float | None = None
    noise: float | None = None
    bend: float | None = None

    def to_json(self):
        return asdict(self)


def find_knee(depths, accuracies, tolerance=TOLERANCE, resamples=RESAMPLES, seed=0, what="validation"):
    """Find EDNL among trials of several depths.

    The tolerance of a depth is `tolerance`, or twice the standard error of the difference between its mean and the
    plateau, whichever is larger: with few noisy trials a difference of one point says nothing. The noise is the spread
    of the plateau's trials: a depth that loses nothing has no other, and networks that are too shallow spread widely.
    Of two trials the spread is mostly luck; then it is that of trials of one depth, pooled over the depths.

    Args:
        depths: the non-linear depth of each trial that has come to its end.
        accuracies: of each, 0…1; on images that chose nothing else, or on the validation part.
        tolerance: what counts as no loss.
        resamples: of the bootstrap over the trials.
        seed: of the bootstrap.
        what: the images that the accuracies are of, for the sentence.

    Returns:
        A `Knee`; look at `why_not` if its `depth` is None.

    Raises:
        BadInputError: the lists differ in length, or a number is not finite; the tolerance is no share.

    Example:

    >>> knee = find_knee([2, 3, 4, 5, 6, 8, 10], [0.5, 0.62, 0.74, 0.86, 0.9, 0.9, 0.9])
    >>> knee.depth, knee.interval
    (6, [5, 10])
    """
    depths, accuracies = np.asarray(depths, float), np.asarray(accuracies, float)
    if depths.shape != accuracies.shape or not np.isfinite([*depths, *accuracies]).all():
        raise BadInputError(
            f"Each trial has a depth and an accuracy, both numbers. Received: {depths.tolist()} and "
            f"{accuracies.tolist()}. Leave out trials without them."
        )
    check_tolerance(tolerance)
    levels = np.unique(depths)
    if len(levels) < LEAST_DEPTHS or len(depths) < LEAST_TRIALS:
        return Knee(why_not=f"{_count(len(depths), 'trial')} of {_count(len(levels), 'depth')}: a knee takes at least "
                            f"{LEAST_TRIALS} trials, of at least {LEAST_DEPTHS} depths. Sweep more strengths, or a "
                            "wider range.")
    noise, whose = _noise(depths, accuracies)
    depth, plateau, allowed = _least_depth(depths, accuracies, tolerance, noise)
    fitted = fit_two_pieces(depths, accuracies)
    found = {"plateau": plateau, "noise": noise, "bend": fitted.at if fitted.stands else None}
    if depth is None:
        return Knee(**found, why_not=f"The mean of no depth lies within {_points(allowed)} of the plateau's "
                                     f"{plateau:.1%}: some trials are far below the others of their depth. Sweep more "
                                     "seeds.")
    if depth == levels[0]:
        return Knee(**found, why_not=f"Accuracy falls nowhere by more than {_points(allowed)} below the plateau's "
                                     f"{plateau:.1%}, down to depth {depth:g}. Sweep larger strengths.")
    if not fitted.stands:
        return Knee(**found, why_not="Two pieces, a plateau and what falls off it, explain the trials no better than "
                                     "a straight line does: accuracy changes with depth all along, or too few trials "
                                     "tell. Sweep more strengths or seeds.")
    low, high = _interval(depths, accuracies, tolerance, noise, resamples, seed)
    at = accuracies[depths == depth]
    top = depths >= _deepest(levels)[0]
    how = (f"EDNL is the least depth whose mean {what} accuracy ({at.mean():.1%}, {_count(len(at), 'trial')}) lies "
           f"within {_points(allowed)} of the plateau ({plateau:.1%}, the median of the {int(top.sum())} trials of "
           f"depths {depths[top].min():g} to {depths[top].max():g}; {whose}). A {fitted.kind} fitted to all "
           f"{len(depths)} trials lies at depth {fitted.at:g}.")
    if low is not None:
        how += f" 95 % of {resamples} resamples of the trials give {low} to {high}."
    return Knee(int(depth), None if low is None else [low, high], how, **found)


def check_tolerance(tolerance):
    """Raise `BadInputError` unless a tolerance is a share of the images."""
    if not isinstance(tolerance, (int, float)) or isinstance(tolerance, bool) or not 0 <= tolerance <= 1:
        raise BadInputError(
            f"The tolerance of a knee is a share, 0 to 1. Received: tolerance={tolerance!r}. A point is {TOLERANCE}."
        )


def _least_depth(depths, accuracies, tolerance, noise):
    """(the least depth within the tolerance or None, the plateau, that depth's tolerance)"""
    levels = np.unique(depths)
    top = accuracies[depths >= _deepest(levels)[0]]
    plateau = float(np.median(top))
    for level in levels:
        at = accuracies[depths == level]
        error = 0.0 if noise is None else noise * (1 / len(at) + 1 / len(top)) ** 0.5
        allowed = float(max(tolerance, 2 * error))
        if at.mean() >= plateau - allowed - 1e-9:
            return level, plateau, allowed
    return None, plateau, allowed


def _deepest(levels):
    """The deepest third of the depths, two at least."""
    return levels[-max(2, -(-len(levels) // 3)):]


def _noise(depths, accuracies):
    """(the noise or None, whose it is in words)"""
    levels = np.unique(depths)
    top = accuracies[depths >= _deepest(levels)[0]]
    if len(top) > 2:
        noise = float(top.std(ddof=1))
        return noise, f"they spread by {_points(noise)}"
    squares, free = 0.0, len(depths) - len(levels)
    for level in levels:
        at = accuracies[depths == level]
        squares += ((at - at.mean()) ** 2).sum()
    if free < 2:
        return None, "too few to tell the noise by"
    noise = float((squares / free) ** 0.5)
    return noise, f"trials of one depth spread by {_points(noise)}"


def _interval(depths, accuracies, tolerance, noise, resamples, seed):
    """Quantiles of EDNL over resamples of the trials; (None, None) where most of these hold too few depths.

    The noise is told beforehand: a resample, with the same trial in it twice, would seem to have less.
    """
    random, found = np.random.default_rng(seed), []
    for _ in range(resamples):
        pick = random.integers(0, len(depths), len(depths))
        if len(np.unique(depths[pick])) >= LEAST_DEPTHS - 1:
            found.append(_least_depth(depths[pick], accuracies[pick], tolerance, noise)[0])
    found = [depth for depth in found if depth is not None]
    if len(found) < max(1, resamples / 2):
        return None, None
    return tuple(int(q) for q in np.quantile(found, [0.025, 0.975], method="inverted_cdf"))


def _points(share):
    return f"{100 * share:.1f} points"


def _count(number, noun):
    return f"{number} {noun}{'s' * (number != 1)}"
