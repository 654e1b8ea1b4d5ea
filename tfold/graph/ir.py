"""The intermediate representation: a `Graph` of `Node`s in topological order.

A node is a **call**, not a layer: a layer that is used twice is two nodes with the same `layer` and `shared` set.
A tensor is named by a `Ref`: the node that makes it and which of its outputs it is.

    op            attrs                                       what it is
    input         dtype                                       an input of the network
    linear        map: LinearMap                              convolution, dense, depthwise, transposed; `ring`:
                                                              pixels at each side that are approximate, if any
    affine        affine: Affine, kind                        s·x + t per channel: "batch_norm", "arithmetic" (2·x, …);
                                                              `offset`: β ÷ γ of a batch norm, as far as it is known;
                                                              `statistics`: mean and deviation of what it reads, where
                                                              the layer knows them; `stays`: reason and words, where
                                                              it is not to be folded;
                                                              `depthwise`: to be built as a depthwise 1×1
    activation    fn, params                                  an element-wise function, or softmax
    alpha         fn, params, alpha                           α·x + (1−α)·fn(x)
    add                                                       of tensors of one shape; `weights`, where it is there,
                                                              has a factor for each
    multiply                                                  of tensors of equally many axes; axes of 1 broadcast
    concat        axis                                        behind the batch, counted from the front
    slice         start, stop                                 channels of the last axis
    pool          kind, window, strides, padding, keepdims    "max" or "average" (of what is there, without padding);
                                                              window None: global, keepdims: its axes stay, as 1
    pad           padding, value                              (before, after) for each spatial axis; with a number, or
                                                              an array of one for each channel
    crop          cropping                                    (before, after) for each spatial axis
    upsample      factors, interpolation                      a factor for each spatial axis; "nearest", "bilinear"…
    reshape       shape                                       without the batch; at most one axis is None
    permute       axes                                        as np.transpose takes them, the batch (0) first
    identity                                                  does nothing at inference (dropout)
    opaque        is_linear, batch_norms, why, homogeneous    any other layer or operation, kept as it is: a wall;
                                                              homogeneous: f(s·x) = s·f(x) for s > 0, as PReLU is;
                                                              `adds`, where it is there: a border map that it adds;
                                                              `ends_linear`: a converter may fold what follows into it;
                                                              `reason`: why it stays, though the IR could compute it

Padding is `(before, after)` for each spatial axis, or None: "same", where it depends on a size that is unknown. `rules`
has the rules of each op, `shapes` the shapes they make. `layer` is the Keras layer or operation that a node came from.
The IR never looks into it; `build` clones it and repeats the `call` where the node is `intact`, or takes the settings
from it that are not arithmetic (regularizers, dtype).
"""
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tfold.graph import rules, shapes, text
from tfold.graph.rules import GraphError


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
        op: one of those above.
        inputs: the tensors it reads, in order.
        attrs: what is listed for the op.
        shapes: for each output its shape, batch first, None where unknown; None for an unknown shape.
        layer: where it came from (see the module's text).
        shared: other nodes are calls of the same layer.
        intact: the layer, cloned, computes exactly this node.
        covers: names of the original layers that this node now computes.
        dtype: what it computes in; layers merge only with their like.
        step: of the nodes that one call became, a chain, which one this is.
        moved: the layer has channels first; what the node computes is said of tensors that have them last.
        steps: how many axes behind the batch the layer does not see, because it is called at each step of them
            (`TimeDistributed`). What the node computes is said of the whole tensor.
        call: the arguments of the captured call, `(args, kwargs)`, with a `Slot` for each tensor; constants and
            `training=False` stand there. It says nothing where the node is not intact.
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
    call: tuple = ((Slot(0),), {})
    step: int = 0
    steps: int = 0
    moved: bool = False

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
        family: "keras" or "tf_keras": which of the two the layers are of.
        inputs: names of the input nodes, in the model's order.
        outputs: `Ref`s, in the model's order.
        output_names: what the model calls its outputs: losses and metrics go by these names.
        structure: the model's inputs and its outputs as nested lists, tuples and dicts with `Slot`s in them.
        stored: node that makes a tensor in another form → the node that made it before any pass, and its form, an
            `Affine`.
    """

    def __init__(self, name="model", family="keras"):
        self.name = name
        self.family = family
        self.nodes = {}
        self.inputs = []
        self.outputs = []
        self.output_names = []
        self.structure = None
        self.stored = {}
        self._gone = set()

    def copy(self):
        """The same nodes again, to rewrite while this graph stays; kernels are shared, for passes replace them."""
        other = Graph(self.name, self.family)
        other.inputs, other.outputs, other.structure = list(self.inputs), list(self.outputs), self.structure
        other.output_names, other.stored, other._gone = self.output_names, dict(self.stored), set(self._gone)
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

    def insert_before(self, node, new):
        """Add `new` where `node` stands, in front of it."""
        behind = list(self.nodes)[list(self.nodes).index(node.name) :]
        self.add(new)
        for name in behind:
            self.nodes[name] = self.nodes.pop(name)

    def store(self, forms):
        """What these nodes make is stored in another form from now on; they get other names, and `stored` knows.

        Args:
            forms: dict node name → `Affine`.
        """
        renamed = {}
        for name, form in forms.items():
            original, before = self.stored.pop(name, (name, None))
            renamed[name] = self.unique(f"{original}_scaled")
            self._gone.add(name)
            self.stored[renamed[name]] = original, form if before is None else before.then(form)
            self.nodes[name].name = renamed[name]
        self.nodes = {node.name: node for node in self.nodes.values()}
        self.substitute({Ref(old): Ref(new) for old, new in renamed.items()})

    def remove(self, node):
        del self.nodes[node.name]
        self._gone.add(node.name)

    def unique(self, name):
        """`name`, or `name_1`, `name_2`… if it is or was taken: a tensor keeps its name, and no other gets it."""
        candidate, i = name, 0
        while candidate in self.nodes or candidate in self.stored or candidate in self._gone:
            i += 1
            candidate = f"{name}_{i}"
        return candidate

    def validate(self):
        """Raise `GraphError` unless every rule of the IR holds: run after each pass."""
        seen = set()
        for name, node in self.nodes.items():
            if name != node.name:
                raise GraphError(f"Nodes are filed under their names. Received: {node.name!r} under {name!r}")
            for ref in node.inputs:
                if ref.node not in seen or ref.index >= len(self[ref].shapes):
                    raise GraphError(f"Nodes come after what they read. Received: {name} reads {ref} before it is made")
            in_shapes = [self.shape(ref) for ref in node.inputs]
            rules.check(node, in_shapes)
            self._validate_shape(node, in_shapes)
            if node.intact and node.layer is not None and node.op != "input":
                self._validate_call(node)
            seen.add(name)
        for ref in self.outputs:
            if ref.node not in seen or ref.index >= len(self[ref].shapes):
                raise GraphError(f"Outputs are tensors of the graph. Received: {ref}")
        inputs = [node.name for node in self if node.op == "input"]
        if sorted(inputs) != sorted(self.inputs):
            raise GraphError(f"A graph lists its inputs, {inputs}. Received: {self.inputs}")

    def _validate_shape(self, node, in_shapes):
        try:
            wanted = None if None in in_shapes else shapes.infer(node.op, node.attrs, in_shapes)
        except ValueError as error:
            raise GraphError(f"The shapes that a node reads go together: {error}. Received: {node.name}") from error
        if wanted is not None and node.shape is not None and not shapes.agree(wanted, node.shape):
            raise GraphError(f"{node.op} makes {wanted} of {in_shapes}. Received: {node.name} with {node.shape}")

    def _validate_call(self, node):
        if sorted(_slots(node.call)) != list(range(len(node.inputs))):
            raise GraphError(f"An intact node repeats its call, on what it reads. Received: {node.name}, {node.call}")

    def __str__(self):
        """One node a line: name (and label, where another), op, what it reads, output shape."""
        returned = ", ".join(str(ref) for ref in self.outputs)
        return "\n".join([f"graph {self.name}", *map(text.line, self), f"  return {returned}"])


def _slots(part):
    if isinstance(part, Slot):
        return [part]
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    return [slot for inner in parts for slot in _slots(inner)]
