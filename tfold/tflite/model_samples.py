"""Samples for a model: representative data as its inputs ask for them, and what a comparison runs."""
import math

import keras

from tfold.comparison import to_numpy
from tfold.errors import BadInputError, one_line
from tfold.graph.capture import capture
from tfold.graph.family import family_of
from tfold.graph.tfmot import is_quantize_aware
from tfold.passes.preprocessing import scaling_first
from tfold.sampling import input_tensors, model_input, random_input
from tfold.tflite.about import as_json
from tfold.tflite.representative import representative
from tfold.tflite.samples import Samples
from tfold.tflite.trace import input_names

COMPARED = 32  # representative samples that a check runs
RANDOM = 4  # random ones, where there are none


def representative_samples(model, source, samples=None, scale=None, resize="stretch", seed=0, calibrates=True,
                           report=None, every=False):
    """Representative data for a model, read and checked: what `export(representative_dataset=…)` takes.

    Args:
        model: a Functional or Sequential Keras model.
        source, samples, scale, resize, seed, calibrates, every: see `tfold.tflite.representative.representative`.
        report: the fold's `Report`, or its JSON: a network whose scaling a fold took in takes what it took before.

    Returns:
        `Samples`.

    Example:

    >>> samples = tfold.representative_samples(model, "photos/", scale=(-1, 1))
    >>> tfold.export(model, "int8.tflite", "int8", samples)
    """
    if isinstance(source, Samples):
        return source
    tensors = family_of(model).flatten(model_input(model))
    inputs = [(name, tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))
              for name, tensor in zip(input_names(model), tensors, strict=True)]
    return representative(source, inputs, samples=samples, scale=scale, seed=seed, resize=resize,
                          scales_itself=scales_itself(model, report), calibrates=calibrates, every=every)


def scales_itself(model, report=None):
    """Whether a network scales what it takes: by layers or arithmetic that come first, or by weights that a fold has
    scaled, as its report tells."""
    if report is not None and as_json(report).get("scaling"):
        return True
    if is_quantize_aware(model):  # its layers stand in wrappers
        return any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers)
    return bool(scaling_first(capture(model)))


def compared_inputs(model, sample, data, batch, most=COMPARED):
    """What a check runs, as a list of arrays, and what that is in words; as many as both networks take."""
    own = family_of(model).flatten(model_input(model))[0].shape[0] or 1
    step = math.lcm(batch, own)
    if sample is not None:
        try:
            return [to_numpy(tensor) for tensor in input_tensors(model, sample)], "the given sample"
        except Exception as error:  # another structure, other types
            raise BadInputError(
                f"sample= is an input as the model takes it. Received: one that {model.name!r} does not: "
                f"{one_line(error)}"
            ) from error
    if data is not None and data.count < step:
        raise BadInputError(
            f"So many samples as the networks take at a time are compared. Received: {data.source} with {data.count}, "
            f"and networks that take {step}. Pass more."
        )
    if data is not None:
        count = max(step, min(most, data.count) // step * step)
        return list(data.take(count).inputs.values()), data.source
    inputs = input_tensors(model, random_input(model, batch=max(step, RANDOM // step * step)))
    return [to_numpy(tensor) for tensor in inputs], "random numbers"
