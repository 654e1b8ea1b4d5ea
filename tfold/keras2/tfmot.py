"""tensorflow-model-optimization (TFMOT), imported so that nobody else in the process notices.

TFMOT works on tf_keras, and its import sets TF_USE_LEGACY_KERAS in the environment of the whole process. What reads
that afterwards gets tf_keras: `tf.keras` where it is first used later, and every process that is started later. So
`tf.keras` is settled before, as the environment has it, and the environment is put back behind. (What remains:
`tf.compat.v1.keras`, which Keras 3 does not have, is tf_keras' from then on.)

    from tfold.keras2.tfmot import tf_keras, tfmot_keras
"""
import os
from contextlib import contextmanager
from importlib import import_module

from tfold.errors import TfoldError, one_line
from tfold.graph.family import family_named
from tfold.keras2.tfmot_installed import INSTALL

SWITCH = "TF_USE_LEGACY_KERAS"


@contextmanager
def switch_kept():
    """Whatever is imported inside, `tf.keras` and the environment are as they would have been without it."""
    import tensorflow as tf

    hasattr(tf.keras, "layers")  # settles which Keras it is
    before = os.environ.get(SWITCH)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SWITCH, None)
        else:
            os.environ[SWITCH] = before


def _imported():
    with switch_kept():
        try:
            return import_module("tensorflow_model_optimization")
        except Exception as error:  # made for another Python, NumPy or TensorFlow, it fails in many ways
            raise TfoldError(
                "Quantisation-aware training needs tensorflow-model-optimization. Received: it is installed, and "
                f"cannot be imported: {type(error).__name__}: {one_line(error)} Install it anew: {INSTALL} setuptools"
            ) from error


tfmot = _imported()
tf_keras = family_named("tf_keras").keras
tfmot_keras = tfmot.quantization.keras
