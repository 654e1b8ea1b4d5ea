"""Published weights, fetched when somebody asks for them, and kept where Keras keeps its own.

    weights="imagenet" ─ $TFOLD_WEIGHTS_URL, or the authors' address ─ ~/.keras/models/<file>      once

TFOLD_WEIGHTS_URL is for those who have the files elsewhere: the address of a folder, https://… or file:///….
"""
import os
from contextlib import contextmanager

import keras

from tfold.errors import BadInputError, TfoldError, one_line

VARIABLE = "TFOLD_WEIGHTS_URL"


def download(name, folder):
    """Return the path of a published file, which is fetched unless it was before.

    Args:
        name: of the file.
        folder: address of the authors' folder, which ends with "/".

    Raises:
        TfoldError: it cannot be fetched.
    """
    address = (os.environ.get(VARIABLE) or folder).rstrip("/") + "/" + name
    try:
        # KERAS_HOME is Keras' own variable, which it reads on import alone.
        return keras.utils.get_file(name, address, cache_subdir="models", cache_dir=os.environ.get("KERAS_HOME"))
    except Exception as error:  # Keras and urllib raise many kinds for what goes wrong on the way
        raise TfoldError(
            f'weights="imagenet" downloads once. Received: {one_line(error)} Check the connection, or fetch '
            f"{folder}{name} by hand and pass weights=<path of the file>; {VARIABLE} names another folder to download "
            "from."
        ) from error


@contextmanager
def of_a_download(path):
    """Says of what `download` gave, where it turns out to be of no use, how to get it anew. None: it gave nothing."""
    try:
        yield
    except BadInputError as error:
        if path is None:
            raise
        raise BadInputError(f"{error} It was downloaded: delete {path}, and it is fetched again.") from error
