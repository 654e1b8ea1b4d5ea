"""Several .tflite files against the Keras model they are made of, and the quantised ones against a float file.

    Keras ──── float32.tflite       rounding alone
      └─────── int8.tflite          what quantisation costs: Keras computes in floats
               int8.tflite ──── float32.tflite     the same, by the same runtime
"""
import math
from dataclasses import dataclass

from tfold.tflite.contents import read
from tfold.tflite.formats import FORMATS
from tfold.tflite.model_samples import compared_inputs, representative_samples
from tfold.tflite.parity import batch_of, check_ends, compare_files, parity
from tfold.tflite.summary import quantization


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Args:
        with_keras: path → `Parity` with the Keras model.
        with_float: path of a quantised file → `Parity` with the first float32 file among them, if there is one.
        float_file: that file's path, or None.
        warnings: about the data.
    """

    with_keras: dict
    with_float: dict
    float_file: str | None
    warnings: tuple = ()

    @property
    def beyond(self):
        """Paths of the files of which an output lies further from Keras' than allowed."""
        return [path for path, each in self.with_keras.items() if not each.passed]

    def to_json(self):
        return {
            "passed": not self.beyond,
            "files": {path: each.to_json() for path, each in self.with_keras.items()},
            "against_float": {"float": self.float_file,
                              "files": {path: each.to_json() for path, each in self.with_float.items()}},
            "warnings": list(self.warnings),
        }

    def __str__(self):
        lines = [f"warning: {each}" for each in self.warnings]
        for path, each in self.with_keras.items():
            lines.append(f"{path}: {'within' if each.passed else 'beyond'} {each.tolerance:g}; {each}")
            if path in self.with_float:
                lines += [f"  against {self.float_file}: {output}" for output in self.with_float[path].outputs]
            lines += [f"warning: {warning}" for warning in each.warnings]
        return "\n".join(lines)


def compare(model, paths, data=None, samples=None, scale=None, resize="stretch", tolerance=None, runtime="litert",
            report=None):
    """Compare files with their model, on the same input.

    Args:
        model: the Keras model.
        paths: of the .tflite files.
        data: input: a file, a folder of images, arrays, `Samples`…; random numbers if None.
        samples, scale, resize: how to read it, see `representative`; all samples where `samples` is None.
        report: the fold's report, see `tfold.representative_samples`.
        tolerance: allowed relative difference; None: what each file's number format makes of a sound network.
        runtime: which runtime runs the files.

    Returns:
        A `Comparison`; `Comparison.beyond` judges it.

    Raises:
        BadInputError: the model or a file does not take the data, a file is damaged or made of another model.

    Example:

    >>> print(tfold.compare(model, ["float32.tflite", "int8.tflite"], "test.npz"))
    """
    contents = {path: read(path) for path in paths}
    for each in contents.values():
        check_ends(each)
    formats = {path: quantization(each).format for path, each in contents.items()}
    batch = math.lcm(*(batch_of(each.tensors[each.inputs[0]]) for each in contents.values()))
    data = None if data is None else representative_samples(
        model, data, samples, scale, resize, calibrates=False, report=report, every=True)
    inputs, source = compared_inputs(model, None, data, batch, most=None if data is None else data.count)
    labels = data.labels[: len(inputs[0])] if data is not None and data.labels is not None else None
    floats = next((path for path, form in formats.items() if form == "float32"), None)
    with_keras, with_float = {}, {}
    for path, form in formats.items():
        allowed = tolerance if tolerance is not None else FORMATS.get(form, FORMATS["int8"]).tolerance
        with_keras[path] = parity(model, path, inputs, allowed, source, labels, runtime)
        if floats and form != "float32":
            with_float[path] = compare_files(model, floats, path, inputs, allowed, source, runtime)
    return Comparison(with_keras, with_float, floats, data.warnings if data else ())
