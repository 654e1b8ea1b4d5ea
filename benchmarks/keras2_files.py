"""Files of Keras 2 on their way to a phone: opened, folded, exported in float32 and int8, and judged where there are data.

    python benchmarks/keras2_files.py resnet8.h5 vww.h5 --data resnet8.h5=cifar10.npz

A line for each file: into which Keras it was loaded, batch norms and depth before and after folding, how far the .tflite
files lie from Keras, and with data (an .npz of x_test and y_test, as the network takes them) the accuracy of each.
Without data the ranges for int8 are measured on random numbers, so that its parity says little about real inputs.
"""
import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tfold
from tfold import loading
from tfold.graph.family import family_of
from tfold.measure import run_tflite
from tfold.sampling import random_input


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--data", action="append", default=[], metavar="FILE=NPZ")
    parser.add_argument("--most", type=int, default=10_000, help="test samples at most")
    options = parser.parse_args()
    data = dict(each.split("=") for each in options.data)
    print("| file | Keras | batch norms | depth | float32: error | int8: signal ÷ noise | accuracy: Keras | folded | "
          "float32 | int8 |\n|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files:
            print(line(path, data.get(path.name), options.most, Path(folder)), flush=True)


def line(path, data, most, folder):
    model = loading.load_model(path)
    folded = tfold.fold(model)
    before, after = folded.report.before, folded.report.after
    if data is None:
        samples, x, y = random_input(model, batch=100), None, None
    else:
        with np.load(data) as arrays:
            x, y = arrays["x_test"][:most].astype("float32"), arrays["y_test"][:most].ravel()
        samples = x[:200]
    paths = {name: folder / f"{path.stem}-{name}.tflite" for name in ("float32", "int8")}
    plain = tfold.export(folded.model, paths["float32"], sample=samples[:4], report=folded.report)
    int8 = tfold.export(folded.model, paths["int8"], "int8", samples, report=folded.report)
    cells = [path.name, family_of(model).name, f"{before.batch_norms} → {after.batch_norms}",
             f"{before.depth} → {after.depth}", f"{plain.parity:.0e}", f"{int8.comparison.worst.decibels or 0:.0f} dB"]
    if data is not None:
        cells += [share(predicted(each, x), y) for each in (model, folded.model)]
        cells += [share(run(each, x), y) for each in paths.values()]
    return "| " + " | ".join(cells) + " |"


def predicted(model, x):
    return np.concatenate([keras.ops.convert_to_numpy(model(x[i : i + 100], training=False))
                           for i in range(0, len(x), 100)])


def run(path, x):
    return next(iter(run_tflite(path, x).values()))


def share(outputs, y):
    return f"{(outputs.argmax(-1).ravel() == y).mean():.2%}"


if __name__ == "__main__":
    main()
