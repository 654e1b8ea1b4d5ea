"""Layers that make their input again for the backward pass instead of keeping it (`memory="low"`).

    forwards     x ─ bn, ReLU ─ z ─ conv ─ y         z is dropped as soon as y is there
    backwards    x ─ bn, ReLU ─ z ─ gradients        one sweep or two more, and a whole activation less in memory

The convolution's gradient needs z; batch norm's needs x alone, which the layer in front has to keep anyway.
"""

import keras

from tfold.training.pending import pending
from tfold.training.stand_in import stands_in_for


class _Recomputing:
    def call(self, inputs):
        chain = pending(inputs)
        if chain is None:
            return super().call(inputs)
        import tensorflow as tf

        sources, weights = chain.inputs(), [variable.value for variable in self.variables]
        stock_call = super().call

        def with_weights(tensors):
            # In this scope the layer's variables have the values of these tensors.
            return keras.StatelessScope(zip(self.variables, tensors[len(sources) :], strict=True))

        @tf.custom_gradient
        def forwards(*tensors):
            def backwards(upstream):
                # Not before the gradient is there, or TensorFlow would make z early, or take it for the first one.
                with tf.control_dependencies([upstream]), tf.GradientTape() as tape:
                    watched = [tf.identity(tensor) for tensor in tensors]
                    tape.watch(watched)
                    with with_weights(watched):
                        # By __call__, which computes in the layer's type: nothing is noted on this z.
                        outputs = self(chain.again(watched[: len(sources)]))
                return tape.gradient(outputs, watched, upstream, unconnected_gradients="zero")

            with with_weights(tensors):
                return stock_call(inputs), backwards

        return forwards(*sources, *weights)


@stands_in_for(keras.layers.Conv2D)
class Conv2D(_Recomputing, keras.layers.Conv2D):
    pass


@stands_in_for(keras.layers.DepthwiseConv2D)
class DepthwiseConv2D(_Recomputing, keras.layers.DepthwiseConv2D):
    pass


@stands_in_for(keras.layers.SeparableConv2D)
class SeparableConv2D(_Recomputing, keras.layers.SeparableConv2D):
    pass


@stands_in_for(keras.layers.Conv2DTranspose)
class Conv2DTranspose(_Recomputing, keras.layers.Conv2DTranspose):
    pass


BY_STOCK = {kind._tfold_stock: kind for kind in (Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose)}
