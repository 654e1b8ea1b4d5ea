"""How a network is trained and folded: every number that a result depends on, in one place."""
import math
from dataclasses import asdict, dataclass

import numpy as np

from tfold.alpha.penalty import AlphaPenalty
from tfold.checks import check_threshold
from tfold.errors import BadInputError
from tfold.recipe.batches import AUGMENT
from tfold.recipe.precision import POLICIES


@dataclass(frozen=True)
class Training:
    """How the weights are trained: SGD with momentum 0.9 and a learning rate that falls to zero as a cosine.

    Args:
        epochs: how long; at least 1.
        rate: the largest learning rate.
        batch: images at a time.
        warmup: share of the training in which the rate rises from a twentieth to its largest.
        weight_decay: what every weight loses a step, times the rate; batch norms, biases and α are spared.
        nesterov: Nesterov's momentum.
        augment: one of `tfold.recipe.batches.AUGMENT`.
        precision: "float32" or "bfloat16".
        seed: of the weights, the order of the images and their changes.
        clip: the largest norm of each weight's gradient, or None.
    """

    epochs: int = 20
    rate: float = 0.01
    batch: int = 128
    warmup: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    augment: str = "none"
    precision: str = "float32"
    seed: int = 0
    clip: float | None = None

    def __post_init__(self):
        _plain(self)
        _at_least(1, epochs=self.epochs, batch=self.batch)
        _at_least(0, seed=self.seed)
        _numbers(rate=self.rate, weight_decay=self.weight_decay, warmup=self.warmup)
        _check_clip(self.clip)
        _one_of(AUGMENT, augment=self.augment)
        _one_of(POLICIES, precision=self.precision)
        if not 0 <= self.warmup < 1:
            raise BadInputError(f"warmup is a share from 0 to below 1. Received: warmup={self.warmup!r}. Use 0.05.")

    def to_json(self):
        return asdict(self)


