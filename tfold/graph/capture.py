"""Keras model → `Graph`.

`read_calls` says what is connected to what (`legacy_calls` for tf_keras models), `read_layer` what a single layer
computes; what it cannot read becomes an `opaque` node, never an error. Weights come from the layers.

    graph = capture(model)
    print(graph)
"""
import numpy as np

from tfold.errors import BadInputError
from tfold.graph import calls, channels_first, legacy_calls, walls
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
    made, layout = {}, _Layout(graph)
    has_first = any(call.op is not None and channels_first.is_first(call) for call in read.calls)
    for call in read.calls:
        if call.op is None:
            made[call, 0] = _add_input(graph, call)
            continue
        inputs = tuple(made[tensor] for tensor in call.reads)
        is_moved = channels_first.is_first(call) or (has_first and channels_first.is_norm(call)) or (
            channels_first.follows(call) and any(map(layout.is_last, inputs)))
        inputs = tuple(layout.as_wanted(ref, is_moved) for ref in inputs)
        refs = _add_call(graph, channels_first.moved(call) if is_moved else call, inputs, read, masked)
        layout.made(refs, is_moved)
        made.update({(call, i): ref for i, ref in enumerate(refs)})
    graph.outputs = [layout.as_wanted(made[tensor], False) for tensor in read.outputs]
    graph.output_names = family.output_names(model)
    graph.structure = read.structure
    graph.validate()
    return graph


class _Layout:
    """Which tensors of a graph have their channels last although the caller's have them first."""

    def __init__(self, graph):
        self.graph, self.last, self.permuted = graph, set(), {}

    def is_last(self, ref):
        return ref in self.last

    def made(self, refs, is_moved):
        self.last.update(ref for ref in refs if is_moved and len(self.graph.shape(ref) or ()) > 2)

    def as_wanted(self, ref, last):
        """The tensor with its channels last, or in the caller's form: itself, or a permutation of it."""
        shape = self.graph.shape(ref)
        if last == self.is_last(ref) or shape is None or len(shape) < 3:
            return ref
        if (ref, last) not in self.permuted:
            axes = (channels_first.to_last if last else channels_first.to_first)(len(shape))
            name = f"{ref.node}_channels_{'last' if last else 'first'}" + (f"_{ref.index}" if ref.index else "")
            node = Node(self.graph.unique(name), "permute", (ref,), {"axes": axes},
                        (tuple(shape[axis] for axis in axes),), intact=False, dtype=self.graph[ref].dtype)
            self.graph.add(node)
            self.permuted[ref, last] = node.ref
            self.made([node.ref], last)
        return self.permuted[ref, last]


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
            intact=is_own and not split and not (call.moved and step.op == "concat"),
            covers=(read.title(call),) if i == 0 else (),
            label=call.name + step.suffix.replace("/", "_"),
            dtype=call.out_dtypes[0] if is_operation(layer) else layer.compute_dtype,
            call=(call.args, call.kwargs),
            step=i,
            steps=call.steps,
            moved=call.moved,
        )
        graph.add(node)
        refs = tuple(Ref(node.name, k) for k in range(len(step.shapes)))
    return refs


def _casts(layer, producer):
    """Whether a layer that passes its input on changes its type, as Activation("linear", dtype="float32") does."""
    return not is_operation(layer) and producer.dtype != layer.compute_dtype
