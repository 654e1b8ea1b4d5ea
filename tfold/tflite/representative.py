"""Representative data for quantization: int8 gets its ranges from what a few hundred real inputs make of the network.

    .npz  .npy ──────────────┐                                            ┌─▶ wrong, missing, constant: BadInputError
    folder of images ────────┼─▶ arrays by input ─▶ a random part ─▶ scale ─┼─▶ odd: a sentence in .warnings
    callable, dataset, array ┘                                            └─▶ Samples

Wrong ranges do not show until the accuracy on the phone is poor, so that everything here is checked before it is used,
and nothing is scaled by guessing.
"""
import math
import os
from numbers import Real
from pathlib import Path

import numpy as np

from tfold.checks import check_path
from tfold.errors import BadInputError
from tfold.tflite.image_folder import read_images
from tfold.tflite.sample_checks import (
    check_finite,
    check_variety,
    class_numbers,
    converted,
    odd_values,
    same_count,
    scaled,
)
from tfold.tflite.sample_files import open_arrays
from tfold.tflite.sample_streams import arrays_of, gather, has_length, is_all, resolve
from tfold.tflite.samples import Input, Samples

DEFAULT_COUNT = 200
MOST_BYTES = 2**31  # that are taken unless more are asked for
FEW = 100  # TFLite's guide: around 100 to 500 samples


def representative(source, inputs, *, samples=None, scale=None, seed=0, resize="stretch", scales_itself=False,
                   calibrates=True, every=False):
    """Read representative data and check that they fit the model.

    Args:
        source: one of
            - a `.npz` file: arrays by input name, or `arr_0`, `arr_1`, … in the model's order. For a model of one input
              also its only array, or the first there is of x, x_train, x_test, x_val, images, image, train_images,
              test_images, inputs, input, data, features. Labels beside it (y, y_train, labels, …) are kept;
            - a `.npy` file, for a model of one input;
            - a folder of images (JPEG, PNG, BMP, GIF: the first frame), subfolders included. Where every image lies in
              one of several subfolders, each subfolder is a class, numbered by name as Keras does;
            - a callable as TFLite's `representative_dataset`: it yields or returns lists or dicts of arrays, batch
              first;
            - an array, a dict of arrays, a tuple `(x, y)`, a keras PyDataset, a tf.data.Dataset or another iterable of
              batches: x or `(x, y)`.
        inputs: of the model, in its order: `(name, shape without batch, dtype)` each, see `Input`.
        samples: how many to take; 200 if None, or all with `every`. Files, arrays and what has a length are picked from
            at random, so that data sorted by class are not calibrated on one class; callables and other iterables are
            read from their start, in their own order.
        scale: `(low, high)`: pixels 0…255 become low…high. Needed for a folder of images, unless the model scales them
            itself; (0, 255) leaves them as they are.
        seed: of the random choice.
        resize: how images get the input's size: "stretch", as keras.utils.image_dataset_from_directory does, or "crop",
            the middle of the picture in the right proportions. Both are bilinear.
        scales_itself: the model starts with a Rescaling or Normalization layer.
        calibrates: ranges are measured on them, which asks for several, and for different ones. False: they are only
            run, to compare two networks.
        every: without `samples`, take all there are: of what has an end, and as many as fit into `MOST_BYTES`. What is
            left out is said in a warning.

    Returns:
        `Samples`.

    Raises:
        BadInputError: the data are missing, damaged, of another shape or type, not finite, all the same, or too few.

    Example:

    >>> samples = representative("digits.npz", [("image", (28, 28, 1), "float32")])
    >>> samples.count, samples.inputs["image"].shape
    (200, (200, 28, 28, 1))
    """
    inputs = tuple(Input(name, tuple(shape), str(dtype)) for name, shape, dtype in inputs)
    _check_options(inputs, samples, scale, resize)
    rng, most = np.random.default_rng(seed), samples or (_fitting(inputs) if every else DEFAULT_COUNT)
    arrays, labels, name, of_pixels, available = _read(
        source, inputs, most, rng, resize, (scale, scales_itself), samples or DEFAULT_COUNT)
    count = same_count(arrays, name)
    if not count and not calibrates:
        raise BadInputError(f"Networks are compared on samples. Received: {name} with none. Pass at least one.")
    if count < 2 and calibrates:
        raise BadInputError(
            f"Calibration needs several samples. Received: {name} with {count or 'none'}. Pass 100 or more."
        )
    warnings = []
    if samples and count < samples:
        warnings.append(f"{samples} samples were asked for; {name} has {count}.")
    if every and not samples and available != count:
        of, why = (f" {available:,}", "more take too much memory") if available else (
            "", "it does not say how many there are")
        warnings.append(f"{count:,} of the{of} samples of {name} are compared: {why}. Another number of them: samples= "
                        "(--samples).")
    if calibrates and count < FEW:
        warnings.append(f"Calibrated on {count} samples ({name}); 100 or more are usual.")
    for each in inputs:
        values = converted(arrays[each.name], each, name)
        if scale:
            values = scaled(values, scale, each, name, of_pixels)
        arrays[each.name] = values
        warnings += check_variety(values, each, name) if calibrates else []
        warnings += odd_values(values, each, name, scale, scales_itself)
    if calibrates and labels is not None and (labels == labels[0]).all():
        warnings.append(f"All {count} samples of {name} have the label {labels[0]}: shuffle them first.")
    return Samples({each.name: arrays[each.name] for each in inputs}, labels, name, tuple(warnings), available)


