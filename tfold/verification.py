"""Is the folded network the same function? Both are run, and every rewritten tensor is compared, borders included.

A node of the graph makes the same tensor before and after an exact pass, so the two networks are compared there, at
each layer that was rewritten, and at the outputs. A network that ends in a global average hides an error in its border
pixels; the comparison at the rewritten layer itself does not.
"""
from dataclasses import asdict, dataclass, replace

import keras
import numpy as np

from tfold.errors import BadInputError, ParityError, one_line

SIZE_WHERE_OPEN = 64
TOLERANCE = {"float64": 1e-5, "float32": 1e-5, "bfloat16": 1e-1, "float16": 1e-2}
# A fold that is exact in float64 may lie so many tolerances apart in the layers' own precision, at most a tenth:
# beyond that it is not what the user would run.
ROUNDING_AT_MOST = 100, 0.1


@dataclass(frozen=True)
class Difference:
    """How far two tensors lie apart: max |a − b| ÷ max |a|, over all, and over border and inner pixels."""

    node: str
    relative: float
    border: float | None
    interior: float | None

    def __str__(self):
        where = "" if self.border is None else f" (border {self.border:.1e}, interior {self.interior:.1e})"
        return f"{self.node}: relative difference {self.relative:.1e}{where}"


@dataclass(frozen=True)
class Verification:
    """All comparisons of one fold: `compared` in the order of the network, outputs last.

    `rounding` is None, or, where the comparison had to be made in float64, how far the two lie apart in their own
    precision: that is rounding alone.
    """

    compared: tuple
    tolerance: float
    rounding: float | None = None

    @property
    def worst(self):
        return max(self.compared, key=lambda d: d.relative)

    @property
    def parting(self):
        """The first tensor where the two networks part by more than the tolerance, or None."""
        return next((each for each in self.compared if not each.relative <= self.tolerance), None)

    def to_json(self):
        return {"tolerance": self.tolerance, "compared": len(self.compared), "worst": asdict(self.worst),
                "rounding": self.rounding}

    def __str__(self):
        count = len(self.compared)
        text = f"verified at {count} tensor{'s' * (count > 1)}, tolerance {self.tolerance:.0e}; worst: {self.worst}"
        return text if self.rounding is None else (
            f"{text}; compared in float64, because rounding in the layers' own precision comes to {self.rounding:.1e}")


def verify(original, folded, pairs=(), sample=None, in_float64=None):
    """Run both networks on the same input and compare.

    Args:
        original, folded: Keras models with the same inputs and outputs.
        pairs: `(name, tensor of original, tensor of folded)` of the inner tensors to compare, in order.
        sample: input for both, as `model(sample)` takes it; random numbers if None.
        in_float64: a function that returns the three again for networks made in float64. It is asked where the layers'
            own precision cannot tell a wrong fold from rounding.

    Returns:
        A `Verification`.

    Raises:
        ParityError: they differ by more than rounding; names the first tensor where they part.
    """
    sample = random_input(original) if sample is None else sample
    found = _compare(original, folded, pairs, sample)
    if found.parting is not None:
        _check_comparable(original, pairs, sample, found.tolerance)
    # JAX has no float64 unless it was started with it.
    if in_float64 and keras.backend.backend() != "jax" and (found.parting or found.tolerance > TOLERANCE["float32"]):
        rounding = found.worst.relative
        try:
            exact = _compare(*in_float64(), sample)
        except Exception:  # a layer of the user's that works in its own precision only: what was found stands
            exact = found
        if exact.parting is None and rounding < min(ROUNDING_AT_MOST[0] * found.tolerance, ROUNDING_AT_MOST[1]):
            return replace(exact, rounding=rounding)
        found = exact if exact.parting is not None else found
    if found.parting is not None:
        raise ParityError(
            f"A fold must not change what the network computes (tolerance {found.tolerance:.0e}). "
            f"Received: {found.parting}, the first layer where the two part. Nothing was kept; please report this "
            "model. To go without the check: verify=False (--no-verify)."
        )
    return found


