"""The compiled operations against the same mathematics in NumPy, in float64, on small inputs.

This runs whenever they are loaded: a compiler's mistake must not become a network that trains a little wrong.
"""

import dataclasses
import math

import numpy as np

EPSILON = 1e-3
# Relative to the largest number of each result. float32 has 6e-8, and sums of some hundred numbers stay below 2e-6.
CLOSE = 5e-6
CLOSE_BFLOAT16 = 2.0**-7  # it has 8 bits, and dx is made of two roundings
_NEAR_A_KINK = 1e-2


@dataclasses.dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes:
        activation: "none", "clip" or "mix".
        limit: Where the activation clips.
        channels: Of each part of x.
        shape: Of x without the channels.
        residual: Whether something is added in front of the activation.
        mean: About which x lies, with a deviation of 1.
        bfloat16: Whether x is of that type.
    """

    activation: str
    limit: float
    channels: tuple
    shape: tuple
    residual: bool
    mean: float = 0.0
    bfloat16: bool = False

    def __str__(self):
        return (
            f"activation {self.activation}, {' + '.join(map(str, self.channels))} channels, mean {self.mean:g}, "
            f"{'with' if self.residual else 'without'} a residual, {'bfloat16' if self.bfloat16 else 'float32'}"
        )


ACTIVATIONS = (("none", math.inf), ("clip", 6.0), ("clip", math.inf), ("mix", 1.0))
# 7 × 11 × 5 pixels of 3 channels make whole vectors and a rest; 130 channels make several blocks and an odd width.
CASES = (
    *(Case(*act, (3,), (7, 11, 5), residual, 1000.0) for act in ACTIVATIONS for residual in (False, True)),
    *(Case(*act, (5, 18), (2, 7, 9), residual, -3.0) for act in ACTIVATIONS for residual in (False, True)),
    Case("mix", 1.0, (130,), (2, 9, 9), False, 1000.0),
    Case("clip", 6.0, (130,), (2, 9, 9), True),
    # Of many pixels the gradient goes by rows, of few by strips of channels.
    Case("clip", math.inf, (1,), (767,), False),
    Case("mix", 1.0, (3,), (2, 19, 37), True),
    Case("clip", 6.0, (5, 18), (4, 20, 21), False),
    Case("mix", 6.0, (5,), (2, 7, 9), False, bfloat16=True),
    Case("mix", 6.0, (3, 5), (2, 7, 9), True, bfloat16=True),
)


def disagreement(library, cases=CASES):
    """What the operations compute otherwise than the reference does, as half a sentence, or None.

    Args:
        library: TensorFlow's namespace of the operations.
        cases: What to try.
    """
    import tensorflow as tf

    # At once and on the processor, even where a function is being traced or a GPU is there.
    with tf.init_scope(), tf.device("/CPU:0"):
        for number, case in enumerate(cases):
            reason = _disagreement_in(library, case, np.random.default_rng(number))
            if reason:
                return f"{reason} ({case})"
    return None


def clip(v, limit):
    """min(max(v, 0), limit)"""
    return np.minimum(np.maximum(v, 0.0), limit)


def reference(x, residual, gamma, beta, slope, limit, dy):
    """Batch norm, a sum and an activation, forwards and backwards, by their formulas.

    Args:
        x, residual, dy: (pixels, channels), float64.
        gamma, beta: One number a channel.
        slope, limit: act(v) = slope·v + (1 − slope)·min(max(v, 0), limit).
        dy: dL/dy, or a function of v that gives it.

    Returns:
        A dictionary of all results, dL/d… among them.
    """
    mean, variance = x.mean(0), x.var(0)
    deviation = np.sqrt(variance + EPSILON)
    normalized = (x - mean) / deviation
    v = gamma * normalized + beta + residual
    dy = dy(v) if callable(dy) else dy
    g = dy * np.where((v > 0) & (v < limit), 1.0, slope)
    return {
        "mean": mean,
        "variance": variance,
        "y": slope * v + (1 - slope) * clip(v, limit),
        "dy": dy,
        "dresidual": g,
        "dbeta": g.sum(0),
        "dgamma": (g * normalized).sum(0),
        # Batch norm's own gradient: through x, through the mean, and through the variance.
        "dx": gamma / deviation * (g - g.mean(0) - normalized * (g * normalized).mean(0)),
        "dslope": (dy * (v - clip(v, limit))).sum(),
    }


def _disagreement_in(library, case, rng):
    import tensorflow as tf

    dtype = tf.bfloat16 if case.bfloat16 else tf.float32

    def tensor(values):  # and the float64 numbers that it really has
        made = tf.cast(tf.constant(values, tf.float32), dtype)
        return made, tf.cast(made, tf.float64).numpy().reshape(-1, values.shape[-1])

    # Variances and weights differ from channel to channel: a mix-up must show.
    channels = sum(case.channels)
    spread = np.linspace(0.5, 2.0, channels)
    parts = np.split(rng.normal(size=(*case.shape, channels)) * spread + case.mean, np.cumsum(case.channels)[:-1], -1)
    x, x_wide = zip(*map(tensor, parts), strict=True)
    x_wide = np.concatenate(x_wide, -1)
    added = [tensor(rng.normal(size=(*case.shape, channels)))] if case.residual else []
    gamma, beta = np.float32(rng.uniform(0.5, 2.0, channels)), np.float32(rng.uniform(-1.0, 2.0, channels))
    slope, limit = _slope_and_limit(case)
    upstream = tensor(rng.normal(size=(*case.shape, channels)))[1]

    def gradient_of_y(v):
        # Where float32 may see another side of a kink than float64 does, the gradient asks for nothing.
        near = np.minimum(np.abs(v), np.abs(v - limit)) < _NEAR_A_KINK
        return upstream * ~(near & (case.activation != "none"))

    expected = reference(x_wide, added[0][1] if added else 0.0, gamma, beta, slope, limit, gradient_of_y)
    dy = tensor(expected["dy"].reshape(*case.shape, channels))[0]
    moments = [library.tfold_moments(x=part) for part in x]
    mean, rest, variance = (tf.concat(found, 0) for found in zip(*moments, strict=True))
    inputs = {
        "x": list(x), "residual": [tensor for tensor, _ in added], "mean": mean, "rest": rest, "variance": variance,
        "gamma": gamma, "beta": beta, "slope": np.float32(slope), "epsilon": EPSILON,
        "activation": case.activation, "limit": case.limit,
    }  # fmt: skip
    gradient = library.tfold_normalize_grad(dy=dy, **inputs)
    found = {
        # What is left of the mean is small beside it: the sum is looked at without the mean's own size.
        "mean": (mean.numpy().astype(float) - expected["mean"]) + rest.numpy(),
        "variance": variance,
        "y": library.tfold_normalize(**inputs),
        "dx": tf.concat(gradient.dx, -1),
        "dgamma": gradient.dgamma,
        "dbeta": gradient.dbeta,
        **({"dresidual": gradient.dresidual[0]} if added else {}),
        **({"dslope": gradient.dslope} if case.activation == "mix" else {}),
    }
    expected["mean"] = np.zeros(channels)
    if case.activation == "mix":
        _add_mix(library, x[0], dy[..., : case.channels[0]], slope, limit, found, expected)
    return next(filter(None, (_difference(name, found[name], expected[name]) for name in found)), None)


def _slope_and_limit(case):
    """"none" is a slope of 1, "clip" one of 0."""
    return {"none": 1.0, "clip": 0.0, "mix": 0.25}[case.activation], case.limit


def _add_mix(library, x, dy, slope, limit, found, expected):
    """The activation by itself: its results and what they should be."""
    gradient = library.tfold_mix_grad(dy=dy, x=x, slope=np.float32(slope), limit=limit)
    found |= {"mix": library.tfold_mix(x=x, slope=np.float32(slope), limit=limit), "mix dx": gradient.dx,
              "mix dslope": gradient.dslope}  # fmt: skip
    v, dy = (np.float64(tensor.numpy()) for tensor in (x, dy))
    expected["mix"] = slope * v + (1 - slope) * clip(v, limit)
    expected["mix dx"] = dy * np.where((v > 0) & (v < limit), 1.0, slope)
    expected["mix dslope"] = (dy * (v - clip(v, limit))).sum()


def _difference(name, found, expected):
    found = np.asarray(found)
    allowed = CLOSE if found.dtype.kind == "f" else CLOSE_BFLOAT16  # NumPy has no kind for bfloat16
    found = np.float64(found).reshape(np.shape(expected))
    scale = max(1.0, np.abs(expected).max())
    difference = np.abs(found - expected).max() / scale
    if difference <= allowed:  # and not >: NaN is no agreement
        return None
    return f"{name} differs from the reference by {difference:.1e}, relative to its largest number"
