"""Input to run a network on: random numbers of its shapes and types, and samples as a network takes them."""
import keras
import numpy as np

from tfold.errors import BadInputError
from tfold.graph.family import family_of

SIZE_WHERE_OPEN = 64
FAR = 20  # deviations from the mean


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

    return family_of(model).map_structure(one, model_input(model))


def adapted_inputs(model, statistics, seed=0):
    """Input as the first layers of a model were adapted to it, where random input is something else to them.

    A channel that never varied, the alpha of opaque images or a constant column of a table, keeps its mean: behind
    Normalization, which multiplies it by 1e7, random numbers in it would hide all others.

    Args:
        model: a Functional or Sequential model.
        statistics: for each of its inputs `(mean, deviation)` of each channel, NaN where unknown; or None.

    Returns:
        A list of one such input, with the mean ± a few deviations in each channel; of none if random input is like it.
    """
    rng, left = np.random.default_rng(seed), list(statistics)
    is_another = False

    def one(values):
        nonlocal is_another
        known = left.pop(0)
        if known is None:
            return values
        mean, deviation = known
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.sqrt(np.mean(np.square((flat - mean) / deviation), axis=0))
        if not (distance <= FAR)[~np.isnan(mean)].all():
            is_another = True
        adapted = np.where(np.isnan(mean), values, mean + deviation * rng.normal(size=values.shape).clip(-3, 3))
        if values.dtype.kind in "iu":
            limits = np.iinfo(values.dtype)
            adapted = adapted.round().clip(limits.min, limits.max)
        return adapted.astype(values.dtype)

    made = family_of(model).map_structure(one, random_input(model, seed))
    return [made] if is_another else []


def model_input(model):
    """What a model takes, as Keras tensors in its structure."""
    # A Sequential model that was never called has no .input.
    return model.inputs[0] if isinstance(model, family_of(model).keras.Sequential) else model.input


def input_tensors(model, sample):
    """A sample as the list of tensors, of the right types, that the model's inputs are.

    Args:
        model: a Functional or Sequential model.
        sample: what `model(sample)` takes.
    """
    family = family_of(model)
    inputs = family.flatten(model_input(model))
    if isinstance(sample, dict) and not isinstance(model_input(model), dict):
        sample = [sample[tensor.name] for tensor in inputs]
    tensors = family.flatten(sample)
    return [family.tensor(x, keras.backend.standardize_dtype(tensor.dtype))
            for x, tensor in zip(tensors, inputs, strict=True)]
