"""Data against the model's inputs: what does not fit is an error that names the input, what looks odd a warning."""
from math import prod

import numpy as np

from tfold.errors import BadInputError, one_line

BLOCK = 2**24  # bytes looked at in one go: an array on disk may be larger than memory
PIXELS = 50  # inputs of networks that scale nothing themselves are small numbers


def fitted(value, wanted, source):
    """An array as `(n, …)` of the input's shape and of numbers, not yet of its type; nothing is copied.

    Args:
        value: an array or what NumPy makes one of.
        wanted: the `Input`.
        source: where it comes from, for the message.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # lists of unequal length, tensors on a GPU, and what else cannot be an array
        raise BadInputError(
            f"Representative data are arrays. Received: {source}, whose {type(value).__name__} for input "
            f"{wanted.name!r} is none: {one_line(error)} Convert it with numpy.stack or numpy.asarray."
        ) from error
    _check_type(array.dtype, wanted, source)
    # NumPy reads no bfloat16, but ml_dtypes', which has it, converts.
    array = array.astype("float32") if array.dtype.name == "bfloat16" else array
    if array.shape[1:] == wanted.shape[:-1] and wanted.shape[-1:] == (1,) and array.ndim:
        array = array[..., None]  # grey pictures are often stored without their one channel
    if array.ndim == 0 or array.shape[1:] != wanted.shape:
        raise BadInputError(
            f"Representative data have the shape that the model takes. Received: {source} of shape {array.shape} for "
            f"input {wanted.name!r}, which takes {_batched(wanted.shape)}. {_way_out(array.shape, wanted.shape)}"
        )
    return array


def _check_type(dtype, wanted, source):
    fine = dtype.kind in "iuf" or dtype.name == "bfloat16" or (dtype.kind == "b" and wanted.dtype == "bool")
    if not fine or wanted.dtype == "string":
        kind = {"O": "Python objects", "U": "text", "S": "text"}.get(dtype.kind, dtype.name)
        raise BadInputError(
            f"Representative data are real numbers. Received: {source} of {kind} for input {wanted.name!r}, which "
            f"takes {wanted.dtype}. Prepare it as for training the model."
        )


def _batched(shape):
    return "(" + ", ".join(["n", *map(str, shape)]) + ")"


def _way_out(shape, wanted):
    if shape in (wanted, wanted[:-1]):
        return "It is one sample without the batch axis: x[None] adds it."
    if len(shape) == len(wanted) + 1 and len(wanted) > 1:
        if (*shape[2:], shape[1]) == wanted:
            return "Its channels come first: move them with numpy.moveaxis(x, 1, -1)."
        if (shape[-1], *shape[1:-1]) == wanted:
            return "Its channels come last: move them with numpy.moveaxis(x, -1, 1)."
    if prod(shape[1:]) == prod(wanted) and len(shape) > 1:
        return f"Reshape it: x.reshape({', '.join(map(str, (-1, *wanted)))})."
    return "Prepare it as for training the model."


def same_count(arrays, source):
    """The number of samples, which all inputs must have in common."""
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} for {name!r}" for name, count in counts.items())
        raise BadInputError(
            f"Every sample has a value for each input. Received: {source} with {listed}. Pass as many of each."
        )
    return next(iter(counts.values()))


def check_finite(array, wanted, source):
    """Raise `BadInputError` if any sample has NaN, infinity, or a number that float32 cannot hold."""
    if array.dtype.kind != "f" or not len(array):
        return
    bad, first = 0, None
    step = max(1, BLOCK * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), step):
        with np.errstate(over="ignore"):
            block = array[start : start + step].astype("float32", copy=False)
        broken = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if broken.any():
            first = start + int(broken.argmax()) if first is None else first
            bad += int(broken.sum())
    if bad:
        raise BadInputError(
            f"Representative data are finite numbers. Received: {source} with NaN or infinity in {bad} of "
            f"{len(array)} samples of input {wanted.name!r}, the first at index {first}. Leave these samples out."
        )


def converted(array, wanted, source):
    """The array in the input's type; float32 for every kind of float, as the .tflite file takes them."""
    dtype = np.dtype("float32" if wanted.is_float else wanted.dtype)
    if dtype.kind in "iu" and len(array):
        limits = np.iinfo(dtype)
        if array.dtype.kind == "f" and (array != np.round(array)).any():
            raise BadInputError(
                f"Input {wanted.name!r} takes whole numbers ({wanted.dtype}). Received: {source} with fractions. "
                "Pass what the model takes, not what its first layers make of it."
            )
        if array.min() < limits.min or array.max() > limits.max:
            raise BadInputError(
                f"Input {wanted.name!r} takes {wanted.dtype}, {limits.min} to {limits.max}. Received: {source} with "
                f"{array.min():g} to {array.max():g}. Pass numbers in that range."
            )
    return np.ascontiguousarray(array, dtype)


