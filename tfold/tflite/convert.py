"""Keras model → .tflite in any number format: fixed batch, builtin ops, Keras' names, checked before the file appears.

    model ─ capture ─▶ graph ─ trace ─▶ function ─ converter ─▶ bytes ─ annotate ─▶ bytes ─ parity ─▶ file
"""
import gc
import inspect
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from tfold.checks import check_settled
from tfold.errors import BadInputError, TfoldError, one_line
from tfold.files import check_output, whole
from tfold.graph.call import inference_arguments
from tfold.graph.capture import capture
from tfold.graph.family import KERAS, family_of
from tfold.graph.ir import Slot
from tfold.graph.tfmot import is_quantize_aware
from tfold.measure import check_tflite
from tfold.passes.precision import tame_constant_channels
from tfold.sampling import model_input
from tfold.tflite.about import about, called
from tfold.tflite.annotate import annotate
from tfold.tflite.contents import read
from tfold.tflite.converter import converted
from tfold.tflite.formats import check_type, format_named
from tfold.tflite.model_samples import compared_inputs, representative_samples
from tfold.tflite.parity import parity
from tfold.tflite.parity_result import Parity
from tfold.tflite.qat_trace import concrete
from tfold.tflite.summary import quantization
from tfold.tflite.trace import trace, trace_floats

LARGE = 2**26  # bytes of a file from which on memory is given back before the check
# A file is made of a float32 network: mixed precision is for training, its weights are float32 anyway.
OTHER_FLOATS = ("float16", "bfloat16", "float64")


@dataclass(frozen=True)
class Export:
    """An exported file.

    Args:
        path: the file.
        bytes: its size.
        format: its number format.
        comparison: with Keras, a `Parity`; None for a file with TensorFlow's ops, which no host runtime has.
        warnings: sentences about the representative data, and outputs that the format cannot tell apart.
    """

    path: Path
    bytes: int
    format: str
    comparison: Parity | None
    warnings: tuple = ()

    @property
    def parity(self):
        """The worst relative difference from Keras, over all outputs; None where it was not compared."""
        return None if self.comparison is None else self.comparison.worst.relative

    def to_json(self):
        return {"path": str(self.path), "bytes": self.bytes, "format": self.format, "parity": self.parity,
                "comparison": self.comparison and self.comparison.to_json(), "warnings": list(self.warnings)}


