"""Do batch norm's statistics come cheaper from within the 1x1 convolution in front? Hardly: tfold leaves them outside.

    python benchmarks/statistics_in_convolution.py [--networks ResNet50] [--steps 6]

A convolution that takes the mean and the variance of each block of its output while it is in cache spares one sweep:

    tf+m       Conv2D (oneDNN): x -> y       TfoldMoments: y -> mean, variance
    eigen+m    x -> y, mean, variance        Eigen's GEMM, block by block
    panels+m   x -> y, mean, variance        a GEMM of our own, block by block: statistics_in_convolution.cc

tf, eigen and panels are the convolutions alone. Ratios are medians (quartiles) of times measured in turns, the order
reversed every other time: "conv" without and "both" with the statistics, "one/two" for panels+m beside panels and
TfoldMoments one after the other, "bound" for a Conv2D whose statistics would cost nothing. Errors are those against
float64. `--steps` times training steps of stock Keras, for what the savings are part of.

Two cores with AVX-512 (EPYC, family 26), TensorFlow 2.21, float32, batch 32 at 96 x 96, over all 1x1 convolutions of
stride 1 in front of a batch norm:

                 conv, to oneDNN's        with statistics, to tf+m               saved, % of a stock training step
                 eigen      panels        eigen+m    panels+m   bound            eigen+m     panels+m    bound
    MobileNetV2  1.03       0.91          0.91       0.79       0.82              1.1         2.4         1.8
    ResNet50     1.14       1.06          1.02       0.95       0.87             -0.2         0.5         1.4
    DenseNet121  1.09       1.03          1.03       0.95       0.90             -0.2         0.4         0.8

It pays where the output is much larger than the work (48 x 48, 16 to 96 channels: 0.74; 24 x 24, 64 to 256: 0.87) and
costs where it is small (12 x 12, 512 to 128: 1.09). Eigen's GEMM is 3 to 14 % slower than oneDNN's, which eats what the
fusion gains outside MobileNetV2. Our own is about as fast as oneDNN's; with it the fusion pays in all three networks,
by 0.4 to 2.4 % of a training step. Other runs, on busier cores, gave 2.0 (MobileNetV2), 0.0 and 0.8 (ResNet50), 1.0
(DenseNet121, of which twelve shapes stand for 58). That is too little for a GEMM to keep up on every processor, and
less than 2 % could be had if statistics after oneDNN's cost nothing.
"""
import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfold.measure import describe_machine

HERE = Path(__file__).resolve().parent
BATCH = 32
COPIES = 3  # inputs in one timed call, one after another

# (height and width, channels in, channels out, how often) of 1x1 convolutions of stride 1 in front of a batch norm, for
# inputs of 96 x 96. Of DenseNet121, whose layers get 32 channels wider one by one, three of each block stand for all.
NETWORKS = {
    "MobileNetV2": [(48, 32, 16, 1), (48, 16, 96, 1), (24, 96, 24, 1), (24, 24, 144, 2), (24, 144, 24, 1),
                    (12, 144, 32, 1), (12, 32, 192, 3), (12, 192, 32, 2), (6, 192, 64, 1), (6, 64, 384, 4),
                    (6, 384, 64, 3), (6, 384, 96, 1), (6, 96, 576, 3), (6, 576, 96, 2), (3, 576, 160, 1),
                    (3, 160, 960, 3), (3, 960, 160, 2), (3, 960, 320, 1), (3, 320, 1280, 1)],
    "ResNet50": [(24, 64, 64, 1), (24, 64, 256, 4), (24, 256, 64, 2), (12, 128, 512, 4), (12, 512, 128, 3),
                 (6, 256, 1024, 6), (6, 1024, 256, 5), (3, 512, 2048, 3), (3, 2048, 512, 2)],
    "DenseNet121": [(24, 64, 128, 2), (24, 128, 128, 2), (24, 224, 128, 2), (12, 128, 128, 4), (12, 288, 128, 4),
                    (12, 480, 128, 4), (6, 256, 128, 8), (6, 608, 128, 8), (6, 992, 128, 8), (3, 512, 128, 5),
                    (3, 736, 128, 6), (3, 992, 128, 5)],
}


def build(folder):
    """The operations of the .cc file beside this script, and TfoldMoments."""
    library = Path(folder) / "statistics_in_convolution.so"
    subprocess.run(["g++", "-w", "-O3", "-march=native", "-shared", "-fPIC", f"-I{HERE.parent}", "-DEIGEN_NO_DEBUG",
                    # Templates of Eigen compiled for this processor must not be swapped for TensorFlow's.
                    "-Wl,-Bsymbolic-functions", *tf.sysconfig.get_compile_flags(),
                    str(HERE / "statistics_in_convolution.cc"), "-o", str(library), *tf.sysconfig.get_link_flags()],
                   check=True)
    return tf.load_op_library(str(library))


def kinds(operations, block):
    """Name to a function of (x, w) that returns y, or y and its moments."""

    def plain(x, w):
        return tf.nn.conv2d(x, w[None, None], 1, "VALID")

    def ours(gemm, moments):
        return lambda x, w: operations.tfold_convolve_moments(x, w, gemm=gemm, moments=moments, block=block)

    def moments_after(x, w):
        y = plain(x, w)
        return y, *operations.tfold_moments(y)

    def apart(x, w):
        y = ours("panels", False)(x, w).y
        return y, *operations.tfold_moments(y)

    return {
        "tf": plain, "tf+m": moments_after, "eigen": ours("eigen", False), "eigen+m": ours("eigen", True),
        "panels": ours("panels", False), "panels+m": ours("panels", True), "panels, m": apart,
    }


