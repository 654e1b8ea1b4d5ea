"""The intermediate representation: a `Graph` of `Node`s in topological order.

A node is a **call**, not a layer: a layer that is used twice is two nodes with the same `layer` and `shared` set.
A tensor is named by a `Ref`: the node that makes it and which of its outputs it is.

    op            attrs                                  what it is
    input         dtype                                  an input of the network
    linear        map: LinearMap                         convolution, dense, depthwise, transposed
    affine        affine: Affine                         batch norm at inference
    activation    fn, params                             an element-wise function
    alpha         fn, params, alpha                      α·x + (1−α)·fn(x)
    add multiply                                         of tensors of one shape
    concat        axis
    pool          kind, window, strides, padding         "max" or "average"; window None: global
    pad           padding                                zeros, (before, after) for each spatial axis
    identity                                             does nothing at inference (dropout)
    opaque        call, is_linear, batch_norms, why      any other layer or operation: a wall, kept as it is; what it
                                                         holds, and why a batch norm in it stays

`layer` is the Keras layer or operation that the node came from. The IR never looks into it; `build` clones it, as it
is where the node is `intact`, or takes the settings from it that are not arithmetic (regularizers, dtype).
"""
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tfold.errors import TfoldError

ATTRS = {
    "input": ("dtype",),
    "linear": ("map",),
    "affine": ("affine",),
    "activation": ("fn", "params"),
    "alpha": ("fn", "params", "alpha"),
    "add": (),
    "multiply": (),
    "concat": ("axis",),
    "pool": ("kind", "window", "strides", "padding"),
    "pad": ("padding",),
    "identity": (),
    "opaque": ("call", "is_linear", "batch_norms", "why"),
}


class GraphError(TfoldError):
    """A rule of the IR is broken: an error in tfold, never the user's."""


class Ref(NamedTuple):
    """A tensor: output `index` of node `node`."""

    node: str
    index: int = 0

    def __str__(self):
        return self.node if self.index == 0 else f"{self.node}:{self.index}"


class Slot(int):
    """In a call's arguments or a model's inputs and outputs: the place of tensor number n."""


@dataclass(eq=False)
class Node:
    """One call.

    Args:
        name: unique in the graph. It names the tensor: passes rewrite the node that makes a tensor in place, so a
            node computes the same values under the same name before and after every exact pass.
        label: what people call it, and the name of the layer that `build` makes: `a+b` for a merged one.
        op: one of `ATTRS`.
        inputs: the tensors it reads, in order.
        attrs: what `ATTRS` lists for the op.
        shapes: for each output its shape, batch first, None where unknown; None for an unknown shape.
        layer: where it came from (see the module's text).
        shared: other nodes are calls of the same layer.
        intact: the layer, cloned, computes exactly this node.
        covers: names of the original layers that this node now computes.
        dtype: what it computes in; layers merge only with their like.
    """

    name: str
    op: str
    inputs: tuple = ()
    attrs: dict = field(default_factory=dict)
    shapes: tuple = (None,)
    layer: object = None
    shared: bool = False
    intact: bool = True
    covers: tuple = ()
    label: str = ""
    dtype: str = "float32"

    def __post_init__(self):
        self.label = self.label or self.name

    @property
    def ref(self):
        return Ref(self.name)

    @property
    def shape(self):
        return self.shapes[0]

    @property
    def map(self):
        return self.attrs["map"]


