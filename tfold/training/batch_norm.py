"""The batch norm that stands in for Keras' own."""

import keras

from tfold.training.engine import COMPILED, choose, say_once
from tfold.training.pending import note
from tfold.training.stand_in import stands_in_for


@stands_in_for(keras.layers.BatchNormalization)
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' BatchNormalization, its training step in fewer sweeps over memory; the rest is Keras' own.

    Made by `tfold.restructure_batch_norm`. It computes what the stock layer does, with the same weights and the same
    moving averages, and is saved as the stock layer.

    Attributes:
        hands_on: Whether the layer behind it may take its work into its own sweep.
        kernels: Whether it may use compiled operations, where they are built.
    """

    hands_on = False
    kernels = True

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        engine, reason = choose(keras.backend.standardize_dtype(inputs.dtype), self.kernels)
        if mask is not None:
            reason = "its input has a mask"
        if reason:
            say_once(reason)
            return super().call(inputs, training=training, mask=mask)
        gamma = self._vector(self.gamma, keras.ops.ones)
        beta = self._vector(self.beta, keras.ops.zeros)
        if engine == COMPILED:
            from tfold.training.compiled import normalize
        else:
            from tfold.training.plain import normalize
        chain, mean, variance = normalize(inputs, gamma, beta, self.epsilon)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(keras.ops.cast(average, "float32") * self.momentum + value * (1.0 - self.momentum))
        y = chain.make()
        return note(y, chain) if self.hands_on else y

    def _vector(self, weight, otherwise):
        if weight is None:
            return otherwise(self.moving_mean.shape, "float32")
        return keras.ops.cast(weight, "float32")
