"""The time of a training step with batch norm restructured, beside stock Keras, measured in turns.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --networks MobileNetV2 --repeat 60 --modes stock compiled alpha

A step is all that `fit` does for a batch: forwards, backwards, SGD's update. In every repetition each mode takes one
step, in the reverse order every other time; its speed-up is the stock step's time in the same repetition ÷ its own.
The table has the median and the quartiles of these.

    stock         keras.applications' network as it is
    python        restructured, by TensorFlow's fused operation
    compiled      restructured, by tfold's operations (`tfold doctor --build-kernels`)
    low           the same with memory="low"
    ceiling       every batch norm left out: what no batch norm at all would give
    naive alpha   prefold(network) in stock layers: α·x + (1 − α)·σ(x) as it stands
    alpha         prefold(network) as it comes
"""
import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tfold
from tfold.graph.rebuild import rebuild
from tfold.measure import describe_machine

NETWORKS = ("DenseNet121", "ResNet50", "MobileNetV2")


def without_batch_norm(network):
    return rebuild(network, lambda op: [] if isinstance(op, keras.layers.BatchNormalization) else None)


MODES = {
    "stock": tfold.restore_batch_norm,
    "python": lambda network: tfold.restructure_batch_norm(network, kernels="python"),
    "compiled": lambda network: tfold.restructure_batch_norm(network, kernels="compiled"),
    "low": lambda network: tfold.restructure_batch_norm(network, memory="low", kernels="compiled"),
    "ceiling": without_batch_norm,
    "naive alpha": lambda network: tfold.restore_batch_norm(tfold.prefold(network)),
    "alpha": tfold.prefold,
}


def stepper(model, batch):
    """A function that makes the model take one training step and returns the seconds it took."""
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), "sparse_categorical_crossentropy")
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def step():
        start = time.perf_counter()
        logs = model.train_function(batches)
        np.asarray(logs["loss"])  # the step is over when its loss is there
        return time.perf_counter() - start

    return step


def measure(steps, repeat, warm_up=3):
    """Mode → seconds, one for each repetition."""
    for step in steps.values():
        for _ in range(warm_up):
            step()
    times = {mode: [] for mode in steps}
    for number in range(repeat):
        for mode in list(steps)[:: -1 if number % 2 else 1]:
            times[mode].append(steps[mode]())
    return times


def network_of(name, size):
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)


def images(batch, size, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(batch, size, size, 3)), "float32"), tf.constant(rng.integers(0, 10, batch))


def describe():
    return (f"{describe_machine()}\nPython {platform.python_version()}, TensorFlow {tf.__version__}, "
            f"Keras {keras.__version__}, tfold {tfold.__version__}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--repeat", type=int, default=30)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    modes = ["stock", *(mode for mode in chosen.modes if mode != "stock")]
    print(describe())
    print(f"{chosen.size}×{chosen.size}, batch {chosen.batch}, {chosen.repeat} repetitions in turns")
    rows = []
    for name in chosen.networks:
        network = network_of(name, chosen.size)
        batch = images(chosen.batch, chosen.size)
        times = measure({mode: stepper(MODES[mode](network), batch) for mode in modes}, chosen.repeat)
        for mode in modes:
            ratios = np.array(times["stock"]) / np.array(times[mode])
            low, median, high = np.percentile(ratios, [25, 50, 75])
            row = {"network": name, "mode": mode, "ms": 1e3 * float(np.median(times[mode])), "speed-up": median,
                   "quartiles": [low, high]}
            rows.append(row)
            print(f"{name:<14} {mode:<12} {row['ms']:8.1f} ms   {median:5.2f} [{low:.2f}, {high:.2f}]", flush=True)
        keras.backend.clear_session()
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
