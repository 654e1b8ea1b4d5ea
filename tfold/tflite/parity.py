"""Does a .tflite file compute what Keras computes? Both are run on the same input, and every output is compared.

    Keras model ──▶ y                     error = ŷ − y:  largest, mean, relative to the largest |y|,
    .tflite ─ real numbers of ─▶ ŷ        signal ÷ noise in decibels, and how often both choose the same class
"""
import itertools

import keras
import numpy as np

from tfold.comparison import to_numpy
from tfold.errors import BadInputError, ParityError, one_line
from tfold.graph.family import family_of
from tfold.measure import Worker, check_tflite, resolve
from tfold.sampling import model_input
from tfold.tflite.contents import read
from tfold.tflite.lost_channels import lost_channels
from tfold.tflite.parity_result import CERTAIN, OutputParity, Parity
from tfold.tflite.trace import input_names, output_names

CHUNK = 32
NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "bool")


def parity(model, path, inputs, tolerance, data="random numbers", labels=None, runtime="litert"):
    """Compare a file with the model it was made of.

    Args:
        model: a Keras or tf_keras model.
        path: the .tflite file.
        inputs: arrays, one for each input in the model's order, all of as many samples.
        tolerance: allowed relative difference.
        data: what the inputs are, in words.
        labels: the samples' classes, or None.
        runtime: which runtime runs the file.

    Returns:
        A `Parity`; it has not been judged yet: `Parity.check`.

    Raises:
        BadInputError: the model or the file does not take the inputs, or the model gives NaN.
    """
    names = output_names(model)
    expected = keras_outputs(model, inputs)
    received, steps = tflite_outputs(path, dict(zip(input_names(model), inputs, strict=True)), names, runtime)
    outputs = tuple(map(compared, names, expected, received, steps))
    accuracy = None
    if labels is not None and len(outputs) == 1 and outputs[0].top1 is not None:
        accuracy = tuple(float((np.argmax(y, -1) == labels).mean()) for y in (*expected, *received))
    return Parity(outputs, len(inputs[0]), data, tolerance, accuracy)


def compare_files(model, path, other, inputs, tolerance, data="random numbers", runtime="litert"):
    """As `parity`, between two files of one model: `other` against `path`."""
    inputs, names = dict(zip(input_names(model), inputs, strict=True)), output_names(model)
    expected, _ = tflite_outputs(path, inputs, names, runtime)
    received, steps = tflite_outputs(other, inputs, names, runtime)
    outputs = tuple(map(compared, names, expected, received, steps))
    return Parity(outputs, len(expected[0]), data, tolerance)


def compared(name, expected, received, step=0.0):
    """The `OutputParity` of two arrays of one shape."""
    if expected.shape != received.shape:
        raise ParityError(
            f"A .tflite file's outputs have the shapes of Keras'. Received: {received.shape} for {expected.shape} at "
            f"output {name}. Is the file made of this model?"
        )
    expected, received = expected.astype(np.float64), received.astype(np.float64)
    error = received - expected
    largest, scale, noise = (float(each) for each in (
        np.abs(error).max(initial=0), np.abs(expected).max(initial=0), np.square(error).mean()))
    decibels = None if not noise else 10 * float(np.log10(max(np.square(expected).mean(), 1e-300) / noise))
    top1 = None
    if expected.ndim > 1 and expected.shape[-1] > 1:
        top1 = float((expected.argmax(-1) == received.argmax(-1)).mean())
    return OutputParity(name, largest, float(np.abs(error).mean()), largest / (scale or 1.0), decibels, top1,
                        step, top1 is not None and _is_certain(expected), lost_channels(expected, received, step))


def _is_certain(y):
    return bool(y.size and y.min() >= 0 and y.max(-1).min() > CERTAIN and np.allclose(y.sum(-1), 1, atol=1e-3))


def keras_outputs(model, inputs):
    """The model's outputs as a list of arrays, for inputs as a list of arrays."""
    family = family_of(model)
    structure = model_input(model)
    tensors = family.flatten(structure)
    chunk = tensors[0].shape[0] or CHUNK
    found = []
    try:
        for start in range(0, len(inputs[0]), chunk):
            part = iter([family.tensor(array[start : start + chunk], keras.backend.standardize_dtype(tensor.dtype))
                         for array, tensor in zip(inputs, tensors, strict=True)])
            outputs = model(family.map_structure(lambda _, part=part: next(part), structure), training=False)
            found.append([to_numpy(tensor) for tensor in family.flatten(outputs)])
    except Exception as error:  # whatever Keras makes of input that does not fit
        raise BadInputError(
            f"A file is compared with the model by running both. Received: {model.name!r}, which fails: "
            f"{one_line(error)} Pass sample=, an input it accepts."
        ) from error
    found = [np.concatenate(each) for each in zip(*found, strict=True)]
    for name, array in zip(family.output_names(model), found, strict=True):
        if not np.isfinite(array).all():
            raise BadInputError(
                f"A file is checked by comparing numbers. Received: {model.name!r}, which gives NaN or infinity at "
                f"output {name}. Pass sample=, an input it is made for."
            )
    return found


