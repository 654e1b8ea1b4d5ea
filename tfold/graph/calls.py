"""The calls that a Keras 3 model consists of: the only reader of its structure. (`legacy_calls` reads tf_keras models.)

    read_calls(model).calls       in an order in which each stands behind those it reads

What is connected to what comes from `model.get_config()`, where the arguments of every call are written down. Nested
Functional and Sequential models are opened up: their layers stand as if they were the outer model's, with paths such as
"backbone/relu". A subclassed model or a wrapper inside the network is one call: what it computes cannot be read.
"""
from graphlib import CycleError, TopologicalSorter

import keras

from tfold.errors import BadInputError, one_line
from tfold.graph import operations
from tfold.graph.call import Call, Calls, Tensor
from tfold.graph.family import KERAS, family_of
from tfold.graph.ir import Slot
from tfold.graph.keras_config import by_position, changes_nothing, leaves, output_key, parsed, positions, with_slots
from tfold.graph.read_layer import each_step
from tfold.graph.step import FLOATS
from tfold.graph.steps import at_one_step, lifted_shape

is_graph_model = KERAS.is_graph_model


def view(model):
    """A plain Functional model over the very same layers and tensors: uncompiled, whatever `model`'s class."""
    return keras.Model(model.input, model.output, name=model.name)


def check_graph_model(model, family=KERAS):
    """Raise `BadInputError`, with the way out, unless `model` is a built Functional or Sequential model of a family."""
    if not isinstance(model, family.keras.Model):
        kind = "Keras models" if family_of(model) is family else "Keras 3 models here"
        raise BadInputError(
            f"tfold reads {kind}. Received: {type(model).__module__}.{type(model).__name__}. "
            f"Pass a {family}.Model, or load one with {family}.models.load_model(path)."
        )
    if not family.is_graph_model(model):
        raise BadInputError(
            "tfold reads Functional and Sequential models, whose layers and connections can be seen. "
            f"Received: {model.name!r}, a subclassed model ({type(model).__name__}). Rebuild it with "
            f"{family}.Model(inputs, outputs), e.g. x = {family}.Input(shape); {family}.Model(x, model.call(x))."
        )
    if not model.built or not model.inputs:
        raise BadInputError(
            f"A model has to know its input shape. Received: {model.name!r}, which is not built. "
            f"Begin it with {family}.Input(shape), or call model.build(shape)."
        )


def read_calls(model, open_steps=False):
    """Read a built Functional or Sequential model.

    Args:
        model: the model.
        open_steps: whether layers inside `TimeDistributed` stand for it, where each call says how many axes of steps
            its layer does not see.

    Returns:
        `Calls`, the inputs first.

    Raises:
        BadInputError: the model is no such model, or one of its layers cannot write down its configuration.
    """
    check_graph_model(model)
    calls = []
    if isinstance(model, keras.Sequential):
        tensor = model.inputs[0]
        calls.append(_input(tensor.name, tuple(tensor.shape), tensor.dtype, None))
        outputs = _Reader(calls, open_steps).sequential(model, [Tensor(calls[0])], tuple(tensor.shape), "")
        return Calls(calls, outputs, (Slot(0), Slot(0)))
    config = _config(model)
    flat_inputs = []
    input_structure = with_slots(config["input_layers"], flat_inputs)
    layers = {layer.name: layer for layer in model.layers}
    for name, _, _ in flat_inputs:
        calls.append(_input(name, tuple(layers[name].batch_shape), layers[name].dtype, layers[name]))
    outputs = _Reader(calls, open_steps).functional(model, config, [Tensor(call) for call in calls], "")
    return Calls(calls, outputs, (input_structure, with_slots(config["output_layers"], [])))


def _input(name, shape, dtype, layer):
    dtype = keras.backend.standardize_dtype(dtype)
    return Call(None, name, out_shapes=(shape,), out_dtypes=(dtype,), input_layer=layer)