@dataclass(frozen=True)
class Recipe:
    """Layer Folding's two trainings and the fold between them (arXiv 2106.09309, sec. 3 and 4).

    The defaults are the authors' settings for CIFAR but for the epochs (100) and the learning rate (0.001 over these).

    Args:
        strength: λ_c. p: the penalty's exponent. threshold: τ.
        seed: of the images' order and changes.
        alpha_epochs, alpha_rate: of pre-folding, in which α is trained with the weights.
        post_epochs, post_rate: of post-folding, without α. 0 epochs: none.
        post: what is trained then: "settled", the network with its batch norms, which is folded at the end; or
            "folded", the folded network itself, as the authors do. With border="approximate" only the second is right:
            what the fold changes has to be learned afterwards.
        batch, weight_decay, augment, precision: as in `Training`, for both.
        warmup, ramp: epochs, of λ_c, as in `AlphaSchedule`.
        skip, only, tie, padding: of `prefold`.
        policy, border: of `fold`.
        clip: the largest norm of each weight's gradient, or None. Without batch norms, activations that go all at once
            make outputs, and then gradients, so large that the training diverges. post_clip: another one in
            post-folding; None: the same.
        distill: weight of the base network's outputs in post-folding, 0…1. temperature: of these.

    Example:

    >>> Recipe(strength=0.25, alpha_epochs=20, post_epochs=20, skip=("relu_0",), distill=0.5)
    """

    strength: float = 0.25
    p: float = 2.0
    threshold: float = 0.9
    seed: int = 0
    alpha_epochs: int = 20
    alpha_rate: float = 0.01
    post_epochs: int = 20
    post_rate: float = 0.01
    post: str = "settled"
    batch: int = 128
    weight_decay: float = 0.0
    augment: str = "none"
    precision: str = "float32"
    warmup: int = 0
    ramp: int = 0
    skip: tuple = ()
    only: tuple = ()
    tie: tuple = ()
    padding: str = "keep"
    policy: str = "latency"
    border: str = "exact"
    distill: float = 0.0
    temperature: float = 4.0
    clip: float | None = None
    post_clip: float | None = None

    def __post_init__(self):
        _plain(self)
        for name in ("skip", "only", "tie"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        AlphaPenalty(self.strength, self.p)
        check_threshold(self.threshold)
        _at_least(1, alpha_epochs=self.alpha_epochs, batch=self.batch)
        _at_least(0, post_epochs=self.post_epochs, warmup=self.warmup, ramp=self.ramp, seed=self.seed)
        if self.warmup + self.ramp >= self.alpha_epochs:
            raise BadInputError(
                "λ_c is at its strength in one epoch of pre-folding at least. Received: "
                f"warmup={self.warmup} and ramp={self.ramp}, alpha_epochs={self.alpha_epochs}. Take fewer of the "
                "former, or more of the latter."
            )
        _numbers(alpha_rate=self.alpha_rate, post_rate=self.post_rate, weight_decay=self.weight_decay)
        _check_clip(self.clip)
        _check_clip(self.post_clip)
        _one_of(("settled", "folded"), post=self.post)
        _one_of(AUGMENT, augment=self.augment)
        _one_of(POLICIES, precision=self.precision)
        _one_of(("latency", "macs", "always"), policy=self.policy)
        _one_of(("exact", "approximate"), border=self.border)
        _one_of(("keep", "forward"), padding=self.padding)
        _numbers(distill=self.distill, temperature=self.temperature)
        if not self.temperature:
            raise BadInputError("temperature is a number above 0. Received: temperature=0. The usual ones are 2 to 8.")
        if not 0 <= self.distill <= 1:
            raise BadInputError(f"distill is a weight from 0 to 1. Received: distill={self.distill!r}. Use 0.5.")
        if self.border == "approximate" and self.post == "settled":
            raise BadInputError(
                'What border="approximate" changes is learned afterwards. Received: post="settled", which trains '
                'before the fold. Use post="folded".'
            )

    def to_json(self):
        return asdict(self)

    def alpha_training(self):
        """The `Training` of pre-folding."""
        return self._training(self.alpha_epochs, self.alpha_rate, self.clip)

    def post_training(self):
        """The `Training` of post-folding."""
        return self._training(self.post_epochs, self.post_rate, self.clip if self.post_clip is None else self.post_clip)

    def _training(self, epochs, rate, clip):
        return Training(epochs, rate, self.batch, weight_decay=self.weight_decay, augment=self.augment,
                        precision=self.precision, seed=self.seed, clip=clip)


def _plain(settings):
    """NumPy's numbers become Python's, which JSON takes."""
    for name, value in vars(settings).items():
        if isinstance(value, (np.integer, np.floating)):
            object.__setattr__(settings, name, value.item())


def _names(field, value):
    """A name, or names in lists, as tuples."""
    if isinstance(value, str):
        return ((value,),) if field == "tie" else (value,)
    if not isinstance(value, (tuple, list)) or not all(isinstance(each, (str, tuple, list)) for each in value):
        raise BadInputError(
            f"{field} names activations. Received: {field}={value!r}. Give their layers' names."
        )
    return tuple(tuple(each) if isinstance(each, (tuple, list)) else each for each in value)


def _at_least(least, **values):
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BadInputError(
                f"{name} is a whole number from {least} on. Received: {name}={value!r}. Give such a one."
            )


def _numbers(**values):
    for name, value in values.items():
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        if not good:
            raise BadInputError(
                f"{name} is a number from 0 on. Received: {name}={value!r}. Leave it out for the default."
            )


def _check_clip(clip):
    if clip is not None:
        _numbers(clip=clip)


def _one_of(words, **values):
    for name, value in values.items():
        if value not in words:
            raise BadInputError(f"{name} is one of {', '.join(words)}. Received: {name}={value!r}. Use one of them.")
