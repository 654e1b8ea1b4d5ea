"""The same fit with batch norm restructured and with stock Keras, on real images: loss, accuracy, wall clock.

    python benchmarks/training_fit.py                                  # the digits of scikit-learn, as in the demo
    python benchmarks/training_fit.py --data cifar10 --epochs 3        # keras.datasets
    python benchmarks/training_fit.py --data images.npz                # x_train, y_train, x_test, y_test

For every seed all modes start with the same weights and see the same batches in the same order; they train an epoch
each in turns, in the reverse order every other time. The run-to-run spread is that of stock Keras over the seeds, in
which weights and batches differ.
"""
import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from training_step import MODES, describe


def load(source):
    """(x_train, y_train), (x_test, y_test): images with channels last, in −1 … 1, and whole numbers."""
    if source == "digits":
        from tfold.demo import digits

        data = digits.load()
        return (data.x_train, data.y_train), (data.x_test, data.y_test)
    if source.endswith(".npz"):
        with np.load(source) as file:
            data = (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])
    else:
        data = getattr(keras.datasets, source).load_data()
    return [(images.astype("float32") / 127.5 - 1, labels.reshape(-1)) for images, labels in data]


def fit(name, data, modes, seed, epochs, batch, rate):
    """Mode → {"loss", "accuracy", "seconds"}, a number for each epoch; tracing is not timed."""
    (x, y), test = data
    keras.utils.set_random_seed(seed)
    network = getattr(keras.applications, name)(weights=None, input_shape=x.shape[1:], classes=int(y.max()) + 1)
    models = {mode: MODES[mode](network) for mode in modes}
    found = {mode: {"loss": [], "accuracy": [], "seconds": []} for mode in modes}
    for model in models.values():
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
        weights = model.get_weights()
        model.train_on_batch(x[:batch], y[:batch])  # traced outside the clock
        model.set_weights(weights)
        for variable in model.optimizer.variables:
            variable.assign(np.zeros(variable.shape) if "learning_rate" not in variable.path else variable)
    order = np.random.default_rng(seed)
    for epoch in range(epochs):
        shuffled = order.permutation(len(x))
        shuffled = shuffled[: len(x) // batch * batch]
        for mode in list(modes)[:: -1 if epoch % 2 else 1]:
            start = time.perf_counter()
            history = models[mode].fit(x[shuffled], y[shuffled], batch, epochs=1, shuffle=False, verbose=0)
            found[mode]["seconds"].append(time.perf_counter() - start)
            found[mode]["loss"].append(history.history["loss"][0])
            found[mode]["accuracy"].append(models[mode].evaluate(*test, batch_size=batch, verbose=0)[1])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="DenseNet121")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=None, help="train on the first so many")
    parser.add_argument("--modes", nargs="+", default=["stock", "python", "compiled"], choices=list(MODES))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    modes = ["stock", *(mode for mode in chosen.modes if mode != "stock")]
    (x, y), test = load(chosen.data)
    data = (x[: chosen.images], y[: chosen.images]), test
    print(describe())
    print(f"{chosen.network}, {chosen.data}: {len(data[0][0])} images of {'×'.join(map(str, x.shape[1:]))}")
    runs = []
    for seed in range(chosen.seeds):
        runs.append(fit(chosen.network, data, modes, seed, chosen.epochs, chosen.batch, chosen.rate))
        for mode, found in runs[-1].items():
            print(f"seed {seed}  {mode:<12} loss {' '.join(f'{v:.4f}' for v in found['loss'])}   accuracy "
                  f"{' '.join(f'{100 * v:.2f}' for v in found['accuracy'])}   {sum(found['seconds']):.1f} s",
                  flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps({"machine": describe(), "runs": runs}, indent=2))
    for mode in modes:
        losses = np.array([run[mode]["loss"][-1] for run in runs])
        accuracies = 100 * np.array([run[mode]["accuracy"][-1] for run in runs])
        ratios = np.concatenate([np.array(run["stock"]["seconds"]) / run[mode]["seconds"] for run in runs])
        print(f"{mode:<12} last loss {losses.mean():.4f} [{losses.min():.4f}, {losses.max():.4f}]   accuracy "
              f"{accuracies.mean():.2f} [{accuracies.min():.2f}, {accuracies.max():.2f}] %   speed-up "
              "{:.2f} [{:.2f}, {:.2f}]".format(*np.percentile(ratios, [50, 25, 75])))


if __name__ == "__main__":
    main()
