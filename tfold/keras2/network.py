"""A network of Keras 3 from the configuration that Keras 2 has written of it.

The configuration lists the layers, and for each of a layer's calls the tensors that it reads, as [layer, call, output].
Here each call is made again with layers of Keras 3, in an order in which its tensors are there.
"""
from dataclasses import dataclass, field

import keras

from tfold.keras2 import functions
from tfold.keras2.calls import CONSTANT, MODELS, first_call, is_reference, references
from tfold.keras2.errors import Untranslatable
from tfold.keras2.layers import make_layer, plain_name

PRUNED = "PruneLowMagnitude"


@dataclass
class Part:
    """A layer or network of the file, and what was made of it.

    Attributes:
        name: as the file has it, slashes included.
        kind: its class, as the file has it.
        layer: the `keras.Layer` that has the weights; None for functions.
        parts: the parts of a network, in the file's order.
    """

    name: str
    kind: str
    layer: object = None
    parts: list = field(default_factory=list)


@dataclass
class _Made:
    """Something that can be called on tensors, and the parts of which it consists."""

    part: Part
    call: object


def make_network(config, objects=()):
    """Return `(model, part)`: the network of Keras 3, without the file's weights, and its `Part`.

    Args:
        config: what the file says of the network: {"class_name": "Functional", "config": …}.
        objects: dict of the user's classes and functions by the names that files give them.

    Raises:
        Untranslatable: Keras 3 does not have what the network consists of; says what.
    """
    try:
        made = _make(config, dict(objects))
    except Untranslatable:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged setting makes Keras and TensorFlow raise many kinds
        raise Untranslatable(f"a configuration that does not describe a network "
                             f"({type(error).__name__}: {' '.join(str(error).split())[:200]})") from error
    return made.part.layer, made.part


def _make(described, objects):
    kind, config = described["class_name"], described["config"]
    if kind == PRUNED:  # pruning has left its zeros in the layer's own kernel
        made = _make(config["layer"], objects)
        return _Made(Part(str(config.get("name")), kind, made.part.layer, [made.part]), made.call)
    if kind == "Sequential" and kind not in objects:
        return _sequential(config, objects)
    if kind in MODELS and kind not in objects:
        return _functional(config, objects)
    if kind == "InputLayer":
        raise Untranslatable("an input in the middle of a network")

    inner = []

    def make_inner(inside):
        made = _make(inside, objects)
        inner.append(made.part)
        return made.part.layer

    chain = make_layer(kind, config, make_inner, objects)

    def call(*args, **kwargs):
        x = chain[0](*args, **kwargs)
        for layer in chain[1:]:
            x = layer(x)
        return x

    return _Made(Part(str(config.get("name")), kind, chain[0], inner), call)


def _sequential(config, objects):
    if isinstance(config, list):  # as Keras wrote it before 2.2
        config = {"name": "sequential", "layers": config}
    parts, calls, shape, dtype = [], [], None, None
    for described in config["layers"]:
        settings = described["config"]
        if not calls and shape is None:
            shape, dtype = _input_shape(described), settings.get("dtype")
        if described["class_name"] == "InputLayer":
            parts.append(Part(str(settings.get("name")), "InputLayer"))
            continue
        made = _make(described, objects)
        parts.append(made.part)
        calls.append(made.call)
    shape = shape or config.get("build_input_shape")
    if not shape:
        raise Untranslatable(f"the Sequential network {config.get('name')!r}, whose file does not say for which shape "
                             "it was built")
    x = inputs = _input(plain_name(f"{config.get('name', 'sequential')}_input"), shape, dtype)
    for call in calls:
        x = call(x)
    model = keras.Model(inputs, x, name=plain_name(config.get("name") or "sequential"))
    model.trainable = config.get("trainable", True) is not False
    return _Made(Part(str(config.get("name")), "Sequential", model, parts), model)


def _input_shape(described):
    """The shape, batch first, for which a Sequential network's first layer was built; None where it is not said."""
    settings = described["config"]
    shape = settings.get("batch_input_shape", settings.get("batch_shape"))
    if shape is None and described["class_name"] in MODELS:
        layers = settings["layers"] if isinstance(settings, dict) else settings
        inputs = settings.get("input_layers") if isinstance(settings, dict) else None
        if inputs is None:
            return _input_shape(layers[0])
        first = inputs[0] if isinstance(inputs[0], str) else inputs[0][0]
        return _input_shape(next(each for each in layers if each["name"] == first))
    inside = settings.get("layer")
    if shape is None and isinstance(inside, dict) and described["class_name"] == PRUNED:
        return _input_shape(inside)
    return shape


def _input(name, shape, dtype):
    dtype = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    # A mixed policy says in what a layer computes; its inputs come in float32.
    dtype = "float32" if dtype is None or dtype.startswith("mixed_") else dtype
    return keras.Input(batch_shape=tuple(shape), dtype=dtype, name=name)


