"""What the layers are called that a graph becomes: after the nodes' labels, as far as Keras takes them.

tf_keras makes a TensorFlow scope of each name, so there "conv 1" is "conv_1".
"""
from tfold.graph.scopes import is_scope, scope_name, scope_names


class Names:
    """The names of one model's layers, each given once.

    Args:
        graph: the `Graph`.
        fused: linear node → activation node that goes into the same layer.
        family: "keras" or "tf_keras".

    Attributes:
        of_node: node name → name of the layer that it became.
    """

    def __init__(self, graph, fused, family):
        self.family = family
        self.of_node = {}
        self._labels = {node.label for node in graph}
        self._reserved = _names_of_outputs(graph, fused)
        if family != "keras" and not all(map(is_scope, self._reserved.values())):
            self._reserved = dict(zip(self._reserved, scope_names(self._reserved.values()), strict=True))
        self._taken = set(self._reserved.values())

    def give(self, node, suffix=""):
        """An unused name for the layer of a node.

        A suffix names a layer made beside the node's own; it takes no name that a layer of the network bears.
        """
        if not suffix and node.name in self._reserved:
            self.of_node[node.name] = self._reserved[node.name]
            return self.of_node[node.name]
        wanted = layer_name(node.label, self.family) + suffix
        name, i = wanted, 0
        while name in self._taken or (suffix and name in self._labels):
            i += 1
            name = f"{wanted}_{i}"
        self._taken.add(name)
        if not suffix:
            self.of_node[node.name] = name
        return name


def planned_names(graph, fused, family):
    """Node name → name of the layer that `build` would make of it."""
    names, of_layer = Names(graph, fused, family), {}
    within = set(fused.values())
    for node in graph:
        if node.name not in within:
            key = (id(node.layer), None if node.intact else node.step)
            is_again = (node.intact or node.shared) and node.layer is not None and key in of_layer
            names.of_node[node.name] = of_layer[key] if is_again else names.give(node)
            if node.intact or node.shared:
                of_layer[key] = names.of_node[node.name]
    return names.of_node | {after: names.of_node[linear] for linear, after in fused.items()}


def _names_of_outputs(graph, fused):
    """Node → name of the output that it makes: of several outputs, losses and metrics go by their names."""
    if len(graph.outputs) == 1:
        return {}
    linear_of = {activation: linear for linear, activation in fused.items()}
    first_call = {}
    for node in graph:
        if node.intact and node.layer is not None:
            first_call.setdefault(id(node.layer), node.name)
    reserved = {}
    for ref, name in zip(graph.outputs, graph.output_names, strict=True):
        node = graph[linear_of.get(ref.node, ref.node)]
        if node.op != "input" and name not in reserved.values():
            # A layer that is called twice is made, and named, at its first call.
            maker = first_call.get(id(node.layer), node.name) if node.intact else node.name
            reserved.setdefault(maker, name)
    return reserved


def layer_name(label, family="keras"):
    """A node's label as a family takes it: `a+b` becomes `a-b`; only tf_keras takes "/", but not every character."""
    name = label.replace("+", "-")
    if family == "keras":
        return name.replace("/", "_")
    return name if is_scope(name) else scope_name(name)
