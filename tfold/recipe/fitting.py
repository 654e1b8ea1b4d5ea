"""`fit` with what every training of a recipe needs: the optimizer, the images, a checkpoint, progress."""
import time
from pathlib import Path

import keras

from tfold.errors import DivergedError
from tfold.recipe.batches import Batches
from tfold.recipe.checkpoint import Checkpoint
from tfold.recipe.scores import classification_loss

EVALUATED_AT_ONCE = 500


def fit(model, data, training, folder, phase, about, say, title, callbacks=(), on_epoch=None):
    """Train a model, or go on with it where it was cut off.

    Args:
        model: an uncompiled classifier; it is trained.
        data: a `Data`.
        training: a `Training`.
        folder, phase: of the checkpoint, which stays: a training that is done returns at once. Phases of one seed see
            the images in other orders, and changed otherwise.
        about: what else the training depends on, in the checkpoint's settings.
        say: called with a line after each epoch.
        title: of these lines.
        callbacks: further ones; what they write into `logs` is in the history.
        on_epoch: called with (epoch, logs) after each epoch, once its checkpoint is written; what it raises ends the
            training and goes through.

    Returns:
        list: the logs, a dict an epoch.

    Raises:
        DivergedError: the loss is no number any more.
    """
    batches = Batches(data, training.batch, training.augment, training.seed, phase=phase)
    model.compile(_optimizer(training, len(batches)), classification_loss(model), metrics=["accuracy"])
    checkpoint = Checkpoint(Path(folder) / f"{phase}.checkpoint.npz", {**training.to_json(), **about})
    done = checkpoint.restore(model)
    if done >= training.epochs:
        return checkpoint.history
    if done:
        say(f"{title}: going on behind epoch {done} of {training.epochs}")
    validation = (data.inputs(data.x_validation), data.y_validation)
    last = [checkpoint, _Progress(title, training.epochs, say), _Asked(on_epoch)]
    # Not to be shuffled once more: by a generator of its own, `fit` would give a resumed training another order.
    model.fit(batches.for_fit(), shuffle=False, epochs=training.epochs, initial_epoch=done, verbose=0,
              validation_data=validation, validation_batch_size=EVALUATED_AT_ONCE,
              callbacks=[batches.follow(), _Finite(title), *callbacks, *last])
    return checkpoint.history


def accuracy(model, x, y, data):
    """Share of images that a classifier gets right."""
    return float(right(model, x, y, data).mean())


def right(model, x, y, data):
    """Whether a classifier gets an image right, for each of them."""
    return model.predict(data.inputs(x), batch_size=EVALUATED_AT_ONCE, verbose=0).argmax(axis=-1) == y


def _optimizer(training, steps):
    total = training.epochs * steps
    warmup = int(training.warmup * total)
    schedule = keras.optimizers.schedules.CosineDecay(
        training.rate / 20 if warmup else training.rate, max(1, total - warmup),
        warmup_target=training.rate if warmup else None, warmup_steps=warmup)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=training.nesterov,
                                     weight_decay=training.weight_decay or None, clipnorm=training.clip)
    if training.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["alpha", "gamma", "beta", "bias"])
    return optimizer


class _Finite(keras.callbacks.Callback):
    """An error as soon as the loss is no number: training on would only cost time."""

    def __init__(self, title):
        super().__init__()
        self.title = title

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        loss = max(logs.get("loss", 0.0), logs.get("val_loss", 0.0), key=lambda value: not value < float("inf"))
        if not loss < float("inf"):
            raise DivergedError(
                f"A loss stays a number. Received: {loss} in epoch {epoch + 1} of {self.title}: the training has "
                "diverged. Take a lower learning rate, or clip the gradients where that can be chosen (clip; --clip of "
                "tfold sweep), and another folder."
            )


class _Progress(keras.callbacks.Callback):
    def __init__(self, title, epochs, say):
        super().__init__()
        self.title, self.epochs, self.say = title, epochs, say

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        text = f"{self.title}: epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}"
        text += f"  accuracy {logs['accuracy']:.2%}  validation {logs['val_accuracy']:.2%}"
        if "alpha/folded" in logs:
            text += f"  α at 1: {logs['alpha/folded']:.0f}  mean α {logs['alpha/mean']:.3f}"
        self.say(f"{text}  {time.perf_counter() - self.start:.0f} s")


class _Asked(keras.callbacks.Callback):
    def __init__(self, on_epoch):
        super().__init__()
        self.on_epoch = on_epoch

    def on_epoch_end(self, epoch, logs=None):
        if self.on_epoch is not None:
            self.on_epoch(epoch, dict(logs or {}))
