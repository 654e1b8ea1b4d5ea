"""The ranges that an int8 file's steps are made of, measured where nothing is overwritten.

    conv ─▶ a ─┐
               add ─▶ sum        TensorFlow's calibration keeps `a` and `sum` in one place, and then takes the range of
    skip ─▶ b ─┘                 the sum for that of `a` (github.com/tensorflow/tensorflow/issues/127842)

A residual branch that is small beside its skip loses by that what the range is too wide. So the float network is run
once more on the same samples by the runtime, which is told to keep every tensor, and those ranges are written in.
"""
import numpy as np

from tfold.errors import BadInputError
from tfold.files import scratch
from tfold.measure import run_tensors
from tfold.tflite.scale_limits import widened
from tfold.tflite.schema import names, schema
from tfold.tflite.write import packed


def with_measured_ranges(content, samples, pixels=()):
    """A calibrated float file with other ranges.

    Args:
        content: bytes of a float .tflite file in which tensors have a range, as the converter's calibration leaves it.
        samples: function that yields lists of arrays, one for each input of the file, in its order.
        pixels: numbers of the inputs that are bytes in the model: each gets a step of one and loses nothing.

    Returns:
        bytes of the same file with the ranges that its tensors have on the samples.

    Raises:
        BadInputError: the network gives NaN or infinity on a sample.
    """
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    main = model.subgraphs[0]
    ranged = [index for index, tensor in enumerate(main.tensors)
              if tensor.quantization is not None and tensor.quantization.min is not None]
    found = _ranges(content, main, ranged, samples)
    bytes_ = {int(main.inputs[number]) for number in pixels}
    found.update(dict.fromkeys(bytes_ & found.keys(), (0.0, 255.0)))
    for index, (low, high) in found.items():
        if not np.isfinite([low, high]).all():
            name = main.tensors[index].name.decode()
            raise BadInputError(
                f"Ranges are measured on inputs that the network is made for. Received: samples on which it gives NaN "
                f"or infinity, at {name}. Look for them, or for weights that are not finite."
            )
    for index, (low, high) in widened(found, _ops(model, main)).items():
        main.tensors[index].quantization.min = np.array([low], np.float32)
        main.tensors[index].quantization.max = np.array([high], np.float32)
    return packed(model)


def _ops(model, main):
    """What `widened` asks about each op."""
    found = []
    for op in main.operators:
        inputs, outputs = ([] if ends is None else [int(index) for index in ends] for ends in (op.inputs, op.outputs))
        constants = [_largest(model, main.tensors[index]) for index in inputs[:2] if index >= 0]
        largest = max((each for each in constants if each is not None), default=None)
        code = model.operatorCodes[op.opcodeIndex]
        kind = names("BuiltinOperator").get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
        if kind == "TRANSPOSE_CONV":  # the size, the kernel, the input
            inputs = inputs[2:3]
        found.append((kind, inputs, outputs, largest))
    return found


def _largest(model, tensor):
    """The largest magnitude of a float constant; None for what is computed."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != schema().TensorType.FLOAT32:
        return None
    return float(np.abs(np.asarray(data, np.uint8).view("<f4")).max())


def _ranges(content, main, ranged, samples):
    """Tensor index → (lowest, highest) over all samples."""
    found = {}
    with scratch() as folder:
        path = folder / "float.tflite"
        path.write_bytes(content)
        names = [main.tensors[index].name.decode() for index in main.inputs]
        batches = [dict(zip(names, arrays, strict=True)) for arrays in samples()]
        if len(next(iter(batches[0].values()))) == 1:  # one process for all of them
            batches = [{name: np.concatenate([batch[name] for batch in batches]) for name in names}]
        for batch in batches:
            for tensors in run_tensors(path, batch, tensors=ranged):
                for index, array in tensors.items():
                    low, high = found.get(index, (np.inf, -np.inf))
                    found[index] = min(low, float(array.min())), max(high, float(array.max()))
    return found
