"""What `fit` drives and logs while the α are learned.

    f_alpha.fit(x, y, epochs=30, callbacks=[
        AlphaSchedule(0.25, warmup=2, ramp=5),       # λ_c: nothing, then up, then constant
        AlphaLogger(),                               # alpha/mean, alpha/folded, depth
        AlphaSettled(),                              # stop when every α has made up its mind
        keras.callbacks.CSVLogger("run.csv"),        # loggers come after AlphaLogger, to see what it has written
    ])

`History` (what `fit` returns) and the progress bar always see it: Keras runs them last, and hands one `logs` dict
through.
"""

import math
import warnings

import keras

from tfold.alpha.penalty import AlphaPenalty
from tfold.alpha.reading import alpha_layers, alphas, set_strength
from tfold.checks import check_threshold
from tfold.errors import BadInputError
from tfold.folding import effective_depth


class AlphaSchedule(keras.callbacks.Callback):
    """Moves λ_c over the epochs: 0 while warming up, then a linear ramp, then constant. Logs `alpha/strength`.

    Warming up lets the optimizer's state settle before the penalty pulls; with a ramp, the activations that matter
    least go first.

    Examples:

    >>> [AlphaSchedule(0.3, warmup=1, ramp=2).strength_at(epoch) for epoch in range(5)]
    [0.0, 0.1, 0.2, 0.3, 0.3]

    Args:
        strength: λ_c in the end; or a function epoch → λ_c, for any other curve.
        warmup: Epochs at the start with λ_c = 0.
        ramp: Epochs after these, in which λ_c grows in equal steps. Defaults to 0: constant at once.

    Raises:
        ValueError: If an argument is out of its range; in `fit`, if the model has no α with an `AlphaPenalty`.

    Warns:
        RuntimeWarning: In `fit`, if it warms up all the time.
    """

    def __init__(self, strength=0.25, warmup=0, ramp=0):
        super().__init__()
        if not callable(strength):
            AlphaPenalty(strength)  # the same rule, the same words
        for name, value in (("warmup", warmup), ("ramp", ramp)):
            _check_whole(name, value, 0)
        if callable(strength) and (warmup or ramp):
            raise BadInputError(
                "AlphaSchedule takes warmup and ramp only with a number. "
                f"Received: a function, warmup={warmup}, ramp={ramp}. Put them into the function."
            )
        self.strength = strength
        self.warmup = warmup
        self.ramp = ramp

    def strength_at(self, epoch):
        """Returns λ_c in an epoch, counted from 0."""
        if callable(self.strength):
            return float(self.strength(epoch))
        if epoch < self.warmup:
            return 0.0
        return float(self.strength) * min(1.0, (epoch - self.warmup + 1) / (self.ramp + 1))

    def on_train_begin(self, logs=None):
        _check_model(self)
        epochs = (self.params or {}).get("epochs") or 0
        if 0 < epochs <= self.warmup:
            warnings.warn(f"AlphaSchedule: λ_c is 0 in every epoch of this fit, and no activation will go: "
                          f"warmup={self.warmup}, epochs={epochs}.", RuntimeWarning, stacklevel=2)

    def on_epoch_begin(self, epoch, logs=None):
        set_strength(self.model, self.strength_at(epoch))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["alpha/strength"] = self.strength_at(epoch)