class Graph:
    """Nodes in topological order, and which tensors are the network's inputs and outputs.

    Args:
        name: the model's name.
        inputs: names of the input nodes, in the model's order.
        outputs: `Ref`s, in the model's order.
        output_names: what the model calls its outputs: losses and metrics go by these names.
        structure: the model's inputs and its outputs as nested lists, tuples and dicts with `Slot`s in them.
    """

    def __init__(self, name="model"):
        self.name = name
        self.nodes = {}
        self.inputs = []
        self.outputs = []
        self.output_names = []
        self.structure = None

    def copy(self):
        """The same nodes again, to rewrite while this graph stays; kernels are shared, for passes replace them."""
        other = Graph(self.name)
        other.inputs, other.outputs, other.structure = list(self.inputs), list(self.outputs), self.structure
        other.output_names = self.output_names
        other.nodes = {name: replace(node, attrs=dict(node.attrs)) for name, node in self.nodes.items()}
        return other

    def __iter__(self):
        return iter(list(self.nodes.values()))

    def __len__(self):
        return len(self.nodes)

    def __getitem__(self, ref):
        return self.nodes[ref.node if isinstance(ref, Ref) else ref]

    def add(self, node):
        if node.name in self.nodes:
            raise GraphError(f"Node names must be unique. Received twice: {node.name}")
        self.nodes[node.name] = node
        return node

    def shape(self, ref):
        return self.nodes[ref.node].shapes[ref.index]

    def size(self, ref, rank):
        """The spatial size of a tensor of `rank` spatial axes, None for unknown axes."""
        shape = self.shape(ref)
        return (None,) * rank if shape is None else tuple(shape[1 : 1 + rank])

    def consumers(self):
        """For each tensor the nodes that read it, once for each time; network outputs count as a reader, None."""
        found = {Ref(node.name, i): [] for node in self for i in range(len(node.shapes))}
        for node in self:
            for ref in node.inputs:
                found[ref].append(node)
        for ref in self.outputs:
            found[ref].append(None)
        return found

    def substitute(self, replaced):
        """Every reader of a tensor in `replaced` reads the tensor it maps to from now on.

        Args:
            replaced: dict Ref → Ref; chains (a → b → c) are followed to their end.
        """
        if not replaced:
            return

        def final(ref):
            while ref in replaced:
                ref = replaced[ref]
            return ref

        for node in self.nodes.values():
            node.inputs = tuple(final(ref) for ref in node.inputs)
        self.outputs = [final(ref) for ref in self.outputs]

    def remove(self, node):
        del self.nodes[node.name]

    def unique(self, name):
        """`name`, or `name_1`, `name_2`… if it is taken."""
        candidate, i = name, 0
        while candidate in self.nodes:
            i += 1
            candidate = f"{name}_{i}"
        return candidate

    def validate(self):
        """Raise `GraphError` unless every rule of the IR holds: run after each pass."""
        seen = set()
        for name, node in self.nodes.items():
            if name != node.name:
                raise GraphError(f"Nodes are filed under their names. Received: {node.name!r} under {name!r}")
            if node.op not in ATTRS:
                raise GraphError(f"Ops are {', '.join(ATTRS)}. Received: {node.op!r} in node {name}")
            missing = [key for key in ATTRS[node.op] if key not in node.attrs]
            if missing:
                raise GraphError(f"Op {node.op} needs {', '.join(missing)}. Received: node {name} without")
            for ref in node.inputs:
                if ref.node not in seen:
                    raise GraphError(f"Nodes come after what they read. Received: {name} reads {ref} before it is made")
            if node.op == "linear":
                self._validate_linear(node)
            seen.add(name)
        for ref in self.outputs:
            if ref.node not in seen:
                raise GraphError(f"Outputs are nodes of the graph. Received: {ref}")

    def _validate_linear(self, node):
        shape = self.shape(node.inputs[0])
        if shape is not None and shape[-1] is not None and shape[-1] != node.map.inputs:
            raise GraphError(
                f"A linear node reads as many channels as its kernel has. "
                f"Received: {node.name} with {node.map.inputs}, on a tensor of shape {shape}"
            )
        if node.map.bias is not None and node.map.bias.shape[-1] != node.map.outputs:
            raise GraphError(f"A bias has one value a channel. Received: {node.name} with {node.map.bias.shape}")

    def __str__(self):
        """One node a line: name (and label, where another), op, what it reads, output shape."""
        lines = [f"graph {self.name}"]
        for node in self:
            reads = ", ".join(str(ref) for ref in node.inputs)
            detail = ""
            if node.op == "linear":
                m = node.map
                detail = f" kernel {'×'.join(map(str, m.kernel.shape))}"
                detail += f" strides {m.strides}" if any(s > 1 for s in m.strides) else ""
                detail += f" padding {m.padding}" if m.is_padded else ""
                detail += f" groups {m.groups}" if m.groups > 1 else ""
                detail += " bias map" if m.has_bias_map else ""
            elif node.op in ("activation", "alpha"):
                detail = f" {node.attrs['fn']}"
                detail += f" α={node.attrs['alpha']:.3f}" if node.op == "alpha" else ""
            shape = "?" if node.shape is None else "×".join("?" if n is None else str(n) for n in node.shape[1:])
            name = node.name if node.label == node.name else f"{node.name} [{node.label}]"
            lines.append(f"  {name:<32} {node.op}{detail}({reads}) → {shape}")
        lines.append(f"  return {', '.join(str(ref) for ref in self.outputs)}")
        return "\n".join(lines)
