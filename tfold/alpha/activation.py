"""σ_α(x) = α·x + (1 − α)·σ(x): an activation that can learn to be linear.

At α = 0 the layer is the activation σ, at α = 1 it is the identity and can be folded away. For σ = ReLU, σ_α is the
leaky ReLU with slope α. (Layer Folding, arXiv 2106.09309, sec. 3.)

Importing Keras imports this module (tfold/registration.py), maybe for a module of tfold.training that is only half
there: so tfold.training is imported where it is used.
"""

import keras
from keras import ops

from tfold.alpha.constraint import UnitInterval
from tfold.alpha.penalty import AlphaPenalty
from tfold.errors import BadInputError

NOT_ELEMENTWISE = tuple(getattr(keras.activations, name) for name in ("softmax", "log_softmax", "sparsemax", "glu"))


@keras.saving.register_keras_serializable(package="tfold")
class AlphaActivation(keras.layers.Layer):
    """Applies σ_α(x) = α·x + (1 − α)·σ(x) with one trainable scalar α for the whole layer.

    Weights: `alpha`, kept in [0, 1]; and `strength`, λ_c, not trainable, if `alpha_regularizer` is an `AlphaPenalty`.
    `layer.alpha` is the variable; `tfold.alphas(model)` reads them all.

    Under a mixed or half-precision policy the weights and the mixture stay float32, because α's gradient is one sum
    over every element of the batch, which overflows float16; σ runs in, and the output has, the layer's compute dtype.

    Examples:

    >>> layer = AlphaActivation("relu", alpha_initializer=keras.initializers.Constant(0.25))
    >>> layer(np.array([-4.0, 0.0, 2.0]))
    [-1.0, 0.0, 2.0]
    >>> AlphaActivation(keras.layers.ReLU(max_value=6), alpha_regularizer=AlphaPenalty(strength=0.25))

    Args:
        activation: σ: a name, a callable, or a Keras activation layer without weights.
        alpha_initializer: Where α starts. Defaults to zeros: the layer starts as σ.
        alpha_regularizer: Usually an `AlphaPenalty`. The layer takes a copy, so one penalty may serve many layers.
        fused: Whether σ was the `activation=` of the layer before, so that `settle` puts it back there.
        **kwargs: `name`, `dtype`, `trainable`, `activity_regularizer`.

    Raises:
        ValueError: If σ is no elementwise function (softmax and the like) or has weights (PReLU).
    """

    kernels = True  # whether compiled operations may be used in training, where they are built

    def __init__(self, activation, alpha_initializer="zeros", alpha_regularizer=None, fused=False, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.activation = keras.activations.get(activation)
        self.alpha_initializer = keras.initializers.get(alpha_initializer)
        self.alpha_regularizer = keras.regularizers.get(alpha_regularizer)
        if isinstance(self.alpha_regularizer, AlphaPenalty):
            # The penalty will read this layer's λ_c: it must not be another layer's object too.
            self.alpha_regularizer = self.alpha_regularizer.with_cost(self.alpha_regularizer.cost)
        self.fused = bool(fused)
        self.alpha = None
        self.strength = None
        self._check_activation()

    def _check_activation(self):
        if not_elementwise(self.activation):
            raise BadInputError(
                "AlphaActivation needs an elementwise activation: a softmax is no function of one number. "
                f"Received: activation={self.activation!r}. Keep this layer as it is."
            )
        layer = self.activation
        if isinstance(layer, keras.layers.Layer) and (isinstance(layer, keras.layers.PReLU) or layer.weights):
            raise BadInputError(
                "AlphaActivation needs an activation without weights, because α is its only weight. "
                f"Received: activation={layer!r}. Keep this layer as it is."
            )

    def build(self, input_shape):
        # α is read as it is (no autocast): the mixture is computed at the weight's precision.
        dtype = "float32" if self.variable_dtype in ("float16", "bfloat16") else self.variable_dtype
        self.alpha = self.add_weight(
            name="alpha",
            shape=(),
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=UnitInterval(),
            dtype=dtype,
            autocast=False,
        )
        if isinstance(self.alpha_regularizer, AlphaPenalty):
            self.strength = self.add_weight(
                name="strength",
                shape=(),
                initializer=keras.initializers.Constant(self.alpha_regularizer.strength),
                dtype=dtype,
                trainable=False,
                autocast=False,
            )
            self.alpha_regularizer.bind(self.strength)
        if isinstance(self.activation, keras.layers.Layer) and not self.activation.built:
            self.activation.build(input_shape)
            self._check_activation()
        self.built = True

    def call(self, inputs, training=None):
        if training:
            outputs = self._in_one_sweep(inputs)
            if outputs is not None:
                return outputs
        sigma = self.activation(inputs)
        if tuple(sigma.shape) != tuple(inputs.shape):
            raise BadInputError(
                "AlphaActivation needs an activation that keeps the shape of its input. "
                f"Received: layer '{self.name}', input shape {tuple(inputs.shape)}, activation's output shape "
                f"{tuple(sigma.shape)}. Leave it alone with prefold(..., skip='{self.name}')."
            )
        alpha = ops.convert_to_tensor(self.alpha)
        x, sigma = ops.cast(inputs, alpha.dtype), ops.cast(sigma, alpha.dtype)
        if self.compute_dtype in ("float16", "bfloat16") or self.activation is keras.activations.exponential:
            # Values that overflow to ∞ are in reach here, and ∞·0 would be NaN where α is 0 or 1.
            x, sigma = _finite(x), _finite(sigma)
        # This form, not σ + α·(x − σ), is exact at both ends. No `where` at the ends either: α has to leave 0.
        return ops.cast(alpha * x + (1.0 - alpha) * sigma, self.compute_dtype)

    def tfold_takes_over(self):
        """Whether a batch norm in front can do σ_α in its own sweep over memory (`tfold.training`)."""
        from tfold.training.clip import clip_limit

        return clip_limit(self.activation) is not None

    def _in_one_sweep(self, inputs):
        """σ_α of a ReLU or ReLU6 by a compiled operation, together with the batch norm in front if there is one."""
        from tfold.training.clip import clip_limit
        from tfold.training.engine import compiled_here
        from tfold.training.followers import activate

        limit = clip_limit(self.activation)
        if limit is None:
            return None
        alpha = ops.convert_to_tensor(self.alpha)
        outputs = activate(inputs, limit, alpha)
        if outputs is None and compiled_here(keras.backend.standardize_dtype(inputs.dtype), self.kernels):
            from tfold.training import compiled

            outputs = compiled.mix(inputs, limit, alpha)
        return outputs

    def original(self, name=None):
        """Returns a new stock Keras layer that computes σ alone, with this layer's name unless given another."""
        name = name or self.name
        if isinstance(self.activation, keras.layers.Layer):
            return type(self.activation).from_config({**self.activation.get_config(), "name": name})
        return keras.layers.Activation(
            self.activation, name=name, dtype=self.dtype_policy, activity_regularizer=self.activity_regularizer
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        if isinstance(self.activation, keras.layers.Layer):
            activation = keras.saving.serialize_keras_object(self.activation)
        else:
            activation = keras.activations.serialize(self.activation)
        config = {
            "activation": activation,
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "fused": self.fused,
        }
        return {**super().get_config(), **config}


def not_elementwise(activation):
    """Whether σ mixes elements (softmax, sparsemax, …), given a function or an activation layer."""
    if isinstance(activation, keras.layers.Softmax):
        return True
    if isinstance(activation, (keras.layers.Activation, AlphaActivation)):
        return not_elementwise(activation.activation)
    return activation in NOT_ELEMENTWISE


def _finite(x):
    largest = 3.4028e38  # just below float32's largest; cast to float16 it is ∞ again
    return ops.clip(x, -largest, largest)
