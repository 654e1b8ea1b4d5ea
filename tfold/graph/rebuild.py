"""A copy of a Functional or Sequential model in which some layers give way to others.

    replace(layer) is None    the layer is cloned                 x ─ clone ─ y
    replace(layer) == [a, b]  a, then b, stand in its place       x ─ a ─ b ─ y
    replace(layer) == []      the layer disappears                x ───────── y

A layer is asked for once, however often it is called, so that shared layers and shared models stay shared, unless the
answer is an `EachCall`. The caller's model keeps its layers, its weights and its graph: nothing of it is called.
"""

import keras

from tfold.graph.calls import is_graph_model, view
from tfold.graph.clone import clone_layer, copy_weights, is_foreign, split_activation
from tfold.stock import stock_class


class EachCall:
    """What `replace` returns for a layer without weights that is to be another one at each of its calls.

    Args:
        make: function without arguments that makes one.
    """

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return iter([self._make()])


def rebuild(model, replace):
    """Returns a new model with the same weights.

    A substitute of the same class as the layer it stands for inherits its weights; each inherits its `trainable`.

    Args:
        model: A built Functional or Sequential model.
        replace: Function of a layer or Keras operation, as above.

    Raises:
        ValueError: If a layer cannot be cloned.
    """
    copier = _Copier(replace)
    new_model = copier.copy(model)
    copier.copy_state()
    if not model.trainable:
        new_model.trainable = False
    return new_model


def in_stock_layers(model):
    """Returns the model itself, or a copy in which every layer is as Keras writes it down.

    Layers that stand in for stock ones (`tfold.training`) become these, and activation functions that are Keras' own
    under another spelling (`tf.nn.relu`) get Keras' name.
    """
    changes = is_graph_model(model) and _has(model, lambda op: _is_stand_in(op) or is_foreign(op))
    return rebuild(model, split_activation) if changes else model


def in_keras_spelling(model):
    """The same for functions alone: layers of `tfold.training` stay."""
    return rebuild(model, split_activation) if is_graph_model(model) and _has(model, is_foreign) else model


def _is_stand_in(layer):
    return stock_class(layer) is not type(layer)


def _has(model, wanted):
    return any(_has(layer, wanted) if is_graph_model(layer) else wanted(layer) for layer in model.layers)


class _Copier:
    def __init__(self, replace):
        self._replace = replace
        self._substitutes = {}
        self._pairs = []

    def substitutes(self, op):
        """The layers that stand for `op`, always the same ones."""
        # The entry holds `op`, so that its id stays taken.
        if id(op) not in self._substitutes:
            layers = self._replace(op)
            if layers is None:
                layers = [self.copy(op) if is_graph_model(op) else clone_layer(op)]
            self._substitutes[id(op)] = (op, layers)
            if not isinstance(layers, EachCall):
                self._pairs.extend((op, layer) for layer in layers)
        return self._substitutes[id(op)][1]

    def copy(self, model):
        return self._copy_sequential(model) if isinstance(model, keras.Sequential) else self._copy_functional(model)

    def _copy_sequential(self, model):
        layers = [substitute for layer in model.layers for substitute in self.substitutes(layer)]
        inputs = _clone_inputs(keras.Model(model.inputs, model.outputs, name=model.name))
        is_sequence = all(isinstance(layer, keras.layers.Layer) for layer in layers)
        if not is_sequence or len({id(layer) for layer in layers}) < len(layers):
            # A Sequential model has no operations, nor a layer twice, as tied activations are.
            outputs = inputs[0]
            for layer in layers:
                outputs = layer(outputs)
            return keras.Model(inputs[0], outputs, name=model.name)
        # Keras refuses to call a Sequential model without layers.
        return keras.Sequential([*inputs, *(layers or [keras.layers.Identity()])], name=model.name)

    def _copy_functional(self, model):
        # Cloning a compiled model compiles the clone, and fails where a loss is an unregistered function: clone a view.
        plain = view(model)
        return keras.models.clone_model(
            plain,
            input_tensors=_clone_inputs(plain),
            clone_function=self.substitutes,
            call_function=_call_in_turn,
        )

    def copy_state(self):
        for old, new in self._pairs:
            if isinstance(old, keras.layers.Layer) and stock_class(new) is stock_class(old) and not is_graph_model(old):
                copy_weights(old.get_weights(), new)
        for old, new in self._pairs:
            both = isinstance(old, keras.layers.Layer) and isinstance(new, keras.layers.Layer)
            if both and not is_graph_model(old) and new.trainable != old.trainable:
                new.trainable = old.trainable


def _clone_inputs(model):
    """New inputs, in the structure of `model.input`; left to itself, `clone_model` loses their layers' names."""
    layers = {id(layer.output): layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}

    def clone(tensor):
        layer = layers[id(tensor)]
        return type(layer).from_config(layer.get_config()).output

    return keras.tree.map_structure(clone, model.input)


def _call_in_turn(layers, *args, **kwargs):
    layers = list(layers)
    if not layers:
        return args[0] if args else next(iter(kwargs.values()))
    outputs = layers[0](*args, **kwargs)
    for layer in layers[1:]:
        outputs = layer(outputs)
    return outputs
