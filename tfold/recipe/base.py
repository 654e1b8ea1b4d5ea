"""The base network: trained, or trained before."""
from pathlib import Path

import keras

from tfold.errors import BadInputError
from tfold.files import held
from tfold.loading import load_model, save_model
from tfold.recipe.fitting import fit
from tfold.recipe.identity import check_fits, digest, structure
from tfold.recipe.precision import in_precision
from tfold.training.restructure import in_fewer_sweeps, restore_batch_norm


def train_base(build, data, training, folder, say, on_epoch=None):
    """Train a network from random weights into `folder/base.keras`, or go on with it where it was cut off.

    Args:
        build: called without arguments: makes the untrained network. The seed is set before.
        data: a `Data`.
        training: a `Training`.
        folder: an existing directory.
        say: called with lines of progress.
        on_epoch: called with (epoch, logs) after each epoch.

    Returns:
        (the trained `keras.Model`, in float32 and stock layers; its logs, a dict an epoch)

    Example:

    >>> base, history = train_base(lambda: CifarResNet(20), data, Training(40, 0.1), "out", print)
    """
    path = Path(folder) / "base.keras"
    keras.utils.set_random_seed(training.seed)
    network = build()
    check_fits(network, data)
    model = in_fewer_sweeps(in_precision(network, training.precision))
    about = {"network": structure(network), "data": data.digest}
    with held(folder):
        history = fit(model, data, training, folder, "base", about, say, network.name, on_epoch=on_epoch)
        base = in_precision(restore_batch_norm(model), "float32")
        # The file stays as it is where it holds this network: its digest is what later runs go by.
        if not _holds(path, base):
            save_model(base, path, force=True)
        return base, history


def _holds(path, network):
    try:
        return path.exists() and digest(load_model(path)) == digest(network)
    except BadInputError:  # code in it (Lambda), or layers that Keras does not know by name
        return False
