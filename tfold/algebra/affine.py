"""Per-channel affine maps y = s·x + t: the inference form of batch norm.

An affine map before or after a linear layer is absorbed by it:

    conv ─▶ s·y + t   ⇒   kernel · s (by output channel), bias · s + t
    s·x + t ─▶ conv   ⇒   kernel · s (by input channel), bias + Σ kernel·t      (no padding, or t = 0)
"""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale · x + shift over the last axis.

    Args:
        scale: float64 array of shape `(channels,)`.
        shift: float64 array of shape `(channels,)`.

    Example:

    >>> twice = Affine(np.full(3, 2.0), np.zeros(3))
    >>> twice.then(twice).scale
    array([4., 4., 4.])
    """

    scale: np.ndarray
    shift: np.ndarray

    def __call__(self, x):
        return x * self.scale + self.shift

    def then(self, after):
        """The map that applies this one first and `after` second."""
        return Affine(self.scale * after.scale, self.shift * after.scale + after.shift)

    def inverse(self):
        """The map that takes this one back; no scale may be zero."""
        return Affine(1 / self.scale, -self.shift / self.scale)

    @property
    def is_finite(self):
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())


def from_batch_norm(mean, variance, epsilon, gamma=None, beta=None):
    """The affine map that a batch norm is at inference: γ·(x − μ)/√(σ² + ε) + β.

    Args:
        mean, variance: moving statistics, shape `(channels,)`.
        epsilon: the layer's ε.
        gamma, beta: scale and centre, or None where the layer has none.
    """
    mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1.0 / np.sqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * np.asarray(gamma, np.float64)
    shift = -mean * scale
    if beta is not None:
        shift = shift + np.asarray(beta, np.float64)
    return Affine(scale, shift)
