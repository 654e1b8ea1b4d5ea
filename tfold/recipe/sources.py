"""Where labelled images are read from: keras.datasets, an .npz file, a folder. Unchecked: `load_data` checks them.

Each gives `(x_train, y_train), (x_test, y_test)`.
"""
import math
import zipfile

import numpy as np

from tfold.errors import BadInputError, TfoldError, one_line
from tfold.folders import subfolders

DATASETS = ("mnist", "fashion_mnist", "cifar10", "cifar100")
PARTS = ("x_train", "y_train", "x_test", "y_test")
UNUSED = ("val", "valid", "validation")
SEED = 0  # of the order of a folder's images: the same whatever a run's own seed


def read_dataset(name):
    """A set of `DATASETS`; Keras downloads it once."""
    import keras

    try:
        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # urllib's, Keras' and the archive's
        raise TfoldError(
            f"The data set {name} is downloaded by keras.datasets. Received: {type(error).__name__}: {one_line(error)} "
            "Connect to the network, or pass an .npz file with x_train, y_train, x_test and y_test, or a folder."
        ) from error
    return (x_train, y_train), (x_test, y_test)


def read_npz(path):
    """The arrays `PARTS` of an .npz file."""
    if not path.is_file():
        raise BadInputError(
            f"Data are {', '.join(DATASETS)}, an .npz file or a folder of images. Received: {path}, which is none of "
            "these. Check the path."
        )
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive, or is cut off")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in PARTS if name not in file.files]
            if missing:
                raise BadInputError(
                    f"An .npz file of data holds {', '.join(PARTS)}. Received: {path} with "
                    f"{', '.join(file.files) or 'nothing'}. Write it with numpy.savez(path, x_train=…, y_train=…, …)."
                )
            x_train, y_train, x_test, y_test = (file[name] for name in PARTS)
    except (BadInputError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, NumPy and Python's own parser have many for what is damaged
        raise BadInputError(
            f"An .npz file is as numpy.savez writes it, without Python objects. Received: {path}, which cannot be read "
            f"({one_line(error)[:-1]}). Write it anew."
        ) from error
    return (x_train, y_train), (x_test, y_test)


def read_folder(folder, size, resize, least=None):
    """The images of `train` and `test`, or of the one folder, every fifth of which is for testing; uint8, one size.

    `least`: how many to train and to test by are enough; about so many are decoded, chosen at random. None: all.
    """
    from tfold.tflite.image_folder import read_images
    from tfold.tflite.samples import Input

    whole = isinstance(size, (tuple, list)) and len(size) == 3 and all(isinstance(n, int) and n > 0 for n in size)
    if not whole:
        raise BadInputError(
            f"Images of a folder get one size. Received: {folder} and size={size!r}. Give (height, width, channels); a "
            "network that takes any size cannot tell it: build it again with a fixed input, and load its weights."
        )

    train, test = least or (None, None)

    def read(part, most):
        images, labels, _ = read_images(
            part, [Input("image", tuple(size), "uint8")], most, np.random.default_rng(SEED), resize, (None, True))
        if labels is None:
            raise BadInputError(
                f"A folder of labelled images has a subfolder for each class, two at least. Received: {part}, which "
                "has not. Sort the images into subfolders."
            )
        return next(iter(images.values())), labels

    parts = set(subfolders(folder)) & {"train", "test", *UNUSED}
    if parts == {"train", "test"}:
        names = [subfolders(folder / part) for part in ("train", "test")]
        if names[0] != names[1]:
            odd = sorted(set(names[0]) ^ set(names[1]))
            raise BadInputError(
                f"Both parts have the same classes. Received: {folder}, where {', '.join(odd)} is in one alone. "
                "Make the subfolders of train and test the same."
            )
        return read(folder / "train", train), read(folder / "test", test)
    if parts:
        raise BadInputError(
            f"A folder in parts has train and test, and no other. Received: {folder} with {', '.join(sorted(parts))}. "
            "Call what is to judge test, and take out what is not to be used: the validation part is taken from train."
        )
    images, labels = read(folder, least and max(5 * test, math.ceil(train * 5 / 4) + 5))
    fifth = np.arange(len(images)) % 5 == 0
    return (images[~fifth], labels[~fifth]), (images[fifth], labels[fifth])


def count_classes(folder):
    """How many classes a folder that `read_folder` takes has."""
    return len(subfolders(folder / "train" if (folder / "train").is_dir() else folder))
