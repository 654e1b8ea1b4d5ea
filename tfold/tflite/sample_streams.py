"""Arrays and batches as Python objects: which part belongs to which input, and which part is labels.

    array                 the only input               (x, y)              x, and labels
    [a, b]                inputs in order              {"image": a, …}     inputs by name
    callable ─▶ any of these, or an iterable of them   PyDataset, tf.data.Dataset, list of batches
"""
from collections.abc import Iterable, Mapping
from contextlib import suppress

import numpy as np

from tfold.errors import BadInputError, TfoldError, one_line
from tfold.tflite.sample_checks import check_finite, class_numbers, fitted, same_count

WELL_KNOWN = ("x", "x_train", "x_test", "x_val", "images", "image", "train_images", "test_images", "inputs", "input",
              "data", "features", "arr_0")
LABELS_OF = {"x": "y", "x_train": "y_train", "x_test": "y_test", "x_val": "y_val", "train_images": "train_labels",
             "test_images": "test_labels", "arr_0": "arr_1"}
LABELS = ("y", "labels", "label", "y_train", "y_test", "y_val", "targets")


def resolve(source):
    """(what a callable returns, or the source itself; how messages name it)."""
    kind = type(source).__name__
    if not callable(source) or _is_array(source):
        return source, "the array" if _is_array(source) else f"the {kind}"
    name = f"the callable {getattr(source, '__name__', kind)}"
    try:
        return source(), name
    except TfoldError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise _failed(name, error) from error


def is_all(source, inputs):
    """Whether this is all the data at once, and not batch by batch."""
    if isinstance(source, list):
        return len(inputs) > 1 and all(map(_is_array, source))
    return _is_array(source) or isinstance(source, (Mapping, tuple))


def arrays_of(element, inputs, source):
    """What belongs to which input.

    Args:
        element: an array, a list, a mapping or a tuple, see above.
        inputs: the model's.
        source: for messages.

    Returns:
        (name of the input → array that fits it, labels or None, source with the name of the array that was chosen)
    """
    if isinstance(element, tuple) and element and (len(inputs) == 1 or isinstance(element[0], (Mapping, list, tuple))):
        arrays, beside, where = arrays_of(element[0], inputs, source)  # as fit() takes it: x, y, weights
        return arrays, element[1] if len(element) > 1 else beside, where
    if isinstance(element, Mapping):
        return _by_key(element, inputs, source)
    if not isinstance(element, (list, tuple)):
        element = [element]
    if len(element) != len(inputs):
        raise BadInputError(
            f"Representative data have one array for each input of the model. Received: {source} with {len(element)} "
            f"for {_names(inputs)}. Pass a list in this order, or a dict by these names."
        )
    return {each.name: fitted(part, each, source) for part, each in zip(element, inputs, strict=True)}, None, source


def _by_key(found, inputs, source):
    keys = [each.name for each in inputs]
    if not set(keys) <= set(found):
        in_order = [f"arr_{i}" for i in range(len(inputs))]  # numpy.savez(path, a, b) names them so
        keys = _only_key(found) if len(inputs) == 1 else in_order if set(in_order) == set(found) else None
    if keys is None:
        also = " or x" if len(inputs) == 1 else ""
        raise BadInputError(
            f"Representative data are arrays by the names of the model's inputs. Received: {source} with "
            f"{', '.join(map(str, found)) or 'no array'}, and the model takes {_names(inputs)}. Name them so{also}."
        )
    where = source if len(inputs) > 1 or len(found) == 1 else f"{source} ({keys[0]})"
    arrays = {each.name: fitted(found[key], each, where) for each, key in zip(inputs, keys, strict=True)}
    return arrays, _labels_beside(found, keys[0], arrays) if len(inputs) == 1 else None, where


def _only_key(found):
    """The key of what the only input takes, as a list, or None."""
    if len(found) == 1:
        return list(found)
    by_lower = {str(key).lower(): key for key in found}
    return next(([by_lower[name]] for name in WELL_KNOWN if name in by_lower), None)


def _labels_beside(found, key, arrays):
    """The first array beside the one at `key` that can be its labels, or None."""
    by_lower = {str(name).lower(): name for name in found if name != key}
    [count] = map(len, arrays.values())
    for name in (LABELS_OF.get(str(key).lower()), *LABELS):
        numbers = None
        if name in by_lower:
            with suppress(BadInputError):  # calibration needs no labels: text, pickled, says nothing against the images
                numbers = class_numbers(found[by_lower[name]], count)
        if numbers is not None:
            return numbers
    return None


def gather(source, inputs, most, rng, name):
    """Samples of what comes in batches: (arrays by input, labels or None, whether that is all), until there are `most`.

    What has a length gives its batches in random order, everything else in its own.
    """
    parts, labels, count, ended = [], [], 0, True
    for element in _elements(source, rng, name):
        arrays, beside, _ = arrays_of(element, inputs, name)
        size = same_count(arrays, name)
        numbers = class_numbers(beside, size)
        # Copies: a generator may fill the same array again and again.
        parts.append({key: array[: most - count].copy() for key, array in arrays.items()})
        labels.append(None if numbers is None else numbers[: most - count])
        count += size
        if count >= most:
            ended = False  # or perhaps: another look would read on
            break
    if not parts:
        raise BadInputError(
            f"Calibration needs samples. Received: {name}, which gives none. Pass one that yields batches."
        )
    joined = {each.name: np.concatenate([part[each.name] for part in parts]) for each in inputs}
    for each in inputs:
        check_finite(joined[each.name], each, f"{name}, in the order it was read,")
    return joined, None if any(part is None for part in labels) else np.concatenate(labels), ended


def has_length(source):
    """Whether batches can be asked for by number."""
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _elements(source, rng, name):
    if isinstance(source, (str, bytes)) or not (has_length(source) or isinstance(source, Iterable)):
        raise BadInputError(
            "Representative data are a .npz or .npy file, a folder of images, arrays, a dataset, or a callable that "
            f"gives batches. Received: {name}{' that gives None' if source is None else ''}. Pass one of these."
        )
    try:
        if has_length(source):
            for i in rng.permutation(len(source)):
                yield source[int(i)]
        else:
            yield from source
    except Exception as error:  # as above; what this module raises about a batch does not come by here
        raise _failed(name, error) from error


def _failed(name, error):
    return BadInputError(
        f"Representative data must be there to be read. Received: {name}, which fails with {type(error).__name__}: "
        f"{one_line(error)} Make it give batches by itself first: next(iter(…))."
    )


def _is_array(source):
    return hasattr(source, "__array__") and not isinstance(source, type)


def _names(inputs):
    return ", ".join(repr(each.name) for each in inputs)
