"""Where in the network an activation stands: last of all, or as a gate.

Nested models are opened up, so that "last" means last of the whole network. A backbone used inside a classifier:

    input ─ backbone/conv1 ─ backbone/relu ─ pool ─ dense ─ sigmoid ─ output
                                 │                             └ last: no linear layer after it on the way to an output
                                 └ not last, although it ends the backbone
"""

import keras

from tfold.graph.calls import read_calls
from tfold.graph.walls import carries_linear_map

_GATE_TRANSPARENT = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Rescaling,
    keras.layers.Dropout,
    keras.layers.Identity,
)
# Operations that, with a constant as the other operand, only move or scale: MobileNetV3 writes relu6(x + 3) · (1/6).
_GATE_TRANSPARENT_OPERATIONS = (
    *("Multiply", "Divide", "TrueDivide", "Add", "Subtract", "Negative"),
    *("Reshape", "ExpandDims", "Squeeze", "Transpose", "Cast"),
)


class Topology:
    """The calls of a network, and the rules that depend on where they stand.

    Args:
        model: A built Functional or Sequential model.

    Raises:
        ValueError: If it is no such model, or a layer cannot be serialised, so that it could not be copied either.
    """

    def __init__(self, model):
        read = read_calls(model)
        self.calls = read.calls
        self.outputs = list(dict.fromkeys(tensor.call for tensor in read.outputs))
        self.consumers = {call: [] for call in self.calls}
        self._calls_of = {}
        for call in self.calls:
            self._calls_of.setdefault(id(call.op), []).append(call)
            for source in sources(call):
                self.consumers[source].append(call)

    def calls_of(self, op):
        return self._calls_of.get(id(op), [])

    def last(self):
        """Calls with no linear layer after them on the way to some output: the network's last activations."""
        found = set()
        for output in self.outputs:
            linear_follows = {output: False}
            for call in reversed(self.calls):
                if call in linear_follows:
                    follows = linear_follows[call] or carries_linear_map(call.op)
                    for source in sources(call):
                        linear_follows[source] = linear_follows.get(source, False) or follows
            found.update(call for call, follows in linear_follows.items() if not follows)
        return found

    def is_gate(self, call):
        """Whether the output only multiplies another tensor, as in squeeze-and-excite.

        Were the activation gone, the product would still stand between the linear layers: nothing could be merged.
        """
        consumers = self.consumers[call]
        return (
            bool(consumers)
            and call not in self.outputs
            and all(_multiplies(user) or (_only_moves(user) and self.is_gate(user)) for user in consumers)
        )


def sources(call):
    """The calls whose outputs a call takes, each once."""
    return list(dict.fromkeys(tensor.call for tensor in call.reads))


def _multiplies(call):
    is_product = isinstance(call.op, keras.layers.Multiply) or _operation_kind(call.op) == "Multiply"
    return is_product and len(call.reads) > 1


def _only_moves(call):
    if len(call.reads) != 1:
        return False
    return isinstance(call.op, _GATE_TRANSPARENT) or _operation_kind(call.op) in _GATE_TRANSPARENT_OPERATIONS


def _operation_kind(op):
    return None if op is None or isinstance(op, keras.layers.Layer) else type(op).__name__
