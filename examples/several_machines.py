"""Pre-folding on several machines: every process trains on its part of each batch, and all end with the same α.

    KERAS_BACKEND=jax python examples/several_machines.py base.keras data.npz -o out \\
        --coordinator host0:1234 --processes 2 --process 0         on the second machine: --process 1

The result is that of one process on the same global batch, to float32 rounding: without --coordinator one process runs
the same code. `data.npz` holds `x_train` and `y_train` (integer labels); `--scale` is the one that the base was trained
with. Process 0 writes f_alpha.keras, alpha.csv and result.json; `tfold fold out/f_alpha.keras` goes on from there.
docs/several-machines.md has the commands for Slurm, and what happens when a machine fails.
"""
import argparse
import csv
import json
import os
import re
import sys
import traceback
import zlib
from pathlib import Path

import keras
import numpy as np
from common import SCALE, pair

import tfold
from tfold.errors import DivergedError, one_line
from tfold.files import check_output, whole
from tfold.loading import load_model, save_model
from tfold.recipe import distributed
from tfold.recipe.data import Data, checked_pair
from tfold.recipe.identity import check_fits
from tfold.recipe.scores import classification_loss
from tfold.zoo import CifarResNet

SAMPLE = 64  # images whose checksum stands for all


def main():
    arguments = parser().parse_args()
    try:
        run(arguments)
    except tfold.TfoldError as error:
        print(f"Error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
    except Exception:
        traceback.print_exc()
    else:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)  # An ordinary exit would wait for the other processes, which wait for this one.


def run(arguments):
    check(arguments)
    x, y = read(arguments.data, arguments.seed)
    if arguments.processes > 1:
        print(f"process {arguments.process} of {arguments.processes} waits for the others…", flush=True)
    distributed.join(arguments.coordinator, arguments.processes, arguments.process, arguments.timeout)
    import jax  # where Keras runs on another backend it may not be there, and join() has said so

    try:
        train(arguments, x, y)
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        if not re.match("[A-Z_]{5,}: ", str(error)):  # "UNKNOWN: Gloo all-reduce failed": how JAX's runtime writes
            raise
        raise tfold.TfoldError(
            f"Training goes on only while all processes do. Received: {one_line(error)} "
            "If another process has gone, its own output says why; then start all of them again."
        ) from error


def train(arguments, x, y):
    import jax

    me, count, devices = jax.process_index(), jax.process_count(), jax.device_count()
    distributed.check_batch(arguments.batch, devices)
    distributed.agree(fingerprints(arguments, x, y))
    data = Scaled(x, y, arguments.batch, arguments.seed, arguments.scale)
    if not me:
        print(f"{count} processes, {devices} devices; {len(data)} global batches of {arguments.batch} an epoch, "
              f"{len(x) % arguments.batch} of {len(x)} images left out", flush=True)

    keras.utils.set_random_seed(arguments.seed)
    base = network(arguments.model, x, y)
    check_fits(base, as_data(arguments, x, y))
    loss = classification_loss(base)
    # Where a variable lies is decided when it is made: base is each process' own, F_α is on the devices of all.
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    f_alpha = tfold.prefold(base, tfold.AlphaPenalty(arguments.strength), tie=arguments.tie)
    f_alpha.compile(
        keras.optimizers.SGD(arguments.rate, momentum=0.9), loss, metrics=["accuracy"],
    )
    # Every process runs every callback: to make or assign a variable is a step that all take together.
    history = f_alpha.fit(data, epochs=arguments.epochs, shuffle=False, verbose=0 if me else 2, callbacks=[
        tfold.callbacks.AlphaSchedule(arguments.strength, warmup=arguments.warmup),
        tfold.callbacks.AlphaLogger(per_layer=True), keras.callbacks.TerminateOnNaN(),
    ]).history
    if not np.isfinite(history["loss"][-1]):  # everywhere alike, so every process ends
        raise DivergedError(
            f"A loss stays a number. Received: {history['loss'][-1]} in epoch {len(history['loss'])}: the training has "
            "diverged, and nothing was written. Take a lower --rate.")
    # From here on each is alone again: Keras makes a variable to save a model, and would wait for all to do so.
    keras.distribution.set_distribution(None)

    alphas = tfold.alphas(f_alpha)
    values = np.array(list(alphas.values()))
    distributed.agree({"α": values}, "All processes end with the same {}.", "Report this: it cannot be.")
    if me:
        print(f"process {me} of {count}: the same {len(alphas)} α as process 0; loss {history['loss'][-1]:.6f}")
        return
    write(arguments.output, f_alpha, history, {
        "processes": count, "devices": devices, "global_batch": arguments.batch, "steps": len(data),
        "left_out": len(x) % arguments.batch, "epochs": arguments.epochs, "loss": history["loss"],
        "accuracy": history["accuracy"], "alphas": alphas,
    })


def check(arguments):
    """What can be known to be wrong before anything is waited for, and the places of the outputs."""
    for name, least in (("epochs", 1), ("timeout", 1), ("seed", 0)):
        if getattr(arguments, name) < least:
            raise tfold.BadInputError(f"--{name} is at least {least}. Received: {getattr(arguments, name)}.")
    if arguments.warmup >= arguments.epochs:
        raise tfold.BadInputError(
            f"The penalty works in one epoch at least. Received: --warmup {arguments.warmup}, --epochs "
            f"{arguments.epochs}. Take --warmup 0, or more epochs.")
    distributed.check(arguments.coordinator, arguments.processes, arguments.process)
    distributed.check_batch(arguments.batch, arguments.processes, "processes")
    if arguments.process == 0:
        arguments.output.mkdir(parents=True, exist_ok=True)
        for name in ("f_alpha.keras", "alpha.csv", "result.json"):
            check_output(arguments.output / name, Path(name).suffix, arguments.force)


