"""Time tfold.fold on whole networks, beside what Keras alone takes to make one.

    python benchmarks/fold_speed.py [--models MobileNetV2,DenseNet121] [--repeat 5] [--json fold_speed.json]

Each network has its own default input size, random weights and batch norm statistics, and a process of its own. After
a warm-up the four steps are timed in turns. `from_config` is the floor: Keras makes the network anew from its
configuration, with nothing read and nothing folded.
"""
import argparse
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from random_statistics import with_statistics

import tfold
from tfold.graph.capture import capture

MODELS = ("MobileNetV2", "DenseNet121", "ResNet50", "EfficientNetB0", "InceptionV3", "InceptionResNetV2",
          "NASNetMobile")
COLUMNS = "fold", "verified", "verified ÷ fold", "from_config", "capture"


def network(name):
    """The network with batch norms as training leaves them, and mild enough for float32 over many layers."""
    return with_statistics(getattr(keras.applications, name)(weights=None), "random", shift=0.1)


def seconds(step):
    gc.collect()  # nobody pays for another step's garbage
    start = time.perf_counter()
    result = step()
    return time.perf_counter() - start, result


def measure(name, repeat):
    """Seconds of each step in each round, as a dict."""
    model = network(name)
    steps = {
        "fold": lambda: tfold.fold(model, verify=False),
        "verified": lambda: tfold.fold(model, verify=True),
        "from_config": lambda: type(model).from_config(model.get_config()),
        "capture": lambda: capture(model),
    }
    _, result = [seconds(step)[1] for step in steps.values()][:2]
    rounds = [{step: seconds(run)[0] for step, run in _turned(steps, i)} for i in range(repeat)]
    return {
        "model": name,
        "layers": len(model.layers),
        "seconds": {step: [each[step] for each in rounds] for step in steps},
        "float64": result.report.verification.rounding is not None,
    }


def _turned(steps, i):
    """The steps beginning with another one each round."""
    items = list(steps.items())
    return items[i % len(items):] + items[:i % len(items)]


def in_a_process(name, repeat):
    command = [sys.executable, __file__, "--models", name, "--repeat", str(repeat), "--within"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(result):
    """Medians, each with the least and the most; the ratio is taken round by round."""
    times = {step: np.array(values) for step, values in result["seconds"].items()}
    times["verified ÷ fold"] = times["verified"] / times["fold"]
    texts = [f"{np.median(times[c]):.2f} [{times[c].min():.2f}, {times[c].max():.2f}]" for c in COLUMNS]
    return line(result["model"], texts) + ("  compared in float64" if result["float64"] else "")


def line(name, texts):
    return f"{name:<18}" + "".join(f"{text:>21}" for text in texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=lambda text: text.split(","), default=MODELS, help=",".join(MODELS))
    parser.add_argument("--repeat", type=int, default=5, help="rounds after the warm-up")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        print(json.dumps(measure(arguments.models[0], arguments.repeat)))
        return
    print(f"seconds: median of {arguments.repeat} [least, most]\n{line('', COLUMNS)}")
    results = []
    for name in arguments.models:
        results.append(in_a_process(name, arguments.repeat))
        print(row(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
