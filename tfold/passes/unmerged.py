"""Why linear layers that stand together are in no linear region: what `merge_linear` reports beside its costs.

    conv ─▶ conv                        shared, read elsewhere too, of another type, or a layer that tfold cannot read
    conv ─▶ crop, upsample… ─▶ conv     linear, but no convolution
    x ─┬─▶ conv ─▶ + ─▶ y               the same, within one of the branches
       └─▶ …  ───┘
"""
from itertools import combinations

from tfold import reasons
from tfold.reasons import Refusal

MOVING = ("crop", "upsample", "reshape", "permute")
LINEAR = ("linear", "affine", "slice", *MOVING)


def unmerged(graph, said):
    """`(labels, refusal)` for linear neighbours that no region holds.

    Args:
        graph: after merging.
        said: labels for which a refusal is there already.
    """
    consumers = graph.consumers()
    for node in graph:
        if node.op in ("add", "concat"):
            found = _branches(graph, node, consumers)
        else:
            found = [_neighbours(graph, node, consumers)] if _is_linear(node) and node.inputs else []
        yield from ((labels, refusal) for labels, refusal in filter(None, found) if labels not in said)


def _is_linear(node):
    return node.op == "linear" or (node.op == "opaque" and node.attrs["is_linear"])


def _neighbours(graph, node, consumers):
    """A linear layer behind a linear layer, with or without something between that moves pixels."""
    for ref in dict.fromkeys(node.inputs):
        before = graph[ref]
        between = None
        while before.op in MOVING:
            between, before = before, graph[before.inputs[0]]
        if not _is_linear(before):
            continue
        refusal = Refusal(reasons.PIXELS_MOVE, f"{between.label} stands between") if between else (
            _obstacle(before, node, consumers))
        if refusal is not None:
            return (before.label, node.label), refusal
    return None


def _obstacle(before, node, consumers):
    for each in (before, node):
        if each.op == "opaque":
            return Refusal(reasons.UNKNOWN_LAYER, f"{each.label}, a {type(each.layer).__name__}: {each.attrs['why']}")
    if before.shared or node.shared:
        return Refusal(reasons.SHARED_WEIGHTS)
    if len(consumers[before.ref]) > 1:
        return Refusal(reasons.SEVERAL_CONSUMERS, f"{before.label} is also read elsewhere")
    return Refusal(reasons.DIFFERENT_TYPES) if before.dtype != node.dtype else None


def _branches(graph, join, consumers):
    """Branches of a join that come from one tensor, and what stands against their being one layer."""
    walks = [_walk(graph, ref, join, consumers) for ref in dict.fromkeys(join.inputs)]
    for (nodes, tensors, refusal), (others, also, other_refusal) in combinations(walks, 2):
        if tensors & also and (refusal or other_refusal) and any(n.op == "linear" for n in (*nodes, *others)):
            labels = dict.fromkeys(n.label for n in (*reversed(nodes), *reversed(others), join))
            yield tuple(labels), refusal or other_refusal
    for nodes, _, refusal in walks:
        if len(set(join.inputs)) == 1 and refusal:
            yield (*(node.label for node in reversed(nodes)), join.label), refusal


def _walk(graph, ref, join, consumers):
    """Back through what is linear in one tensor: the nodes, the tensors met, and the first obstacle."""
    nodes, tensors, refusal = [], {ref}, None
    while (node := graph[ref]).op in LINEAR:
        if node.op in MOVING:
            refusal = refusal or Refusal(reasons.PIXELS_MOVE, f"{node.label} does")
        elif node.op == "linear" and node.shared:
            refusal = refusal or Refusal(reasons.SHARED_WEIGHTS, f"{node.label} is called more than once")
        elif len(set(map(id, consumers[ref]))) > 1:
            refusal = refusal or Refusal(reasons.SEVERAL_CONSUMERS, f"{node.label} is also read elsewhere")
        elif node.dtype != join.dtype:
            refusal = refusal or Refusal(reasons.DIFFERENT_TYPES, f"{node.label} computes in {node.dtype}")
        nodes.append(node)
        ref = node.inputs[0]
        tensors.add(ref)
    return nodes, tensors, refusal
