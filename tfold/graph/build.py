"""`Graph` → Keras model, or tf_keras model.

Nodes that no pass has touched are clones of the layers they came from, under their names, with their weights, called
with the same arguments. New nodes become plain Keras layers (`build_linear`, `build_plain`), so that the model loads
where tfold is absent.
An activation that was part of a layer (`Conv2D(activation="relu")`) becomes part of the layer that feeds it now.
"""
from dataclasses import dataclass
from functools import reduce

from tfold.errors import BadInputError, TfoldError, one_line
from tfold.graph import activations, build_linear, build_plain, channels_first, translate_operation
from tfold.graph.call import filled, inference_arguments
from tfold.graph.clone import FLOATS, clone_layer
from tfold.graph.family import family_named, family_of, is_float, is_layer, is_operation
from tfold.graph.ir import Ref
from tfold.graph.names import Names, planned_names
from tfold.graph.per_step import PerStep
from tfold.graph.steps import lowered, per_step
from tfold.graph.translate import layer_in
from tfold.graph.walls import may_mask


def build(graph, dtype=None, family=None):
    """Make a Keras model that computes the graph.

    Args:
        graph: a `Graph` without `alpha` nodes.
        dtype: a floating-point type for all layers, in place of their own.
        family: "keras" or "tf_keras"; None: what the graph was captured from. In the other one each layer becomes the
            layer of that name, and each operation what computes the same.

    Returns:
        A new functional `keras.Model`, or `tf_keras.Model`, with the inputs, outputs and names of the captured one.

    Raises:
        TfoldError: a layer cannot be cloned from its configuration.
        BadInputError: the other family has no such layer; names it.

    Example:

    >>> same = build(capture(model))
    >>> for_quantization_aware_training = build(capture(model), family="tf_keras")
    """
    return build_with_tensors(graph, dtype, family).model


def build_with_tensors(graph, dtype=None, family=None, but_walls=False):
    """As `build`, and what it was made of, as `Built`.

    Args:
        graph, dtype, family: as of `build`.
        but_walls: layers and functions that the IR does not know keep their own number type, whatever `dtype` says:
            they may not work in another one. What they read and make is cast.
    """
    builder = _Builder(graph, dtype, family_named(family or graph.family), but_walls and dtype is not None)
    return Built(builder.model(), builder.tensors, builder.names.of_node, builder.functions)


def names_in(graph, family=None):
    """Node name → name of the layer that `build` would make of it, without making any."""
    builder = _Builder(graph, None, family_named(family or graph.family))
    return planned_names(graph, builder.fused, builder.family.name)


@dataclass(frozen=True)
class Built:
    """A model made from a graph.

    Args:
        model: the `keras.Model` or `tf_keras.Model`.
        tensors: `Ref` → its Keras tensor.
        layer_names: node name → name of the layer that it became.
        functions: node name → function from the list of tensors that the node reads to what its layers make of them.
            Where an activation went into the layer before it, that layer's node stands for both.
    """

    model: object
    tensors: dict
    layer_names: dict
    functions: dict


