"""Linear regions: parts of a graph with one entry and one exit that are a single linear map.

    x ─▶ L ─▶ y                               an item: one node that is linear in the one tensor it reads
    x ─┬─▶ … ─▶ + ─▶ y                        an item: a join (addition, concatenation) and all between it and the
       ├─▶ … ───┤                             tensor that everything it reads comes from, its source
       └────────┘
    x ─▶ item ─▶ item ─▶ … ─▶ y               a chain: no tensor between is read elsewhere

Joins hold items that hold items: a run of residual blocks is a chain of joins. Every linear region is a part of one
chain, of the network's or of the inside of a join.
"""
from dataclasses import dataclass

from tfold.algebra.linear_map import averaging, diagonal, selection
from tfold.graph.ir import Ref


@dataclass(eq=False)
class Item:
    """A linear map from the tensor `source` to the tensor that `node` makes.

    Args:
        node: the one node, or the join.
        source: the tensor it reads.
        inside: of a join the items between source and join, in topological order.
        names: of all nodes that go if the item becomes one layer, the last one included.
    """

    node: object
    source: Ref
    inside: tuple = ()
    names: frozenset = frozenset()

    @property
    def is_join(self):
        return self.node.op in ("add", "concat")

    def nodes(self):
        """All nodes of the item in topological order."""
        for item in self.inside:
            yield from item.nodes()
        yield self.node


def items_of(graph, consumers):
    """All items that lie in no other, in topological order."""
    order = {node.name: place for place, node in enumerate(graph)}
    items = {}
    for node in graph:
        item = _join(graph, node, items, order, consumers) if _is_join(graph, node) else (
            Item(node, node.inputs[0], (), frozenset([node.name])) if is_map(graph, node) else None)
        if item is not None:
            items[node.ref] = item
    held = {each.node.name for item in items.values() for each in item.inside}
    return [item for item in items.values() if item.node.name not in held]


def chains_of(items, consumers):
    """Items of one level as chains, lists in which each item alone reads what the one before makes."""
    by_source = {}
    for item in items:
        by_source.setdefault(item.source, []).append(item)
    following = {}
    for item in items:
        readers = consumers[item.node.ref]
        for candidate in by_source.get(item.node.ref, ()):
            if candidate.node.dtype == item.node.dtype and _all_in(readers, candidate.names):
                following[item] = candidate
    behind = set(following.values())
    chains = []
    for item in items:
        if item not in behind:
            chain = [item]
            while chain[-1] in following:
                chain.append(following[chain[-1]])
            chains.append(chain)
    return chains


def is_map(graph, node):
    """Whether a node alone is a linear map of the one tensor it reads, known number by number."""
    if node.op == "linear":
        return not node.shared
    if node.op == "affine":
        return node.attrs["affine"].is_finite and "stays" not in node.attrs
    if node.op not in ("pool", "slice"):
        return False
    shape = graph.shape(node.inputs[0])
    if shape is None or shape[-1] is None:
        return False
    if node.op == "pool":
        attrs = node.attrs
        return attrs["kind"] == "average" and attrs["window"] is not None and attrs["padding"] is not None and not any(
            side for pair in attrs["padding"] for side in pair)
    return True


def map_of(graph, node):
    """The `LinearMap` of a node for which `is_map` holds."""
    if node.op == "linear":
        return node.map
    if node.op == "affine":
        return diagonal(node.attrs["affine"], 0)
    channels = graph.shape(node.inputs[0])[-1]
    if node.op == "pool":
        return averaging(channels, node.attrs["window"], node.attrs["strides"])
    return selection(channels, node.attrs["start"], node.attrs["stop"], 0)


def _is_join(graph, node):
    if node.op not in ("add", "concat") or any(graph.shape(ref) is None for ref in node.inputs):
        return False
    return node.op == "add" or node.attrs["axis"] == len(node.shape or ()) - 1


def _join(graph, join, items, order, consumers):
    """The item of a join, or None where what it reads comes from several tensors."""
    found, inside, names = set(join.inputs), [], {join.name}
    while len(found) > 1:
        # The latest first: by then everything in the region that reads it has been met.
        ref = max(found, key=lambda each: order[each.node])
        item = items.get(ref)
        if item is None or item.node.dtype != join.dtype or not _all_in(consumers[ref], names):
            return None
        found.remove(ref)
        found.add(item.source)
        inside.append(item)
        names |= item.names
    source = found.pop()
    shape = graph.shape(source)
    if shape is None or shape[-1] is None:
        return None
    return Item(join, source, tuple(reversed(inside)), frozenset(names))


def _all_in(readers, names):
    return all(reader is not None and reader.name in names for reader in readers)
