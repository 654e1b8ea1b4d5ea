"""What int8 costs a network in accuracy, before and after folding, and what equalisation and QAT give back.

    python benchmarks/int8_accuracy.py                                     the demo's digits, 5 minutes
    python benchmarks/int8_accuracy.py --data cifar10.npz --work cifar     arrays x_train, y_train, x_test, y_test

For each of base and folded: test accuracy in float (Keras), and of the int8 file by post-training quantisation, with
the channels evened out before it, and after quantisation-aware training, in points below or above float. Trained
networks are kept in the folder `--work`, and not trained again. dB: signal ÷ noise of the softmax on 1000 test images.
"""
import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tfold
from tfold.graph.capture import capture
from tfold.loading import load_model, save_model
from tfold.measure import run_tflite
from tfold.passes.figures import figures

L = keras.layers
WAYS = ("post-training", "equalised", "QAT")
EXPANSION = 6
# (channels, stride) of each inverted residual.
BLOCKS = ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1))
PIXELS = 3  # images are moved by up to so many while training


def main():
    """Train what is not there yet, quantise in each way, print the table."""
    chosen = arguments()
    keras.utils.set_random_seed(chosen.seed)
    data = Data(chosen.data, chosen.seed)
    chosen.work.mkdir(parents=True, exist_ok=True)
    print(f"{data.name}: {len(data.x)} training, {len(data.x_test)} test images; seed {chosen.seed}", flush=True)
    rows = [measured(name, model, data, chosen) for name, model in trained(data, chosen).items()]
    print(f"\n{'':<8} {'depth':>5} {'float':>8}" + "".join(f" {title:>31}" for title in WAYS))
    for row in rows:
        cells = "".join(f" {row[way]:>10.2%} {100 * (row[way] - row['float']):>+6.2f} pts"
                        f" {row.get(f'{way} dB', 0):>5.1f} dB" for way in WAYS)
        print(f"{row['network']:<8} {row['depth']:>5} {row['float']:>8.2%}{cells}")
    (chosen.work / "int8.json").write_text(json.dumps(rows, indent=2))


class Data:
    """Images as float32 −1…1, labels, and batches of them, moved and (photographs) mirrored at random."""

    def __init__(self, path, seed):
        if path:
            with np.load(path) as file:
                arrays = [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]
            self.name, self.mirror = Path(path).stem, True
            self.x, self.x_test = (array.astype("float32") / 127.5 - 1 for array in arrays[::2])
            self.y, self.y_test = (array.reshape(-1).astype("int64") for array in arrays[1::2])
        else:
            from tfold.demo import digits

            loaded = digits.load(seed)
            self.name, self.mirror = "digits", False
            self.x, self.y, self.x_test, self.y_test = loaded
        self.rng = np.random.default_rng(seed)


class Batches:
    """One epoch after the other, each in another order; `sequence` is what `fit` takes."""

    def __init__(self, data, size, family):
        base = family.utils.PyDataset if family is keras else family.utils.Sequence
        self.sequence = type("Batches", (base,), {
            "__len__": lambda _: len(self), "__getitem__": lambda _, index: self[index],
            "on_epoch_end": lambda _: self.on_epoch_end()})()
        self.data, self.size = data, size
        around = ((0, 0), (PIXELS, PIXELS), (PIXELS, PIXELS), (0, 0))
        self.padded = np.pad(data.x, around, constant_values=-1)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.data.y) // self.size)

    def __getitem__(self, index):
        chosen = self.order[index * self.size : (index + 1) * self.size]
        high, wide = self.data.x.shape[1:3]
        down, right = self.data.rng.integers(0, 2 * PIXELS + 1, 2)  # one move a batch: they are many
        images = self.padded[chosen, down : down + high, right : right + wide]
        if self.data.mirror and self.data.rng.random() < 0.5:
            images = images[:, :, ::-1]
        return images, self.data.y[chosen]

    def on_epoch_end(self):
        self.order = self.data.rng.permutation(len(self.data.y))


def network(shape, classes):
    """Inverted residuals as in MobileNetV2, with ReLU: a scale passes it, so that there is something to even out."""
    def normalized(x, name, active=True):
        x = L.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return L.ReLU(name=f"{name}_relu")(x) if active else x

    x = image = keras.Input(shape, name="image")
    x = normalized(L.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x), "stem")
    for number, (channels, stride) in enumerate(BLOCKS):
        name, before = f"block_{number}", x
        wide = EXPANSION * x.shape[-1]
        x = normalized(L.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand")(x), f"{name}_expand")
        x = L.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
        x = normalized(x, f"{name}_depthwise")
        x = normalized(L.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(x), f"{name}_project", False)
        x = L.Add(name=f"{name}_add")([before, x]) if before.shape == x.shape else x
    x = normalized(L.Conv2D(128, 1, use_bias=False, name="head")(x), "head")
    x = L.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, L.Dense(classes, activation="softmax", name="class")(x), name="inverted_residuals")


