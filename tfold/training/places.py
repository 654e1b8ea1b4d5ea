"""Where a model's batch norms can be restructured, and which layers around them can share a sweep.

    Concatenate ─ bn ─ Add ─ ReLU ─ conv
    spared       │     └ taken along ┘  └ makes its input again, with memory="low"
                 └ restructured

Only a layer that is called once is taken along, and only where nobody else reads what lies between.
"""

import dataclasses

import keras

from tfold.graph.calls import read_calls
from tfold.stock import stock_class
from tfold.training import followers, recompute
from tfold.training.clip import slope_and_limit

HIDDEN = "it stands inside a layer that cannot be looked into"


@dataclasses.dataclass
class Places:
    """What `find_places` found.

    Attributes:
        batch_norms: Ids of the batch norms that can be restructured.
        followers: Ids of the activations, sums and concatenations that share a sweep with one.
        recomputing: Ids of the convolutions that can make their input again.
        handing_on: Ids of the layers whose reader has to know how their output came about: in `followers`; in
            `recomputing`.
        refused: Path of a batch norm → why it stays as it is.
    """

    batch_norms: set = dataclasses.field(default_factory=set)
    followers: set = dataclasses.field(default_factory=set)
    recomputing: set = dataclasses.field(default_factory=set)
    handing_on: dict = dataclasses.field(default_factory=lambda: {"followers": set(), "recomputing": set()})
    refused: dict = dataclasses.field(default_factory=dict)


def find_places(model):
    """Reads a Functional or Sequential model.

    Returns:
        `Places`.

    Raises:
        BadInputError: it is no such model.
    """
    network = _Network(model)
    places = Places()
    for call in network.calls:
        if isinstance(call.op, keras.layers.BatchNormalization):
            tensor = call.reads[0]
            reason = refusal(call.op, tensor.call.out_shapes[tensor.index])
            if reason is None:
                places.batch_norms.add(id(call.op))
            else:
                places.refused[call.path] = reason
        else:
            hidden = (layer for layer in _layers_within(call.op) if isinstance(layer, keras.layers.BatchNormalization))
            places.refused.update({f"{call.path}/{layer.name}": HIDDEN for layer in hidden})
    for call in network.calls:
        if id(call.op) in places.batch_norms and network.once(call):
            _follow(call, network, places)
    # From the back: a concatenation may go into another.
    for call in reversed(network.calls):
        if _is_spared(call, network, places):
            places.followers.add(id(call.op))
    return places


def refusal(layer, shape):
    """Why stock Keras must compute a batch norm, or None.

    Args:
        layer: The batch norm.
        shape: That of its input, None if unknown.
    """
    if stock_class(layer) is not keras.layers.BatchNormalization:
        return f"its class is {type(layer).__name__}, which may compute something else"
    if layer.renorm:
        return "it renormalizes (renorm=True)"
    if layer.synchronized:
        return "it is synchronized over replicas (synchronized=True)"
    if shape is None or len(shape) != 4:
        return f"its input has {'an unknown rank' if shape is None else f'rank {len(shape)}'}, not 4"
    if layer.axis not in (-1, 3):
        return f"it normalizes axis {layer.axis}, not the last"
    if "float64" in (layer.compute_dtype, layer.variable_dtype):
        return "it computes in float64"
    return None


class _Network:
    """The calls of a model, and who reads whom."""

    def __init__(self, model):
        read = read_calls(model)
        self.calls = read.calls
        self._outputs = {tensor.call for tensor in read.outputs}
        self._readers, self._count = {}, {}
        for call in self.calls:
            self._count[id(call.op)] = self._count.get(id(call.op), 0) + 1
            for tensor in call.reads:
                self._readers.setdefault(tensor.call, []).append(call)

    def once(self, call):
        """Whether it is the only call of its layer."""
        return self._count[id(call.op)] == 1

    def readers(self, call):
        """Who reads a call's output; nobody is named where the caller of the model does."""
        return [] if call in self._outputs else self._readers.get(call, [])

    def only_reader(self, call):
        """The one call that reads another, if it is its layer's only one; else None."""
        found = self.readers(call)
        return found[0] if len(found) == 1 and self.once(found[0]) else None


def _layers_within(thing, seen=None):
    """The layers that a layer holds, in lists and dicts and in other layers too, each once."""
    seen = set() if seen is None else seen
    if id(thing) in seen or not isinstance(thing, (keras.layers.Layer, list, tuple, dict)):
        return
    seen.add(id(thing))
    inside = thing if isinstance(thing, (list, tuple, dict)) else vars(thing)
    for value in inside.values() if isinstance(inside, dict) else inside:
        if isinstance(value, keras.layers.Layer) and id(value) not in seen:
            yield value
        yield from _layers_within(value, seen)


def _follow(batch_norm, network, places):
    """Along what stands behind a batch norm: at most one sum, then at most one activation, then a convolution."""
    chain = [batch_norm]
    behind = network.only_reader(batch_norm)
    if behind is not None and stock_class(behind.op) is keras.layers.Add and len(behind.reads) == 2:
        chain.append(behind)
        behind = network.only_reader(behind)
    if behind is not None and _is_activation(behind.op):
        chain.append(behind)
        behind = network.only_reader(behind)
    places.followers.update(id(call.op) for call in chain[1:])
    places.handing_on["followers"].update(id(call.op) for call in chain[:-1])
    if behind is not None and _recomputes(behind.op):
        places.recomputing.add(id(behind.op))
        places.handing_on["recomputing"].add(id(chain[-1].op))


def answers_for_itself(op):
    """Whether a layer says of itself whether it takes a batch norm's sweep over, as `AlphaActivation` does."""
    return hasattr(op, "tfold_takes_over")


def _is_activation(op):
    """Whether it is an activation that batch norm's sweep can do: a stock one that clips, or σ_α of such a one."""
    # tfold.alpha knows tfold.training, not the reverse.
    if answers_for_itself(op):
        return op.tfold_takes_over()
    return stock_class(op) in followers.BY_STOCK and slope_and_limit(op) is not None


def _recomputes(op):
    # With an activation of its own, its output would have to be made again as well.
    if stock_class(op) not in recompute.BY_STOCK or op.activity_regularizer is not None:
        return False
    return op.activation in (None, keras.activations.linear)


def _is_spared(call, network, places):
    """Whether a concatenation of channels is read by nobody but batch norms, and other concatenations like it."""
    readers = network.readers(call)
    return (
        stock_class(call.op) is keras.layers.Concatenate
        and network.once(call)
        and call.op.axis in (-1, 3)
        and len(call.out_shapes[0] or ()) == 4
        and bool(readers)
        and all(
            id(reader.op) in places.batch_norms
            or (stock_class(reader.op) is keras.layers.Concatenate and id(reader.op) in places.followers)
            for reader in readers
        )
    )