def export(
    model, path, quantize=None, representative_dataset=None, *, samples=None, scale=None, resize="stretch",
    input_type=None, output_type=None, batch=1, float_fallback=False, select_tf_ops=False, report=None, sample=None,
    tolerance=None, force=False,
):
    """Convert a Keras model to a `.tflite` file and check it against Keras.

    Args:
        model: a Functional or Sequential Keras model without α-activations (see `tfold.fold`, `tfold.settle`), or a
            trained one of `tfold.quantize_aware`, which knows its ranges.
        path: where the file appears, whole or not at all.
        quantize: "float32" (None), "float16", "dynamic" (int8 weights), "int8" (integers from end to end) or "int16"
            (int16 between layers, int8 weights).
        representative_dataset: what the ranges of an int8 or int16 file are measured on: a `.npz` or `.npy` file, a
            folder of images, arrays, a callable, or `Samples`; see `tfold.representative_samples`. The check uses it as
            well.
        samples, scale, resize: how to read it, see `tfold.representative_samples`.
        input_type, output_type: "float32", "int8" or "uint8" for int8 files, "float32" or "int16" for int16 files. By
            default floats, and whole numbers where the model takes such: its uint8 pixels are what an int8 file takes.
            (An int16 file takes floats, whole numbers that are looked up apart.)
        batch: how many inputs the file takes at a time.
        float_fallback: let ops of an int8 or int16 file that have no integer form compute in floats.
        select_tf_ops: allow ops of TensorFlow, which need the Flex delegate where the file runs. A file that has some
            is not compared with Keras, and a warning says so.
        report: the fold's `Report`, or its JSON: its digest goes into the file's metadata, merged layers are called
            "a+b" in the file, and whether the network takes pixels is known where its scaling is folded.
        sample: input for the check; representative data, or random numbers, if None.
        tolerance: allowed relative difference of the outputs; None: 1e-4 for float32, 1e-2 for float16, 0.1 for int16,
            0.5 for int8 and dynamic.
        force: replace an existing file.

    Returns:
        An `Export`.

    Raises:
        BadInputError: the model cannot be exported, or the data cannot be used; says what stands in the way.
        ParityError: the file computes something else than the model. No file is written.

    Example:

    >>> tfold.export(result.model, "folded.tflite").bytes
    2493216
    >>> tfold.export(result.model, "int8.tflite", "int8", "photos/", scale=(-1, 1)).comparison.worst.top1
    0.984375
    """
    check_output(path, ".tflite", force)
    format = format_named(quantize)
    types = check_type(format, "input_type", input_type), check_type(format, "output_type", output_type)
    _check_batch(batch)
    if keras.backend.backend() != "tensorflow" and family_of(model) is KERAS:
        raise BadInputError(
            f"TFLite export runs on Keras' TensorFlow backend. Received: backend {keras.backend.backend()}. "
            "Save the model, and export it with KERAS_BACKEND=tensorflow."
        )
    has_ranges = is_quantize_aware(model)
    data = _samples(model, format, representative_dataset, samples, scale, resize, has_ranges, report)
    traced, reference, said = _traced_quantize_aware(model, format, batch) if has_ranges else _traced(
        model, batch, _taken_as_floats(format, input_type))
    feed = None if has_ranges or data is None else partial(_fed, data, batch, traced.as_floats)
    content = converted(traced, format, *types, feed, float_fallback, select_tf_ops, as_bytes=input_type is None)
    content = annotate(content, traced, about(model, format, report, data), called(report))
    traced = None
    if len(content) > LARGE:  # what was traced holds the weights twice, and itself in a circle
        gc.collect()
    inputs, source = compared_inputs(model, sample, data, batch)
    with whole(path) as temporary:
        temporary.write_bytes(content)
        tolerance = format.tolerance if tolerance is None else tolerance
        labels = data.labels[: len(inputs[0])] if data and data.labels is not None and sample is None else None
        warnings, foreign = [*(data.warnings if data else ()), *said], check_tflite(temporary).custom_ops
        warnings += _float_ops(model, format, temporary, float_fallback)
        if format.name == "dynamic" and quantization(read(temporary)).format != "dynamic":
            warnings.append(
                "Nothing was quantised: the converter leaves kernels of fewer than 1024 numbers as they are.")
        if foreign:
            found = None
            warnings.append(f"The file was not compared with Keras: it has {', '.join(foreign)}, and no runtime on "
                            "this machine has the Flex delegate.")
        else:
            found = parity(reference, temporary, inputs, tolerance, source, labels)
            found.check(f"The {format.name} file", "No file was written. ")
            warnings += found.warnings
    return Export(Path(path), len(content), format.name, found, tuple(warnings))


def with_batch(graph, batch=1):
    """The graph for `batch` inputs at a time: TFLite then needs no ops that ask for the batch size."""
    open_axes = [name for name in graph.inputs if None in graph[name].shape[1:]]
    if open_axes:
        raise BadInputError(
            f"A .tflite file has a fixed input size. Received: input {open_axes[0]!r} of shape "
            f"{graph[open_axes[0]].shape}. Build the model with keras.Input of the size it will run at."
        )
    for name in graph.inputs:
        node = graph[name]
        node.shapes, node.layer = ((batch, *node.shape[1:]),), None
    inputs, outputs = graph.structure
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, (list, tuple)) else ()
    if not all(isinstance(part, Slot) for part in parts):
        # A signature has outputs, not trees of them: one flat list, in the model's order.
        graph.structure = inputs, [Slot(i) for i in range(len(graph.outputs))]
    return graph


def _check_batch(batch):
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise BadInputError(f"batch is a whole number from 1 on. Received: batch={batch!r}. Most phones run batch=1.")


def _samples(model, format, source, samples, scale, resize, has_ranges, report):
    if source is not None:
        calibrates = format.needs_samples and not has_ranges
        return representative_samples(model, source, samples, scale, resize, calibrates=calibrates, report=report)
    if format.needs_samples and not has_ranges:
        raise BadInputError(
            f"The ranges of an {format.name} file are measured on real inputs. Received: no representative data. Pass "
            "100 or more inputs: representative_dataset= (--representative), a .npz, a .npy or a folder of images."
        )
    return None


