"""The whole way, in the order in which a user would write it."""
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

import tfold
from tfold.demo import digits, network
from tfold.files import whole
from tfold.graph.capture import capture
from tfold.loading import save_model
from tfold.measure import available_runtimes, bench, run_tflite
from tfold.passes.figures import figures
from tfold.report import alphas_picture
from tfold.report.drawing import check_matplotlib

EPOCHS = {"base": 20, "alpha": 15, "post": 25}
QUICK_EPOCHS = {"base": 2, "alpha": 1, "post": 1}
STRENGTH = 1.0
# One of an inverted residual's two activations alone saves nothing: they share one α.
TIES = [[f"block_{number}_expand_relu", f"block_{number}_depthwise_relu"] for number in range(len(network.BLOCKS))]
FILES = ("base.keras", "folded.keras", "base.tflite", "folded.tflite", "alphas.png", "report.txt")


@dataclass
class Side:
    """The figures of one network, before or after folding."""

    accuracy: float
    depth: int
    parameters: int
    macs: int
    bytes: int
    latency_ms: dict = field(default_factory=dict)


@dataclass
class Outcome:
    """What the demo found; `to_json` is the document of `tfold demo --json`."""

    base: Side
    folded: Side
    ratio: dict
    alphas: dict
    history: list
    report: object
    files: dict

    def to_json(self):
        return {
            "base": vars(self.base),
            "folded": vars(self.folded),
            "ratio": {name: {"value": r.value, "low": r.low, "high": r.high} for name, r in self.ratio.items()},
            "alphas": self.alphas,
            "files": self.files,
        }


def run(folder, say, seed=0, epochs=None):
    """Run the demo.

    Args:
        folder: an existing directory; `FILES` are written into it.
        say: called with a line of text at each step.
        seed: of the split, the weights and the order of the images.
        epochs: how long to train, as `EPOCHS`, which is the default.

    Returns:
        An `Outcome`.
    """
    folder, epochs = Path(folder), epochs or EPOCHS
    paths = {name: folder / name for name in FILES}
    check_matplotlib()
    keras.utils.set_random_seed(seed)
    data = digits.load(seed)
    batches = digits.ShiftedBatches(data, seed=seed)
    say(f"digits: {len(data.x_train)} to train on, {len(data.x_test)} to test on")

    base = network.mobilenet()
    _fit(base, batches, epochs["base"], "1/5 train the base network", say, sgd(0.1, epochs["base"], batches))

    # Each block's activations get a trainable α, and the loss a penalty that pushes α to 1, where they are linear.
    f_alpha = tfold.prefold(base, tfold.AlphaPenalty(STRENGTH), skip=["stem_relu", "head_relu"], tie=TIES)
    log = tfold.callbacks.AlphaLogger()
    _fit(f_alpha, batches, epochs["alpha"], "2/5 train α", say, sgd(0.05, epochs["alpha"], batches), [log])

    say("3/5 fold: remove the activations with α near 1, merge their neighbours, verify")
    result = tfold.fold(f_alpha)
    folded = result.model
    _fit(folded, batches, epochs["post"], "4/5 fine-tune the folded network", say, adam(0.001, epochs["post"], batches))

    say("5/5 export both and measure them in turns")
    save_model(base, paths["base.keras"], force=True)
    save_model(folded, paths["folded.keras"], force=True, report=result.report)
    sides = {}
    for name, model, report in (("base", base, None), ("folded", folded, result.report)):
        exported = tfold.export(model, paths[f"{name}.tflite"], force=True, report=report)
        counted = figures(capture(model))
        accuracy = tflite_accuracy(exported.path, data)
        sides[name] = Side(accuracy, counted.depth, counted.parameters, counted.macs, exported.bytes)
    ratio = _measure(sides, paths, say)
    with whole(paths["report.txt"]) as temporary:
        temporary.write_text(str(result.report) + "\n", encoding="utf-8")
    before, after = result.report.before.depth, result.report.after.depth
    alphas_picture.draw(log.history, paths["alphas.png"], f"α while training: depth {before} → {after}")
    files = {name: str(path) for name, path in paths.items()}
    return Outcome(sides["base"], sides["folded"], ratio, tfold.alphas(f_alpha), log.history, result.report, files)


def _falling(rate, epochs, batches):
    """A learning rate that falls to zero over the training."""
    return keras.optimizers.schedules.CosineDecay(rate, epochs * len(batches))


def sgd(rate, epochs, batches):
    return keras.optimizers.SGD(_falling(rate, epochs, batches), momentum=0.9)


def adam(rate, epochs, batches):
    # Without batch norms the layers' gradients differ in size: SGD with one rate for all would diverge.
    return keras.optimizers.Adam(_falling(rate, epochs, batches))


def _fit(model, batches, epochs, title, say, optimizer, callbacks=()):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[*callbacks, Progress(title, epochs, say)])


class Progress(keras.callbacks.Callback):
    """A line every few epochs."""

    def __init__(self, title, epochs, say):
        super().__init__()
        self.title, self.epochs, self.say = title, epochs, say

    def on_train_begin(self, logs=None):
        self.say(f"{self.title} ({self.epochs} epochs)")

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % 5 and epoch + 1 != self.epochs:
            return
        text = f"    epoch {epoch + 1:>2}/{self.epochs}  training accuracy {logs['accuracy']:.1%}"
        if "alpha/folded" in logs:
            text += f"  α at 1: {logs['alpha/folded']} of {len(TIES)}  depth if folded now: {logs['depth']}"
        self.say(text)


def tflite_accuracy(path, data):
    """Share of the test images that the exported file gets right."""
    scores = next(iter(run_tflite(path, data.x_test).values()))
    return float(np.mean(scores.argmax(axis=-1) == data.y_test))


def _measure(sides, paths, say):
    """Latency of both files on every runtime that is here; the ratio folded ÷ base of each."""
    ratio = {}
    for runtime, found in available_runtimes().items():
        if found.version is None:
            say(f"    {runtime}: {found.missing}")
    result = bench([paths["base.tflite"], paths["folded.tflite"]], "all")
    for name, measured in zip(itertools.cycle(sides), result.measurements):  # base, folded, by runtime
        sides[name].latency_ms[measured.runtime] = measured.median_ms
    for (runtime, _), found in result.ratios.items():
        ratio[runtime] = found
        say(f"    {runtime}: folded ÷ base = {found}")
    for runtime, why in result.unable.items():
        say(f"    {runtime}: {why}")
    return ratio
