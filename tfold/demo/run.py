"""The whole way, in the order in which a user would write it."""
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

import tfold
from tfold.demo import digits, network
from tfold.files import whole
from tfold.folding import fold_plan
from tfold.loading import save_model
from tfold.measure import available_runtimes, bench, run_tflite

BATCH = 64
BASE_EPOCHS, ALPHA_EPOCHS, POST_EPOCHS = 15, 15, 10
STRENGTH = 1.0
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


def run(folder, say, seed=0):
    """Run the demo.

    Args:
        folder: an existing directory; `FILES` are written into it.
        say: called with a line of text at each step.
        seed: of the split, the weights and the order of the images.

    Returns:
        An `Outcome`.
    """
    folder = Path(folder)
    paths = {name: folder / name for name in FILES}
    keras.utils.set_random_seed(seed)
    data = digits.load(seed)
    say(f"digits: {len(data.x_train)} to train on, {len(data.x_test)} to test on")

    base = network.mobilenet()
    _fit(base, data, BASE_EPOCHS, 0.1, "1/5 train the base network", say)

    # Every activation but the first gets a trainable α, and the loss a penalty that pushes α to 1.
    f_alpha = tfold.prefold(base, penalty=tfold.AlphaPenalty(strength=STRENGTH), skip=["stem_relu", "head_relu"])
    log = tfold.callbacks.AlphaLogger()
    schedule = tfold.callbacks.AlphaSchedule(STRENGTH, ramp=5)
    _fit(f_alpha, data, ALPHA_EPOCHS, 0.02, "2/5 train α", say, [schedule, log])

    say("3/5 fold: remove what α says is linear, merge its neighbours, verify")
    result = tfold.fold(f_alpha)
    folded = result.model
    _fit(folded, data, POST_EPOCHS, 0.001, "4/5 fine-tune the folded network", say)

    say("5/5 export both and measure them in turns")
    save_model(base, paths["base.keras"], force=True)
    save_model(folded, paths["folded.keras"], force=True)
    sides = {}
    for name, model in (("base", base), ("folded", folded)):
        exported = tfold.export(model, paths[f"{name}.tflite"], force=True)
        figures = fold_plan(model).before
        accuracy = tflite_accuracy(exported.path, data)
        sides[name] = Side(accuracy, figures.depth, figures.parameters, figures.macs, exported.bytes)
    ratio = _measure(sides, paths, say)
    with whole(paths["report.txt"]) as temporary:
        temporary.write_text(str(result.report) + "\n", encoding="utf-8")
    from tfold.demo.picture import draw

    draw(log.history, result.report, paths["alphas.png"])
    files = {name: str(path) for name, path in paths.items()}
    return Outcome(sides["base"], sides["folded"], ratio, tfold.alphas(f_alpha), log.history, result.report, files)


def _fit(model, data, epochs, rate, title, say, callbacks=()):
    """Train with SGD, momentum and a rate that falls to zero; say how it goes."""
    steps = epochs * -(-len(data.x_train) // BATCH)
    model.compile(
        keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(rate, steps), momentum=0.9, clipnorm=1.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        data.x_train, data.y_train, batch_size=BATCH, epochs=epochs, verbose=0,
        callbacks=[*callbacks, Progress(title, epochs, say)],
    )


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
            text += f"  activations removed {logs['alpha/folded']}  depth if folded now {logs['depth']}"
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
            continue
        result = bench([paths["base.tflite"], paths["folded.tflite"]], runtime)
        for name, measured in zip(sides, result.measurements, strict=True):
            sides[name].latency_ms[runtime] = measured.median_ms
        ratio[runtime] = result.ratio
        say(f"    {runtime} {found.version}: folded ÷ base = {result.ratio}")
    return ratio
