"""TensorFlow's converter, run on a traced network, with its errors in words that name the layers."""
import itertools
import logging
import os
import re
from contextlib import contextmanager

from tfold.errors import BadInputError, TfoldError, one_line
from tfold.quiet import quiet
from tfold.tflite.byte_inputs import with_bytes
from tfold.tflite.calibrate import with_measured_ranges
from tfold.tflite.layer_checks import check_layers, layers_with
from tfold.tflite.squared_differences import without_squared_differences

_LOOPS = ("While", "StatelessWhile")


def converted(traced, format, input_type, output_type, samples=None, float_fallback=False, select_tf_ops=False,
              as_bytes=False):
    """The bytes of a .tflite file.

    Args:
        traced: the `Trace`.
        format, input_type, output_type, samples, float_fallback, select_tf_ops: see `Format.configure`.
        as_bytes: let the inputs that the function takes as floats be bytes 0…255 in the file, as in the model.

    Raises:
        BadInputError: the network cannot be converted; names the ops and the layers they come from.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    check_layers(traced)
    if format.needs_samples:
        _refuse_loops(traced, format)
    try:
        with quiet(), _without_advice():
            # Of a function, not of the model: that way needs a SavedModel on disk, and takes five times as long.
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.function])
            converter.experimental_lower_to_saved_model = False  # nor a folder for one
            converter._freeze_concrete_function = lambda: _frozen(traced.function)
            format.configure(converter, input_type, output_type, samples, float_fallback, select_tf_ops)
            if samples is not None:
                pixels = [number for number in traced.as_floats if traced.input_types[number] == "uint8"]
                calibrated = _calibrated(converter, format, samples, pixels)
                quantize = _to_int16 if format.name == "int16" else _to_int8
                content = quantize(calibrated, *map(tf.as_dtype, (input_type, output_type)), float_fallback)
                return with_bytes(content, pixels) if as_bytes and pixels and format.name == "int8" else content
            return converter.convert()
    except TfoldError:
        raise
    except Exception as error:  # the converter raises its own and MLIR's errors
        raise BadInputError(_explained(traced, format, str(error))) from error


def _frozen(function):
    """A function's graph with its variables as constants, and its inputs and outputs, as the converter asks for them.

    TensorFlow's own way makes a function of that graph once more, which nobody calls: it costs as much time as the
    conversion, and copies every weight five times (138 million parameters: 3 GB).
    """
    from tensorflow.python.framework import convert_to_constants

    data = convert_to_constants._FunctionConverterDataInEager(
        func=function, lower_control_flow=False, aggressive_inlining=False)
    graph, converted = convert_to_constants._replace_variables_by_constants(converter_data=data)
    captured = function.graph.internal_captures
    constant = {captured[number].name for number in converted}
    inputs = [tensor for tensor in function.inputs if tensor.name not in constant and tensor.dtype != "resource"]
    return graph, inputs, function.outputs, function


def _calibrated(converter, format, samples, pixels):
    """The float file with ranges, as the converter's two steps have it between them, and our ranges in it."""
    import tensorflow as tf

    converter.representative_dataset = lambda: itertools.islice(samples(), 1)  # its ranges are replaced
    converter.inference_input_type = converter.inference_output_type = tf.float32
    converter._experimental_calibrate_only = True  # as TensorFlow's guide to its quantisation debugger does
    content = converter.convert()
    return with_measured_ranges(without_squared_differences(content) if format.name == "int16" else content, samples,
                                pixels)


def _to_int8(calibrated, input_type, output_type, float_fallback):
    from tensorflow.lite.python.convert import mlir_quantize

    return mlir_quantize(calibrated, input_data_type=input_type, output_data_type=output_type)


def _to_int16(calibrated, input_type, output_type, float_fallback):
    """An int16 file, by the older quantizer: the newer one knows int8 alone."""
    import numpy as np
    from tensorflow import int16, int64
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    numbers = [np.dtype(each.as_numpy_dtype).num for each in (input_type, output_type, int16, int64)]
    # Nothing is fed to it, so that it takes the ranges that the file has.
    return Calibrator(calibrated)._calibrator.QuantizeModel(
        *numbers[:2], float_fallback, *numbers[2:], False, False)


def _refuse_loops(traced, format):
    """The converter's calibration ends the process (SIGSEGV) where a loop is."""
    layers = layers_with(traced, lambda op: op in _LOOPS)
    if layers:
        raise BadInputError(
            f"An {format.name} file is made of a network without loops. Received: {traced.model.name!r}, in which "
            f"{', '.join(layers)} runs one over time. Build it with unroll=True, or export it with quantize='dynamic'."
        )


def _explained(traced, format, text):
    name = traced.model.name
    flex, custom = (_listed(r"TF Select ops", text), _listed("(?:Flex|Custom) ops", text))
    if flex:
        return (
            f"The export uses TFLite's builtin ops alone. Received: {name!r}, which needs "
            f"{_with_layers(traced, flex)}. Replace the layers these ops come from, or allow TensorFlow's own ops, "
            "which need the Flex delegate on the phone: select_tf_ops=True (--select-tf-ops)."
        )
    if custom:
        return (
            f"The export uses TFLite's builtin ops alone. Received: {name!r}, which needs "
            f"{_with_layers(traced, custom)}, and no runtime has that. Replace the layers these ops come from."
        )
    if format.needs_samples and "quant" in text.lower():
        return (
            f"Every op of an {format.name} file computes in integers. Received: {name!r}, of which an op cannot: "
            f"{one_line(text)} Let such ops compute in floats: float_fallback=True (--float-fallback)."
        )
    layers = traced.layers_in(text)
    which = f"of which it cannot convert {', '.join(layers)}" if layers else "which it cannot"
    way_out = "Replace the layer." if layers else \
        "Export parts of it (keras.Model(inputs, inner tensor)) to find the layer."
    return f"TFLite must be able to convert the model. Received: {name!r}, {which}: {one_line(text)} {way_out}"


def _listed(title, text):
    """["Erfinv", "Cholesky"] from a line "Custom ops: Erfinv, Cholesky"."""
    return list(dict.fromkeys(
        op.strip() for line in re.findall(rf"^{title}: (.*)$", text, re.MULTILINE) for op in line.split(",")))


def _with_layers(traced, ops):
    """ "Erfinv (layer special), Cholesky (layers a, b)" """
    found = []
    for op in ops:
        layers = layers_with(traced, lambda kind, op=op: kind in (op, op.removeprefix("Flex")))
        found.append(f"{op} (layer{'s' * (len(layers) > 1)} {', '.join(layers)})" if layers else op)
    return ", ".join(found)


@contextmanager
def _without_advice():
    """Keep quiet about which of its ways the converter likes better."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
