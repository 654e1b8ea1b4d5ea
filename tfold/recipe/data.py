"""Labelled images to train on, to choose by and to judge by, from wherever people have them.

    load_data("cifar10")         keras.datasets, downloaded when asked for
    load_data("photos.npz")      x_train, y_train, x_test, y_test, as numpy.savez writes them
    load_data("photos/")         train/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg alone

What is chosen by accuracy (λ_c, when to stop) is chosen by the validation part, which is taken out of the training
part; the test part only judges.
"""
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tfold.checks import check_path
from tfold.errors import BadInputError
from tfold.recipe.sources import DATASETS, count_classes, read_dataset, read_folder, read_npz

SPLIT_SEED = 0  # of what is held back: the same images whatever a run's own seed


@dataclass(frozen=True, eq=False)
class Data:
    """Images and their classes in three parts.

    Args:
        source: where they come from, as messages say it.
        x_train, x_validation, x_test: as they are stored, `(n, height, width, channels)` or of any other shape.
        y_train, y_validation, y_test: class numbers, int32 `(n,)`.
        classes: how many there are.
        scale: what 0 and 255 become, or None: as they are.
    """

    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    scale: tuple | None = None

    @cached_property
    def digest(self):
        """What tells these images, their division and scale from others: sha256, 16 digits."""
        total = hashlib.sha256(repr(self.scale).encode())
        for part in (self.x_train, self.y_train, self.x_validation, self.y_validation, self.x_test, self.y_test):
            total.update(f"{part.dtype} {part.shape}".encode())
            total.update(np.ascontiguousarray(part))
        return total.hexdigest()[:16]

    def inputs(self, x):
        """Stored images as a network takes them: float32, scaled.

        Example:

        >>> data.inputs(data.x_test[:2]).max()
        1.0
        """
        x = np.asarray(x, "float32")
        if self.scale is None:
            return x
        low, high = self.scale
        return x * np.float32((high - low) / 255) + np.float32(low)


def load_data(source, scale=None, validation=0.1, limit=None, size=None, resize="stretch"):
    """Load labelled images.

    Args:
        source: a name of `DATASETS`; the path of a .npz with x_train, y_train, x_test and y_test; or a folder of
            images, a subfolder a class, in `train` and `test` or without such parts (then every fifth image is for
            testing).
        scale: `(low, high)`: what pixels 0 and 255 become, as the network was trained; the images are pixels then.
            None: they stay as they are.
        validation: share of the training part that is held back to choose by: the same images at every call.
        limit: at most so many images to train on (and a fifth as many to validate and to test by).
        size: `(height, width, channels)` of a folder's images.
        resize: "stretch" or "crop": how a folder's images get that size.

    Returns:
        `Data`.

    Raises:
        BadInputError: there is no such file, or it does not hold labelled images.
        TfoldError: the data set has to be downloaded first, and cannot be.

    Example:

    >>> load_data("cifar10", scale=(-1, 1)).x_train.shape
    (45000, 32, 32, 3)
    """
    if not 0 < validation < 1:
        raise BadInputError(
            f"validation is a share between 0 and 1. Received: validation={validation!r}. The default is 0.1."
        )
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadInputError(f"limit counts images, from 1 on. Received: limit={limit!r}. Leave it out for all.")
    few = limit and max(1, limit // 5)
    scale = _checked_scale(scale)
    check_path(source)
    path = Path(source)
    if str(source) in DATASETS and not path.exists():
        parts = read_dataset(str(source))
    elif path.is_dir():
        parts = read_folder(path, size, resize, limit and _least(limit, few, validation))
    else:
        parts = read_npz(path)
    (x_train, y_train), (x_test, y_test) = _checked(*parts, source)
    if scale is not None:
        for name, x in (("x_train", x_train), ("x_test", x_test)):
            _check_pixels(x, name, source, scale)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x_train))
    held_back = min(max(1, round(validation * len(x_train))), len(x_train) - 1)
    choose, train = order[:held_back], np.sort(order[held_back:])
    if limit is not None:
        train = np.sort(np.random.default_rng(SPLIT_SEED).permutation(train)[:limit])
        test = np.sort(np.random.default_rng(SPLIT_SEED).permutation(len(x_test))[:few])  # they may be sorted by class
        choose, x_test, y_test = choose[:few], x_test[test], y_test[test]
    classes = int(max(y_train.max(), y_test.max())) + 1
    if limit is not None and path.is_dir():  # of the few that were read none may be of the last class
        classes = max(classes, count_classes(path))
    return Data(str(source), x_train[train], y_train[train], x_train[choose], y_train[choose], x_test, y_test, classes,
                scale)


def _least(limit, few, validation):
    """How many images of a training part, of which a share is held back, and of a test part leave as many as that."""
    return math.ceil(max(few / validation, limit / (1 - validation))), max(2, few)


def _checked_scale(scale):
    if scale is None:
        return None
    try:
        low, high = (float(number) for number in scale)
    except (TypeError, ValueError):
        low = high = math.nan
    if isinstance(scale, str) or not math.isfinite(low) or not math.isfinite(high):
        raise BadInputError(
            f"scale is what pixels 0 and 255 become: two numbers. Received: scale={scale!r}. Use (0, 1) or (-1, 1)."
        )
    return low, high


def _check_pixels(x, name, source, scale):
    low, high = x.min(), x.max()
    if low < 0 or high > 255 or (x.dtype.kind == "f" and high <= 1):
        raise BadInputError(
            f"A scale is for pixels 0 to 255. Received: {source}, whose {name} goes from {low:g} to {high:g}, and "
            f"scale={scale}. Leave the scale out, or say none, if the images are scaled already; or store them as "
            "uint8."
        )


def checked_pair(x, y, name, source):
    """Images and labels, int32 `(n,)`, or a `BadInputError`. Of the images only shape and kind are looked at.

    Args:
        x, y: arrays, or what NumPy makes one of.
        name: "train" or "test", for messages.
        source: where they come from, likewise.
    """
    x, y = np.asanyarray(x), np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "iuf" or not np.isfinite(y).all() or not np.array_equal(y, np.round(y)):
        raise BadInputError(
            f"Labels are class numbers, (n,) or (n, 1). Received: {source}, whose y_{name} is {y.dtype}{y.shape}. "
            "Of one-hot labels take the argmax."
        )
    if x.ndim < 2 or len(x) != len(y) or len(x) < 2:
        raise BadInputError(
            f"There are as many images as labels, two at least. Received: {source} with x_{name} {x.shape} and "
            f"y_{name} {y.shape}. Check how it was written."
        )
    if x.dtype.kind not in "iuf" or y.min() < 0 or y.max() > 1_000_000:
        raise BadInputError(
            f"Images are numbers, and classes count from 0. Received: {source} with x_{name} of {x.dtype} and "
            f"labels from {y.min()} to {y.max()}. Check how it was written."
        )
    return x, y.astype("int32")


def _checked(train, test, source):
    parts = []
    for name, (x, y) in (("train", train), ("test", test)):
        x, y = checked_pair(x, y, name, source)
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise BadInputError(
                f"Images hold finite numbers. Received: {source}, whose x_{name} has NaN or infinity. Leave those "
                "images out."
            )
        parts.append((x, y))
    if parts[0][0].shape[1:] != parts[1][0].shape[1:]:
        raise BadInputError(
            f"Images to train and to test by have one shape. Received: {source} with {parts[0][0].shape[1:]} and "
            f"{parts[1][0].shape[1:]}. Check how it was written."
        )
    return parts
