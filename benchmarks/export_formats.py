"""Every number format of tfold.export: size, ops, parity with Keras, latency against float32 on both host runtimes.

    python benchmarks/export_formats.py [--networks MobileNetV2,digits] [--blocks 20] [--json formats.json]

Networks are folded first. MobileNetV2, EfficientNetLite0 and ResNet50 have seeded random weights and statistics, their
default input size, and no softmax at their end; int8 and int16 are calibrated on 100 smooth random images, and parity
is measured on 32 of them. "digits" is the demo's folded network, from the folder that `make demo` wrote, with its
images.

- ops: of the file; "converter": of TFLiteConverter.from_keras_model with the same settings; "Keras": of model.export(…,
  format="litert"), for float32.
- error: largest |a − b| ÷ largest |a|; signal ÷ noise; top-1: how often both choose the same class.
- ratio: latency ÷ float32's on the same runtime, one thread, in turns, with its 95 % interval.
"""
import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from random_statistics import with_statistics

import tfold
from tfold.loading import load_model, load_report
from tfold.measure import RUNTIMES, available_runtimes, bootstrap_ratio, describe_machine
from tfold.quiet import quiet
from tfold.tflite.contents import read
from tfold.tflite.formats import FORMATS

NETWORKS = ("MobileNetV2", "EfficientNetLite0", "ResNet50", "digits")
IMAGES = 100


def main():
    """Print one table a network as it is measured."""
    chosen = arguments()
    machine = describe_machine()
    print(machine)
    rows = []
    for name in chosen.networks.split(","):
        model, report, images = folded(name, chosen.demo)
        with tempfile.TemporaryDirectory() as folder:
            found = [exported(model, report, images, form, Path(folder)) for form in FORMATS]
            ratios = latencies([row["path"] for row in found], chosen)
        print(f"\n{name}\n{'format':<8} {'bytes':>11} {'ops':>4} {'converter':>9} {'Keras':>5} {'error':>8} "
              f"{'S÷N dB':>7} {'top-1':>7}" + "".join(f"  {runtime:<40}" for runtime in ratios))
        for row in found:
            row |= {"network": name, "latency": {runtime: of[row["path"]] for runtime, of in ratios.items()}}
            times = "".join(f"  {of.get('text', of.get('why')):<40}" for of in row["latency"].values())
            print(f"{row['format']:<8} {row['bytes']:>11,} {row['ops']:>4} {row['converter']:>9} "
                  f"{row['keras'] or '':>5} {row['error']:>8.1e} {row['decibels'] or 999:>7.1f} {row['top1']:>7.1%}"
                  f"{times}", flush=True)
        rows += found
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2, default=str))


def folded(name, demo):
    """The folded network, the fold's report, images."""
    rng = np.random.default_rng(0)
    if name == "digits":
        from tfold.demo import digits

        path = demo / "folded.keras"
        return load_model(path), load_report(path), digits.load().x_train[:IMAGES]
    if name.startswith("EfficientNetLite"):
        from tfold import zoo

        make = getattr(zoo, name)
    else:
        make = getattr(keras.applications, name)
    keras.utils.set_random_seed(0)
    model = with_statistics(make(weights=None, classifier_activation=None))
    high, wide, channels = model.input_shape[1:]
    # Neighbouring pixels of photographs are alike.
    coarse = rng.uniform(0, 1, (IMAGES, high // 16 + 1, wide // 16 + 1, channels))
    images = np.repeat(np.repeat(coarse, 16, 1), 16, 2)[:, :high, :wide].astype("float32")
    takes_pixels = any(isinstance(layer, keras.layers.Rescaling) for layer in model.layers)
    result = tfold.fold(model)
    return result.model, result.report, images * 255 if takes_pixels else images * 2 - 1


def exported(model, report, images, form, folder):
    """A row of the table."""
    path = folder / f"{form}.tflite"
    needed = images if FORMATS[form].needs_samples else None
    sample = images[:32] if needed is None else None
    done = tfold.export(model, path, form, needed, report=report, sample=sample)
    worst = done.comparison.worst
    return {
        "format": form, "path": str(path), "bytes": done.bytes, "ops": len(read(path).ops),
        "converter": plain_ops(model, form, images, folder),
        "keras": keras_ops(model, folder) if form == "float32" else None,
        "error": worst.relative, "decibels": worst.decibels, "top1": worst.top1,
    }


def plain_ops(model, form, images, folder):
    """Ops in the file of TensorFlow's converter, with the same settings."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    samples = lambda: ([image[None]] for image in images[:10])  # noqa: E731
    FORMATS[form].configure(converter, "float32", "float32", samples, False, False)
    path = folder / "plain.tflite"
    with quiet():
        path.write_bytes(converter.convert())
    return len(read(path).ops)


def keras_ops(model, folder):
    path = folder / "keras.tflite"
    with quiet():
        model.export(path, format="litert", verbose=False)
    return len(read(path).ops)


def latencies(paths, chosen):
    """Runtime → path → milliseconds and ratio to the first file, or why there is none."""
    found = {}
    for runtime in (name for name in RUNTIMES if available_runtimes()[name].version):
        found[runtime], able = {}, []
        for path in paths:  # an old runtime need not know every op
            try:
                tfold.bench([path], runtime, blocks=1, runs=1, min_time=0, warmup=0)
                able.append(path)
            except tfold.TfoldError as error:
                found[runtime][path] = {"why": str(error)}
        measured = tfold.bench(able, runtime, blocks=chosen.blocks, runs=3, max_seconds=chosen.seconds).measurements
        for one in measured:
            ratio = bootstrap_ratio(measured[0].values, one.values)
            found[runtime][one.model] = {"ms": one.median_ms, "ratio": ratio.value, "low": ratio.low,
                                         "high": ratio.high, "text": f"{one.median_ms:8.2f} ms  {ratio}"}
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--demo", type=Path, default=Path("demo-output"), help="the folder that make demo wrote")
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=240, help="limit for each network and runtime")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
