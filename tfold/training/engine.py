"""By what a batch norm is computed in this very call, or why it has to be the stock one."""

import functools
import warnings

import keras

from tfold.errors import BadInputError

COMPILED, PLAIN = "compiled", "plain"

FLOATS = ("float32", "float16", "bfloat16")
NO_TENSORFLOW = "the Keras backend is not TensorFlow"
NOT_FLOAT = "its input is neither float32 nor float16 nor bfloat16"
XLA = "XLA compiles the training step (jit_compile=True), and fuses batch norm itself"


def choose(dtype, kernels=True):
    """Returns (engine, reason): COMPILED, PLAIN, or None with the reason for which stock Keras does it.

    Args:
        dtype: The type of batch norm's input.
        kernels: Whether compiled operations may be used where they are built.
    """
    if keras.backend.backend() != "tensorflow":
        return None, NO_TENSORFLOW
    if dtype not in FLOATS:
        return None, NOT_FLOAT
    if _in_xla():
        return None, XLA
    if kernels and dtype in ("float32", "bfloat16") and not _gpus() and _operations() is not None:
        return COMPILED, None
    return PLAIN, None


def compiled_here(dtype, kernels=True):
    """Whether a layer of ours may use a compiled operation in this call."""
    return choose(dtype, kernels)[0] == COMPILED


def require_compiled():
    """Raise `BadInputError` unless compiled operations can be used here."""
    way_out = 'Pass kernels="auto".'
    if keras.backend.backend() != "tensorflow":
        received = NO_TENSORFLOW
    elif _gpus():
        received = "TensorFlow sees a GPU, and they are for CPUs"
    elif _operations() is None:
        received = "none are built, or they cannot be used (tfold doctor says which)"
        way_out = 'Build them with `tfold doctor --build-kernels`, or pass kernels="auto".'
    else:
        return
    raise BadInputError(f'kernels="compiled" needs tfold\'s compiled operations. Received: {received}. {way_out}')


def say_once(reason):
    """Warn that stock Keras computes batch norm, once in a process for each reason."""
    if reason not in _SAID:
        _SAID.add(reason)
        warnings.warn(f"Batch norm is computed by stock Keras: {reason}.", RuntimeWarning, stacklevel=2)


_SAID = set()


def _operations():
    from tfold.training.kernels.load import operations

    return operations()


@functools.cache
def _gpus():
    import tensorflow as tf

    return len(tf.config.get_visible_devices("GPU"))


def _in_xla():
    """Whether the graph being traced is one that XLA will compile; our operations are TensorFlow's alone."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return False
    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:  # TensorFlow promises nobody this name: without it, XLA itself says what it cannot compile
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