def chained(function):
    """One call for several inputs, each waiting for the one before: what follows y finds it in cache, if it fits."""

    @tf.function
    def run(xs, w):
        results, before = [], []
        for x in xs:
            with tf.control_dependencies(before):
                result = function(tf.identity(x), w)
            before = tf.nest.flatten(result)
            results.append(result)
        return results

    return run


def errors(results, x, w):
    """Largest error of y (to its largest), of the means (to standard deviations), of the variances (to themselves)."""
    exact = x.reshape(-1, x.shape[-1]).astype(np.float64) @ w.astype(np.float64)
    y, mean, rest, variance = (np.asarray(result, np.float64) for result in results)
    true = exact.var(0)
    return (np.abs(y.reshape(exact.shape) - exact).max() / np.abs(exact).max(),
            (np.abs(mean + rest - exact.mean(0)) / np.sqrt(true)).max(), np.abs(variance / true - 1).max())


def measure(functions, shape, repeat, random):
    """Milliseconds of each kind in each repetition, measured in turns, and the worst errors."""
    size, depth, width, _ = shape
    xs = [np.maximum(random.normal(size=(BATCH, size, size, depth)).astype(np.float32), 0) for _ in range(COPIES)]
    w = (random.normal(size=(depth, width)) / np.sqrt(depth)).astype(np.float32)
    tensors, kernel = [tf.constant(x) for x in xs], tf.constant(w)
    wrong = {}
    for name, function in functions.items():
        results = function(tensors, kernel)
        if name.endswith("m"):
            wrong[name] = errors(results[1], xs[1], w)
        function(tensors, kernel)
    times = {name: [] for name in functions}
    for number in range(repeat):
        for name in functions if number % 2 == 0 else reversed(functions):
            begin = time.perf_counter()
            results = functions[name](tensors, kernel)
            times[name].append((time.perf_counter() - begin) * 1000 / COPIES)
            del results
    return {name: np.array(values) for name, values in times.items()}, wrong


# (heading, numerator, denominator)
RATIOS = [
    ("conv: eigen/tf", "eigen", "tf"), ("conv: panels/tf", "panels", "tf"), ("both: eigen/tf", "eigen+m", "tf+m"),
    ("both: panels/tf", "panels+m", "tf+m"), ("panels: one/two", "panels+m", "panels, m"), ("bound", "tf", "tf+m"),
]
SAVINGS = [("tf+m", "eigen+m", "saved by eigen+m"), ("tf+m", "panels+m", "saved by panels+m"),
           ("panels, m", "panels+m", "saved by panels+m beside panels, then TfoldMoments"),
           ("tf+m", "tf", "if TensorFlow's moments cost nothing")]


def quartiles(values, digits=2):
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def row(name, times, wrong=""):
    ratios = " ".join(f"{quartiles(times[a] / times[b]):>17}" for _, a, b in RATIOS)
    print(f"{name:<20}{np.median(times['tf']):7.2f}{np.median(times['tf+m']):7.2f} {ratios}  {wrong}", flush=True)


def training_steps(network, steps):
    """Milliseconds of training steps of the stock network: what the savings are part of."""
    import keras

    model = getattr(keras.applications, network)(weights=None, input_shape=(96, 96, 3), classes=10)
    model.compile("sgd", "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    x, y = random.normal(size=(BATCH, 96, 96, 3)).astype(np.float32), random.integers(0, 10, BATCH)
    times = []
    for _ in range(steps + 2):
        begin = time.perf_counter()
        model.train_on_batch(x, y)
        times.append((time.perf_counter() - begin) * 1000)
    return np.array(times[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--block", type=int, default=65536, help="numbers of y in a block")
    parser.add_argument("--steps", type=int, default=0, help="training steps to time beside each network")
    chosen = parser.parse_args()
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(describe_machine(), "tensorflow", tf.__version__)
    with tempfile.TemporaryDirectory() as folder:
        operations = build(folder)
    functions = {name: chained(function) for name, function in kinds(operations, chosen.block).items()}
    random = np.random.default_rng(0)
    for network in chosen.networks.split(","):
        titles = " ".join(f"{title:>17}" for title, _, _ in RATIOS)
        print(f"{network:<20}{'ms: tf':>7}{'tf+m':>7} {titles}  error")
        total = {name: np.zeros(chosen.repeat) for name in functions}
        for shape in NETWORKS[network]:
            size, depth, width, often = shape
            times, wrong = measure(functions, shape, chosen.repeat, random)
            label = f"{size:>2}^2 {depth:>4} >{width:>4} x{often}"
            row(label, times, f"{np.max(list(wrong.values())):.0e}")
            for name, values in times.items():
                total[name] += values * often
        row("all", total)
        if chosen.steps:
            steps = training_steps(network, chosen.steps)
            print(f"  of a training step of {quartiles(steps, 0)} ms:")
            for before, after, text in SAVINGS:
                print(f"  {quartiles((total[before] - total[after]) / np.median(steps) * 100)} % {text}")


if __name__ == "__main__":
    main()