def scaled(values, scale, wanted, source, of_pixels):
    """Pixels 0…255 as low…high.

    Args:
        of_pixels: it is certain that they are pixels; else numbers that look otherwise are an error.
    """
    low, high = scale
    least, most = values.min(), values.max()
    if not of_pixels and not (least >= 0 and 1 < most <= 255):
        raise BadInputError(
            f"scale is for pixels 0…255. Received: scale={scale} and {source} with {least:.6g} to {most:.6g} for input "
            f"{wanted.name!r}. Leave scale out if they are scaled already."
        )
    values *= np.float32((high - low) / 255)
    values += np.float32(low)
    return values


def check_variety(values, wanted, source):
    """Warnings about samples that show too little; `BadInputError` if they show nothing."""
    if not wanted.is_float and wanted.dtype != "uint8":
        return []  # indices and masks are not quantized
    count = len(values)
    flat = values.reshape(count, -1)
    is_image = len(wanted.shape) > 1
    different = len({sample.tobytes() for sample in flat})
    constant = int((flat.min(axis=1) == flat.max(axis=1)).sum()) if is_image else 0
    if different == 1 or constant == count:
        what = "the same" if different == 1 else "constant images"
        every = f": every value is {flat[0, 0]:g}" if flat.min() == flat.max() else ""
        raise BadInputError(
            f"Representative data show the range of what the model will see. Received: {source}, whose {count} samples "
            f"of input {wanted.name!r} are all {what}{every}. Pass real, different samples."
        )
    found = []
    if constant:
        found.append(f"{constant} of {count} samples of input {wanted.name!r} ({source}) are constant images.")
    if is_image and different < count / 2:
        found.append(f"Only {different} of {count} samples of input {wanted.name!r} ({source}) are different.")
    return found


def odd_values(values, wanted, source, scale, scales_itself):
    """Warnings about values that look scaled where they should not be, or the other way round."""
    if not wanted.is_float or (scale and tuple(scale) == (0, 255)):
        return []
    if scale:
        twice = f"The model scales input {wanted.name!r} itself, and scale={tuple(scale)} scales it once more."
        return [twice] if scales_itself else []
    least, most = float(values.min()), float(values.max())
    where = f"Input {wanted.name!r} ({source}) has values {least:.4g} to {most:.4g}"
    if not scales_itself and max(-least, most) > PIXELS:
        way_out = " with scale, such as (-1, 1) or --scale=-1,1" if least >= 0 and most <= 255 else ""
        return [f"{where}, and the model does not scale them: if it was trained on scaled values, scale them{way_out}."]
    if scales_itself and len(wanted.shape) == 3 and most <= 1:
        return [f"{where}, and the model scales them itself: if it takes pixels 0…255, pass these."]
    return []


def class_numbers(labels, count):
    """Labels as class numbers `(count,)`: whole numbers, or one-hot vectors; None if they are something else."""
    if labels is None:
        return None
    try:
        labels = np.asarray(labels)
    except Exception:  # of unequal length, or whatever else is no array
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "iufb" and ((labels != 0).sum(axis=1) == 1).all() \
            and (labels.max(axis=1) == 1).all():
        labels = labels.argmax(axis=1)
    return labels.astype("int64") if labels.shape == (count,) and labels.dtype.kind in "iu" else None
