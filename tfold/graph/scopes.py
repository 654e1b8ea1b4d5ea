"""Names that TensorFlow takes as scopes: Keras 3 takes any name for a layer, but traces it under that name.

    "conv 1", "ü→層", "x:0"  ⇒  "conv_1", "___", "x_0"

A layer's own name stands wherever people read one; the others are for TensorFlow alone.
"""
import re

from tfold.graph.family import KERAS, family_of
from tfold.graph.walls import parts

_LONGEST = 200


def is_scope(name):
    """Whether TensorFlow takes a name for a scope as it is."""
    return re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", name) is not None


def scope_name(name):
    """A name as TensorFlow takes it for a scope or an argument."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:_LONGEST]
    return safe if re.match(r"[A-Za-z0-9]", safe) else f"layer{safe}"


def scope_names(names):
    """The same for several, each of them once."""
    found = []
    for number, name in enumerate(names):
        safe = scope_name(name)
        found.append(safe if safe not in found else f"{safe}_{number}")
    return found


def rename_for_scopes(model):
    """Give every layer of a model that is about to be traced a name that TensorFlow takes. It is changed in place."""
    if family_of(model) is not KERAS:
        return  # tf_keras takes no other names
    for operation in [*parts(model), *getattr(model, "operations", ())]:
        if not is_scope(operation.name):
            operation.name = scope_name(operation.name)