def trained(data, chosen):
    """{"base": model, "folded": model}, from the folder or trained now."""
    paths = {name: chosen.work / f"{name}.keras" for name in ("base", "folded")}
    if not paths["base"].exists():
        base = network(data.x.shape[1:], int(data.y.max()) + 1)
        fit(base, data, chosen.epochs[0], keras.optimizers.SGD, 0.1, momentum=0.9)
        save_model(base, paths["base"])
    base = load_model(paths["base"])
    if not paths["folded"].exists():
        ties = [[f"block_{n}_expand_relu", f"block_{n}_depthwise_relu"] for n in range(len(BLOCKS))]
        f_alpha = tfold.prefold(base, tfold.AlphaPenalty(chosen.strength), skip=["stem_relu", "head_relu"], tie=ties)
        fit(f_alpha, data, chosen.epochs[1], keras.optimizers.SGD, 0.03, momentum=0.9)
        print({name: round(float(alpha), 3) for name, alpha in tfold.alphas(f_alpha).items()}, flush=True)
        result = tfold.fold(f_alpha)
        print(result.report.before, result.report.after, sep="\n", flush=True)
        fit(result.model, data, chosen.epochs[2], keras.optimizers.Adam, 1e-3)
        save_model(result.model, paths["folded"], report=result.report)
    return {"base": base, "folded": load_model(paths["folded"])}


def measured(name, model, data, chosen):
    """A row of the table: test accuracy in each way."""
    path = chosen.work / f"{name}.int8.tflite"
    plain = tfold.fold_batch_norm(model).model  # as every export should be
    samples = tfold.representative_samples(plain, data.x, samples=200, seed=chosen.seed)
    row = {"network": name, "depth": figures(capture(plain)).depth, "float": accuracy(model, data)}

    tfold.export(plain, path, "int8", samples, force=True)
    row["post-training"], row["post-training dB"] = file_accuracy(path, data), decibels(plain, path, data)

    even = tfold.equalize_channels(plain, samples.as_model_takes_them(plain))
    print(f"{name}: {str(even).splitlines()[0]}", flush=True)
    tfold.export(even.model, path, "int8", samples, force=True)
    row["equalised"], row["equalised dB"] = file_accuracy(path, data), decibels(even.model, path, data)

    aware = tfold.quantize_aware(even.model)
    import tf_keras

    fit(aware, data, chosen.epochs[3], tf_keras.optimizers.Adam, chosen.rate, tf_keras)
    tfold.export(aware, path, "int8", force=True)
    row["QAT"] = file_accuracy(path, data)
    print(row, flush=True)
    return row


def file_accuracy(path, data):
    """Share of the test images that the file gets right."""
    (scores,) = run_tflite(path, data.x_test, timeout=600).values()
    return float((scores.argmax(-1) == data.y_test).mean())


def decibels(model, path, data):
    """Signal ÷ noise of the output, the softmax, on up to 1000 test images."""
    return tfold.compare(model, [path], data.x_test, samples=1000, tolerance=9).with_keras[path].worst.decibels


def fit(model, data, epochs, optimizer, rate, family=keras, **options):
    """Train a model of Keras 3 or tf_keras, its learning rate falling to zero; a line now and then."""
    batches = Batches(data, 128 if len(data.x) > 10_000 else 32, family)
    falling = family.optimizers.schedules.CosineDecay(rate, epochs * len(batches))
    model.compile(optimizer(falling, **options), "sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.time()
    for epoch in range(epochs):
        model.fit(batches.sequence, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        if epoch % 5 == 4 or epoch + 1 == epochs or len(data.x) > 10_000:
            print(f"  {model.name} epoch {epoch + 1}/{epochs}: test accuracy {accuracy(model, data):.2%}, "
                  f"{time.time() - start:.0f} s", flush=True)


def accuracy(model, data):
    return float((model.predict(data.x_test, verbose=0, batch_size=256).argmax(-1) == data.y_test).mean())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="an .npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--work", type=Path, default=Path("int8-accuracy"), help="where trained networks are kept")
    parser.add_argument("--epochs", type=lambda text: [int(n) for n in text.split(",")], default=[20, 10, 15, 3],
                        help="of base, α, folded, QAT")
    parser.add_argument("--rate", type=float, default=3e-5, help="QAT's learning rate")
    parser.add_argument("--strength", type=float, default=1.0, help="λ_c")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
