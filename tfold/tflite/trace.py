"""A network as one TensorFlow function in which every op says which layer it comes from.

The converter fuses, renames and reorders, but it keeps the scopes of what it fused in the tensors' names:

    layers                        TensorFlow ops                                   tensor in the .tflite
    stem ─▶ stem_relu       ⇒     tfold.0/…/Conv2D ─▶ tfold.1/…/Relu6       ⇒     "…tfold.1/…/Relu6;…tfold.0/…/Conv2D…"

A number is not mistaken for another layer's, as a name may be: "relu_1" is the second call of "relu", and a layer too.
"""
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import keras

from tfold.graph.build import build_with_tensors
from tfold.graph.execute import built_calls, execute
from tfold.graph.family import family_of
from tfold.graph.ir import Ref
from tfold.graph.scopes import rename_for_scopes, scope_names
from tfold.sampling import model_input

# Ops that put numbers elsewhere, whatever type they have.
_MOVES = ("Identity", "Reshape", "Transpose", "StridedSlice", "Slice", "ExpandDims", "Squeeze", "StopGradient")
_SCOPE = re.compile(r"tfold\.(\d+)/")


@dataclass(frozen=True)
class Trace:
    """What `trace` made.

    Args:
        function: the concrete function: inputs in the model's order, outputs as a list.
        model: the Keras model that was traced.
        layers: for each scope, the name of its layer.
        inputs, outputs: what Keras calls them, in the function's order.
        output_layers: for each output, the number of the scope that makes it; None where an output is an input.
        as_floats: numbers of the inputs that the function takes as float32 in place of the model's whole numbers.
    """

    function: object
    model: object
    layers: tuple
    inputs: tuple
    outputs: tuple
    output_layers: tuple
    as_floats: tuple = ()

    @cached_property
    def input_types(self):
        """The types that the model takes, in the function's order."""
        return tuple(keras.backend.standardize_dtype(tensor.dtype)
                     for tensor in family_of(self.model).flatten(model_input(self.model)))

    @cached_property
    def definition(self):
        """The function's ops as TensorFlow writes them down, without the values of its variables."""
        return self.function.graph.as_graph_def()

    def layers_in(self, name):
        """Names of the layers whose scopes are in a tensor's name, in the order of the network.

        >>> traced.layers_in("tfold.1/relu/Relu6;tfold.0/stem/Conv2D")
        ['stem', 'relu']
        """
        return [self.layers[number] for number in sorted({int(found) for found in _SCOPE.findall(name)})]


def trace(graph, dtype=None, as_floats=()):
    """Build a graph and trace it.

    Args:
        graph: a `Graph` whose inputs have fixed shapes.
        dtype: a floating-point type for all layers, or None.
        as_floats: numbers of the inputs that the function takes as float32, whatever the model takes; see
            `read_as_floats`.
    """
    import tensorflow as tf

    built = build_with_tensors(graph, dtype)
    family = family_of(built.model)
    calls, layers, makers = [], [], {}
    for number, (reads, makes, function) in enumerate(built_calls(graph, built)):
        layers.append(built.layer_names[makes[0].node])
        calls.append((reads, makes, _scoped(tf, number, function, layers[-1])))
        makers.update({ref: number for ref in makes})
    inputs, outputs = input_names(built.model), output_names(built.model)
    given = family.flatten(built.model.input)
    names = scope_names(tensor.name for tensor in given)
    specs = [tf.TensorSpec(tensor.shape, "float32" if number in as_floats else tensor.dtype, name=name)
             for number, (tensor, name) in enumerate(zip(given, names, strict=True))]
    rename_for_scopes(built.model)

    @tf.function(input_signature=specs, autograph=False)
    def network(*inputs):
        values = execute(calls, dict(zip(map(Ref, graph.inputs), inputs, strict=True)), family=family)
        return [tf.identity(values[ref]) for ref in graph.outputs]

    return Trace(
        network.get_concrete_function(), built.model, tuple(layers),
        inputs, outputs, tuple(makers.get(ref) for ref in graph.outputs), tuple(as_floats),
    )


def trace_floats(graph, dtype, traced, wanted):
    """As `trace`, where some inputs can be float32 from the start; else the `Trace` that there is.

    Args:
        graph, dtype: what `traced` was made of.
        traced: the `Trace`.
        wanted: function from an input's type in the model to whether it is to be float32.
    """
    numbers = tuple(number for number in read_as_floats(traced)
                    if wanted(traced.function.inputs[number].dtype.name))
    if not numbers:
        return traced
    other = trace(graph, dtype, numbers)
    # A layer may do something else with floats than with whole numbers: resize without rounding, say.
    return other if _computes(other) == _computes(traced) else traced


def _computes(traced):
    """How often each op is in a trace, casts apart."""
    return Counter(op.type for op in traced.function.graph.get_operations() if op.type != "Cast")


def read_as_floats(traced):
    """Numbers of the inputs of another type that the network makes floats of before it does anything else with them.

    Such an input can be float32 at once: pixels, and whatever else is cast and scaled. Token numbers cannot, nor what
    is added up or compared in integers.

    Args:
        traced: the `Trace`.
    """
    readers = {}
    for op in traced.function.graph.get_operations():
        for tensor in op.inputs:
            readers.setdefault(tensor.name, []).append(op)

    def is_cast(tensor):
        found = readers.get(tensor.name, ())
        return bool(found) and all(
            op.outputs[0].dtype == "float32" if op.type == "Cast"
            else op.type in _MOVES and op.inputs[0].name == tensor.name and all(map(is_cast, op.outputs))
            for op in found)

    return tuple(number for number, tensor in enumerate(traced.function.inputs[: len(traced.inputs)])
                 if tensor.dtype != "float32" and tensor.dtype not in ("string", "resource") and is_cast(tensor))


def _scoped(tf, number, function, layer):
    def call(tensors):
        with tf.name_scope(f"tfold.{number}"):
            try:
                return function(tensors)
            except Exception as error:
                error.layer = layer  # whoever explains the error can say where it came from
                raise

    return call


def input_names(model):
    """What Keras calls a model's inputs, in the order of its tensors."""
    return tuple(map(_input_name, family_of(model).flatten(model_input(model))))


def _input_name(tensor):
    """A tensor's own name, or, where Keras 3 has numbered it, that of its layer, which a saved model keeps."""
    layer = getattr(getattr(tensor, "_keras_history", None), "operation", None)
    return layer.name if layer is not None and tensor.name.startswith("keras_tensor") else tensor.name


def output_names(model):
    """What a signature calls a model's outputs: the keys of a model that gives a dict, else Keras' names, each once."""
    family = family_of(model)
    given = None if isinstance(model, family.keras.Sequential) else model.output
    if isinstance(given, dict) and len(family.flatten(given)) == len(given):
        return tuple(sorted(given))  # in which order tensors of a dict are counted
    return _unique(family.output_names(model))


def _unique(names):
    """One layer may make two outputs of a model, and then both have its name."""
    seen, found = {}, []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return tuple(found)
