"""JSON from a file that anybody may have written: an error in one sentence, however the text is damaged."""
import json

# A network inside a network inside a network is some thirty levels deep; what recursion can bear is a thousand.
DEEPEST = 200


def parse(text):
    """Return what a JSON text says.

    Args:
        text: str or bytes.

    Raises:
        ValueError: it is no JSON, or nested more than `DEEPEST` levels deep.

    Example:

    >>> parse('{"depth": 11}')
    {'depth': 11}
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level if isinstance(each, (dict, list))
                 for inner in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")
