"""Which call feeds which, over the whole network: nested models are opened up, so that "last" means last of all.

The picture that the rules below see, for a backbone used inside a classifier:

    input ─ backbone/conv1 ─ backbone/relu ─ pool ─ dense ─ sigmoid ─ output
                                 │                             └ last: no linear layer after it on the way to an output
                                 └ not last, although it ends the backbone

A subclassed model or a wrapper inside the network is one call: what it computes cannot be read.
"""

import dataclasses
import functools
from typing import Any

import keras

from tfold.alpha.activation import AlphaActivation
from tfold.errors import BadInputError

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.Normalization,
)
_ELEMENTWISE_WITH_WEIGHTS = (keras.layers.PReLU, AlphaActivation)
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


@dataclasses.dataclass(eq=False)
class Call:
    """One call of one layer or operation.

    Attributes:
        op: The layer or operation; None for an input of the network.
        path: Its name, with the names of the models around it: "backbone/relu".
        inputs: The calls whose outputs it takes.
        dtype: The dtype of its first input.
    """

    op: Any
    path: str
    inputs: list
    dtype: str = "float32"


@dataclasses.dataclass
class Topology:
    """All calls of a network, each after those it depends on, and the calls whose outputs the network returns."""

    calls: list
    outputs: list

    def __post_init__(self):
        self.consumers = {call: [] for call in self.calls}
        for call in self.calls:
            for source in dict.fromkeys(call.inputs):
                self.consumers[source].append(call)

    def calls_of(self, op):
        return [call for call in self.calls if call.op is op]

    def last(self):
        """Calls with no linear layer after them on the way to some output: the network's last activations."""
        found = set()
        for output in self.outputs:
            linear_follows = {output: False}
            for call in reversed(self.calls):
                if call in linear_follows:
                    follows = linear_follows[call] or carries_linear_map(call.op)
                    for source in call.inputs:
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


def read_topology(model):
    """Reads a built Functional or Sequential model.

    Raises:
        ValueError: If a layer cannot be serialised, so that the model could not be copied either.
    """
    calls = [Call(None, tensor.name, []) for tensor in model.inputs]
    outputs = _walk(model, list(calls), "", calls)
    return Topology(calls, list(dict.fromkeys(outputs)))


def is_graph_model(op):
    """Whether `op` is a Functional or Sequential model, so that its layers say all that it computes."""
    if isinstance(op, keras.Sequential):
        return type(op).call is keras.Sequential.call
    # keras.Model(inputs, outputs) is a keras.Function; a subclass with its own `call` computes something else.
    return isinstance(op, keras.Model) and isinstance(op, keras.Function) and type(op).call is _functional_call()


def view(model):
    """Returns a plain Functional model over the very same layers and tensors: uncompiled, whatever `model`'s class."""
    return keras.Model(model.input, model.output, name=model.name)


def carries_linear_map(op):
    """Whether `op` is a layer whose weights mix its inputs: dense, convolution, attention, recurrent, unknown."""
    if not isinstance(op, keras.layers.Layer) or not op.weights:
        return False
    return not isinstance(op, (*_NORMALIZATIONS, *_ELEMENTWISE_WITH_WEIGHTS))


@functools.cache
def _functional_call():
    # The class of keras.Model(inputs, outputs) has no public name.
    tensor = keras.Input((1,), name="probe")
    return type(keras.Model(tensor, tensor, name="probe")).call


def _multiplies(call):
    is_product = isinstance(call.op, keras.layers.Multiply) or _operation_kind(call.op) == "Multiply"
    return is_product and len(call.inputs) > 1


def _only_moves(call):
    if len(call.inputs) != 1:
        return False
    return isinstance(call.op, _GATE_TRANSPARENT) or _operation_kind(call.op) in _GATE_TRANSPARENT_OPERATIONS


def _operation_kind(op):
    return None if op is None or isinstance(op, keras.layers.Layer) else type(op).__name__


def _walk(model, inputs, prefix, calls):
    """Appends the calls made inside `model` to `calls`; returns the call behind each of its outputs."""
    if isinstance(model, keras.Sequential):
        sources = inputs
        for layer in model.layers:
            sources = _apply(layer, sources, prefix, calls, model.compute_dtype)
        return sources

    flat = keras.Model(list(model.inputs), list(model.outputs), name=model.name)
    try:
        config = flat.get_config()
    except NotImplementedError as error:
        raise BadInputError(
            f"Every layer must be serialisable, so that the model can be copied. Received: model '{model.name}': "
            f"{str(error).strip().splitlines()[0]} Implement `get_config()` in this layer's class."
        ) from error

    operations = {operation.name: operation for operation in flat.operations}
    # The calls behind the outputs of each node, by (layer name, index of the node).
    produced = {(name, 0): [source] for (name, _, _), source in zip(config["input_layers"], inputs, strict=True)}
    waiting = [
        (layer["name"], index, list(_tensors(node)))
        for layer in config["layers"]
        for index, node in enumerate(layer["inbound_nodes"])
        if _tensors(node)
    ]
    while waiting:
        # Layers come in order of depth, but a shared layer may have a later call that waits for deeper ones.
        postponed = []
        for name, index, tensors in waiting:
            if any((source, node) not in produced for source, node, _, _ in tensors):
                postponed.append((name, index, tensors))
                continue
            sources = [_pick(produced[source, node], output) for source, node, output, _ in tensors]
            produced[name, index] = _apply(operations[name], sources, prefix, calls, tensors[0][3])
        if len(postponed) == len(waiting):
            raise BadInputError(
                f"The calls of a model must follow from its inputs. Received: model '{model.name}', where "
                f"{sorted({name for name, _, _ in waiting})} cannot be reached. Rebuild the model from its inputs."
            )
        waiting = postponed

    outputs = []
    for name, node, output in config["output_layers"]:
        # Keras counts the calls of a nested Functional model from 1 here, and only here.
        is_functional = isinstance(operations[name], keras.Function)
        outputs.append(_pick(produced[name, node - 1 if is_functional else node], output))
    return outputs


def _apply(op, sources, prefix, calls, dtype):
    if is_graph_model(op):
        return _walk(op, sources, f"{prefix}{op.name}/", calls)
    call = Call(op, prefix + op.name, sources, dtype)
    calls.append(call)
    return [call]


def _pick(calls, index):
    # A layer is one call, however many tensors it returns.
    return calls[index] if index < len(calls) else calls[0]


def _tensors(node):
    """The Keras tensors among a serialised node's arguments: (layer name, node index, tensor index, dtype)."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            return [(*node["config"]["keras_history"], node["config"]["dtype"])]
        return [tensor for key in sorted(node) for tensor in _tensors(node[key])]
    if isinstance(node, (list, tuple)):
        return [tensor for item in node for tensor in _tensors(item)]
    return []
