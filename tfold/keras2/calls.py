"""Whether the calls in a Keras 2 configuration can all be made: tf_keras tries for ever where one cannot."""
from tfold.errors import BadInputError

MODELS = {"Model", "Functional", "Sequential"}
CONSTANT = "_CONSTANT_VALUE"


def is_reference(value, names):
    """Return whether a value stands for a tensor: [layer, call, output], and perhaps the call's other arguments."""
    return (isinstance(value, (list, tuple)) and len(value) in (3, 4) and isinstance(value[0], str)
            and value[0] in names and all(type(each) is int for each in value[1:3]))


def references(value, names):
    """Yield all [layer, call, output] in the description of a call."""
    if is_reference(value, names):
        yield value[:3]
        yield from references(value[3] if len(value) == 4 else [], names)
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references(inner, names)


def first_call(kind):
    """Return the number of a layer's first call: the call that built a network counts before those in the list."""
    return int(kind in MODELS)


def check_calls(config):
    """Raise `BadInputError` where a layer in a network, or in a network within it, reads what is never made.

    Args:
        config: what a file says of a network.
    """
    todo = [config]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            if isinstance(each.get("layers"), list) and "input_layers" in each:
                _check_network(each["layers"])
            todo += each.values()
        elif isinstance(each, list):
            todo += each


def _check_network(layers):
    described = [each for each in layers if isinstance(each, dict) and isinstance(each.get("name"), str)]
    first = {each["name"]: first_call(each.get("class_name")) for each in described}
    made = {each["name"]: int(each.get("class_name") == "InputLayer") for each in described}
    waiting = []
    for each in described:
        nodes = each.get("inbound_nodes")
        for node in nodes if isinstance(nodes, list) else []:
            strange = _strange(node, first)
            if strange is not None:
                raise _never_made(each["name"], f"reads {str(strange)[:80]!r}, which is no tensor of the network")
            waiting.append((each["name"], list(references(node, first))))
    while waiting:
        left = []
        for name, read in waiting:
            if all(max(0, call - first[of]) < made[of] for of, call, _ in read):
                made[name] += 1
            else:
                left.append((name, read))
        if len(left) == len(waiting):
            raise _never_made(left[0][0], "reads a tensor that is never made")
        waiting = left


def _strange(node, names):
    """The part of a call's description that should stand for a tensor and does not; None where there is none."""
    parts = [node] if not isinstance(node, list) or (node and isinstance(node[0], str)) else node
    for part in parts:
        if isinstance(part, list) and part and part[0] != CONSTANT and not is_reference(part, names):
            return part
    return None


def _never_made(name, what):
    return BadInputError(
        "The layers of a model file read tensors that others of its layers make. Received: the layer "
        f"{name!r}, which {what}. Save the model again.")
