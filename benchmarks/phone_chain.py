"""The way to a phone, without a phone: does the ratio that comes over adb agree with the host's own?

    python benchmarks/phone_chain.py base.tflite folded.tflite [--blocks 20]

The real adb client talks to the tests' small daemon on loopback, and in place of benchmark_model runs a program that
prints as it does, but whose inferences are LiteRT's on this computer. Everything between `tfold bench --android` and
the processor is then real: pushing, running, parsing, gating, the rounds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mobile_bench import Settings, bench_phones
from mobile_bench.adb import find_adb
from mobile_bench.flags import Options
from tfold.measure import bench
from tfold.measure.table import table

TESTS = Path(__file__).parents[1] / "tests" / "mobile_bench"
INFERENCES = '''
def series(latency, runs, least, most, noise, loaded={}):
    """Real inferences, in whole microseconds as the tool tells them."""
    import time

    import numpy
    from ai_edge_litert.interpreter import Interpreter

    if not loaded:
        given = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
        loaded["it"] = interpreter = Interpreter(given["graph"], num_threads=int(given["num_threads"]))
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            shape = [abs(size) for size in detail["shape"]]
            values = numpy.random.default_rng(0).uniform(-0.5, 0.5, shape)
            interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    samples, begin = [], time.perf_counter()
    while len(samples) < runs or time.perf_counter() - begin < least:
        start = time.perf_counter_ns()
        loaded["it"].invoke()
        samples.append(max(1, (time.perf_counter_ns() - start) // 1000))
    return samples


main()
'''


def tool(folder):
    """The program in place of benchmark_model."""
    text = (TESTS / "stand_in_benchmark_model.py").read_text()
    assert text.endswith("\nmain()\n")
    path = folder / "benchmark_model"
    path.write_text(f"#!{sys.executable}\n{text.removesuffix('main()' + chr(10))}{INFERENCES}")
    return str(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs=2, type=Path)
    parser.add_argument("--blocks", type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "phone").mkdir()
        os.environ |= {"ANDROID_ADB_SERVER_PORT": "5151", "HOME": name, "ADB_USB": "0", "ADB_EMU": "0", "ADB_MDNS": "0"}
        daemon = subprocess.Popen([sys.executable, TESTS / "adb_daemon.py", folder / "phone"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        serial = f"127.0.0.1:{daemon.stdout.readline().strip()}"
        try:
            subprocess.run([find_adb(), "connect", serial], check=True, capture_output=True)
            # As long blocks as on the host, so that both see the machine alike.
            settings = Settings(binary=tool(folder), folder=str(folder / "phone"), options=Options(affinity="none"))
            over_adb = bench_phones(chosen.models, [serial], settings=settings, blocks=chosen.blocks)
            here = bench(chosen.models, blocks=chosen.blocks, runs=50, min_time=0.5, warmup=0.5, max_seconds=900)
        finally:
            daemon.stdin.close()
            subprocess.run([find_adb(), "kill-server"], capture_output=True)
    for line in [*table(over_adb), *table(here)]:
        print(line)


if __name__ == "__main__":
    main()
