"""Keras operations with names: what `keras.ops.pad` and `x[..., 1:]` make in a model takes no name of its own."""
import keras


def named(name, function, x):
    """The operation behind a function of `keras.ops`, under a name, to be called with the function's other arguments.

    Args:
        name: as Keras and TensorFlow take it, unique in the model.
        function: from a Keras tensor to what the operation makes of it.
        x: a Keras tensor like the one that it will be called on.

    Example:

    >>> negative = named("minus", keras.ops.negative, x)
    >>> y = negative(x)
    """
    probe = keras.Input(batch_shape=x.shape, dtype=x.dtype)
    operation = keras.Model(probe, function(probe)).operations[-1]
    return type(operation).from_config({**operation.get_config(), "name": name})
