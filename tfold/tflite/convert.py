"""Keras model → float32 .tflite: batch 1, TFLite builtins only, parity checked before the file appears."""
import os
import re
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tfold.comparison import difference
from tfold.errors import BadInputError, ParityError, TfoldError, one_line
from tfold.files import check_output, whole
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.graph.family import KERAS, family_of
from tfold.graph.ir import Slot
from tfold.measure.run import run_tflite
from tfold.quiet import quiet
from tfold.sampling import random_input

TOLERANCE = 1e-4
# A float32 file is made of a float32 network: mixed precision is for training, its weights are float32 anyway.
OTHER_FLOATS = ("float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Export:
    """An exported file: `path`, its size in `bytes`, and `parity`, the worst relative difference from Keras."""

    path: Path
    bytes: int
    parity: float

    def to_json(self):
        return {"path": str(self.path), "bytes": self.bytes, "parity": self.parity}


def export(model, path, force=False, sample=None):
    """Convert a Keras model to a float32 `.tflite` file and check it against Keras.

    Args:
        model: a Functional or Sequential Keras model without α-activations (see `tfold.fold`, `tfold.settle`).
        path: where the file appears, whole or not at all. It takes one input at a time (batch 1).
        force: replace an existing file.
        sample: input for the check, batch 1; random numbers if None.

    Returns:
        An `Export`.

    Raises:
        BadInputError: the model cannot be exported; says what stands in the way.
        ParityError: the file computes something else than the model (relative difference above 1e-4).

    Example:

    >>> tfold.export(result.model, "folded.tflite").bytes
    2493216
    """
    check_output(path, ".tflite", force)
    if keras.backend.backend() != "tensorflow" and family_of(model) is KERAS:
        raise BadInputError(
            f"TFLite export runs on Keras' TensorFlow backend. Received: backend {keras.backend.backend()}. "
            "Save the model, and export it with KERAS_BACKEND=tensorflow."
        )
    graph = capture(model)
    left = [node.label for node in graph if node.op == "alpha"]
    if left:
        raise BadInputError(
            f"α-activations are for training. Received: {model.name!r} with {len(left)} of them ({left[0]}, …). "
            "Fold the model first (tfold.fold), or settle them (tfold.settle)."
        )
    single = _built(with_batch_one(graph))
    content = _converted(single)
    with whole(path) as temporary:
        temporary.write_bytes(content)
        parity = _parity(single, temporary, sample)
    return Export(Path(path), len(content), parity)


def with_batch_one(graph):
    """The graph for one input at a time: TFLite then needs no ops that ask for the batch size."""
    open_axes = [name for name in graph.inputs if None in graph[name].shape[1:]]
    if open_axes:
        raise BadInputError(
            f"A .tflite file has a fixed input size. Received: input {open_axes[0]!r} of shape "
            f"{graph[open_axes[0]].shape}. Build the model with keras.Input of the size it will run at."
        )
    for name in graph.inputs:
        node = graph[name]
        node.shapes, node.layer = ((1, *node.shape[1:]),), None
    inputs, outputs = graph.structure
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, (list, tuple)) else ()
    if not all(isinstance(part, Slot) for part in parts):
        # A signature has outputs, not trees of them: one flat list, in the model's order.
        graph.structure = inputs, [Slot(i) for i in range(len(graph.outputs))]
    return graph


def _built(graph):
    try:
        return build(graph, "float32" if any(node.dtype in OTHER_FLOATS for node in graph) else None)
    except TfoldError:
        raise
    except Exception as error:  # a layer that counts on another batch size raises whatever it likes
        raise BadInputError(
            f"A .tflite file takes one input at a time. Received: {graph.name!r}, which cannot be built with batch 1: "
            f"{one_line(error)} Build the model without a batch size."
        ) from error


def _converted(model):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        with quiet():
            return converter.convert()
    except Exception as error:  # the converter raises its own and MLIR's errors
        found = ", ".join(re.findall(r"^(?:TF Select|Flex|Custom) ops: (.*)$", str(error), re.MULTILINE))
        if found:
            raise BadInputError(
                f"The export uses TFLite's builtin ops alone. Received: {model.name!r}, which needs {found}. "
                "Replace the layers these ops come from."
            ) from error
        raise BadInputError(
            f"TFLite must be able to convert the model. Received: {model.name!r}, which it cannot: {one_line(error)} "
            "Export parts of it (keras.Model(inputs, inner tensor)) to find the layer."
        ) from error


def _parity(model, path, sample):
    """The worst relative difference between Keras and the file, over all outputs."""
    sample = random_input(model) if sample is None else sample
    family = family_of(model)
    names = [tensor.name for tensor in family.flatten(model.input)]
    try:
        inputs = {name: np.asarray(x) for name, x in zip(names, family.flatten(sample), strict=True)}
        expected = model(sample, training=False)
    except Exception as error:  # whatever Keras makes of input that does not fit
        raise BadInputError(
            f"The export is checked by running the network. Received: {model.name!r}, which fails: {one_line(error)} "
            "Pass sample=, an input it accepts."
        ) from error
    received = run_tflite(path, inputs)
    # TFLite names the outputs by their keys, or output_0, output_1… where the model gives no dict; those of a tf_keras
    # model as the model does.
    keys = sorted(expected) if isinstance(expected, dict) and set(expected) == set(received) else [
        f"output_{i}" for i in range(len(received))] if family is KERAS else model.output_names
    worst = 0.0
    for name, key, tensor in zip(model.output_names, keys, family.flatten(expected), strict=True):
        array = np.asarray(keras.ops.convert_to_numpy(tensor))
        if not np.isfinite(array).all():
            raise BadInputError(
                f"The export is checked by comparing numbers. Received: {model.name!r}, which gives NaN or infinity at "
                f"output {name}. Pass sample=, an input it is made for."
            )
        found = difference(f"output {name}", array, received[key])
        if not found.relative <= TOLERANCE:
            raise ParityError(
                f"The .tflite file must compute what Keras computes (tolerance {TOLERANCE:.0e}). Received: {found}. "
                "No file was written."
            )
        worst = max(worst, found.relative)
    return worst
