"""The price of being non-linear: L_c = λ_c · Σ_l c_l · (1 − α_l^p).

A regularizer is all that Keras needs to add L_c to the loss: each α carries an `AlphaPenalty`, and plain `compile` and
`fit` train F_α. λ_c has to move during `fit` (warm-up, ramp), inside a train step that is compiled once. On JAX a
compiled step sees as variables only what the model tracks, and bakes everything else in as a constant. So λ_c is a
non-trainable weight of the layer that owns the α, and the penalty reads it from there. Each layer has its own, rather
than all of one, so that a cloned or loaded model has the same list of weights.
"""

import math

import keras

from tfold.errors import BadInputError


@keras.saving.register_keras_serializable(package="tfold")
class AlphaPenalty(keras.regularizers.Regularizer):
    """λ_c · c_l · (1 − α^p) for one α: h(α) = 1 − α^p of Layer Folding (arXiv 2106.09309, sec. 3).

    The gradient of h is −p·α^(p−1). Near α = 0 it is flat: an activation that matters is left alone, and the task's
    loss has to move α first. Near α = 1 it is steep: what is nearly linear is pushed over.

    Examples:

    >>> float(AlphaPenalty(strength=0.25, p=2)(0.5))
    0.1875

    ```python
    f_alpha = tfold.prefold(model, penalty=tfold.AlphaPenalty(strength=0.25))
    f_alpha.fit(x, y, callbacks=[tfold.callbacks.AlphaSchedule(0.1)])  # moves it, in every layer
    ```

    Args:
        strength: λ_c, at least 0. Sweep it to get networks of different depth.
        p: Exponent of h, greater than 1 (at 1 or below, h is not flat at α = 0).
        cost: c_l, at least 0: what this activation costs compared with the others, for instance the latency that
            would be saved without it.

    Raises:
        ValueError: If a value is out of its range.
    """

    def __init__(self, strength=0.25, p=2.0, cost=1.0):
        self._strength = _number("strength", strength)
        self._variable = None
        self.p = _number("p", p)
        self.cost = _number("cost", cost)
        if self.p <= 1:
            raise BadInputError(
                f"AlphaPenalty needs p > 1, so that 1 − α^p is flat at α = 0. Received: p={p}. Use the paper's p=2."
            )

    @property
    def strength(self):
        """λ_c now, as a float. Assigning moves it, also for a compiled model between two epochs."""
        if self._variable is None:
            return self._strength
        value = float(keras.ops.convert_to_numpy(self._variable))
        # 0.1 comes back from float32 as 0.10000000149: keep the digits that were written where nothing has moved.
        return self._strength if math.isclose(value, self._strength, rel_tol=1e-6) else value

    @strength.setter
    def strength(self, value):
        self._strength = _number("strength", value)
        if self._variable is not None:
            self._variable.assign(self._strength)

    def bind(self, variable):
        """Reads λ_c from `variable` from now on: the layer that owns the α hands over its non-trainable weight."""
        self._variable = variable

    def with_cost(self, cost):
        """Returns the same penalty with another c_l, bound to no layer."""
        return AlphaPenalty(strength=self.strength, p=self.p, cost=cost)

    def __call__(self, x):
        strength = self._strength if self._variable is None else keras.ops.convert_to_tensor(self._variable)
        return strength * (self.cost * (1.0 - keras.ops.power(x, self.p)))

    def get_config(self):
        return {"strength": self.strength, "p": self.p, "cost": self.cost}


def _number(name, value):
    """Returns `value` as a finite float of at least 0, or says which argument is wrong."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadInputError(
            f"AlphaPenalty needs a finite `{name}` of at least 0. Received: {name}={value!r}. "
            "The paper uses strength=0.25, p=2 and cost=1."
        )
    return number
