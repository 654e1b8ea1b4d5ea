"""Whether weights are those of a network: every variable is there once, of its shape, and every value is a number."""
import numpy as np

from tfold.errors import BadInputError


def check_fit(wanted, given, received):
    """Raise `BadInputError` unless two sets of variables have the same names and shapes.

    Args:
        wanted: name → shape, of the model's variables.
        given: name → shape, of the file's.
        received: the file and the model, for the message.
    """
    wrong = [
        f"{name} of {given[name]} for {shape}" for name, shape in wanted.items() if given.get(name, shape) != shape
    ]
    found = [
        f"{what} {_some(names)}" for what, names in (
            ("it lacks", [name for name in wanted if name not in given]),
            ("it has besides", [name for name in given if name not in wanted]),
            ("it has other shapes,", wrong),
        ) if names
    ]
    if found:
        raise BadInputError(
            f"Weights are of this very network. Received: {received}, which do not fit: {'; '.join(found)}. Pass those "
            "of the network of this name and number, and of images with as many channels."
        )


def check_finite(values, received):
    """Raise `BadInputError` where a value is infinite or no number.

    Args:
        values: pairs of a name and its array.
        received: the file and the model, for the message.
    """
    bad = [name for name, value in values if not np.isfinite(value).all()]
    if bad:
        raise BadInputError(
            f"Weights are finite numbers. Received: {received}, with values that are not, in {_some(bad)}. Fetch the "
            "file again, or take weights from before the training diverged."
        )


def _some(names):
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
