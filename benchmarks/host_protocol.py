"""Can this machine's latencies be believed? A model against itself, against its folded form, and against LiteRT's own tool.

    python benchmarks/host_protocol.py [--rounds 20]

1. MobileNetV2-1.0 (224, random weights) against itself: the ratio's interval should hold 1.
2. Against the same network with inverted residuals 1, 3, 6 and 13 folded, one thread: how long until a difference shows?
3. Our blocks and runs of `litert-benchmark` (the runtime's own tool) in turns, on the same file: do the medians agree?
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from random_statistics import with_statistics

import tfold
from tfold.measure import Worker, available_runtimes, bench, bootstrap_ratio, check_tflite, describe_machine

FOLDED = (1, 3, 6, 13)
THREADS = 1


def networks(folder):
    """The two .tflite files."""
    import keras

    base = with_statistics(keras.applications.MobileNetV2(weights=None))
    names = [f"block_{number}_{part}_relu" for number in FOLDED for part in ("expand", "depthwise")]
    f_alpha = tfold.prefold(base, only=names)
    for layer in f_alpha.layers:
        if isinstance(layer, tfold.AlphaActivation):
            layer.alpha.assign(1.0)
    folded = tfold.fold(tfold.settle(f_alpha))
    paths = [folder / "mobilenet_v2.tflite", folder / "folded.tflite"]
    for model, path in zip((base, folded.model), paths, strict=True):
        tfold.export(model, path)
    print(f"depth {folded.report.before.depth} → {folded.report.after.depth}, "
          f"MACs {folded.report.before.macs / 1e6:.0f} M → {folded.report.after.macs / 1e6:.0f} M")
    return paths


def compared(paths, **options):
    """A comparison and the seconds it took."""
    begin = time.monotonic()
    result = bench(paths, threads=THREADS, **options)
    return result.comparisons[0], time.monotonic() - begin


def their_block(path, folder, runs):
    """One run of the runtime's own tool: its median in milliseconds."""
    told = folder / "result.json"
    tool = Path(sys.executable).with_name("litert-benchmark")
    subprocess.run([tool, f"--model={path}", f"--num_threads={THREADS}", f"--num_runs={runs}", "--warmup_runs=10",
                    f"--result_json={told}"], check=True, capture_output=True)
    return json.loads(told.read_text())


def our_block(path, runs):
    with Worker("litert") as worker:
        worker.load(check_tflite(path), THREADS)
        return [ns / 1e6 for ns in worker.time_block(0.1, runs, 0, 60)["samples_ns"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=50, help="inferences in a block beside litert-benchmark")
    chosen = parser.parse_args()
    print(platform.python_version(), describe_machine(), available_runtimes()["litert"].version)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, folded = networks(folder)
        same, seconds = compared([base, base], self_check=False)
        print(f"itself: {same.ratio}, holds 1: {not same.ratio.differs}  ({seconds:.0f} s)")
        for blocks in (6, 10, 20):
            found, seconds = compared([base, folded], blocks=blocks)
            print(f"folded ÷ base, {blocks} blocks: {found.ratio} {found.verdict}; base ÷ itself {found.self_check}  "
                  f"({seconds:.0f} s)")
        ours, theirs = [], []
        for number in range(chosen.rounds):
            turns = [lambda: ours.append(our_block(base, chosen.runs)),
                     lambda: theirs.append([their_block(base, folder, chosen.runs)["latency"]["median_ms"]])]
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn()
        print(f"medians: ours {np.median([np.median(block) for block in ours]):.3f} ms, litert-benchmark "
              f"{np.median(theirs):.3f} ms; ours ÷ theirs {bootstrap_ratio(theirs, ours)}")


if __name__ == "__main__":
    main()
