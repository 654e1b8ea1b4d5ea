"""Latencies of .tflite files on this machine, measured so that two models can be compared.

    from tfold.measure import bench, run_tflite

    result = bench(["base.tflite", "folded.tflite"], runtime="all", threads=[1, 2])
    for measurement in result.measurements:
        print(measurement.model, measurement.runtime, measurement.threads, measurement.median_ms)
    print(result.ratio)                     # 0.712 [0.705, 0.720]: folded takes 71 % of base's time

    run_tflite("folded.tflite", [images])["output_0"]
    for found in run_tensors("folded.tflite", images):
        found[7]                            # tensor 7 of one image

Runtimes run in worker processes of their own; nothing here imports one, or TensorFlow, into the caller's process.
"""

from tfold.measure.block import Block
from tfold.measure.compare import bench
from tfold.measure.host import Worker
from tfold.measure.machine import describe_machine
from tfold.measure.measurement import Measurement
from tfold.measure.result import BenchResult, Comparison
from tfold.measure.run import run_tflite
from tfold.measure.runtimes import RUNTIMES, available_runtimes, resolve
from tfold.measure.statistics import Ratio, bootstrap_ratio
from tfold.measure.tensors import run_tensors
from tfold.measure.tflite_file import check_tflite

__all__ = [
    "RUNTIMES",
    "BenchResult",
    "Block",
    "Comparison",
    "Measurement",
    "Ratio",
    "Worker",
    "available_runtimes",
    "bench",
    "bootstrap_ratio",
    "check_tflite",
    "describe_machine",
    "resolve",
    "run_tensors",
    "run_tflite",
]
