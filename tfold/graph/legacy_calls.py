"""The calls that a tf_keras model consists of; `calls` has the same for Keras 3.

    read_calls(model).calls       in an order in which each stands behind those it reads

`get_config()` is not where they are read: in tf_keras it leaves out all shapes, turns constants into lists, and fails
where a nested model holds `x[..., 1:]`. Each layer lists its calls in `inbound_nodes`, with their arguments and with
the tensors they made, and those are what connects them. A layer's calls in other models stand there too, so the model's
own are those that its outputs are reached from.
"""
from graphlib import TopologicalSorter

from tfold.graph.call import Call, Calls, Tensor
from tfold.graph.calls import check_graph_model
from tfold.graph.family import family_named
from tfold.graph.ir import Slot
from tfold.graph.keras_config import changes_nothing, positions
from tfold.graph.legacy_functions import function_layer
from tfold.graph.read_layer import each_step
from tfold.graph.steps import at_one_step, lifted_shape


def read_calls(model, open_steps=False):
    """Read a built Functional or Sequential model of tf_keras.

    Args:
        model, open_steps: as of `calls.read_calls`.

    Returns:
        `Calls`, the inputs first.

    Raises:
        BadInputError: the model is no such model.
    """
    family = family_named("tf_keras")
    check_graph_model(model, family)
    layers = {layer.name: layer for layer in model.layers}
    # A Sequential model does not show its InputLayer.
    calls = [Call(None, name, out_shapes=(_shape(tensor),), out_dtypes=(tensor.dtype.name,),
                  input_layer=layers.get(name), name=name)
             for name, tensor in zip(model.input_names, model.inputs, strict=True)]
    outputs = _Reader(family, calls, open_steps).read(model, [Tensor(call) for call in calls], "")
    structure = (_slots(family, model.input), _slots(family, model.output))
    return Calls(calls, outputs, structure)


def _slots(family, structure):
    """The same structure with a `Slot` for each tensor, counted as the model counts its inputs or outputs."""
    count = iter(range(len(family.flatten(structure))))
    return family.map_structure(lambda _: Slot(next(count)), structure)


def _shape(tensor):
    return None if tensor.shape.rank is None else tuple(tensor.shape)


class _Reader:
    def __init__(self, family, calls, open_steps):
        self.family = family
        self.calls = calls
        self.open_steps = open_steps

    def read(self, model, sources, prefix, times=()):
        """Append the calls made inside a model fed with `sources`; return the tensors it returns.

        Args:
            model, sources: the model, and a `Tensor` for each of its inputs.
            prefix: of the calls' paths.
            times: how many steps there are, for each axis of them that the model does not see.
        """
        made = {id(tensor): source for tensor, source in zip(model.inputs, sources, strict=True)}
        for node in self._ordered(model):
            outputs = self.family.flatten(node.outputs)
            tensors = self._apply(self._call(node, outputs, made, prefix, times))
            made.update({id(output): tensor for output, tensor in zip(outputs, tensors, strict=True)})
        return [made[id(tensor)] for tensor in model.outputs]

    def _ordered(self, model):
        """The calls that a model's outputs follow from, each behind those it reads."""
        maker = {id(tensor): node for layer in model.layers for node in layer.inbound_nodes
                 for tensor in self.family.flatten(node.outputs)}
        given = {id(tensor) for tensor in model.inputs}
        todo, before = [*model.outputs], {}
        while todo:
            tensor = todo.pop()
            if id(tensor) not in given:
                node = maker[id(tensor)]
                if node not in before:
                    before[node] = [maker[id(read)] for read in node.keras_inputs if id(read) not in given]
                    todo += node.keras_inputs
        # In the order of the layers, so that the same model is always read alike.
        reads = {node: before[node] for layer in model.layers for node in layer.inbound_nodes if node in before}
        return list(TopologicalSorter(reads).static_order())

    def _call(self, node, outputs, made, prefix, times):
        tensors = {id(tensor) for tensor in node.keras_inputs}
        read = []

        def slot(value):
            if id(value) not in tensors:
                return value
            read.append(value)
            return Slot(len(read) - 1)

        args, kwargs = self.family.map_structure(slot, (tuple(node.call_args), dict(node.call_kwargs)))
        return Call(
            node.layer,
            prefix + node.layer.name,
            [made[id(tensor)] for tensor in read],
            args,
            kwargs,
            tuple(lifted_shape(_shape(tensor), times) for tensor in read),
            tuple(lifted_shape(_shape(tensor), times) for tensor in outputs),
            tuple(tensor.dtype.name for tensor in outputs),
            name=node.layer.name,
            steps=len(times),
        )

    def _apply(self, call):
        """Append a call, or the calls inside it where it is a call of a nested model; return the tensors it makes."""
        reads = self._inputs_of(call) if self.family.is_graph_model(call.op) else None
        if reads is not None:
            return self.read(call.op, reads, f"{call.path}/", call.times)
        opened = each_step(call, self.calls, self._apply) if self.open_steps else None
        if opened is not None:
            return opened
        self.calls.append(call)
        return [Tensor(call, i) for i in range(len(call.out_shapes))]

    def _inputs_of(self, call):
        """What a nested model's inputs get; None where a call gives more than that, or in another form."""
        model = call.op
        if not model.inputs or len(call.args) != 1 or not changes_nothing(call.kwargs):
            return None
        given = call.args[0]
        if isinstance(given, dict) and not isinstance(model.input, dict):
            if set(given) != set(model.input_names):
                return None
            given = [given[name] for name in model.input_names]
        order = positions(given)
        if order is None or len(order) != len(model.inputs):
            return None
        shapes = [at_one_step(call.in_shapes[position], call.steps) for position in order]
        if any(shape is None or len(shape) != tensor.shape.rank
               for shape, tensor in zip(shapes, model.inputs, strict=True)):
            return None  # tf_keras would add or remove an axis of 1
        return [self._cast(call, call.reads[position], tensor.dtype.name)
                for position, tensor in zip(order, model.inputs, strict=True)]

    def _cast(self, call, tensor, dtype):
        """A tensor as an input of a nested model takes it: tf_keras casts to its type there, unseen."""
        given, shape = (what[tensor.index] for what in (tensor.call.out_dtypes, tensor.call.out_shapes))
        if given == dtype:
            return tensor
        name = f"{call.name}_cast"
        self.calls.append(Call(function_layer("cast", name), f"{call.path}_cast", [tensor], (Slot(0), dtype), {},
                               (shape,), (shape,), (dtype,)))
        return Tensor(self.calls[-1])
