"""How Keras writes down a model's graph: the arguments of calls, and the tensors that a model takes and returns.

A tensor is written as `[layer name, number of its call, number of the output]`: its *key* here.
"""
import inspect

import keras

from tfold.graph.ir import Slot


def output_key(leaf, operations):
    """The key of a tensor among a model's outputs, as it stands in the arguments of calls."""
    name, index, position = leaf
    # Keras counts the calls of a nested Functional model from 1 among the outputs, and only there.
    return name, index - isinstance(operations[name], keras.Function), position


def parsed(value, keys, shapes, dtypes):
    """An argument as Keras wrote it down, with a `Slot` for each tensor, whose key is appended to `keys`."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            config = value["config"]
            key = tuple(config["keras_history"])
            shapes.setdefault(key, tuple(config["shape"]))
            dtypes.setdefault(key, config["dtype"])
            keys.append(key)
            return Slot(len(keys) - 1)
        if value.get("class_name") == "__tuple__":
            return tuple(parsed(item, keys, shapes, dtypes) for item in value["config"]["items"])
        if "class_name" in value:
            return keras.saving.deserialize_keras_object(value)
        return {name: parsed(item, keys, shapes, dtypes) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(parsed(item, keys, shapes, dtypes) for item in value)
    return value


def leaves(structure):
    """The keys in a nested structure, in order."""
    found = []
    with_slots(structure, found)
    return found


def with_slots(structure, keys):
    """Put the `[name, call, tensor]` triples of a nested structure into `keys`; return it with `Slot`s instead."""
    if isinstance(structure, dict):
        return {key: with_slots(structure[key], keys) for key in sorted(structure)}
    if len(structure) == 3 and isinstance(structure[0], str):
        keys.append(tuple(structure))
        return Slot(len(keys) - 1)
    return type(structure)(with_slots(item, keys) for item in structure)


def by_position(op, args, kwargs, count):
    """The arguments of `layer(inputs=x)` as those of `layer(x)`, where that is where all `count` tensors are."""
    first = next(iter(inspect.signature(op.call).parameters), None)
    if args or first not in kwargs or len(positions(kwargs[first]) or ()) != count:
        return args, kwargs
    return (kwargs[first],), {name: value for name, value in kwargs.items() if name != first}


def positions(structure):
    """The `Slot`s in a call's arguments in the order of a nested model's inputs; None if there is anything else."""
    if isinstance(structure, Slot):
        return [structure]
    if isinstance(structure, dict):
        structure = [structure[key] for key in sorted(structure)]
    if not isinstance(structure, (list, tuple)):
        return None
    parts = [positions(item) for item in structure]
    return None if None in parts else sum(parts, [])


def changes_nothing(kwargs):
    """Whether keyword arguments leave a call what it is at inference without them."""
    # training=False asks for what a network computes at inference anyway; a mask or training=True changes it.
    return all(_is_nothing(value) or (name == "training" and value is False) for name, value in kwargs.items())


def _is_nothing(value):
    """None, or a structure of it: Keras calls a nested model of two inputs with mask=[None, None]."""
    if isinstance(value, dict):
        value = list(value.values())
    return value is None or isinstance(value, (list, tuple)) and bool(value) and all(map(_is_nothing, value))


def is_plain_call(args, kwargs, count):
    """Whether a call gives `count` tensors by position, alone or in one list, and nothing else that matters."""
    tensors = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else list(args)
    is_in_order = tensors == list(range(count)) and all(isinstance(tensor, Slot) for tensor in tensors)
    return is_in_order and changes_nothing(kwargs)