def tflite_outputs(path, inputs, names, runtime="litert"):
    """A file's outputs as a list of arrays of real numbers, and how large one step of each is, 0 for floats.

    Args:
        path: the file.
        inputs: dict Keras' name → array, in the model's order.
        names: Keras' names of the outputs; what comes back is in this order.
        runtime: which runtime runs it.
    """
    resolve(runtime)
    contents = read(path)
    check_ends(contents)
    named = _named_ends(contents)[1]
    makers = [contents.tensors[index] for index in _in_order("output", path, named, names)]
    keys = {index: key for key, index in named.items()}
    found = []
    with Worker(runtime) as worker:
        worker.load(check_tflite(path))
        for part in _together(fed(contents, inputs)):
            made = worker.run(part)
            if missing := [keys[tensor.index] for tensor in makers if keys[tensor.index] not in made]:
                raise BadInputError(
                    f"A file names the outputs that it has. Received: {path}, in which {runtime} finds no "
                    f"{missing[0][:80]!r}. It may be damaged: export the model again.")
            found.append([tensor.real(made[keys[tensor.index]]) for tensor in makers])
    return [np.concatenate(each) for each in zip(*found, strict=True)], [_step(contents, tensor) for tensor in makers]


def check_ends(contents):
    """Raise `BadInputError` for a file that nothing can be fed to or taken from, as a damaged one may be.

    Args:
        contents: of the file.
    """
    def wrong(end, tensor):
        if not tensor.shape or min(tensor.shape) < 1:
            return f"{end} {tensor.name[:80]!r} of shape {tensor.shape[:8]}"
        if tensor.dtype not in NUMBERS:
            return f"{end} {tensor.name[:80]!r} of {tensor.dtype}"
        if tensor.is_quantized and not all(np.isfinite(scale) and scale > 0 for scale in tensor.scales):
            return f"{end} {tensor.name[:80]!r} with scale {tensor.scales[:1]}"
        return None

    ends = [("input", index) for index in contents.inputs] + [("output", index) for index in contents.outputs]
    found = [reason for end, index in ends if (reason := wrong(end, contents.tensors[index]))]
    if not contents.inputs or not contents.outputs:
        found = [f"{len(contents.inputs)} inputs and {len(contents.outputs)} outputs"]
    if found:
        raise BadInputError(
            f"A file that is compared with a model takes arrays of numbers and gives some. Received: {contents.path}, "
            f"which has {found[0]}. It may be damaged: export the model again.")


def _together(parts):
    """Inputs of one sample as the worker takes them: many at a time, which it runs one by one."""
    parts = iter(parts)
    while several := list(itertools.islice(parts, CHUNK)):
        if len(several) > 1 and all(len(array) == 1 for array in several[0].values()):
            yield {name: np.concatenate([part[name] for part in several]) for name in several[0]}
        else:
            yield from several


def _step(contents, tensor):
    """The scale of a quantised output, or of what a DEQUANTIZE makes floats of at the end."""
    for op in contents.ops:
        if op.kind == "DEQUANTIZE" and tensor.index in op.outputs and op.inputs and op.inputs[0] >= 0:
            tensor = contents.tensors[op.inputs[0]]
    return tensor.scales[0] if tensor.is_quantized and tensor.scales else 0.0


def fed(contents, inputs):
    """Yields what a file is fed: dict tensor name → array as it stores numbers, as many samples as it takes at a time.

    Args:
        contents: of the file.
        inputs: dict Keras' name → array of real numbers, in the model's order.
    """
    takers = [contents.tensors[index]
              for index in _in_order("input", contents.path, _named_ends(contents)[0], list(inputs))]
    batch = batch_of(takers[0])
    for start in range(0, len(next(iter(inputs.values()))), batch):
        yield {tensor.name: stored(tensor, array[start : start + batch])
               for tensor, array in zip(takers, inputs.values(), strict=True)}


def batch_of(tensor):
    """How many samples an input takes at a time; 1 where that is open."""
    return tensor.shape[0] if tensor.signature[:1] != (-1,) else 1


def stored(tensor, array):
    """Real numbers as a tensor of a file stores them: rounded and clipped where it is quantised."""
    dtype = np.dtype(tensor.dtype)
    if not tensor.is_quantized:
        return np.asarray(array).astype(dtype)
    limits = np.iinfo(dtype)
    scaled = np.round(np.asarray(array, np.float64) / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(scaled, limits.min, limits.max).astype(dtype)


def _named_ends(contents):
    """Names of inputs → tensor indices, and of outputs: the signature's, else the tensors' own."""
    if len(contents.signatures) == 1 and contents.signatures[0].subgraph == 0:
        return contents.signatures[0].inputs, contents.signatures[0].outputs
    return tuple({contents.tensors[index].name: index for index in ends}
                 for ends in (contents.inputs, contents.outputs))


def _in_order(what, path, named, wanted):
    """Tensor indices in Keras' order, whether the file calls them as Keras does, by numbers, or has but one."""
    for names in (wanted, [f"{what}_{number}" for number in range(len(wanted))]):
        if set(names) == set(named):
            return [named[name] for name in names]
    if len(wanted) == len(named) == 1:
        return list(named.values())
    raise BadInputError(
        f"A file that is compared with a model has its {what}s. Received: {path} with {', '.join(named)} for "
        f"{', '.join(wanted)}. Is it made of this model?"
    )
