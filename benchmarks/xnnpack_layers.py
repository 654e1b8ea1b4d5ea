"""Time single layers on XNNPACK and fit the constants of `tfold/passes/cost.py`.

    python benchmarks/xnnpack_layers.py [--json layers.json]

Each layer is a .tflite file of its own, float32, batch 1, one thread, with shapes as MobileNetV2's. The fit is
t = a + MACs ÷ r(kind) + output elements ÷ e, by least squares on relative errors.
"""
import argparse
import json
import os
import tempfile
from math import prod
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tfold
from tfold.measure import bench

L = keras.layers
SHAPES = [
    *((56, 24, 144), (28, 32, 192), (14, 64, 384), (14, 96, 576), (7, 160, 960), (112, 16, 96)),
]


def layers():
    """(kind, size, channels, layer) of every case."""
    for size, narrow, wide in SHAPES:
        yield "full", size, narrow, L.Conv2D(wide, 1)
        yield "full", size, wide, L.Conv2D(narrow, 1)
        yield "full", size, narrow, L.Conv2D(narrow, 3, padding="same")
        yield "full", size, narrow, L.Conv2D(narrow * 2, 3, padding="same", strides=2)
        yield "depthwise", size, wide, L.DepthwiseConv2D(3, padding="same")
        yield "depthwise", size, wide, L.DepthwiseConv2D(3, padding="same", strides=2)
        yield "grouped", size, wide, L.Conv2D(wide, 3, padding="same", groups=8)
        yield "add", size, narrow, None


def case(kind, size, channels, layer):
    x = keras.Input((size, size, channels), batch_size=1)
    y = layer(x) if layer is not None else L.Add()([x, x])
    model = keras.Model(x, y)
    elements = prod(y.shape[1:])
    macs = 0 if layer is None else prod(y.shape[1:3]) * int(np.prod(layer.kernel.shape))
    return model, macs, elements


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, size, channels, layer) in enumerate(layers()):
            model, macs, elements = case(kind, size, channels, layer)
            path = Path(folder) / f"{number}.tflite"
            tfold.export(model, path)
            blocks = bench([path], blocks=5, min_time=0.03, warmup=0.03).measurements[0].blocks
            us = 1000 * min(block.value_ms for block in blocks)
            name = "add" if layer is None else f"{layer.kernel_size[0]}×{layer.kernel_size[0]} /{layer.strides[0]}"
            rows.append({"kind": kind, "size": size, "channels": channels, "layer": name, "macs": macs,
                         "elements": elements, "us": us})
            print(f"{kind:<10} {name:<8} {size:>4}² × {channels:<4} {macs / 1e6:8.2f} MMAC {us:9.1f} µs "
                  f"{macs / us / 1000:6.1f} GMAC/s", flush=True)
    fit(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


def fit(rows):
    kinds = ["full", "depthwise", "grouped"]
    a = np.array([[1.0, r["elements"], *(r["macs"] * (r["kind"] == kind) for kind in kinds)] for r in rows])
    us = np.array([r["us"] for r in rows])
    scale = a.max(axis=0)
    # Non-negative least squares on relative errors, by projected coordinate descent: five unknowns.
    m = a / scale / us[:, None]
    x = np.zeros(m.shape[1])
    for _ in range(20_000):
        for j in range(len(x)):
            rest = 1 - m @ x + m[:, j] * x[j]
            x[j] = max(0.0, rest @ m[:, j] / (m[:, j] @ m[:, j]))
    x = x / scale
    print(f"per layer {x[0]:.2f} µs; elements per µs {1 / x[1] if x[1] else np.inf:.0f}; MACs per µs: "
          + ", ".join(f"{kind} {1 / value if value else np.inf:.0f}" for kind, value in zip(kinds, x[2:], strict=True)))
    error = a @ x / us - 1
    print(f"relative error of the fit: median {np.median(np.abs(error)):.0%}, worst {np.abs(error).max():.0%}")


if __name__ == "__main__":
    main()
