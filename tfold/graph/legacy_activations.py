"""Activations of Keras 3 that tf_keras has no function for, made of its layers.

    hard_sigmoid   relu6(x + 3) / 6          (tf_keras calls another function by this name)
    hard_silu      x · hard_sigmoid(x)
    hard_tanh      relu2(x + 1) − 1          relu2: never above 2
    log_sigmoid    −softplus(−x)

These are what mobile networks are made of; others have no twin.
"""
from functools import reduce

from tfold.errors import BadInputError
from tfold.graph.family import family_named
from tfold.graph.legacy_functions import function_layer


def as_layers(fn, params, name, dtype):
    """A function from a tensor to the activation of it, made of tf_keras layers.

    Args:
        fn, params: Keras 3's name of the activation, and its parameters.
        name: of the last layer; the others' begin with it.
        dtype: type or policy of all.

    Raises:
        BadInputError: there is no such function here; names it.
    """
    layers = family_named("tf_keras").layers

    def chain(name, before, middle, after):
        steps = (layers.Rescaling(*before, name=f"{name}_before", dtype=dtype),
                 middle(name=f"{name}_middle", dtype=dtype),
                 layers.Rescaling(*after, name=name, dtype=dtype))
        return lambda x: reduce(lambda y, step: step(y), steps, x)

    def relu(most):
        return lambda **settings: layers.ReLU(most, **settings)

    def softplus(**settings):
        return layers.Activation("softplus", **settings)

    if fn == "hard_sigmoid":
        return chain(name, (1.0, 3.0), relu(6.0), (1 / 6, 0.0))
    if fn == "hard_tanh":
        return chain(name, (1.0, 1.0), relu(2.0), (1.0, -1.0))
    if fn == "log_sigmoid":
        return chain(name, (-1.0, 0.0), softplus, (-1.0, 0.0))
    if fn in ("hard_silu", "hard_swish"):
        gate = as_layers("hard_sigmoid", {}, f"{name}_gate", dtype)
        product = layers.Multiply(name=name, dtype=dtype)
        return lambda x: product([x, gate(x)])
    if fn == "gelu":
        gelu = function_layer("nn.gelu", name)
        return lambda x: gelu(x, approximate=params["approximate"])
    if fn == "log_softmax":
        log_softmax = function_layer("nn.log_softmax", name)
        return lambda x: log_softmax(x, axis=params["axis"])
    raise BadInputError(
        f"A network becomes a tf_keras model of what tf_keras has. Received: {name!r}, with the activation {fn}, which "
        "it has not. Replace it, or build the network in Keras 3."
    )