class _Builder:
    def __init__(self, graph, dtype, family, but_walls=False):
        self.graph = graph
        self.dtype = dtype
        self.family = family
        self.but_walls = but_walls
        self.tensors = {}
        self.functions = {}
        self.clones = {}
        self.remade = {}
        self.fused = self._fusable_activations()
        self.names = Names(graph, self.fused, family.name)
        masked = any(node.layer is not None and may_mask(node.layer) for node in graph)
        self.per_step = PerStep(family, self.names.give, masked)

    def model(self):
        fused_away = set(self.fused.values())
        for node in self.graph:
            if node.name in fused_away:
                continue  # made together with its linear layer
            inputs = [self.tensors[ref] for ref in node.inputs]
            self.functions[node.name] = self._function_of(node, inputs)
            made = self._called(node, inputs)
            name = self.fused.get(node.name, node.name)
            self.tensors.update({Ref(name, i): tensor for i, tensor in enumerate(made)})
            if name != node.name:
                self.names.of_node[name] = self.names.of_node[node.name]
        inputs = [self.tensors[Ref(name)] for name in self.graph.inputs]
        outputs = [self.tensors[ref] for ref in self.graph.outputs]
        input_structure, output_structure = self.graph.structure
        return self.family.keras.Model(
            filled(input_structure, inputs), filled(output_structure, outputs), name=self.graph.name)

    def _function_of(self, node, inputs):
        """The function from the tensors that a node reads to those that it makes."""
        if not (self.but_walls and (node.op == "opaque" or _is_custom(node))):
            return self._function_for(node, inputs)
        wanted, self.dtype = self.dtype, None
        try:
            function = self._function_for(node, inputs)
        finally:
            self.dtype = wanted
        own = [self.graph[ref].dtype for ref in node.inputs]

        def cast(tensors, dtypes):
            return [tensor if not is_float(tensor) or dtype not in FLOATS else self.family.cast(tensor, dtype)
                    for tensor, dtype in zip(tensors, dtypes, strict=True)]

        def in_own_type(tensors):
            made = self.family.flatten(function(cast(tensors, own)))
            return cast(made, [wanted] * len(made))

        return in_own_type

    def _function_for(self, node, inputs):
        """The function of a node, step by step where it computes so."""
        count = node.steps if node.op == "opaque" and node.intact else 0 if node.intact else per_step(node)
        after = self.graph[self.fused[node.name]] if node.name in self.fused else node
        if count:
            return self.per_step.function(
                lowered(node, count), count, after.shape, inputs, lambda each, x: self._maker(each)(each, x))
        if node.op in ("activation", "add") and not node.shared and self.per_step.are_merged(inputs):
            return self.per_step.all_at_once(self._maker(node), node, inputs)
        return self._maker(node)(node, inputs)

    def _maker(self, node):
        return getattr(self, f"_{node.op}", self._plain)

    def _called(self, node, inputs):
        try:
            return self.family.flatten(self.functions[node.name](inputs))
        except TfoldError:
            raise
        except Exception as error:  # what the other Keras does not do although it has the layer
            if not self._is_foreign(node):
                error.layer = node.label  # whoever explains the error can say where it came from
                raise
            raise BadInputError(
                f"A network becomes a {self.family} model of what {self.family} has. Received: {node.label!r} "
                f"({type(node.layer).__name__}), which fails there: {one_line(error)} Replace the layer."
            ) from error

    def _fusable_activations(self):
        """Linear node → activation node that goes into the same Keras layer."""
        consumers = self.graph.consumers()
        fused = {}
        for node in self.graph:
            if node.op != "linear" or node.map.has_bias_map:
                continue
            readers = consumers[node.ref]
            after = readers[0] if len(readers) == 1 else None
            if after is None or after.op != "activation" or not after.attrs.get("fused"):
                continue
            if self.but_walls and _is_custom(after):
                continue
            if node.shared and after.layer is not node.layer:
                continue  # the layer's other calls may have no such activation behind them
            if self._argument(after) is not None:
                fused[node.name] = after.name
        return fused

    def _input(self, node, _):
        if node.layer is not None and family_of(node.layer) is self.family:
            layer = clone_layer(node.layer, self.dtype, name=self.names.give(node))
            return lambda _: layer.output
        dtype = self.dtype if self.dtype and node.attrs["dtype"] in FLOATS else node.attrs["dtype"]
        return lambda _: self.family.keras.Input(batch_shape=node.shape, dtype=dtype, name=self.names.give(node))

    def _linear(self, node, inputs):
        after = self.graph[self.fused[node.name]] if node.name in self.fused else None
        activation = None if after is None else self._argument(after)
        if node.intact:
            return self._again(node, {"activation": activation})
        size = self.graph.size(node.inputs[0], node.map.rank)
        layers = self._once(node, lambda: build_linear.layers_for(
            node.map, inputs[0], size, self.names.give, node, activation, self.dtype, self.family))
        return lambda tensors: reduce(lambda x, layer: layer(x), layers, tensors[0])

    def _once(self, node, make):
        """What `make` makes for a node; for further calls of a layer that is called more than once, the same."""
        if not node.shared:
            return make()
        key = id(node.layer), node.step
        if key not in self.remade:
            self.remade[key] = make(), self.names.of_node.get(node.name)
        made, self.names.of_node[node.name] = self.remade[key]
        return made

    def _activation(self, node, _):
        if node.intact and not node.attrs.get("fused") and not self._is_foreign(node):
            return self._again(node)
        fn, params = self._function(node)
        layer = activations.as_layer(fn, params, self.family, name=self.names.give(node), dtype=self._dtype(node))
        return lambda tensors: layer(tensors[0])

    def _argument(self, node):
        """What a layer gets as `activation=` for an activation node; None where that must be a layer of its own."""
        return activations.as_argument(*self._function(node), self.family)

    def _function(self, node):
        fn, params = node.attrs["fn"], node.attrs["params"]
        if fn == "custom" and self._is_foreign(node):
            raise BadInputError(
                f"A network becomes a {self.family} model of what {self.family} has. Received: {node.label!r}, with an "
                "activation function of your own. Put it into the other model yourself."
            )
        return fn, params

    def _alpha(self, node, _):
        raise TfoldError(f"α-activations are settled before a model is built. Received: {node.name}")

    def _plain(self, node, inputs):
        if node.intact and not (self._is_foreign(node) and is_operation(node.layer)):
            return self._again(node)
        if node.intact and (node.op == "opaque" or "weights" in node.attrs):
            return translate_operation.translated(node, inputs, self.names.give(node))
        size = self.graph.size(node.inputs[0], len(node.shape) - 2) if node.shape else ()
        def make():
            return build_plain.layer_for(node, inputs, size, self.names.give(node), self._dtype(node), self.family)

        return self._once(node, make) if node.op == "affine" else make()

    def _is_foreign(self, node):
        return node.layer is not None and family_of(node.layer) is not self.family

    def _dtype(self, node):
        """What a new layer computes in: the model's floating-point type if one is asked for, or the policy of old."""
        if self.dtype and node.dtype in FLOATS:
            return self.dtype
        if node.layer is None or is_operation(node.layer):
            return node.dtype
        policy = node.layer.dtype_policy
        return policy.name if self._is_foreign(node) else policy

    def _again(self, node, changes=None):
        """The call of an intact node, with the same arguments."""
        args, kwargs = node.call
        layer = self._clone(node, {**self._changes(node), **(changes or {})})

        def call(tensors):
            return layer(*filled(args, tensors), **filled(kwargs, tensors))

        without = inference_arguments(node.layer, kwargs)
        call.at_inference = lambda tensors: layer(*filled(args, tensors), **filled(without, tensors))
        return call

    def _changes(self, node):
        """What is different in the configuration of a layer that is not called on the caller's own form of tensors."""
        if node.moved:
            return channels_first.changes(node.layer, family_of(node.layer))
        is_norm = node.steps and node.op == "affine" and isinstance(node.layer, family_of(node.layer).batch_norms)
        return {"axis": -1} if is_norm else {}

    def _clone(self, node, changes=None):
        """The layer of an intact node, anew, with the same weights once it has been called."""
        layer = node.layer
        if id(layer) in self.clones:
            self.names.of_node[node.name] = self.clones[id(layer)].name
            return self.clones[id(layer)]
        clone = layer_in(self.family, layer, self.dtype, name=self.names.give(node), **(changes or {}))
        if is_layer(layer) and layer.weights:
            clone = build_linear.Weighted(clone, layer.get_weights)
        self.clones[id(layer)] = clone
        return clone


def _is_custom(node):
    """Whether a node computes a function of the user's own."""
    return node.op == "activation" and node.attrs["fn"] == "custom"
