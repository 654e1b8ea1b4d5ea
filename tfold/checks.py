"""Arguments that several functions take, checked in one place and with the same words."""
import os

from tfold.errors import BadInputError


def check_threshold(threshold):
    """Raise `BadInputError` unless τ is a number between 0 and 1."""
    is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
    if not is_number or not 0 < threshold < 1:
        raise BadInputError(
            f"threshold is a number with 0 < threshold < 1. Received: threshold={threshold!r}. The paper uses 0.9."
        )


def check_settled(graph, wanted):
    """Raise `BadInputError` where α-activations are left in a graph.

    Args:
        graph: a `Graph`.
        wanted: what is asked for: "A .tflite file is made of".
    """
    left = [node.label for node in graph if node.op == "alpha"]
    if left:
        raise BadInputError(
            f"{wanted} a network without α-activations, which are for training. Received: {graph.name!r} with "
            f"{len(left)} of them ({left[0]}, …). Fold the model first (tfold.fold), or settle them (tfold.settle)."
        )


def check_path(path):
    """Raise `BadInputError` unless `path` is something that names a file."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise BadInputError(f"A path is a string or a pathlib.Path. Received: {path!r}. Name a file.")


def differences(before, now):
    """What differs between two dicts of settings, in words.

    Example:

    >>> differences({"batch": 128, "post": "settled"}, {"batch": 64, "post": "settled"})
    ['batch: 128, now 64']
    """
    return [f"{name}: {_word(before.get(name))}, now {_word(now.get(name))}" for name in {**before, **now}
            if before.get(name) != now.get(name)]


def _word(value):
    return "nothing" if value in (None, []) else str(value)