def _compare(original, folded, pairs, sample):
    outputs = zip(_names(original), original.outputs, folded.outputs, strict=True)
    pairs = [*pairs, *outputs]
    before = _run(original, [a for _, a, _ in pairs], sample)
    after = _run(folded, [b for _, _, b in pairs], sample)
    compared = tuple(difference(name, a, b) for (name, _, _), a, b in zip(pairs, before, after, strict=True))
    return Verification(compared, max(TOLERANCE.get(dtype, 1e-5) for dtype in _precisions(original, pairs)))


def difference(name, a, b):
    """Compare two arrays of one shape; pixels on the edge of a feature map count as border."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ParityError(f"A fold must keep every shape. Received: {a.shape} and {b.shape} at {name}.")
    scale = np.abs(a).max(initial=0) or 1.0
    error = np.abs(a - b) / scale
    if a.ndim < 3 or min(a.shape[1:-1]) < 3:
        return Difference(name, float(error.max(initial=0)), None, None)
    inner = error[(slice(None), *(slice(1, -1),) * (a.ndim - 2))]
    border = error.copy()
    border[(slice(None), *(slice(1, -1),) * (a.ndim - 2))] = 0
    return Difference(name, float(error.max()), float(border.max()), float(inner.max()))


def random_input(model, seed=0, batch=1):
    """Random input of the model's shapes and types: normal floats, integers 0 and 1, pixels 0…255 where it takes them.

    It takes pixels if they are uint8, or if it scales them itself: behind Rescaling(1/255), numbers near 1 would leave
    nothing but the biases to compare.
    """
    rng = np.random.default_rng(seed)
    takes_pixels = any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in model.layers)

    def one(tensor):
        shape = [batch if tensor.shape[0] is None else tensor.shape[0]]
        shape += [SIZE_WHERE_OPEN if n is None else n for n in tensor.shape[1:]]
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if dtype == "string":
            raise BadInputError(
                f"Random input is made of numbers. Received: {model.name!r}, whose input {tensor.name!r} takes text. "
                "Pass sample=, an input it accepts."
            )
        if dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        if dtype.startswith(("int", "uint")):
            return rng.integers(0, 256 if dtype == "uint8" else 2, shape).astype(dtype)
        values = rng.uniform(0, 255, shape) if takes_pixels else rng.normal(size=shape)
        return values.astype("float32" if dtype == "bfloat16" else dtype)

    return keras.tree.map_structure(one, _input(model))


def _run(model, tensors, sample):
    probe = keras.Model(_input(model), tensors)
    try:
        results = keras.tree.flatten(probe(sample, training=False))  # a lone tensor comes without its list
    except Exception as error:
        raise BadInputError(
            f"The fold is verified by running the network on random input. Received: {model.name!r}, which fails on "
            f"it: {one_line(error)} Pass sample=, an input it accepts, or verify=False to go without the check."
        ) from error
    return [np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(r, "float32") if "float16" in str(r.dtype) else r))
            for r in results]


def _precisions(model, pairs):
    return {keras.backend.standardize_dtype(tensor.dtype) for _, tensor, _ in pairs} | {
        layer.compute_dtype for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)}


def _check_comparable(model, pairs, sample, tolerance):
    """Raise `BadInputError` if the original itself gives no numbers, or other numbers each time it is run."""
    pairs = [*pairs, *zip(_names(model), model.outputs, model.outputs, strict=True)]
    once, again = (_run(model, [a for _, a, _ in pairs], sample) for _ in range(2))
    for (name, _, _), a, b in zip(pairs, once, again, strict=True):
        what = "NaN or infinity" if not np.isfinite(a).all() else "other values each time it is run"
        if not difference(name, a, b).relative <= tolerance:
            raise BadInputError(
                f"The fold is verified by comparing what two networks compute. Received: {model.name!r}, which gives "
                f"{what} at {name}. Pass sample=, an input it is made for, or verify=False to go without the check."
            )


def _input(model):
    # A Sequential model that was never called has no .input.
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _names(model):
    names = [model.layers[-1].name] if isinstance(model, keras.Sequential) else model.output_names
    return [f"output {name}" for name in names]
