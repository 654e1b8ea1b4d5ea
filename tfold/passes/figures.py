"""What a graph costs: depth, multiply-accumulates, parameters."""
from math import prod

import numpy as np

from tfold.passes.report import Figures


def figures(graph):
    """The `Figures` of a graph."""
    return Figures(
        depth=depth(graph),
        parameters=parameters(graph),
        macs=macs(graph),
        layers=sum(node.op not in ("input", "identity") for node in graph),
        batch_norms=batch_norms(graph),
        uncounted=tuple(sorted({type(node.layer).__name__ for node in graph if _is_unknown_linear(node)})),
    )


def batch_norms(graph):
    """Batch norms that are there, those inside layers that are kept as they are included; shared ones count once."""
    alone = {_place(node) for node in graph if _is_batch_norm(node)}
    inside = {id(node.layer): node.attrs["batch_norms"] for node in graph if node.op == "opaque"}
    return len(alone) + sum(inside.values())


def _is_batch_norm(node):
    return node.op == "affine" and node.attrs["kind"] == "batch_norm"


def _place(node):
    """Equal for the calls of one layer."""
    return id(node.layer) if node.intact or node.shared else node.name


def depth(graph):
    """The number of linear layers on the longest path from an input to an output.

    A layer that tfold does not know counts as one if it has a weight matrix: it is at least one linear layer. What only
    scales and shifts its channels, be it a batch norm or a depthwise 1×1, counts for none.
    """
    longest = {}
    for node in graph:
        before = max((longest[ref.node] for ref in node.inputs), default=0)
        longest[node.name] = before + (is_linear_layer(node) or _is_unknown_linear(node))
    return max((longest[ref.node] for ref in graph.outputs), default=0)


def nonlinear_depth(graph):
    """The number of linear maps on the longest path, where linear layers in a row count as one map.

    It is what is left of the depth if everything between two non-linearities became one layer: the axis on which Layer
    Folding (arXiv 2106.09309) measures a task's degree of non-linearity. A ResNet-20 has 20, with 10 of its activations
    gone 10, whether or not it pays to merge what is then linear. A maximum pooling is a non-linearity too, and so is a
    layer that tfold does not know; an activation behind the last linear layer separates nothing.
    """
    longest = {}  # (maps, if the path ends in a linear run), (maps, if it ends behind a non-linearity)
    for node in graph:
        run = max((longest[ref.node][0] for ref in node.inputs), default=-1)
        behind = max((longest[ref.node][1] for ref in node.inputs), default=0)
        if is_linear_layer(node) or _is_unknown_linear(node):
            run, behind = max(run, behind + 1), -1
        if _separates(node):
            run, behind = -1, max(run, behind)
        longest[node.name] = run, behind
    return max((max(longest[ref.node]) for ref in graph.outputs), default=0)


def _separates(node):
    if node.op == "pool":
        return node.attrs["kind"] == "max"
    if node.op == "multiply":
        return len(node.inputs) > 1
    if node.op == "opaque":
        return "adds" not in node.attrs  # a border map is a constant that is added
    return node.op in ("activation", "alpha")


def is_linear_layer(node):
    """Whether a node counts in the depth: a linear one, unless it is a depthwise 1×1."""
    return node.op == "linear" and not (node.map.is_depthwise and node.map.is_diagonal)


def _is_unknown_linear(node):
    return node.op == "opaque" and node.attrs["is_linear"]


def _is_part_of_linear(node):
    return node.op == "activation" and node.attrs.get("fused", False)


def macs(graph):
    """Multiply-accumulates of all linear nodes for one input, without `uncounted`; None where a size is unknown."""
    total = 0
    for node in graph:
        if node.attrs.get("depthwise"):
            total += prod(node.shape[1:])  # its size is known, or it would have stayed a batch norm
        if node.op == "linear":
            # A transposed convolution spends its window on every pixel it reads, any other on every pixel it makes.
            shape = graph.shape(node.inputs[0]) if node.map.transposed else node.shape
            if shape is None or None in shape[1:-1]:
                return None
            total += prod(shape[1:-1]) * int(np.prod(node.map.kernel.shape))
    return total


def parameters(graph):
    """As Keras counts: batch norm statistics included, shared weights once, a border map as the bias it stands for."""
    total, seen = 0, set()
    for node in graph:
        if node.shared and not node.intact:
            if _place(node) in seen:
                continue
            seen.add(_place(node))
        if node.op == "linear" and not node.intact:
            total += node.map.kernel.size + (0 if node.map.bias is None else node.map.outputs)
        elif _is_batch_norm(node) and not node.intact:
            total += (2 if node.attrs.get("depthwise") else 4) * node.attrs["affine"].scale.size
        elif node.intact and not _is_part_of_linear(node) and id(node.layer) not in seen:
            seen.add(id(node.layer))
            total += sum(int(np.prod(weight.shape)) for weight in getattr(node.layer, "weights", ()))
    return total
