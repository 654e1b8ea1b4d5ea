"""`weights=` of the networks: what was published, a file of Keras, or a checkpoint of TensorFlow.

    "imagenet"                               download ─┐
    x.weights.h5, x.keras, x.h5              ──────────┼─ Keras' load_weights ─ all values finite ─ the model
    x.tar.gz, folder, prefix of model.ckpt   ──────────┴─ checkpoint.py (EfficientNet-lite)
"""
import os

import keras

from tfold.errors import BadInputError, one_line
from tfold.zoo.archive import is_checkpoint
from tfold.zoo.fit import check_finite

IMAGENET = "imagenet"


def check_weights(weights, words=(), checkpoints=False):
    """Raise `BadInputError` unless `weights` can be loaded: before the network is built, not after it.

    Args:
        weights: None, one of the words, or a path.
        words: names of what can be downloaded.
        checkpoints: whether a checkpoint of TensorFlow is among what can be loaded.
    """
    if weights is None or (isinstance(weights, str) and weights in words):
        return
    if isinstance(weights, (str, os.PathLike)) and (
            os.path.isfile(weights) or (checkpoints and is_checkpoint(weights))):
        return
    known = "".join(f', "{word}"' for word in words)
    kinds = "a file or a checkpoint (its .tar.gz, folder or prefix)" if checkpoints else "a file"
    raise BadInputError(
        f"weights is None{known} or {kinds} that exists. Received: weights={weights!r}. Check the path."
    )


def load_file(model, path):
    """Give a model the weights of a file of Keras.

    Args:
        model: a Keras model.
        path: what `model.save_weights` wrote, or an .h5 as keras.applications has.

    Raises:
        BadInputError: the file is damaged, of another network, or holds values that are not finite.
    """
    received = f"{os.fspath(path)} for {model.name!r}"
    try:
        model.load_weights(path)
    except Exception as error:  # Keras and h5py raise many kinds for what does not fit
        example = str(error).rpartition("Example error message for object ")[2]
        example = example.partition("List of objects")[0].partition("Target variable")[0]
        raise BadInputError(
            f"A weights file is of this very network. Received: {received}, which does not fit: {one_line(example)} "
            "Pass what model.save_weights wrote, with the same include_top and classes."
        ) from error
    check_finite(((weight.path, keras.ops.convert_to_numpy(weight)) for weight in model.weights), received)
