"""JSON in files that anybody may have written: whatever has become of one, reading it has one kind of error.

    parse            text → value                              a model's configuration, metadata, a line of a record
    read_document    path → dict                               outcome.json, sweep.json
    require          whether a value has the shape that this program writes
"""
import json
import math
import os

LARGEST = 64 * 2**20  # bytes: what this program writes has a few hundred thousand at most
# A network inside a network inside a network is some thirty levels deep; what recursion can bear is a thousand.
DEEPEST = 200


class DamagedError(ValueError):
    """A file does not hold what this program has written; its argument says what is wrong, in a sentence's part."""


def parse(text, **how):
    """Return what a JSON text says.

    Args:
        text: str or bytes.
        **how: as of `json.loads`.

    Raises:
        DamagedError: it is no JSON, or nested more than `DEEPEST` levels deep.

    Example:

    >>> parse('{"depth": 11}')
    {'depth': 11}
    """
    try:
        value = json.loads(text, **how)
    except DamagedError:
        raise
    except RecursionError:
        raise DamagedError(f"it is nested more than {DEEPEST} levels deep") from None
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise DamagedError(f"it is no JSON ({str(error)[:100]})") from error
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level if isinstance(each, (dict, list))
                 for inner in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return value
    raise DamagedError(f"it is nested more than {DEEPEST} levels deep")


def read_document(path):
    """The object in a JSON file.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it cannot be read, or holds something else.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise DamagedError("it is no file")
        if os.path.getsize(path) > LARGEST:
            raise DamagedError(f"it has {os.path.getsize(path):,} bytes")
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(error.strerror or "it cannot be read") from error
    found = parse(text, object_pairs_hook=_without_repetition)
    if not isinstance(found, dict):
        raise DamagedError("it holds no object")
    return found


def require(value, shape, where="it"):
    """Raise `DamagedError` unless a value has a shape.

    Args:
        value: what was read.
        shape: a type, where `float` is any finite number and `int` any whole one, no truth value; a tuple of shapes, of
            which one will do; [shape] of each element; {name: shape} of these entries, beside which there may be
            others; {str: shape} of every entry.
        where: what the error calls it.

    Example:

    >>> require({"depth": 3, "alphas": {"a": 0.5}}, {"depth": int, "alphas": {str: float}})
    """
    if isinstance(shape, tuple):
        for each in shape[:-1]:
            try:
                return require(value, each, where)
            except DamagedError:
                continue
        return require(value, shape[-1], where)
    if isinstance(shape, dict) and isinstance(value, dict):
        names = value if str in shape else shape
        for name in names:
            if name not in value:
                raise DamagedError(f"{where} has no {name}")
            require(value[name], shape[str] if str in shape else shape[name], name)
    elif isinstance(shape, list) and isinstance(value, list):
        for each in value:
            require(each, shape[0], where)
    elif isinstance(shape, (dict, list)) or not _is(value, shape):
        raise DamagedError(f"{where} is {str(value)[:40]!r}")
    return None


def _is(value, kind):
    if kind is None:
        return value is None
    if kind in (float, int):
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return isinstance(value, kind)


def _without_repetition(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DamagedError(f"it has two entries {twice[:40]!r} in one object")
    return found