class _Reader:
    """Appends calls to a list.

    Args:
        calls: the list.
        open_steps: as of `read_calls`.
    """

    def __init__(self, calls, open_steps):
        self.calls, self.open_steps = calls, open_steps

    def sequential(self, model, sources, shape, prefix, times=()):
        """Append the calls inside a Sequential model fed with `sources`, of `shape` at each of the `times` steps."""
        for layer in model.layers:
            dtype = sources[0].call.out_dtypes[sources[0].index]
            after, dtype = _made(layer, shape, dtype)
            shapes = (lifted_shape(shape, times),), (lifted_shape(after, times),)
            sources = self.apply(
                Call(layer, prefix + layer.name, sources, (Slot(0),), {}, *shapes, (dtype,), steps=len(times)))
            shape = at_one_step(sources[0].call.out_shapes[sources[0].index], len(times)) or after
        return sources

    def functional(self, model, config, sources, prefix, times=()):
        """Append the calls made inside a Functional model fed with `sources`; return the tensors it returns."""
        operations = {operation.name: operation for operation in model.operations}
        tensors = dict(zip(leaves(config["input_layers"]), sources, strict=True))
        written, shapes, dtypes = {}, {}, {}
        for layer in config["layers"]:
            for index, inbound in enumerate(layer["inbound_nodes"]):
                keys = []
                args = parsed(inbound["args"], keys, shapes, dtypes)
                kwargs = {name: parsed(value, keys, shapes, dtypes) for name, value in inbound["kwargs"].items()}
                args, kwargs = by_position(operations[layer["name"]], tuple(args), kwargs, len(keys))
                written[layer["name"], index] = keys, args, kwargs
        returned = [output_key(leaf, operations) for leaf in leaves(config["output_layers"])]
        for key, tensor in zip(returned, model.outputs, strict=True):
            shapes.setdefault(key, tuple(tensor.shape))
            dtypes.setdefault(key, keras.backend.standardize_dtype(tensor.dtype))
        widths = {}
        for name, index, position in shapes:
            widths[name, index] = max(widths.get((name, index), 1), position + 1)
        for name, index in _ordered(model, written):
            keys, args, kwargs = written[name, index]
            makes = [(name, index, i) for i in range(widths.get((name, index), 1))]
            call = Call(
                operations[name],
                prefix + name,
                [tensors[key] for key in keys],
                args,
                kwargs,
                tuple(lifted_shape(shapes[key], times) for key in keys),
                tuple(lifted_shape(shapes.get(key), times) for key in makes),
                steps=len(times),
            )
            # What nobody reads has no type written down.
            unread = getattr(call.op, "compute_dtype", call.dtype)
            call.out_dtypes = tuple(dtypes.get(key, unread) for key in makes)
            tensors.update(zip(makes, self.apply(call), strict=False))
        return [tensors[key] for key in returned]

    def apply(self, call):
        """Append a call, or the calls inside it where it is a call of a nested model; return the tensors it makes."""
        order = positions(call.args) if is_graph_model(call.op) and changes_nothing(call.kwargs) else None
        if order is not None and len(order) == len(call.reads):
            wanted = [keras.backend.standardize_dtype(tensor.dtype) for tensor in call.op.inputs]
            reads = [_cast(call, call.reads[position], dtype, self.calls)
                     for position, dtype in zip(order, wanted, strict=True)]
            if isinstance(call.op, keras.Sequential):
                shape = at_one_step(call.in_shapes[0], call.steps)
                return self.sequential(call.op, reads, shape, f"{call.path}/", call.times)
            return self.functional(call.op, _config(call.op), reads, f"{call.path}/", call.times)
        opened = each_step(call, self.calls, self.apply) if self.open_steps else None
        if opened is not None:
            return opened
        self.calls.append(call)
        return [Tensor(call, i) for i in range(len(call.out_shapes))]


def _made(layer, shape, dtype):
    """Shape and type of what a layer makes of one tensor; None for an unknown shape."""
    try:
        made = layer.compute_output_spec(keras.KerasTensor(shape, dtype))
        return tuple(made.shape), made.dtype
    except Exception:  # a layer that cannot tell beforehand: an unknown shape is always safe
        return None, layer.compute_dtype


def _cast(call, tensor, dtype, calls):
    """A tensor as the inputs of a nested model take it: Keras casts integers to their type there, unseen.

    What is a float already is cast by the layers to what they compute in.
    """
    given, shape = (what[tensor.index] for what in (tensor.call.out_dtypes, tensor.call.out_shapes))
    if given == dtype or (given in FLOATS and dtype in FLOATS) or shape is None:
        return tensor
    cast = operations.named(f"{call.name}_cast", lambda x: keras.ops.cast(x, dtype), keras.KerasTensor(shape, given))
    calls.append(Call(cast, f"{call.path}_cast", [tensor], (Slot(0),), {}, (shape,), (shape,), (dtype,)))
    return Tensor(calls[-1])


def _config(model):
    try:
        # A subclass may write down what it likes; its layers and tensors are a plain model's.
        return (model if type(model) is KERAS.functional else view(model)).get_config()
    except Exception as error:  # whatever the class of a layer raises
        raise BadInputError(
            f"Every layer must be able to write down its configuration. Received: {_unwritable(model)}, which fails "
            f"with: {one_line(error)} Implement get_config() in this layer's class; an activation of your own is a "
            "function with a name, registered with keras.saving.register_keras_serializable()."
        ) from error


def _unwritable(model):
    """The first layer of a model that cannot write down its configuration, in words."""
    for operation in model.operations:
        try:
            keras.saving.serialize_keras_object(operation)
        except Exception:
            return f"{operation.name!r} ({type(operation).__name__})"
    return f"{model.name!r}"


def _ordered(model, written):
    """The calls of one model in an order in which each stands behind those it reads."""
    reads = {key: [source[:2] for source in keys if source[:2] in written] for key, (keys, _, _) in written.items()}
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as error:
        raise BadInputError(
            f"The calls of a model must follow from its inputs. Received: {model.name!r}, with a cycle: "
            f"{error.args[1]}. Rebuild the model from its inputs."
        ) from error
