"""Keras model → `Graph`.

`read_calls` says what is connected to what (`legacy_calls` for tf_keras models), `read_layer` what a single layer
computes; what it cannot read becomes an `opaque` node, never an error. Weights come from the layers.

    graph = capture(model)
    print(graph)
"""
import numpy as np

from tfold.errors import BadInputError
from tfold.graph import calls, legacy_calls, walls
from tfold.graph.call import without_mask
from tfold.graph.family import KERAS, family_of, is_operation
from tfold.graph.ir import Graph, Node, Ref
from tfold.graph.read_affine import constant_map
from tfold.graph.read_layer import read_call
from tfold.graph.rebuild import in_stock_layers
from tfold.graph.step import Step, numpy
from tfold.graph.tfmot import check_unwrapped


def capture(model):
    """Read a Functional or Sequential model, nested models included.

    Args:
        model: a built `keras.Model` or `tf_keras.Model`. It is read only.

    Returns:
        A `Graph`, validated.

    Raises:
        BadInputError: the model is subclassed, not built, or holds weights that are not finite numbers.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, activation="relu")])
    >>> [node.op for node in capture(model)]
    ['input', 'linear', 'activation']
    """
    check_unwrapped(model)
    family = family_of(model)
    if family is KERAS:
        model = in_stock_layers(model)
    read = (calls if family is KERAS else legacy_calls).read_calls(model, open_steps=True)
    _check_finite(model)
    graph = Graph(model.name, family.name)
    masked = any(walls.may_mask(call.op) for call in read.calls)
    made = {}
    for call in read.calls:
        inputs = tuple(made[tensor] for tensor in call.reads)
        refs = _add_call(graph, call, inputs, read, masked) if call.op is not None else [_add_input(graph, call)]
        made.update({(call, i): ref for i, ref in enumerate(refs)})
    graph.outputs = [made[tensor] for tensor in read.outputs]
    graph.output_names = family.output_names(model)
    graph.structure = read.structure
    graph.validate()
    return graph


def _check_finite(model):
    for variable in model.weights:
        values = numpy(variable)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            name = getattr(variable, "path", variable.name)  # tf_keras has the name alone
            raise BadInputError(
                f"Weights must be finite numbers. Received: NaN or infinity in {name}. "
                "The training may have diverged: load an earlier checkpoint."
            )


def _add_input(graph, call):
    node = Node(graph.unique(call.name), "input", (), {"dtype": call.dtype}, call.out_shapes, call.input_layer)
    node.dtype = call.dtype
    graph.add(node)
    graph.inputs.append(node.name)
    return node.ref


def _add_call(graph, call, inputs, read, masked):
    """Add the nodes of one call, a chain; return the tensors it makes."""
    if isinstance(call.op, family_of(call.op).batch_norms):
        # At inference both Keras normalize with the moving mean and variance, whatever a mask hides. What reads the
        # batch norm's output gets the mask from where it was made.
        call = without_mask(call)
        inputs = inputs[: len(call.reads)]
    layer, refs = call.op, inputs
    shared = read.is_repeated(layer)
    steps, is_own = read_call(call, shared, masked)
    if steps[0].op == "identity" and _casts(layer, graph[refs[0]]):
        steps = [Step("opaque", {}, call.out_shapes)]
    if steps[0].op == "opaque":
        if any(walls.is_alpha(part) for part in walls.parts(layer)):
            raise BadInputError(
                f"α-activations can be settled where they can be seen. Received: {call.path!r}, which holds some and "
                "is called with training=, a mask or other arguments. Call it with its inputs alone."
            )
        steps[0].attrs.update(walls.contents(layer, call))
        if (added := constant_map(call)) is not None:
            steps[0].attrs["adds"] = added
    split = sum(step.op == "linear" for step in steps) > 1
    for i, step in enumerate(steps):
        node = Node(
            graph.unique(call.name + step.suffix),
            step.op,
            refs,
            step.attrs,
            step.shapes,
            layer,
            shared,
            intact=is_own and not split,
            covers=(read.title(call),) if i == 0 else (),
            label=call.name + step.suffix.replace("/", "_"),
            dtype=call.out_dtypes[0] if is_operation(layer) else layer.compute_dtype,
            call=(call.args, call.kwargs),
            step=i,
            steps=call.steps,
        )
        graph.add(node)
        refs = tuple(Ref(node.name, k) for k in range(len(step.shapes)))
    return refs


def _casts(layer, producer):
    """Whether a layer that passes its input on changes its type, as Activation("linear", dtype="float32") does."""
    return not is_operation(layer) and producer.dtype != layer.compute_dtype
