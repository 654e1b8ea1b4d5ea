"""Keras model → `Graph`: the only reader of Keras' graph structure.

What is connected to what comes from `model.get_config()`, where the arguments of every call are written down;
weights come from the layers. Nested models are read as if their layers stood in the outer model. What a single
layer computes is `read_layer`'s business; what it cannot read becomes an `opaque` node, never an error.

    graph = capture(model)
    print(graph)
"""
from graphlib import TopologicalSorter

import keras
import numpy as np

from tfold.errors import BadInputError
from tfold.graph.ir import Graph, Node, Ref, Slot
from tfold.graph.read_layer import is_plain_call, read_layer

Functional = type(keras.Model(*[keras.Input((1,))] * 2))


def capture(model):
    """Read a Functional or Sequential model, nested models included.

    Args:
        model: a built `keras.Model`. It is read only.

    Returns:
        A `Graph`, validated.

    Raises:
        BadInputError: the model is subclassed, not built, or holds weights that are not finite numbers.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, activation="relu")])
    >>> [node.op for node in capture(model)]
    ['input', 'linear', 'activation']
    """
    check_readable(model)
    graph = Graph(model.name)
    reader = _Reader(graph, _repeated_layers(model))
    reader.top_level(model)
    graph.validate()
    return graph


def check_readable(model):
    """Raise `BadInputError`, with the way out, unless `capture` can read the model."""
    if not isinstance(model, keras.Model):
        raise BadInputError(
            f"tfold reads Keras 3 models. Received: {type(model).__module__}.{type(model).__name__}. "
            "Pass a keras.Model, or load one with keras.models.load_model(path)."
        )
    if not is_transparent(model):
        raise BadInputError(
            f"tfold reads Functional and Sequential models, whose layers and connections can be seen. "
            f"Received: {model.name!r}, a subclassed model ({type(model).__name__}). Rebuild it with "
            "keras.Model(inputs, outputs), e.g. x = keras.Input(shape); keras.Model(x, model.call(x))."
        )
    if isinstance(model, keras.Sequential) and not model.built:
        raise BadInputError(
            f"A Sequential model has to know its input shape. Received: {model.name!r}, which is not built. "
            "Begin it with keras.Input(shape), or call model.build(shape)."
        )
    for layer in _layers(model):
        for variable in layer.weights:
            values = np.asarray(keras.ops.convert_to_numpy(variable))
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise BadInputError(
                    f"Weights must be finite numbers. Received: NaN or infinity in {variable.path}. "
                    "The training may have diverged: load an earlier checkpoint."
                )


def is_transparent(layer):
    """True for models whose call is defined by their graph: Sequential, Functional."""
    return isinstance(layer, (keras.Sequential, Functional)) and type(layer).call in (
        keras.Sequential.call,
        Functional.call,
    )


def _layers(model):
    for layer in model.layers:
        if is_transparent(layer):
            yield from _layers(layer)
        else:
            yield layer


def _repeated_layers(model):
    """The ids of layers that are called more than once, counting calls of the models around them."""
    calls = {}

    def count(inner, times):
        if isinstance(inner, keras.Sequential):
            uses = [(layer, 1) for layer in inner.layers]
        else:
            operations = {op.name: op for op in inner.operations}
            uses = [
                (operations[entry["name"]], len(entry["inbound_nodes"])) for entry in inner.get_config()["layers"]
            ]
        for layer, n in uses:
            calls[id(layer)] = calls.get(id(layer), 0) + n * times
            if is_transparent(layer):
                count(layer, n * times)

    count(model, 1)
    return {key for key, n in calls.items() if n > 1}