class AlphaLogger(keras.callbacks.Callback):
    """Writes `alpha/mean`, `alpha/folded` (how many α are above τ) and `depth` into `logs` after every epoch.

    `depth` is that of the network once those activations are folded: the linear layers on its longest path.

    Attributes:
        history: A list of {"epoch", "alphas"}, the first with epoch −1 for the start, for plotting; later calls of
            `fit` with the same logger add to it.

    Args:
        threshold: τ. Defaults to the paper's 0.9.
        per_layer: Whether to write every α as `alpha/<layer>` too.

    Raises:
        ValueError: If the threshold is not between 0 and 1; in `fit`, if the model has no α.
    """

    def __init__(self, threshold=0.9, per_layer=False):
        super().__init__()
        check_threshold(threshold)
        self.threshold = threshold
        self.per_layer = per_layer
        self.history = []
        self._depths = {}

    def on_train_begin(self, logs=None):
        _check_model(self)
        values = alphas(self.model)
        if not self.history:
            self.history.append({"epoch": -1, "alphas": values})
        # Asked for now, a model whose depth cannot be told fails before an epoch is spent, not after.
        self._depths = {}
        self._depth(values)

    def on_epoch_end(self, epoch, logs=None):
        values = alphas(self.model)
        self.history.append({"epoch": epoch, "alphas": values})
        if logs is None:
            return
        logs["alpha/mean"] = math.fsum(values.values()) / len(values)
        logs["alpha/folded"] = sum(value > self.threshold for value in values.values())
        logs["depth"] = self._depth(values)
        if self.per_layer:
            logs.update({f"alpha/{name}": value for name, value in values.items()})

    def _depth(self, values):
        # It depends only on which activations go, and most epochs change nothing there.
        folded = tuple(value > self.threshold for value in values.values())
        if folded not in self._depths:
            self._depths[folded] = effective_depth(self.model, self.threshold)
        return self._depths[folded]


class AlphaSettled(keras.callbacks.Callback):
    """Stops the training once every α has settled: within `tolerance` of the same end, 0 or 1, for `patience` epochs.

    All α start at 0, so counting begins only when the first of them has left it. α ends bimodal (paper, sec. 4); what
    remains is the weights' fine-tuning, better done on the folded network.

    Args:
        tolerance: How near to 0 or 1 an α has to be, below 0.5.
        patience: For how many epochs in a row, with the same α at 1.
        start_epoch: Do not count before this epoch, for instance until λ_c has reached its end value.
        verbose: 1 prints a line on stopping.

    Raises:
        ValueError: If an argument is out of its range; in `fit`, if the model has no α.
    """

    def __init__(self, tolerance=0.05, patience=2, start_epoch=0, verbose=1):
        super().__init__()
        if not 0 < tolerance < 0.5:
            raise BadInputError(f"AlphaSettled needs 0 < tolerance < 0.5. Received: tolerance={tolerance}. Use 0.05.")
        _check_whole("patience", patience, 1)
        _check_whole("start_epoch", start_epoch, 0)
        self.tolerance = tolerance
        self.patience = patience
        self.start_epoch = start_epoch
        self.verbose = verbose
        self.stopped_epoch = None
        self._ends = None
        self._epochs = 0

    def on_train_begin(self, logs=None):
        _check_model(self)
        self.stopped_epoch = None
        self._ends, self._epochs = None, 0

    def on_epoch_end(self, epoch, logs=None):
        values = list(alphas(self.model).values())
        settled = all(min(abs(value), abs(1 - value)) <= self.tolerance for value in values)
        moved = any(value > self.tolerance for value in values)
        if epoch < self.start_epoch or not settled or not moved:
            self._ends, self._epochs = None, 0
            return
        ends = [value > 0.5 for value in values]
        self._epochs = self._epochs + 1 if ends == self._ends else 1
        self._ends = ends
        if self._epochs >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                print(f"\nEpoch {epoch + 1}: every α has settled, {sum(ends)} of {len(ends)} at 1; stopping.")


def _check_model(callback):
    if not alpha_layers(callback.model):
        raise BadInputError(
            f"{type(callback).__name__} needs a model with α. Received: model '{callback.model.name}' without an "
            "AlphaActivation. Make one with tfold.prefold(model)."
        )


def _check_whole(name, value, least):
    if not isinstance(value, int) or value < least:
        raise BadInputError(
            f"`{name}` counts epochs, at least {least}. Received: {name}={value!r}. Give a whole number."
        )