class _Graph:
    """The calls of a functional network: what each has made, by the file's names."""

    def __init__(self, described, objects):
        self.parts, self.made, self.outputs, self.first = [], {}, {}, {}
        self.waiting = []
        for layer in described:
            name, kind = layer["name"], layer["class_name"]
            if kind == "InputLayer":
                settings = layer["config"]
                shape = settings.get("batch_input_shape", settings.get("batch_shape"))
                self.outputs[name] = [[_input(plain_name(name), shape, settings.get("dtype"))]]
                self.first[name] = 0
                self.parts.append(Part(name, kind))
                continue
            if kind in ("TFOpLambda", "SlicingOpLambda"):
                self.made[name] = self._function(name, layer["config"].get("function") or functions.SLICING)
                self.parts.append(Part(name, kind))
            else:
                made = _make(layer, objects)
                made.part.name = name
                self.made[name] = made.call
                self.parts.append(made.part)
            self.first[name] = first_call(kind)
            self.outputs[name] = []
            self.waiting += [(name, node) for node in layer["inbound_nodes"]]

    def run(self):
        """Make all calls, each when what it reads is there; `check_calls` has seen that none waits for ever."""
        while self.waiting:
            left, stuck = [], set()
            for name, node in self.waiting:
                # The calls of a layer are counted in their order.
                if name in stuck or not self._is_ready(node):
                    left.append((name, node))
                    stuck.add(name)
                else:
                    self._call(name, node)
            if len(left) == len(self.waiting):
                raise Untranslatable(f"a network whose layers wait for one another ({left[0][0]!r})")
            self.waiting = left

    def tensor(self, reference):
        """The tensor that [layer, call, output] stands for."""
        name, call, output = reference[0], reference[1], reference[2]
        made = self.outputs[name]
        return made[max(0, call - self.first[name]) if len(made) > 1 or call else 0][output]

    def structure(self, value):
        """A structure of references as the same structure of tensors."""
        if self._is_reference(value):
            return self.tensor(value)
        if isinstance(value, dict):
            return {key: self.structure(inner) for key, inner in value.items()}
        return [self.structure(inner) for inner in value]

    def _is_reference(self, value):
        return is_reference(value, self.outputs)

    def _is_ready(self, node):
        for name, call, _ in references(node, self.outputs):
            if max(0, call - self.first[name]) >= len(self.outputs[name]):
                return False
        return True

    def _call(self, name, node):
        inputs, settings = self._inputs(node)
        made = self.made[name](inputs, **settings)
        self.outputs[name].append(keras.tree.flatten(made))

    def _inputs(self, node):
        """`(first argument, other arguments)` of a call."""
        if isinstance(node, dict):
            return {key: self._argument(value)[0] for key, value in node.items()}, {}
        if node and isinstance(node[0], str):  # one tensor, or a constant before the tensors
            return self._argument(node)
        found = [self._argument(each) for each in node]
        return (found[0][0] if len(found) == 1 else [tensor for tensor, _ in found]), found[0][1] if found else {}

    def _argument(self, reference):
        settings = reference[3] if len(reference) == 4 and isinstance(reference[3], dict) else {}
        settings = {key: self._filled(value) for key, value in settings.items()}
        if reference[0] == CONSTANT:
            return reference[2], settings
        return self.tensor(reference), settings

    def _filled(self, value):
        if self._is_reference(value):
            return self.tensor(value)
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        return value

    def _function(self, name, symbol):
        def call(first, **settings):
            made = functions.call(symbol, first, settings)
            _name_operations(plain_name(name), made, keras.tree.flatten([first, settings]))
            return made

        return call


def _name_operations(name, made, inputs):
    """Name the operations that lead from inputs to what was made: names that Keras chooses may stand in the file."""
    known = {id(each) for each in inputs}
    todo, named = [each for each in keras.tree.flatten(made) if isinstance(each, keras.KerasTensor)], []
    while todo:
        tensor = todo.pop()
        operation = tensor._keras_history.operation
        if id(tensor) not in known and operation not in named:
            operation.name = f"{name}_{len(named)}" if named else name
            named.append(operation)
            todo += [each for each in keras.tree.flatten(tensor._keras_history.operation.input)
                     if isinstance(each, keras.KerasTensor)]


def _functional(config, objects):
    graph = _Graph(config["layers"], objects)
    graph.run()
    inputs, outputs = graph.structure(config["input_layers"]), graph.structure(config["output_layers"])
    inputs, outputs = (each[0] if isinstance(each, list) and len(each) == 1 else each for each in (inputs, outputs))
    model = keras.Model(inputs, outputs, name=plain_name(config.get("name") or "model"))
    model.trainable = config.get("trainable", True) is not False
    return _Made(Part(str(config.get("name")), "Functional", model, graph.parts), model)