class Scaled(distributed.Slices):
    """This process' rows of every global batch, as the network takes them: float32, scaled."""

    def __init__(self, x, y, batch, seed=0, scale=None, **which):
        super().__init__(x, y, batch, seed, **which)
        self.scale = scale

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        x = x.astype("float32", copy=False)
        if self.scale is not None:
            low, high = self.scale
            x = x * np.float32((high - low) / 255) + np.float32(low)
        return x, y


def fingerprints(arguments, x, y):
    """A number for each thing that has to be the same on every machine."""
    model = Path(arguments.model)
    options = [arguments.batch, arguments.epochs, arguments.strength, arguments.warmup, arguments.rate, arguments.seed,
               arguments.scale, arguments.tie, tfold.__version__, keras.__version__]
    # Of the images a sample: where they are read in place, each machine needs only its own rows of them.
    rows = np.unique(np.arange(SAMPLE) * len(x) // SAMPLE)[:len(x)]
    kind = json.dumps([x.shape, x.dtype.str]).encode()
    return {
        "model": zlib.crc32(model.read_bytes() if model.is_file() else model.name.encode()),
        "images": zlib.crc32(np.ascontiguousarray(x[rows]), zlib.crc32(kind)),
        "labels": zlib.crc32(np.ascontiguousarray(y)),
        "options and versions": zlib.crc32(json.dumps(options).encode()),
    }


def read(path, seed):
    """The images and labels: of an .npz, of a folder with x_train.npy and y_train.npy (read in place), or made up."""
    if path == "random":
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 10, 512)
        return (rng.normal(size=(512, 32, 32, 3)) + y[:, None, None, None] / 5).astype("float32"), y
    try:
        if Path(path).is_dir():
            x, y = (np.load(Path(path) / f"{name}.npy", mmap_mode="r") for name in ("x_train", "y_train"))
        else:
            with np.load(path) as file:
                x, y = file["x_train"], file["y_train"]
        return checked_pair(x, y, "train", path)
    except (tfold.BadInputError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, NumPy and Python's own parser have many for what is damaged
        raise tfold.BadInputError(
            f"The data are an .npz file, or a folder of .npy files, with x_train and y_train. Received: {path}: "
            f"{one_line(error)} Write it with numpy.savez, or say random for a trial."
        ) from error


def as_data(arguments, x, y):
    """The images as `tfold.recipe` has them, with none to choose or judge by."""
    none = x[:0], y[:0]
    return Data(arguments.data, x, y, *none, *none, int(np.max(y)) + 1, arguments.scale)


def network(name, x, y):
    depth = re.fullmatch(r"resnet(\d+)", name)
    if depth:
        return CifarResNet(int(depth[1]), int(np.max(y)) + 1, x.shape[1:])
    return load_model(name)


def write(folder, model, history, result):
    """The three files, each whole or not at all, and the table."""
    save_model(model, folder / "f_alpha.keras", force=True)
    with whole(folder / "alpha.csv") as path, open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *history])
        table.writerows([epoch, *values] for epoch, values in enumerate(zip(*history.values(), strict=True)))
    with whole(folder / "result.json") as path:
        path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    for name, value in result["alphas"].items():
        print(f"{name:32} {value:.6f}")
    print(f"loss {result['loss'][-1]:.6f}; written to {folder}: f_alpha.keras, alpha.csv, result.json")


def parser():
    given = distributed.from_launcher
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("model", help="a trained .keras file; or resnet20, resnet32…, with random weights")
    made.add_argument("data", help="an .npz file or a folder of .npy files with x_train, y_train; or random")
    made.add_argument("--scale", type=pair, metavar="LOW,HIGH", help=f"{SCALE}; as they are stored by default")
    made.add_argument("-o", "--output", type=Path, default=Path("prefolded"), help="process 0's folder for the files")
    made.add_argument("--force", action="store_true", help="replace files that are there")
    made.add_argument("--coordinator", default=given("coordinator"), metavar="HOST:PORT",
                      help="process 0's host and a free port there")
    made.add_argument("--processes", type=int, default=given("processes") or 1, help="how many there are")
    made.add_argument("--process", type=int, default=given("process") or 0, help="which this is, from 0")
    made.add_argument("--timeout", type=int, default=120, help="seconds to wait for processes, at the start and later")
    made.add_argument("--batch", type=int, default=128, help="the global batch, of all processes together")
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--strength", type=float, default=0.25, help="λ_c of the penalty")
    made.add_argument("--warmup", type=int, default=1, help="epochs without the penalty")
    made.add_argument("--rate", type=float, default=0.01, help="learning rate")
    made.add_argument("--seed", type=int, default=0, help="of the order of the images and of random weights")
    made.add_argument("--tie", nargs="+", action="append", default=[], metavar="NAME",
                      help="activations that share one α; once for each inverted residual")
    return made


if __name__ == "__main__":
    main()
