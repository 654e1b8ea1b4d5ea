"""Batch norm in training by TensorFlow's own fused operation, which stock Keras never uses."""

import math

import tensorflow as tf


def normalize(x, gamma, beta, epsilon):
    """Batch norm of a tensor with channels last.

    Args:
        x: float32, float16 or bfloat16, of rank 4.
        gamma, beta: float32, one number a channel.
        epsilon: Added to the variance.

    Returns:
        (chain, mean, variance): a `Chain` that holds y; float32, one number a channel, the variance the biased one.
    """
    y, mean, variance = _fused(x, gamma, beta, epsilon)
    return Chain(x, gamma, beta, epsilon, y), mean, _biased(variance, x)


def _fused(x, gamma, beta, epsilon):
    empty = tf.constant([], "float32")
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=empty, variance=empty, epsilon=epsilon, is_training=True
    )
    return y, mean, variance


def _biased(variance, x):
    """The operation returns the unbiased variance, n/(n − 1) times that of the batch, which Keras averages."""
    count = tf.cast(tf.reduce_prod(tf.shape(x, tf.int64)[:-1]), variance.dtype)
    return variance * ((count - 1.0) / count)


class Chain:
    """What `compiled.Chain` is there: here each layer has its own operations, but the result can be made again.

    Args:
        x, gamma, beta, epsilon: As above.
        result: What was made of them.
        clip: (limit, slope) of the activation in it, or None.
    """

    def __init__(self, x, gamma, beta, epsilon, result, clip=None):
        self._inputs = [x, gamma, beta]
        self._epsilon = epsilon
        self._result = result
        self._clip = clip

    def make(self):
        return self._result

    def takes_activation(self):
        return self._clip is None

    def takes_residual(self):
        return False

    def activated(self, limit, slope):
        if isinstance(slope, float):
            return Chain(*self._inputs, self._epsilon, _activate(self._result, limit, slope), (limit, slope))
        return None  # σ_α with an α that learns: nothing is gained here

    def inputs(self):
        return self._inputs

    def again(self, inputs):
        x, gamma, beta = inputs
        y, *_ = _fused(x, gamma, beta, self._epsilon)
        return y if self._clip is None else _activate(y, *self._clip)


def _activate(x, limit, slope):
    if slope != 0.0:
        return tf.nn.leaky_relu(x, slope)
    if limit == 6.0:
        return tf.nn.relu6(x)
    return tf.nn.relu(x) if limit == math.inf else tf.minimum(tf.nn.relu(x), tf.cast(limit, x.dtype))
