"""What a sweep is: a base network, images, a recipe, and the (λ_c, seed) pairs to try.

    λ_c, log-spaced     0.01  0.03  0.1  0.3  1
    order of trials        1     4    3    5  2      the ends, then the middle of the widest gap, …
                           6     …                  then all of them with the next seed

So a sweep that is looked at, or stopped, early has covered the whole range all the same. What two workers must have in
common to share one sweep is its `identity`; strengths and seeds are not in it: more of them can be added later.
"""
import hashlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from tfold.errors import BadInputError
from tfold.files import sha256_of
from tfold.folders import files_below

LOW, HIGH, POINTS, SEEDS = 0.01, 3.0, 9, 3
LEAST, MOST = 1e-9, 1e9  # of λ_c
PRUNE_MARGIN = 0.02
# The recipe's own defaults, written down here so that a sweep is planned without importing Keras; a test compares them.
RECIPE = {
    "p": 2.0, "threshold": 0.9, "alpha_epochs": 20, "alpha_rate": 0.01, "post_epochs": 20, "post_rate": 0.01,
    "post": "settled", "batch": 128, "weight_decay": 0.0, "augment": "none", "precision": "float32", "clip": None,
    "post_clip": None, "warmup": 0, "ramp": 0, "skip": (), "only": (), "tie": (), "padding": "keep",
    "policy": "latency", "border": "exact", "distill": 0.0, "temperature": 4.0,
}
DATA = {"scale": None, "validation": 0.1, "limit": None, "resize": "stretch"}


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Args:
        base: the trained network, a .keras file.
        data: what `tfold.recipe.data.load_data` takes.
        strengths: λ_c of the trials.
        seeds: how many runs of each, with the seeds 0, 1, …
        recipe: fields of `tfold.recipe.layer_folding.Recipe` other than strength and seed; what is left out has its
            default there.
        reading: how to read the data: scale, validation, limit, resize.
        prune: end a trial early if it is beaten by this margin, see `tfold.sweeps.pruning`; None: never.
        loading: how to load the network: allow_unsafe, custom_objects.

    Raises:
        BadInputError: a value that cannot be.

    Example:

    >>> Plan("base.keras", "cifar10", (0.03, 0.1, 0.3), 2, {"alpha_epochs": 10}).trials()
    [(0.03, 0), (0.3, 0), (0.1, 0), (0.03, 1), (0.3, 1), (0.1, 1)]
    """

    base: str
    data: str
    strengths: tuple = ()
    seeds: int = SEEDS
    recipe: dict = field(default_factory=dict)
    reading: dict = field(default_factory=dict)
    prune: float | None = PRUNE_MARGIN
    loading: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "strengths", tuple(dict.fromkeys(self.strengths or spread_strengths())))
        for strength in self.strengths:
            _check_number("A strength λ_c", strength, LEAST, MOST)
        # As the study gives them back: a trial is known by its strength as it is written.
        object.__setattr__(self, "strengths", tuple(map(float, self.strengths)))
        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise BadInputError(f"seeds is a whole number from 1 on. Received: seeds={self.seeds!r}. Use {SEEDS}.")
        if self.prune is not None:
            _check_number("The margin of pruning", self.prune, 0, 1)
        for name, known in (("recipe", RECIPE), ("reading", DATA), ("loading", ("allow_unsafe", "custom_objects"))):
            unknown = sorted(set(getattr(self, name)) - set(known))
            if unknown:
                raise BadInputError(f"{name} holds {', '.join(known)}. Received: {', '.join(unknown)}. Leave it out.")

    def trials(self):
        """(λ_c, seed) pairs in the order in which they are tried."""
        strengths = covering_order(self.strengths)
        return [(strength, seed) for seed in range(self.seeds) for strength in strengths]

    def whole_recipe(self):
        """All fields of the recipe but strength and seed."""
        return {**RECIPE, **self.recipe}

    def whole_reading(self):
        """All options of reading the data."""
        return {**DATA, **self.reading}

    def identity(self):
        """What must be the same for trials to belong to one sweep, ready for JSON.

        Files stand for what they hold: another machine may have them elsewhere.
        """
        base = Path(self.base)
        if not base.is_file():
            raise BadInputError(f"The base network is a .keras file. Received: {base}, which is none. Check the path.")
        recipe = {name: _listed(value) for name, value in self.whole_recipe().items()}
        reading = {name: _listed(value) for name, value in self.whole_reading().items()}
        return {"base": sha256_of(base)[:16], "data": content_of(self.data), **reading, **recipe, "prune": self.prune}


def spread_strengths(low=LOW, high=HIGH, points=POINTS):
    """Strengths at equal ratios, the ends included, to four digits.

    Example:

    >>> spread_strengths(0.01, 1, 3)
    (0.01, 0.1, 1.0)
    """
    _check_number("A strength λ_c", low, LEAST, MOST)
    _check_number("A strength λ_c", high, LEAST, MOST)
    if not isinstance(points, int) or points < 1 or low > high or (points == 1 and low < high):
        raise BadInputError(
            f"Strengths lie from low to high, at 2 points or more. Received: low={low:g}, high={high:g}, "
            f"points={points}. Use --low {LOW} --high {HIGH} --points {POINTS}."
        )
    ratio = (high / low) ** (1 / (points - 1)) if points > 1 else 1.0
    return tuple(dict.fromkeys(float(f"{low * ratio**i:.4g}") for i in range(points)))


def covering_order(values):
    """Sorted numbers in an order that covers their range early: both ends, then the middle of the widest gap left.

    Example:

    >>> covering_order([1, 2, 3, 4, 5])
    [1, 5, 3, 2, 4]
    """
    values = sorted(values)
    order = [0, len(values) - 1] if len(values) > 1 else [0]
    while len(order) < len(values):
        done = sorted(order)
        left, right = max(zip(done, done[1:], strict=False), key=lambda gap: gap[1] - gap[0])  # the first of the widest
        order.append((left + right) // 2)
    return [values[i] for i in order]


def name_of(strength, seed):
    """What a trial is called: its folder, and what its attempts have in common.

    Example:

    >>> name_of(0.1, 2)
    'strength-0.1-seed-2'
    """
    return f"strength-{strength!r}-seed-{seed}"


def content_of(source):
    """What stands for data wherever they lie: the sha256 of a file, of a folder's names and sizes, or a set's name."""
    path = Path(source)
    if path.is_file():
        return f"sha256 {sha256_of(path)[:16]}"
    if path.is_dir():
        # Reading a million images would take longer than it is worth: names and sizes tell other data from these.
        total = hashlib.sha256()
        for file in files_below(path):
            total.update(f"{file.relative_to(path).as_posix()}\0{os.path.getsize(file)}\0".encode())
        return f"folder {total.hexdigest()[:16]}"
    return str(source)


def _listed(value):
    """Tuples as the lists that JSON makes of them."""
    return [_listed(each) for each in value] if isinstance(value, (tuple, list)) else value


def _check_number(what, value, least, most):
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not least <= value <= most:
        raise BadInputError(f"{what} is a number from {least:g} to {most:g}. Received: {value!r}. Use 0.1 or so.")
