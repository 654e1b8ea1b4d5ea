"""The layers of a quantisation-aware model: TFMOT's wrappers, filled with quantisers that fit what TFLite computes.

    QuantizedLayer(conv, Int8({"kernel": "per_channel"}, "learnt"))      computes with int8 weights, makes int8 numbers
    QuantizedLayer(Activation("linear"), Int8(output="learnt"))          makes int8 numbers of any tensor
    WithConstant("add", shape)                                           x + c, in a form that can be wrapped

TFMOT's own choices do not suit folded networks: one scale for all channels of a depthwise kernel, ranges that begin at
−6…6 and take thousands of steps to leave it, no ReLU6 as part of a convolution, and no added constants.
"""
from inspect import signature

import tensorflow as tf

from tfold.keras2.tfmot import tf_keras, tfmot_keras
from tfold.tflite.qat_quantizers import RANGES, WEIGHTS

registered = tf_keras.saving.register_keras_serializable("tfold")


@registered
class Int8(tfmot_keras.QuantizeConfig):
    """What of a layer is quantised.

    Args:
        weights: attribute → how, one of `WEIGHTS`.
        output: the range of what it makes, one of `RANGES`; None: not quantised, since TFLite makes one op of this
            layer and the next.
    """

    def __init__(self, weights=None, output=None):
        self.weights = dict(weights or {})
        self.output = output

    def get_weights_and_quantizers(self, layer):
        return [(getattr(layer, name), WEIGHTS[how]()) for name, how in self.weights.items()]

    def set_quantize_weights(self, layer, quantize_weights):
        # Not by setattr: Keras would lose track of the variable that stood there.
        vars(layer).update(zip(self.weights, quantize_weights, strict=True))

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        return [] if self.output is None else [RANGES[self.output]()]

    def get_config(self):
        return {"weights": self.weights, "output": self.output}


@registered
class QuantizedLayer(tfmot_keras.QuantizeWrapperV2):
    """A layer wrapped by TFMOT, under its own name. It can be frozen, and has its variables again after each call."""

    def __init__(self, layer, quantize_config, **kwargs):
        super().__init__(layer, quantize_config, **{"name": layer.name, **kwargs})

    def call(self, inputs, training=None, mask=None, **kwargs):
        own = {name: vars(self.layer)[name] for name in self.quantize_config.weights}
        if mask is not None and "mask" in signature(self.layer.call).parameters:
            kwargs["mask"] = mask
        try:
            return super().call(inputs, training, **kwargs)
        finally:
            vars(self.layer).update(own)

    def compute_mask(self, inputs, mask=None):
        return self.layer.compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    @property
    def trainable_weights(self):
        return self.layer.trainable_weights

    @property
    def non_trainable_weights(self):
        return self.layer.non_trainable_weights + self._non_trainable_weights

    # The layer saves its own weights; TFMOT would have them among the wrapper's too, and not always.
    def save_own_variables(self, store):
        store.update({str(i): variable.numpy() for i, variable in enumerate(self._non_trainable_weights)})

    def load_own_variables(self, store):
        for i, variable in enumerate(self._non_trainable_weights):
            variable.assign(store[str(i)])

    @property
    def rounds_only(self):
        """Whether it stands for no layer of the network."""
        return getattr(self.layer, "activation", None) is tf_keras.activations.linear and not self.layer.weights

    @property
    def has_learnt(self):
        """Whether it knows the range of what it makes, where training has to tell it."""
        return self.quantize_config.output != "learnt" or int(self._output_quantizer_vars["batches"]) > 0


@registered
class WithConstant(tf_keras.layers.Layer):
    """`x + constant` or `x · constant`, which training leaves as it is.

    Args:
        function: "add" or "multiply".
        shape: of the constant.
    """

    FUNCTIONS = {"add": tf.add, "multiply": tf.multiply}

    def __init__(self, function, shape, **kwargs):
        super().__init__(**kwargs)
        self.function, self.shape = function, tuple(shape)

    def build(self, input_shape):
        self.constant = self.add_weight("constant", self.shape, initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, inputs):
        return self.FUNCTIONS[self.function](inputs, self.constant)

    def compute_output_shape(self, input_shape):
        return tf.broadcast_static_shape(tf.TensorShape(input_shape), tf.TensorShape(self.shape))

    def get_config(self):
        return {**super().get_config(), "function": self.function, "shape": self.shape}


@registered
class HardSwish(tf_keras.layers.Layer):
    """x · relu6(x + 3) / 6."""

    def call(self, inputs):
        return inputs * tf.nn.relu6(inputs + 3.0) * (1 / 6)

    def compute_output_shape(self, input_shape):
        return input_shape
