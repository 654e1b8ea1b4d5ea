"""Load a network that Keras 2 has saved: into Keras 3 where that computes the same, else into tf_keras.

Where tf_keras is installed, it loads the file too, and both networks must compute the same on random input.
"""
import io
import zipfile
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec

import keras
import numpy as np

from tfold.errors import BadInputError, one_line
from tfold.graph.family import KERAS, family_named
from tfold.keras2.calls import check_calls
from tfold.keras2.errors import Untranslatable
from tfold.keras2.network import make_network
from tfold.keras2.weights import load_archive, load_hdf5
from tfold.model_file import hdf5
from tfold.sampling import random_input

AGREEMENT = 1e-4  # relative to the largest output: two libraries' float32, and the same TensorFlow below both
_OLD_BACKENDS = {"theano", "cntk", "mxnet", "plaidml"}  # whose kernels are turned around
_WRAPPERS = {"ClusterWeights", "QuantizeWrapper", "QuantizeWrapperV2", "QuantizeAnnotate", "QuantizedLayer"}


def load(file, objects=(), allow_unsafe=False):
    """Return the network of a file that Keras 2 has written.

    Args:
        file: a `ModelFile` whose configuration `model_file.allowed.check` has passed.
        objects: dict of the user's classes and functions by the names that files give them.
        allow_unsafe: run the code of Lambda layers.

    Returns:
        A `keras.Model`; or a `tf_keras.Model` where Keras 3 does not have what the network consists of.

    Raises:
        BadInputError: weights are missing, or neither Keras 3 nor tf_keras, where it is installed, has what the network
            consists of; says what that is.
    """
    if file.backend in _OLD_BACKENDS or file.version.startswith("1."):
        what = f"Keras {file.version}" if file.version.startswith("1.") else f"Keras on {file.backend}"
        raise BadInputError(
            f"A model file is read as Keras 2 on TensorFlow wrote it. Received: {file.path}, written by {what}, which "
            "stored kernels differently. Load it there, and save it from Keras on TensorFlow.")
    check_calls(file.config)
    objects = dict(objects)
    has_tf_keras = find_spec("tf_keras") is not None
    try:
        if wrappers := file.classes() & _WRAPPERS:
            raise Untranslatable(f"layers that TFMOT has wrapped ({', '.join(sorted(wrappers))})")
        model = _translated(file, objects)
    except Untranslatable as why:
        if not has_tf_keras:
            raise BadInputError(
                f"A model of Keras 2 is loaded into Keras 3 layer by layer, or by tf_keras. Received: {file.path}, "
                f"with {one_line(why)[:-1]}, which Keras 3 does not have. Install Keras 2: pip install tf_keras"
            ) from why
        return with_tf_keras(file, objects, allow_unsafe)
    if not has_tf_keras:
        return model
    try:
        other = with_tf_keras(file, objects, allow_unsafe)
    except BadInputError:  # there is nothing to compare with
        return model
    return model if _same(model, other) else other


def _translated(file, objects):
    model, part = make_network(file.config, objects)
    if file.is_hdf5:
        with hdf5.opened(file.path) as weights:
            load_hdf5(file.path, weights, part)
    else:
        with zipfile.ZipFile(file.path) as archive:
            content = archive.read("model.weights.h5")
        with hdf5.opened(file.path, io.BytesIO(content), len(content)) as weights:
            load_archive(file.path, weights, part)
    return model


def with_tf_keras(file, objects=(), allow_unsafe=False, compiled=False):
    """Return the network as tf_keras loads it; as `load`.

    Args:
        file, objects, allow_unsafe: as of `load`.
        compiled: compile the network as it was compiled when it was saved.
    """
    check_calls(file.config)
    tf_keras = family_named("tf_keras").keras
    with ExitStack() as scopes:
        scopes.enter_context(tf_keras.utils.custom_object_scope(dict(objects)))
        wrappers = file.classes()
        strip = []
        if wrappers & (_WRAPPERS | {"PruneLowMagnitude"}):
            strip = _enter_tfmot(file, wrappers, scopes)
        try:
            # What could not be read of how it was compiled, nobody has checked.
            compiled = compiled and file.training is not None
            model = tf_keras.models.load_model(
                file.path, compile=compiled, **({} if file.is_hdf5 else {"safe_mode": not allow_unsafe}))
            for unwrapped in strip:
                model = unwrapped(model)
        except MemoryError:
            raise
        except Exception as error:  # tf_keras raises whatever the damaged part makes it raise
            raise BadInputError(
                f"A model file is loaded by Keras 3 or by tf_keras. Received: {file.path}, which tf_keras "
                f"{tf_keras.__version__} cannot load: {one_line(error)} Name the modules of your own layers: "
                "--custom-objects package.module."
            ) from error
    return model


def _enter_tfmot(file, wrappers, scopes):
    """Let tf_keras know TFMOT's wrappers; return the functions that take them off again."""
    if find_spec("tensorflow_model_optimization") is None:
        raise BadInputError(
            f"Layers that TFMOT has wrapped are loaded with TFMOT. Received: {file.path}, with "
            f"{', '.join(sorted(wrappers & (_WRAPPERS | {'PruneLowMagnitude'})))}, and it is not installed. "
            "Install it: pip install tensorflow-model-optimization tf_keras setuptools")
    # It changes which Keras the process has, which the module that imports it takes back.
    tfmot = import_module("tfold.keras2.tfmot").tfmot
    scopes.enter_context(tfmot.sparsity.keras.prune_scope())
    scopes.enter_context(tfmot.clustering.keras.cluster_scope())
    scopes.enter_context(tfmot.quantization.keras.quantize_scope())
    strip = []
    if "PruneLowMagnitude" in wrappers:
        strip.append(tfmot.sparsity.keras.strip_pruning)
    if "ClusterWeights" in wrappers:
        strip.append(tfmot.clustering.keras.strip_clustering)
    return strip


def _same(model, other):
    """Whether two networks compute the same on random input; where they cannot be run, there is nothing against it."""
    try:
        sample = random_input(model, batch=2)
        outputs = [keras.tree.flatten(model(sample, training=False)), KERAS.flatten(other(sample, training=False))]
    except Exception:  # text as input, a shape that is open, a layer that does not run on this processor
        return True
    return len(outputs[0]) == len(outputs[1]) and all(
        _close(np.asarray(keras.ops.convert_to_numpy(a)), np.asarray(b)) for a, b in zip(*outputs, strict=True))


def _close(a, b):
    if a.shape != b.shape:
        return False
    a, b = a.astype("float64"), b.astype("float64")
    scale = np.abs(b).max(initial=0, where=np.isfinite(b)) or 1.0
    return bool(np.allclose(a, b, rtol=0, atol=AGREEMENT * scale, equal_nan=True))


