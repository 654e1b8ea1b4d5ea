"""Operations of Keras 3 that the IR does not know, in a network that becomes one of tf_keras."""
import keras
import numpy as np
import pytest
from keras import ops

from tfold.errors import BadInputError
from tfold.graph.build import build
from tfold.graph.capture import capture

X = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")


@pytest.mark.parametrize("function", [
    lambda x: ops.max(x, axis=1), lambda x: ops.amax(x, axis=(1, 2)), lambda x: ops.min(x, axis=-1, keepdims=True),
    lambda x: ops.amin(x, axis=-1), lambda x: ops.mean(x, axis=(1, 2)), lambda x: ops.sum(x, axis=1),
    lambda x: ops.prod(x, axis=2), lambda x: ops.std(x, axis=-1), lambda x: ops.var(x, axis=1),
    lambda x: ops.squeeze(ops.max(x, axis=2, keepdims=True), axis=2), lambda x: ops.where(x > 0, x, 0.1 * x),
    lambda x: ops.where(ops.logical_and(x > 0.1, x < 1.0), x, -1.0), lambda x: ops.maximum(x, 0.2 * x),
    lambda x: ops.minimum(1.0, x), ops.sign, ops.expm1, ops.erf, ops.gelu, lambda x: ops.tile(x, (1, 2, 1, 1)),
    lambda x: ops.logsumexp(x, axis=-1), lambda x: ops.cumsum(x, axis=1),
])
def test_goes_over(function):
    x = keras.Input((4, 5, 3))
    model = keras.Model(x, function(x))
    np.testing.assert_allclose(build(capture(model), family="tf_keras")(X), model(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function, name", [(lambda x: ops.max(x, axis=1, initial=0.0), "Max"), (ops.sort, "Sort")])
def test_what_does_not_is_refused_by_name(function, name):
    x = keras.Input((4, 5, 3))
    with pytest.raises(BadInputError, match=f"operation by operation. Received: .*{name}"):
        build(capture(keras.Model(x, function(x))), family="tf_keras")