class _Reader:
    """Walks a model and its nested models, adding nodes to one graph."""

    def __init__(self, graph, repeated):
        self.graph = graph
        self.repeated = repeated
        self.nesting = 0

    def top_level(self, model):
        graph = self.graph
        if isinstance(model, keras.Sequential):
            tensor = model.inputs[0]
            refs = [self._input(tensor.name, tensor.shape, tensor.dtype)]
            graph.structure = (Slot(0), Slot(0))
            graph.outputs = self._sequential(model, refs, tuple(tensor.shape))
        else:
            config = model.get_config()
            flat = []
            input_structure = _index_leaves(config["input_layers"], flat)
            layers = {layer.name: layer for layer in model.layers}
            refs = []
            for name, _, _ in flat:
                layer = layers[name]
                refs.append(self._input(name, layer.batch_shape, layer.dtype, layer))
            outputs = []
            graph.structure = (input_structure, _index_leaves(config["output_layers"], outputs))
            graph.outputs = self._functional(model, config, refs)

    def _input(self, name, shape, dtype, layer=None):
        node = Node(self.graph.unique(name), "input", (), {"dtype": dtype}, (tuple(shape),), layer)
        self.graph.add(node)
        self.graph.inputs.append(node.name)
        return node.ref

    def _sequential(self, model, refs, shape):
        for layer in model.layers:
            try:
                after = tuple(layer.compute_output_shape(shape)) if shape is not None else None
            except Exception:  # a layer that cannot tell its shape beforehand: unknown is always safe
                after = None
            refs = self._call(layer, layer.name, refs, (Slot(0),), {}, (shape,), (after,))
            shape = self.graph.shape(refs[0]) or after
        return refs

    def _functional(self, model, config, feed):
        """Add the nodes of a Functional model fed with the tensors `feed`; return its output tensors."""
        operations = {op.name: op for op in model.operations}
        tensors, shapes, calls = {}, {}, {}
        for ref, (name, _, _) in zip(feed, _leaves(config["input_layers"]), strict=True):
            tensors[name, 0, 0] = ref
        for entry in config["layers"]:
            for index, inbound in enumerate(entry["inbound_nodes"]):
                reads = []
                args = _parse(inbound["args"], reads, shapes)
                kwargs = {k: _parse(v, reads, shapes) for k, v in inbound["kwargs"].items()}
                calls[entry["name"], index] = (reads, tuple(args), kwargs)
        for tensor, leaf in zip(model.outputs, _leaves(config["output_layers"]), strict=True):
            shapes.setdefault(tuple(leaf), tuple(tensor.shape))
        produced = {}
        for name, index, position in shapes:
            produced[name, index] = max(produced.get((name, index), 0), position + 1)
        order = TopologicalSorter({key: [read[:2] for read in reads] for key, (reads, _, _) in calls.items()})
        for key in order.static_order():
            if key not in calls:
                continue  # an input
            reads, args, kwargs = calls[key]
            name, index = key
            refs = self._call(
                operations[name],
                name,
                [tensors[read] for read in reads],
                args,
                kwargs,
                tuple(shapes[read] for read in reads),
                tuple(shapes.get((name, index, i)) for i in range(produced.get(key, 1))),
            )
            tensors.update({(name, index, i): ref for i, ref in enumerate(refs)})
        return [tensors[tuple(leaf)] for leaf in _leaves(config["output_layers"])]

    def _call(self, layer, name, refs, args, kwargs, in_shapes, out_shapes):
        """Add one call of a layer; return its output tensors."""
        if is_transparent(layer) and is_plain_call(args, kwargs, len(refs)):
            self.nesting += 1
            if isinstance(layer, keras.Sequential):
                refs = self._sequential(layer, refs, in_shapes[0])
            else:
                refs = self._functional(layer, layer.get_config(), refs)
            self.nesting -= 1
            return refs
        shared = id(layer) in self.repeated
        steps = read_layer(layer, args, kwargs, in_shapes, out_shapes, shared)
        split = sum(step.op == "linear" for step in steps) > 1
        for i, step in enumerate(steps):
            node = Node(
                self.graph.unique(name + step.suffix),
                step.op,
                tuple(refs),
                step.attrs,
                step.shapes,
                layer,
                shared,
                intact=not split,
                covers=(name,) if i == 0 else (),
                label=name + step.suffix.replace("/", "_"),
            )
            self.graph.add(node)
            refs = [Ref(node.name, k) for k in range(len(step.shapes))]
        if not shared and not self.nesting:
            self.graph.origin.update(zip(refs, keras.tree.flatten(layer.output), strict=False))
        return refs


def _parse(value, reads, shapes):
    """An argument as Keras wrote it down, with each tensor replaced by its position in `reads`."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            key = tuple(value["config"]["keras_history"])
            shapes.setdefault(key, tuple(value["config"]["shape"]))
            reads.append(key)
            return Slot(len(reads) - 1)
        if value.get("class_name") == "__tuple__":
            return tuple(_parse(item, reads, shapes) for item in value["config"]["items"])
        if "class_name" in value:
            return keras.saving.deserialize_keras_object(value)
        return {key: _parse(item, reads, shapes) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_parse(item, reads, shapes) for item in value)
    return value


def _leaves(structure):
    flat = []
    _index_leaves(structure, flat)
    return flat


def _index_leaves(structure, flat):
    """Put the `[name, node, tensor]` triples of a nested structure into `flat`; return it with `Slot`s instead."""
    if isinstance(structure, dict):
        return {key: _index_leaves(structure[key], flat) for key in sorted(structure)}
    if len(structure) == 3 and isinstance(structure[0], str):
        flat.append(tuple(structure))
        return Slot(len(flat) - 1)
    return [_index_leaves(item, flat) for item in structure]