def _fitting(inputs):
    """How many samples fit into MOST_BYTES."""
    one = sum(math.prod(each.shape) * np.dtype("float32" if each.is_float else each.dtype).itemsize for each in inputs
              if each.dtype != "string")
    return max(1, MOST_BYTES // max(1, one))


def _read(source, inputs, most, rng, resize, scaling, of_stream):
    """(arrays by input, labels or None, name of the source, whether they are pixels 0…255, how many there are).

    At most `most` samples, and `of_stream` of what does not say where it ends; then the last is None.
    """
    if isinstance(source, (str, os.PathLike)):
        check_path(source)
        path = Path(source)
        if path.is_dir():
            arrays, labels, available = read_images(path, inputs, most, rng, resize, scaling)
            return arrays, labels, str(path), True, available
        with open_arrays(path) as found:
            return _some(*arrays_of(found, inputs, str(path)), inputs, most, rng)
    source, name = resolve(source)
    if is_all(source, inputs):
        return _some(*arrays_of(source, inputs, name), inputs, most, rng)
    arrays, labels, ended = gather(source, inputs, most if has_length(source) else of_stream, rng, name)
    return arrays, labels, name, False, same_count(arrays, name) if ended else None


def _some(arrays, labels, name, inputs, most, rng):
    """A random part of arrays that may lie on disk: all are checked, and only what is taken is copied."""
    count = same_count(arrays, name)
    for each in inputs:
        check_finite(arrays[each.name], each, name)
    chosen = rng.permutation(count)[:most]
    labels = class_numbers(labels, count)
    arrays = {key: values[chosen] for key, values in arrays.items()}
    return arrays, None if labels is None else labels[chosen], name, False, count


def _check_options(inputs, samples, scale, resize):
    for each in inputs:
        if None in each.shape:
            raise BadInputError(
                f"Representative data need a fixed input size. Received: input {each.name!r} of shape {each.shape}. "
                "Build the model with keras.Input of the size it will run at."
            )
    if samples is not None and (not isinstance(samples, int) or isinstance(samples, bool) or samples < 2):
        raise BadInputError(
            f"samples is a whole number from 2 on. Received: samples={samples!r}. The default is {DEFAULT_COUNT}."
        )
    if resize not in ("stretch", "crop"):
        raise BadInputError(f"resize is stretch or crop. Received: resize={resize!r}. The default is stretch.")
    if scale is not None:
        _check_scale(scale, inputs)


def _check_scale(scale, inputs):
    is_pair = isinstance(scale, (tuple, list)) and len(scale) == 2
    if not is_pair or not all(isinstance(n, Real) and np.isfinite(n) for n in scale) or scale[0] >= scale[1]:
        raise BadInputError(
            f"scale is (low, high), what pixels 0 and 255 become, with low < high. Received: scale={scale!r}. "
            "The usual ones are (0, 1) and (-1, 1): --scale=-1,1."
        )
    if len(inputs) > 1:
        raise BadInputError(
            f"scale is for models of one input. Received: scale={scale!r} and {len(inputs)} inputs. "
            "Scale the arrays before you pass them."
        )
    if not inputs[0].is_float:
        raise BadInputError(
            f"scale is for inputs of floats. Received: scale={scale!r}, and input {inputs[0].name!r} takes "
            f"{inputs[0].dtype}. Leave scale out."
        )
