"""One call of a Keras layer or operation, as `read_calls` finds it and `read_layer` reads it."""
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tfold.graph.family import KERAS, family_of, is_layer
from tfold.graph.ir import Slot


class Tensor(NamedTuple):
    """Output number `index` of a call."""

    call: Any
    index: int = 0


@dataclass(eq=False)
class Call:
    """One call of one layer or operation.

    Attributes:
        op: the Keras layer or operation; None for an input of the network.
        path: its name, behind the names of the models around it: "backbone/relu".
        reads: the `Tensor`s it takes.
        args, kwargs: its arguments, with a `Slot` for each tensor, numbered as in `reads`.
        in_shapes, out_shapes: a shape for each tensor, batch first, None where unknown.
        out_dtypes: the type of number of each tensor it makes.
        input_layer: for an input of the network its InputLayer, where the model shows one.
        name: of the layer alone. In tf_keras it may hold a "/" itself.
        moved: its tensors have their channels last here, where the layer has them first (see `channels_first`).
        steps: the axes behind the batch that the layer does not see, because a wrapper calls it at each step of them.
    """

    op: Any
    path: str
    reads: list = field(default_factory=list)
    args: tuple = ()
    kwargs: dict = field(default_factory=dict)
    in_shapes: tuple = ()
    out_shapes: tuple = (None,)
    out_dtypes: tuple = ("float32",)
    input_layer: Any = None
    name: str = ""
    steps: int = 0
    moved: bool = False

    def __post_init__(self):
        self.name = self.name or self.path.rsplit("/", 1)[-1]

    @property
    def in_dtypes(self):
        """The type of number of each tensor it reads."""
        return tuple(tensor.call.out_dtypes[tensor.index] for tensor in self.reads)

    @property
    def times(self):
        """How many steps there are, for each axis of them."""
        return tuple(self.in_shapes[0][1 : 1 + self.steps]) if self.steps else ()

    @property
    def dtype(self):
        """The type of its first input; for an input of the network, its own."""
        return (self.in_dtypes or self.out_dtypes)[0]


def without_mask(call):
    """A call without the mask that it gives beside its one tensor; the call itself where it gives none."""
    mask = call.kwargs.get("mask")
    if not isinstance(mask, Slot) or mask != 1 or len(call.reads) != 2:
        return call
    kwargs = {name: value for name, value in call.kwargs.items() if name != "mask"}
    return replace(call, reads=call.reads[:1], kwargs=kwargs, in_shapes=call.in_shapes[:1])


@dataclass
class Calls:
    """All calls of a network, the `Tensor`s it returns, and how its inputs and outputs are nested, with `Slot`s."""

    calls: list
    outputs: list
    structure: tuple

    def __post_init__(self):
        self.times, self.bearers = {}, {}
        for call in self.calls:
            if call.op is not None:
                self.times[id(call.op)] = self.times.get(id(call.op), 0) + 1
                self.bearers.setdefault(call.name, set()).add(id(call.op))

    def is_repeated(self, op):
        """Whether a layer is called more than once, counting the calls of the models around it."""
        return self.times[id(op)] > 1

    def title(self, call):
        """What reports call a layer: its name, or its path where layers of several nested models bear that name."""
        return call.name if len(self.bearers[call.name]) == 1 else call.path


def inference_arguments(layer, kwargs):
    """The keyword arguments of a call at inference.

    Keras 3 keeps training=True with a call, where somebody gave it or a layer that augments images has it as its
    default, and replaces it in predict() and in a model called with training=False. In tf_keras it stays.
    """
    if family_of(layer) is KERAS and is_layer(layer):
        return {name: value for name, value in kwargs.items() if name != "training"}
    return kwargs


def filled(structure, tensors):
    """A nested structure with its `Slot`s replaced by tensors."""
    if isinstance(structure, Slot):
        return tensors[structure]
    if isinstance(structure, dict):
        return {key: filled(value, tensors) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(filled(value, tensors) for value in structure)
    return structure