def _taken_as_floats(format, input_type):
    """Function from an input's type in the model to whether the file is to quantize it, and not to cast it first."""
    if not format.needs_samples:
        return None
    if input_type is None and format.name == "int8":  # as the model takes them: bytes are such integers already
        return lambda dtype: dtype == "uint8"
    return lambda dtype: True  # no quantizer of int16 knows a cast


def _fed(data, batch, as_floats):
    """Batches in the types that the traced function takes."""
    for arrays in data.full_batches(batch):
        yield [array.astype("float32") if number in as_floats else array for number, array in enumerate(arrays)]


def _traced(model, batch, taken_as_floats=None):
    """The `Trace`, the model that the file is compared with (of mixed precision, its float32 twin), and warnings."""
    graph = capture(model)
    check_settled(graph, "A .tflite file is made of")
    with_batch(graph, batch)
    if taken_as_floats is not None:  # for integers
        tame_constant_channels(graph)
    is_mixed = any(node.dtype in OTHER_FLOATS for node in graph)
    try:
        dtype = "float32" if is_mixed else None
        traced = trace(graph, dtype)
        if taken_as_floats is not None:
            traced = trace_floats(graph, dtype, traced, taken_as_floats)
    except TfoldError:
        raise
    except Exception as error:  # a layer that counts on another batch size raises whatever it likes
        raise BadInputError(_why_untraceable(model, graph, batch, error)) from error
    return traced, traced.model if is_mixed else model, _trained_alone(graph)


def _trained_alone(graph):
    """A sentence about layers of Keras 3 that are called with training=True, which holds in no predict()."""
    layers = [node.label for node in graph
              if node.call is not None and node.call[1].get("training") is True and not node.step
              and inference_arguments(node.layer, node.call[1]) != node.call[1] and not _trains_by_default(node.layer)]
    if not layers:
        return []
    return [f"The file computes what model.predict() does, which sets training=True aside: {', '.join(layers)} "
            f"{'does' if len(layers) == 1 else 'do'} what {'it does' if len(layers) == 1 else 'they do'} at inference."]


def _trains_by_default(layer):
    """Whether training=True is the default of a layer's call, as it is where images are augmented."""
    default = inspect.signature(type(layer).call).parameters.get("training")
    return default is not None and default.default is True


def _why_untraceable(model, graph, batch, error):
    """A sentence about a layer that fails where the network is built anew, for as many inputs as the file takes."""
    layer = getattr(error, "layer", None)
    where = f"whose layer {layer!r} fails" if layer else "which fails"
    sizes = {tensor.shape[0] for tensor in family_of(model).flatten(model_input(model))} - {None, batch}
    if sizes:
        takes = "one input at a time" if batch == 1 else f"{batch} inputs at a time"
        return (
            f"The .tflite file takes {takes}. Received: {graph.name!r}, {where} with batch {batch}: {one_line(error)} "
            f"Build the model without a batch size, or export it for its own: batch={max(sizes)} (--batch).")
    return (
        f"A .tflite file is made of a network that TensorFlow can trace for inputs of a fixed size. Received: "
        f"{graph.name!r}, {where} for {batch} at a time: {one_line(error)} Write the layer without Python that depends "
        "on what the tensors hold, and so that any batch size will do.")


def _traced_quantize_aware(model, format, batch):
    """The same for a model that has learnt its ranges."""
    if format.name != "int8":
        raise BadInputError(
            f"A quantisation-aware model becomes an int8 file. Received: {model.name!r}, and quantize={format.name!r}. "
            "Use quantize='int8' (--quantize int8), or export the network that it was made of."
        )
    return concrete(model, batch), model, []


def _float_ops(model, format, path, float_fallback):
    """A sentence about the ops of an int8 or int16 file that compute in floats; an error where none may."""
    found = quantization(read(path)).float_ops if format.needs_samples else ()
    if not found:
        return []
    named = ", ".join(f"{op.kind} ({name})" for op, name in found)
    if not float_fallback:
        raise BadInputError(
            f"Every op of an {format.name} file computes in integers. Received: {model.name!r}, of which these cannot: "
            f"{named}. Replace the layers, or let such ops compute in floats: float_fallback=True (--float-fallback)."
        )
    return [f"These ops compute in floats: {named}."]
