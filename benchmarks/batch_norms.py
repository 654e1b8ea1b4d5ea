"""What becomes of the batch norms of keras.applications: tfold, the plain TFLite converter, and two peers.

    python benchmarks/batch_norms.py [--models ResNet50V2,DenseNet121] [--signs random] [--latency] [--json norms.json]

Each network has random weights (seed 0), its default input size, no softmax at its end (it would hide errors), and
statistics that leave real work: γ in 0.5 to 1.5 (`--signs random`: of either sign), β, mean and variance random.

- left: batch norms of the folded network. can go: `report.largest_fold`, "a to b" where the bound is not met.
- left by TFLite: what the converter leaves of the original. A batch norm counts if the file multiplies by its scale
  γ/√(variance + ε) or adds its shift β − mean·scale. These vectors are random, so they are its own; a residual
  addition has no constant, and preprocessing has other numbers. "≥": the file has constants a channel that are neither
  a batch norm's nor a Normalization layer's, so there may be more.
- ops: operators in the .tflite file (`tfold.export`: float32, batch 1) of the original and of the folded network.
- error: max |a − b| ÷ max |a| of the two Keras models on one random batch.
- fold s: seconds of `tfold.fold`, checking included, the first in its process.
- the peers: how many batch norms they leave; "wrong" with an error above 1e-3.

Peers fold Keras 2 models: each gets the network as one, which tfold makes with the package tf_keras; where that cannot
be (InceptionResNetV2 has a layer of its own), Keras 2's own network with the same weights. Either way the peer's input
must compute what the original does. BaN-OFF is the package of the authors of arXiv 2203.14646
(tensorflow-batchnorm-folding, with scikit-network), with its defaults. MCT is Sony's model_compression_toolkit: the
float network after the graph preparation that precedes quantization. It needs TensorFlow 2.15, hence an environment
without tfold, whose interpreter `--peer-python` names.

`--latency` adds folded ÷ plain of the two .tflite files (`tfold.bench`: LiteRT, one thread, measured in turns).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from random_statistics import with_statistics

# tfold and Keras are imported where they are used: a peer's environment has neither.
MODELS = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "ResNet50", "EfficientNetB0",
          "EfficientNetV2B0", "InceptionV3", "InceptionResNetV2", "Xception", "NASNetMobile", "ResNet50V2",
          "DenseNet121")
LATENCY = "ResNet50V2", "DenseNet121", "NASNetMobile", "EfficientNetB0", "MobileNetV3Small", "MobileNetV3Large"
PEERS = {"BaN-OFF": "batch_normalization_folding", "MCT": "model_compression_toolkit"}
WRONG = 1e-3
COLUMNS = ("model", "batch norms", "left", "can go", "left by TFLite", "ops plain", "ops folded", "error", "fold s",
           *PEERS)


def network(name, signs):
    """The network with batch norms, and adapted preprocessing, as training might leave them."""
    import keras

    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, classifier_activation=None)
    if None in model.input_shape[1:]:
        model = make(weights=None, classifier_activation=None, input_shape=(224, 224, 3))
    return with_statistics(model, signs)


def batch(model):
    """Two random images: 0 to 255 for a network with preprocessing, else -1 to 1."""
    is_raw = any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers)
    low, high = (0, 255) if is_raw else (-1, 1)
    return np.random.default_rng(1).uniform(low, high, (2, *model.input_shape[1:])).astype("float32")


def relative(a, b):
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(a).max())


def measure(name, signs, folder):
    """One network's row, as a dict; the folder gets the .tflite files and what the peers need."""
    import tfold

    model = network(name, signs)
    x = batch(model)
    y = np.asarray(model(x, training=False))
    start = time.perf_counter()
    result = tfold.fold(model)
    seconds = time.perf_counter() - start
    tfold.export(model, folder / "plain.tflite")
    tfold.export(result.model, folder / "folded.tflite")
    plain, folded = operators(folder / "plain.tflite"), operators(folder / "folded.tflite")
    left, unexplained = left_in(plain, model)
    write_twin(name, model, folder, x, y)
    report, largest = result.report, result.report.largest_fold
    return {
        "model": name, "batch_norms": report.before.batch_norms, "left": report.after.batch_norms,
        "can_go": largest.largest, "at_most": largest.at_most, "is_proved": largest.is_proved, "why": str(largest),
        "left_by_tflite": left, "unexplained": unexplained,
        "ops_plain": Counter(kind for kind, _ in plain), "ops_folded": Counter(kind for kind, _ in folded),
        "error": relative(y, result.model(x, training=False)), "seconds": seconds,
    }


