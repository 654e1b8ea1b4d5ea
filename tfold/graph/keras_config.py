"""How Keras writes down a model's graph: call arguments, and the tensors that a model takes and returns.

A tensor is written as `[layer name, number of its call, number of the output]`: its *key* here.
"""
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
