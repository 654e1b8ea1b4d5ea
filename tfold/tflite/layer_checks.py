"""Layers that no .tflite file can hold, found in the traced network: each is named, with the reason and the way out.

    TensorFlow op                       what the layer does
    RandomUniform, RngReadAndSkip, …    draws random numbers: dropout that is called with training=True
    EagerPyFunc, PyFunc                 runs Python: tf.py_function, tf.numpy_function
    LookupTableFindV2, …                looks words or numbers up in a table: StringLookup, TextVectorization
    AssignVariableOp, …                 remembers something from one call to the next

The converter knows none of this: it speaks of an input of a node that was passed a float and not a resource.
"""
import re
from typing import NamedTuple

from tfold.errors import BadInputError
from tfold.graph.family import family_of

_RANDOM = re.compile(r"Stateless\w*(Random|Normal|Gamma|Binomial)|Stateful\w*(Random|Normal|Uniform|Binomial)|"
                     r"(Stateless)?Multinomial$|Random(Uniform|Standard|Gamma|Poisson|Shuffle)|"
                     r"(Parameterized)?TruncatedNormal$|RngReadAndSkip|RngSkip|SampleDistortedBoundingBox|"
                     r"StatelessSampleDistorted")
_PYTHON = re.compile(r"(Eager)?PyFunc(Stateless)?$")
_TABLE = re.compile(r"(Mutable|Anonymous|Initialize)?\w*(LookupTable|HashTable)")
_STATE = re.compile(r"Assign\w*VariableOp$|Assign(Add|Sub)?$|Resource(Scatter|Apply|Strided)")


class _Finding(NamedTuple):
    """What a layer does that a file cannot: the rule, what was received, and the way out."""

    rule: str
    does: str
    way_out: str


_DRAWS = _Finding("A .tflite file gives the same output for the same input", "draws random numbers",
                  "Leave training=True out where the layer is called with it, or make the random numbers an input of "
                  "the network.")
_CROPS = _DRAWS._replace(way_out="Use CenterCrop, which does what RandomCrop does at inference.")
_LOOKS_UP = _Finding("A .tflite file has no tables of words or numbers", "looks its input up in one",
                     "Let the app do that, and export the network behind the layer: "
                     "keras.Model(model.get_layer({last!r}).output, model.output).")
_RUNS_PYTHON = _Finding("A .tflite file holds TensorFlow operations, and no Python", "runs a Python function",
                        "Write the layer with keras.ops or TensorFlow's own operations.")
_REMEMBERS = _Finding("A .tflite file remembers nothing from one call to the next", "changes a variable of its own",
                      "Build the layer without state (stateful=False), or make the state an input and an output.")
_BATCH_STATISTICS = _Finding(
    "A .tflite file remembers nothing from one call to the next",
    "is a batch norm that is called with training=True, and so changes its moving averages",
    "Call the layer without training=True, or, where each image is to be normalized by its own statistics, use "
    "GroupNormalization(groups=-1).")


def check_layers(traced):
    """Raise `BadInputError` where a layer does what no .tflite file can.

    Args:
        traced: the `Trace`.
    """
    for pattern, finding in ((_RANDOM, _DRAWS), (_PYTHON, _RUNS_PYTHON), (_TABLE, _LOOKS_UP),
                             (_STATE, _REMEMBERS)):
        layers = layers_with(traced, lambda op, pattern=pattern: pattern.match(op))
        if not layers:
            continue
        by_name = {layer.name: layer for layer in traced.model.layers}
        norms = family_of(traced.model).batch_norms
        if finding is _REMEMBERS and all(isinstance(by_name.get(name), norms) for name in layers):
            finding = _BATCH_STATISTICS
        if finding is _DRAWS and all(type(by_name.get(name)).__name__ == "RandomCrop" for name in layers):
            finding = _CROPS
        named = ", ".join(f"{name} ({type(by_name[name]).__name__})" if name in by_name else name for name in layers)
        raise BadInputError(
            f"{finding.rule}. Received: {traced.model.name!r}, in which {named} {finding.does}. "
            f"{finding.way_out.format(last=layers[-1])}")


def layers_with(traced, is_meant):
    """Names of the layers that trace to ops of some kinds, inside the functions that they call too.

    Args:
        traced: the `Trace`.
        is_meant: function from an op's name to whether it is one of them.
    """
    definition = traced.definition
    inside = {function.signature.name: function.node_def for function in definition.library.function}
    known = {}

    def has(node):
        if is_meant(node.op):
            return True
        called = {attr.func.name for attr in node.attr.values() if attr.func.name} | {node.op}
        return any(map(holds, called & inside.keys()))

    def holds(name):
        if name not in known:
            known[name] = False  # where functions call each other in a circle
            known[name] = any(map(has, inside[name]))
        return known[name]

    return list(dict.fromkeys(
        layer for node in definition.node if has(node) for layer in traced.layers_in(node.name)))