def operators(path):
    """`(kind, float32 constants that it reads)` of each operator of a .tflite file's main subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    file = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph, found = file.subgraphs[0], []
    for op in graph.operators:
        code = file.operatorCodes[op.opcodeIndex]
        read = [graph.tensors[i] for i in op.inputs if i >= 0 and graph.tensors[i].type == schema.TensorType.FLOAT32]
        data = [file.buffers[tensor.buffer].data for tensor in read]
        constants = [np.asarray(each).view("f") for each in data if each is not None and len(each)]
        found.append((kinds[max(code.builtinCode, code.deprecatedBuiltinCode)], constants))
    return found


def left_in(ops, model):
    """How many batch norms have their scale or shift in the file, and how many constants a channel are nobody's."""
    import keras

    norms, preprocessing = {}, []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale = np.asarray(layer.gamma if layer.scale else 1) / np.sqrt(layer.moving_variance + layer.epsilon)
            norms[layer.name] = scale, (np.asarray(layer.beta) if layer.center else 0) - layer.moving_mean * scale
        elif isinstance(layer, keras.layers.Normalization):
            preprocessing += [np.ravel(layer.mean), 1 / np.sqrt(np.ravel(layer.variance))]
    left, unexplained = set(), 0
    for found in (constants[0] for kind, constants in ops if kind in ("MUL", "ADD", "SUB", "DIV") and constants):
        owners = {name for name, vectors in norms.items() if is_among(found, vectors)}
        left |= owners
        unexplained += found.size > 1 and not owners and not is_among(found, preprocessing)
    return len(left), unexplained


def is_among(a, vectors):
    return any(a.size == np.size(b) and np.allclose(a, b, rtol=1e-4, atol=1e-6) for b in vectors)


def write_twin(name, model, folder, x, y):
    """Write the network as a Keras 2 model, in a form that any Keras 2 reads, and a sample of what it computes."""
    from tfold.errors import BadInputError
    from tfold.graph.build import build
    from tfold.graph.capture import capture

    try:
        twin = build(capture(model), family="tf_keras")
        text = twin.to_json().replace(', "optional": false', "")  # older versions of Keras 2 do not know this
    except BadInputError:
        twin, text = model, ""
    (folder / "twin.json").write_text(text or json.dumps({"application": name}))
    np.savez(folder / "twin.npz", x, y, *twin.get_weights())


def measure_peer(peer, folder):
    """How many batch norms a peer leaves, and its error."""
    if find_spec("tf_keras"):
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf

    text = (folder / "twin.json").read_text()
    name = json.loads(text).get("application")
    model = getattr(tf.keras.applications, name)(weights=None, classifier_activation=None) if name else (
        tf.keras.models.model_from_json(text))
    with np.load(folder / "twin.npz") as kept:
        x, y, *weights = (kept[key] for key in kept.files)
    model.set_weights(weights)
    given = relative(y, model(x, training=False))
    if not given <= WRONG:
        raise ValueError(f"the Keras 2 model that it is given has an error of {given:.1e}")
    start = time.perf_counter()
    folded = {"BaN-OFF": ban_off, "MCT": mct}[peer](model)
    seconds = time.perf_counter() - start
    outputs = folded(x, training=False)
    left = sum(isinstance(layer, tf.keras.layers.BatchNormalization) for layer in folded.layers)
    return {"left": left, "seconds": seconds,
            "error": relative(y, outputs[0] if isinstance(outputs, (list, tuple)) else outputs)}


def ban_off(model):
    from batch_normalization_folding.folder import fold_batchnormalization_layers

    return fold_batchnormalization_layers(model)[0]


def mct(model):
    from model_compression_toolkit import get_target_platform_capabilities
    from model_compression_toolkit.core import QuantizationConfig
    from model_compression_toolkit.core.common.model_builder_mode import ModelBuilderMode
    from model_compression_toolkit.core.graph_prep_runner import graph_preparation_runner
    from model_compression_toolkit.core.keras.default_framework_info import DEFAULT_KERAS_INFO
    from model_compression_toolkit.core.keras.keras_implementation import KerasImplementation
    from model_compression_toolkit.target_platform_capabilities.targetplatform2framework import attach2keras

    keras2 = KerasImplementation()
    target = attach2keras.AttachTpcToKeras().attach(get_target_platform_capabilities())
    graph = graph_preparation_runner(model, None, QuantizationConfig(), DEFAULT_KERAS_INFO, keras2, target)
    return keras2.model_builder(graph, mode=ModelBuilderMode.FLOAT)[0]


