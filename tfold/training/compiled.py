"""Batch norm in training by tfold's own operations (`kernels/batch_norm.cc`): three sweeps forwards, five backwards.

    x ─ Moments ─ mean, variance ─┐
    └───────────────── Normalize ─┴─ residual, activation ─ y        y is written once, whatever follows batch norm
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from tfold.training.kernels.load import operations
from tfold.training.pending import parts_of


def normalize(x, gamma, beta, epsilon):
    """Batch norm of a tensor with channels last.

    Args:
        x: float32 or bfloat16.
        gamma, beta: float32, one number a channel.
        epsilon: Added to the variance.

    Returns:
        (chain, mean, variance): a `Chain` that makes y; float32, one number a channel, the variance the biased one.
    """
    parts = [tf.convert_to_tensor(part) for part in parts_of(x)]  # a variable's value is another in every step
    vectors = zip(*(_moments(part) for part in parts), strict=True)
    mean, rest, variance = (tf.concat(pieces, 0) if len(parts) > 1 else pieces[0] for pieces in vectors)
    return Chain(tuple(parts), (mean, rest, variance), gamma, beta, epsilon), mean, variance


def _moments(part):
    # Several batch norms may read one tensor, in a dense block all that follow: its moments are taken once in a graph.
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    known, moments = getattr(part, "_tfold_moments", (None, None))
    if moments is None or known is not graph:
        moments = operations().tfold_moments(x=part)
        part._tfold_moments = graph, moments
    return moments


@dataclasses.dataclass(frozen=True)
class Chain:
    """act(γ·x̂ + β + residual), by one operation.

    Attributes:
        parts: x, or the tensors that stand side by side in it.
        moments: The mean, what rounding it to float32 took from it, and the variance.
        gamma, beta: γ and β.
        epsilon: Added to the variance.
        residual: What is added: one tensor or none.
        activation: "none", "clip" or "mix".
        limit: Where the activation clips.
        slope: How much of the activation's input is mixed in, a scalar tensor: one or none.
    """

    parts: tuple
    moments: tuple
    gamma: Any
    beta: Any
    epsilon: float
    residual: tuple = ()
    activation: str = "none"
    limit: float = math.inf
    slope: tuple = ()

    def make(self):
        """The result, by a new operation in every call."""
        mean, rest, variance = self.moments
        return operations().tfold_normalize(
            x=self.parts,
            residual=self.residual,
            mean=mean,
            rest=rest,
            variance=variance,
            gamma=self.gamma,
            beta=self.beta,
            slope=self.slope[0] if self.slope else 0.0,
            epsilon=self.epsilon,
            activation=self.activation,
            limit=self.limit,
        )

    def takes_activation(self):
        return self.activation == "none"

    def takes_residual(self):
        return self.activation == "none" and not self.residual

    def plus(self, residual):
        return dataclasses.replace(self, residual=(residual,))

    def activated(self, limit, slope):
        """With act(v) = slope·v + (1 − slope)·min(max(v, 0), limit) behind it."""
        if isinstance(slope, float) and slope == 0.0:
            return dataclasses.replace(self, activation="clip", limit=limit)
        return dataclasses.replace(self, activation="mix", limit=limit, slope=(tf.cast(slope, "float32"),))

    def inputs(self):
        """What the result can be differentiated by."""
        return [*self.parts, *self.residual, self.gamma, self.beta, *self.slope]

    def again(self, inputs):
        """The result made anew from other `inputs()`; the moments stay."""
        inputs = iter(inputs)
        parts = tuple(next(inputs) for _ in self.parts)
        residual = tuple(next(inputs) for _ in self.residual)
        gamma, beta = next(inputs), next(inputs)
        chain = dataclasses.replace(self, parts=parts, residual=residual, gamma=gamma, beta=beta, slope=tuple(inputs))
        return chain.make()


def mix(x, limit, slope):
    """slope·x + (1 − slope)·min(max(x, 0), limit) by one operation: two sweeps forwards, three backwards."""
    return operations().tfold_mix(x=x, slope=tf.cast(slope, "float32"), limit=limit)
