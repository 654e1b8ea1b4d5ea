"""`weights=` of the networks: what was published, a file of Keras, or a checkpoint of TensorFlow.

    "imagenet"                               download ─┐
    x.weights.h5, x.keras, x.h5              ──────────┼─ Keras' load_weights ─ all values finite ─ the model
    x.tar.gz, folder, prefix of model.ckpt   ──────────┴─ checkpoint.py (EfficientNet-lite)
"""
import os

import h5py
import keras

from tfold.errors import BadInputError, one_line
from tfold.zoo.archive import is_checkpoint
from tfold.zoo.fit import check_finite
from tfold.zoo.pieces import channel_axis

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


def check_channels(image, weights):
    """Raise `BadInputError` where published weights do not fit the input: before they are downloaded, not after it."""
    channels = image.shape[channel_axis()]
    if weights == IMAGENET and channels != 3:
        raise BadInputError(
            f"The published weights are for images of 3 channels. Received: weights={weights!r} and {channels} "
            "channels. Leave weights out; or put a layer in front that makes three (input_tensor)."
        )


def classes_of(path):
    """Of how many classes an .h5 of keras.applications is: 0 without the top; None if the file is none of these."""
    try:
        with h5py.File(path) as file:
            layers = {name.decode() if isinstance(name, bytes) else name for name in file.attrs["layer_names"]}
            if "predictions" not in layers:
                return 0
            bias = file["predictions"].attrs["weight_names"][-1]
            return int(file["predictions"][bias].shape[0])
    except (OSError, KeyError, IndexError):
        return None


def load_file(model, path, by_name=False):
    """Give a model the weights of a file of Keras.

    Args:
        model: a Keras model.
        path: what `model.save_weights` wrote, or an .h5 as keras.applications has.
        by_name: take each layer's weights from the layer of its name, of an .h5 as keras.applications has, which may
            hold others as well.

    Raises:
        BadInputError: the file is damaged, of another network, or holds values that are not finite.
    """
    received = f"{os.fspath(path)} for {model.name!r}"
    try:
        if by_name:
            _check_names(model, path)
        model.load_weights(path, **({"by_name": True} if by_name else {}))
    except Exception as error:  # Keras and h5py raise many kinds for what does not fit
        example = str(error).rpartition("Example error message for object ")[2]
        example = example.partition("List of objects")[0].partition("Target variable")[0]
        raise BadInputError(
            f"A weights file is of this very network. Received: {received}, which does not fit: {one_line(example)} "
            "Pass what model.save_weights wrote, with the same include_top and classes."
        ) from error
    check_finite(((weight.path, keras.ops.convert_to_numpy(weight)) for weight in model.weights), received)


def _check_names(model, path):
    """Keras leaves layers as they are that it finds no weights for."""
    with h5py.File(path) as file:
        missing = [layer.name for layer in model.layers if layer.weights and layer.name not in file]
    if missing:
        raise ValueError(f"it has no layer {missing[0]}.")