def attempt(step):
    """What a step returns, or why it failed."""
    try:
        return step()
    except (Exception, SystemExit) as error:
        return {"fails": f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"}


def in_a_process(python, seconds, *options):
    command = [python, __file__, *map(str, options)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"fails": f"no answer within {seconds} s"}
    if done.returncode:
        return {"fails": f"exit code {done.returncode}: {done.stderr[-300:]}"}
    return json.loads(done.stdout.splitlines()[-1])


def is_installed(python, module):
    code = "import sys; from importlib.util import find_spec; sys.exit(find_spec(sys.argv[1]) is None)"
    return subprocess.run([python, "-c", code, module]).returncode == 0


def cells(row):
    """A row of the first table."""
    if "fails" in row:
        return row["model"], told(row)
    return (
        row["model"], row["batch_norms"], row["left"],
        row["can_go"] if row["is_proved"] else f"{row['can_go']} to {row['at_most']}",
        f"{'≥ ' if row['unexplained'] else ''}{row['left_by_tflite']}",
        sum(row["ops_plain"].values()), sum(row["ops_folded"].values()), f"{row['error']:.1e}", f"{row['seconds']:.1f}",
        *(told(found) if found else "not installed" for found in row["peers"].values()))


def told(found):
    """What a peer left, or why something failed."""
    if "fails" in found:
        return "fails: " + " ".join(found["fails"].replace("|", "/").split())
    return str(found["left"]) if found["error"] <= WRONG else f"{found['left']}, wrong: {found['error']:.1e}"


def line(values):
    return f"| {' | '.join(map(str, values))} |"


def row_of(name, arguments, peers):
    """Everything about one network, each part in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        within = "--folder", folder, "--within"
        row = in_a_process(sys.executable, None, "--models", name, "--signs", arguments.signs, *within, "tfold")
        if "fails" in row:
            return {"model": name, **row}
        row["peers"] = {
            peer: there and in_a_process(arguments.peer_python, arguments.peer_seconds, *within, peer)
            for peer, there in peers.items()}
        if name in arguments.latency:
            row["latency"] = attempt(lambda: latency(Path(folder), arguments.blocks))
        return row


def latency(folder, blocks):
    import tfold

    measured = tfold.bench([folder / "plain.tflite", folder / "folded.tflite"], blocks=blocks)
    plain, folded = (each.median_ms for each in measured.measurements)
    return {"plain_ms": plain, "folded_ms": folded, "ratio": measured.ratio.to_json(), "text": str(measured.ratio)}


def compare(arguments):
    """Print the tables; return the rows."""
    peers = {peer: is_installed(arguments.peer_python, module) for peer, module in PEERS.items()}
    rows = []
    print(line(COLUMNS), line("---" for _ in COLUMNS), sep="\n", flush=True)
    for name in arguments.models:
        rows.append(row_of(name, arguments, peers))
        print(line(cells(rows[-1])), flush=True)
    worst = max((row for row in rows if "error" in row), key=lambda row: row["error"], default=None)
    print(f"\nworst error: {worst['error']:.1e} ({worst['model']})" if worst else "\nall failed")
    timed = [(row["model"], row["latency"]) for row in rows if "latency" in row]
    if timed:
        print("\n| model | plain ms | folded ms | folded ÷ plain |\n|---|---|---|---|")
    for name, found in timed:
        print(line((name, told(found)) if "fails" in found else (
            name, f"{found['plain_ms']:.2f}", f"{found['folded_ms']:.2f}", found["text"])))
    return rows


def known_names(text):
    """A list of networks, all of which keras.applications has."""
    from keras import applications

    known = [name for name in dir(applications) if callable(getattr(applications, name))]
    for name in text.split(","):
        if name not in known:
            raise argparse.ArgumentTypeError(f"keras.applications has no model {name!r}. It has: {', '.join(known)}")
    return text.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=known_names, default=MODELS, help=",".join(MODELS))
    parser.add_argument("--signs", choices=("positive", "random"), default="positive", help="of γ")
    parser.add_argument("--latency", type=known_names, nargs="?", const=LATENCY, default=(), help=",".join(LATENCY))
    parser.add_argument("--blocks", type=int, default=20, help="of each file, for --latency")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--peer-seconds", type=int, default=900, help="how long a peer may take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--within", choices=("tfold", *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.within:
        found = attempt(lambda: measure(arguments.models[0], arguments.signs, arguments.folder)
                        if arguments.within == "tfold" else measure_peer(arguments.within, arguments.folder))
        print("\n" + json.dumps(found))
        return
    rows = compare(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))
    sys.exit(any("fails" in row for row in rows))


if __name__ == "__main__":
    main()
