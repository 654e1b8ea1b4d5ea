"""How near is batch norm alone to what memory allows? Its time beside that of its sweeps at the bandwidth of a copy.

    python benchmarks/training_sweeps.py

The floor is the bytes that have to go through memory ÷ the bandwidth of plain copies of as many bytes, by as many
threads as there are cores, into memory that is there already: a sweep of reading and one of writing. Batch norm with a
ReLU takes three sweeps forwards (read; read, write) and five backwards (read two; read two, write one).
"""
import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from training_step import describe

from tfold.training.kernels.load import operations

FORWARDS, BACKWARDS = 3, 5
SHAPES = [(32, 48, 48, 64), (32, 24, 24, 256), (32, 24, 24, 144), (32, 12, 12, 512), (32, 6, 6, 1024), (32, 3, 3, 2048)]


def stock(x, dy, gamma, beta):
    """What Keras 3 computes, forwards and backwards."""
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        y = tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3))
    return tape.gradient(y, [x, gamma, beta], dy)


def fused(x, dy, gamma, beta):
    empty = tf.constant([])
    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        y, *_ = tf.raw_ops.FusedBatchNormV3(x=x, scale=gamma, offset=beta, mean=empty, variance=empty, epsilon=1e-3)
        y = tf.nn.relu(y)
    return tape.gradient(y, [x, gamma, beta], dy)


def compiled(x, dy, gamma, beta):
    from tfold.training.compiled import normalize

    with tf.GradientTape() as tape:
        tape.watch([x, gamma, beta])
        chain, *_ = normalize(tf.identity(x), gamma, beta, 1e-3)
        y = chain.activated(float("inf"), 0.0).make()
    return tape.gradient(y, [x, gamma, beta], dy)


class Copier:
    """Copies an array, a share in each thread."""

    TIMES = 5  # in one call, so that starting the threads does not count

    def __init__(self, size):
        self.threads = len(os.sched_getaffinity(0))
        self.pool = ThreadPoolExecutor(self.threads)
        self.pairs = [(np.ones(size // 4 // self.threads, "float32"), np.ones(size // 4 // self.threads, "float32"))
                      for _ in range(self.threads)]

    def seconds(self):
        def share(pair):
            for _ in range(self.TIMES):
                np.copyto(*pair)

        start = time.perf_counter()
        list(self.pool.map(share, self.pairs))
        return (time.perf_counter() - start) / self.TIMES


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=30)
    chosen = parser.parse_args()
    if operations() is None:
        raise SystemExit("Build tfold's operations first: tfold doctor --build-kernels")
    print(describe())
    print("batch norm and ReLU, forwards and backwards; ms; how many times the floor")
    ways = {"stock": stock, "python": fused, "compiled": compiled}
    for shape in SHAPES:
        channels = shape[-1]
        given = tf.random.normal(shape), tf.random.normal(shape), tf.ones(channels), tf.zeros(channels)
        calls = {name: tf.function(way) for name, way in ways.items()}
        size = 4 * int(np.prod(shape))
        copier, copies, times = Copier(size), [], {name: [] for name in ways}
        for number in range(chosen.repeat + 3):
            copies.append(copier.seconds())
            for name in list(ways)[:: -1 if number % 2 else 1]:
                start = time.perf_counter()
                calls[name](*given)
                if number >= 3:
                    times[name].append(time.perf_counter() - start)
        seconds = {name: np.array(values) for name, values in times.items()}
        floor = np.median(copies) / 2 * (FORWARDS + BACKWARDS)
        text = "   ".join(
            "{} {:5.2f}: {:4.1f} [{:.1f}, {:.1f}]".format(
                name, 1e3 * np.median(seconds[name]), *np.percentile(seconds[name] / floor, [50, 25, 75]))
            for name in ("stock", "python", "compiled"))
        bandwidth = 2 * size / np.median(copies) / 1e9
        print(f"{'×'.join(map(str, shape)):<14} {size / 1e6:5.1f} MB   copy {bandwidth:3.0f} GB/s   "
              f"floor {1e3 * floor:5.2f}   {text}", flush=True)


if __name__ == "__main__":
    main()
