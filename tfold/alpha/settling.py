"""Settling: every α goes to one of its ends, and the network is stock Keras again.

    α > τ     dense ─ σ_α ─ dense   →   dense ─ dense          nearly linear: it goes, and the two can be merged
    α ≤ τ     dense ─ σ_α ─ dense   →   dense ─ σ ─ dense      it matters: the original activation comes back

Both are approximations unless α is 0 or 1, so the network is fine-tuned afterwards. (Layer Folding, arXiv 2106.09309,
sec. 3, step 3.) On demand the second is exact: α·x + (1 − α)·σ(x) from stock layers.
"""

import math

import keras

from tfold.alpha.activation import AlphaActivation
from tfold.alpha.reading import alphas
from tfold.alpha.sites import is_linear_layer
from tfold.alpha.topology import Topology, sources
from tfold.checks import check_threshold
from tfold.errors import BadInputError
from tfold.graph.rebuild import in_keras_spelling, rebuild
from tfold.stock import stock_class

NEGLIGIBLE = 1e-6


def settle(model, threshold=0.9, leaky=False):
    """Returns a new model without any `AlphaActivation`, made of stock Keras layers.

    Examples:

    ```python
    settled = settle(f_alpha)                 # the paper's τ = 0.9
    exact = settle(f_alpha, leaky=True)       # what is kept computes exactly σ_α
    ```

    Args:
        model: A built Functional or Sequential model, usually trained after `prefold`. It is not changed.
        threshold: τ, between 0 and 1: activations with α > τ disappear.
        leaky: What the others become. False: the original activation, in the layer it was taken from where it was
            `activation=` of one. True: exactly α·x + (1 − α)·σ(x): a (leaky) ReLU with another slope where that says
            it, else a small nested model of stock layers; the original activation where α is at most 1e-6.

    Returns:
        An uncompiled model.

    Raises:
        ValueError: If the threshold is not between 0 and 1, an α is no number, or the model is subclassed or not built.
    """
    check_threshold(threshold)
    broken = [name for name, alpha in alphas(model).items() if not math.isfinite(alpha)]
    if broken:
        raise BadInputError(
            f"settle needs every α to be a number. Received: NaN in {broken}. The training has diverged: train again "
            "with a lower learning rate, or add keras.callbacks.TerminateOnNaN()."
        )
    model = in_keras_spelling(model)
    topology = Topology(model)
    outputs = {id(call.op) for call in topology.outputs}
    reunited, absorbed = _reunions(topology, lambda layer: _stays_original(layer, threshold, leaky))

    def replace(op):
        if id(op) in reunited:
            return [_with_activation(op, reunited[id(op)])]
        if not isinstance(op, AlphaActivation):
            return None
        if id(op) in absorbed:
            return []
        alpha = _read(op)
        if alpha > threshold:
            # A layer that names an output of the network keeps its name.
            is_named_output = id(op) in outputs and not op.fused
            return [keras.layers.Activation("linear", name=op.name, dtype=op.dtype_policy)] if is_named_output else []
        if _stays_original(op, threshold, leaky):
            return [op.original()]
        return [_exact(op, alpha)]

    return rebuild(model, replace)


def _read(layer):
    return float(keras.ops.convert_to_numpy(layer.alpha))


def _stays_original(layer, threshold, leaky):
    alpha = _read(layer)
    return alpha <= threshold and (not leaky or alpha <= NEGLIGIBLE)


def _reunions(topology, stays_original):
    """Finds the activations that go back into the layer they were taken from.

    Returns:
        (reunited, absorbed): id of the linear layer → its `AlphaActivation`; ids of those that thereby disappear.
    """
    reunited, absorbed = {}, set()
    for layer in {call.op: None for call in topology.calls if isinstance(call.op, AlphaActivation)}:
        if not layer.fused or not stays_original(layer):
            continue
        before = {source.op for call in topology.calls_of(layer) for source in sources(call)}
        if len(before) != 1:
            continue
        (linear,) = before
        calls = topology.calls_of(linear)
        only_consumer = all({user.op for user in topology.consumers[call]} == {layer} for call in calls)
        # The graph may have been changed since prefold: put σ back only where that says the same.
        if (
            is_linear_layer(linear)
            and linear.activation in (None, keras.activations.linear)
            and only_consumer
            and not any(call in topology.outputs for call in calls)
        ):
            reunited[id(linear)] = layer
            absorbed.add(id(layer))
    return reunited, absorbed


def _with_activation(linear, layer):
    restored = stock_class(linear).from_config({**linear.get_config(), "activation": "linear"})
    activation = layer.activation
    if isinstance(activation, keras.layers.Layer):
        activation = type(activation).from_config(activation.get_config())
    restored.activation = activation
    restored.activity_regularizer = layer.activity_regularizer
    return restored


def _exact(layer, alpha):
    """Stock layers that compute α·x + (1 − α)·σ(x)."""
    slope = _negative_slope(layer.activation)
    if slope is not None:
        return keras.layers.LeakyReLU(
            negative_slope=alpha + (1 - alpha) * slope,
            name=layer.name,
            dtype=layer.dtype_policy,
            activity_regularizer=layer.activity_regularizer,
        )
    # Only the number of dimensions matters: every layer in here is elementwise.
    rank = len(layer.get_build_config()["input_shape"])
    dtype = layer.dtype_policy
    x = keras.Input(batch_shape=(None,) * rank, dtype=layer.compute_dtype)
    linear_part = keras.layers.Rescaling(alpha, name="linear_part", dtype=dtype)(x)
    sigma = layer.original(name="sigma")(x)
    sigma_part = keras.layers.Rescaling(1 - alpha, name="sigma_part", dtype=dtype)(sigma)
    outputs = keras.layers.Add(name="sum", dtype=dtype)([linear_part, sigma_part])
    return keras.Model(x, outputs, name=layer.name)


def _negative_slope(activation):
    """The slope below 0 where σ is a plain or leaky ReLU, else None."""
    if activation is keras.activations.relu:
        return 0.0
    if activation is keras.activations.leaky_relu:
        return 0.2
    if type(activation) is keras.layers.LeakyReLU:
        return float(activation.negative_slope)
    if type(activation) is keras.layers.ReLU and activation.max_value is None and not activation.threshold:
        return float(activation.negative_slope)
    return None
