"""How numbers become int8 in training: rounded as TFLite rounds them, with the same scales, and floats still.

    weights, per channel    ±max |w| of each output channel; of a depthwise kernel that is each of its channels
    weights, per tensor     ±max |w|: dense, one-dimensional and transposed layers, where the converter takes no more
    constants               from the smallest to the largest
    tensors                 a mean of the smallest and largest numbers of the batches seen in training: of all at first,
                            of the last hundred or so later on. Before the first batch nothing is rounded

Ranges of weights follow the weights at once; nothing about them is stored.
"""
import math

import tensorflow as tf

from tfold.keras2.tfmot import tf_keras, tfmot_keras

Quantizer = tfmot_keras.quantizers.Quantizer
# A channel this much smaller than the largest is rounded as if it were larger: below it, nothing is left of it in the
# output's 256 steps, and its bias, an int32 in steps of its scale, would overflow.
SMALLEST_CHANNEL = 2.0**-12
# The largest weight lies just inside its range, or rounding might put it outside, where it gets no gradient.
MARGIN = 1 + 2.0**-20
SMALLEST_RANGE = 1e-5
SLOWEST = 0.01  # how much of a tensor's range is the last batch's, at least


class _Stateless(Quantizer):
    """A quantiser without variables or settings."""

    def build(self, tensor_shape, name, layer):
        return {}

    def get_config(self):
        return {}


class PerTensor(_Stateless):
    """Weights with one scale for all."""

    def __call__(self, inputs, training, weights, **kwargs):
        bound = _bound(tf.reduce_max(tf.abs(inputs)))
        return tf.quantization.fake_quant_with_min_max_vars(inputs, -bound, bound, narrow_range=True)


class PerChannel(_Stateless):
    """Weights with a scale for each channel: for each place of the last `AXES` axes."""

    AXES = 1

    def __call__(self, inputs, training, weights, **kwargs):
        rest, channels = inputs.shape[: -self.AXES], math.prod(inputs.shape[-self.AXES :])
        flat = tf.reshape(inputs, (*rest, channels))
        bound = _bound(tf.reduce_max(tf.abs(flat), range(len(rest))))
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -bound, bound, narrow_range=True)
        return tf.reshape(rounded, inputs.shape)


class PerDepthwiseChannel(PerChannel):
    """A depthwise kernel: (height, width, channels, multiplier)."""

    AXES = 2


class Constant(_Stateless):
    """What is added or multiplied: zero is among its numbers, as everywhere in TFLite."""

    def __call__(self, inputs, training, weights, **kwargs):
        low, high = _range(inputs)
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)


@tf_keras.saving.register_keras_serializable("tfold")
class LearntRange(Quantizer):
    """A tensor between layers, whose range training learns."""

    def build(self, tensor_shape, name, layer):
        def variable(suffix, **settings):
            return layer.add_weight(f"{name}_{suffix}", (), initializer="zeros", trainable=False, **settings)

        return {"low": variable("low", aggregation=tf.VariableAggregation.MEAN),
                "high": variable("high", aggregation=tf.VariableAggregation.MEAN),
                "batches": variable("batches", dtype=tf.int32,
                                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)}

    def __call__(self, inputs, training, weights, **kwargs):
        low, high, batches = (weights[name] for name in ("low", "high", "batches"))
        fake_quantized = tf.quantization.fake_quant_with_min_max_vars
        if not training:
            return tf.cond(batches > 0, lambda: fake_quantized(inputs, low, high), lambda: inputs)
        seen = tf.maximum(1 / (tf.cast(batches, tf.float32) + 1), SLOWEST)
        now = [value + seen * (new - value) for value, new in zip((low, high), _range(inputs), strict=True)]
        low.assign(now[0])
        high.assign(now[1])
        batches.assign_add(1)
        return fake_quantized(inputs, *now)

    def get_config(self):
        return {}


def _bound(largest):
    largest = tf.stop_gradient(largest)
    bound = tf.maximum(largest, SMALLEST_CHANNEL * tf.reduce_max(largest)) * MARGIN
    return tf.where(bound > 0, bound, 1.0)  # all zero: any range will do, but none of no width


def _range(values):
    values = tf.stop_gradient(values)
    low, high = tf.minimum(tf.reduce_min(values), 0.0), tf.maximum(tf.reduce_max(values), 0.0)
    return low, tf.maximum(high, low + SMALLEST_RANGE)


def _fixed(low, high):
    return lambda: tfmot_keras.quantizers.FixedQuantizer(8, low, high, narrow_range=False)


WEIGHTS = {"per_tensor": PerTensor, "per_channel": PerChannel, "per_depthwise_channel": PerDepthwiseChannel,
           "constant": Constant}
# The int8 numbers that TFLite's own functions make, whatever they are applied to.
RANGES = {"learnt": LearntRange, "sigmoid": _fixed(0.0, 255 / 256), "tanh": _fixed(-1.0, 127 / 128),
          "log_softmax": _fixed(-255 / 16, 0.0)}
