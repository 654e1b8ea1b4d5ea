"""Terms of an addition, or neighbouring parts of a concatenation, that come from one tensor are gathered.

    x ─▶ conv a ─┐                               x ─▶ conv ─┐
    x ─▶ conv b ─┼─▶ + ─▶ z                ⇒                ├─▶ + ─▶ z
    y ─▶ ────────┘                               y ─▶ ──────┘

The whole is no linear region, since it comes from x and y; the part that comes from x alone is one. It gets a node of
its own where it can become one layer that costs less.
"""
from typing import NamedTuple

from tfold.graph.ir import Node, Ref
from tfold.passes.regions import Item, items_of


def gather_terms(graph, planner):
    """Give every such part a node of its own; return whether there was any."""
    consumers = planner.consumers
    items = {item.node.ref: item for item in items_of(graph, consumers)}
    gathered = False
    for join in graph:
        if join.op not in ("add", "concat") or join.ref in items or join.shape is None or "weights" in join.attrs:
            continue
        if join.op == "add" and _reader_adds(join, consumers):
            continue  # its terms are met with those of the addition behind it
        terms, additions = _terms(graph, join, items, consumers)
        terms = [_with_source(ref, items, consumers, {join.name, *(each.name for each in additions)}) for ref in terms]
        parts = _parts(join, terms)
        made = [_made(graph, join, part, planner) for part in parts]
        if any(made):
            join.inputs = tuple(ref for part, ref in zip(parts, made, strict=True) for ref in (
                [ref] if ref else [term.ref for term in part]))
            join.intact = False
            join.covers = sum((each.covers for each in additions), ()) + join.covers
            for each in additions:
                graph.remove(each)
            gathered = True
    return gathered


class Term(NamedTuple):
    """A term of a join: the tensor, the one it is linear in, and the items between."""

    ref: Ref
    source: Ref
    chain: tuple


def _reader_adds(join, consumers):
    readers = consumers[join.ref]
    return len(readers) == 1 and readers[0] is not None and _is_inner(join, readers[0])


def _is_inner(addition, join):
    kinds = {addition.op, join.op, "weights" in addition.attrs, "weights" in join.attrs}
    return kinds == {"add", False} and (addition.dtype, addition.shape) == (join.dtype, join.shape)


def _terms(graph, join, items, consumers):
    """What a join reads; an addition that it alone reads, and that is no region by itself, opened up: (a + y) + b."""
    terms, additions = [], []
    for ref in join.inputs:
        node = graph[ref]
        if ref not in items and _is_inner(node, join) and len(consumers[ref]) == 1:
            inner, more = _terms(graph, node, items, consumers)
            terms += inner
            additions += [*more, node]
        else:
            terms.append(ref)
    return terms, additions


def _with_source(ref, items, consumers, readers):
    """Follow a tensor back through the chain that alone leads to the join."""
    chain, source = [], ref
    while source in items and all(reader is not None and reader.name in readers for reader in consumers[source]):
        chain.insert(0, items[source])
        readers = items[source].names
        source = items[source].source
    return Term(ref, source, tuple(chain))


def _parts(join, terms):
    """Terms with one source together; of a concatenation only neighbours, for their order matters."""
    parts = []
    for term in terms:
        same = [part for part in (parts if join.op == "add" else parts[-1:]) if part[0].source == term.source]
        if same:
            same[0].append(term)
        else:
            parts.append([term])
    return parts


def _made(graph, join, part, planner):
    """The tensor of a new node for a part that pays as one layer, or None."""
    inside = [item for term in part for item in term.chain]
    if len(part) < 2 or not inside or any(item.node.dtype != join.dtype for item in inside):
        return None
    shape = graph.shape(part[0].ref)
    if join.op == "concat":
        widths = [graph.shape(term.ref)[-1] for term in part]
        if None in widths or join.attrs["axis"] != len(shape) - 1:
            return None
        shape = (*shape[:-1], sum(widths))
    source = part[0].source
    if graph.shape(source) is None or graph.shape(source)[-1] is None:
        return None
    node = Node(
        graph.unique(f"{join.name}_part"), join.op, tuple(term.ref for term in part), dict(join.attrs), (shape,),
        intact=False, dtype=join.dtype)
    order = {each.name: place for place, each in enumerate(graph)}
    inside = sorted({item.node.name: item for item in inside}.values(), key=lambda item: order[item.node.name])
    names = frozenset().union([node.name], *(item.names for item in inside))
    item = Item(node, source, tuple(inside), names)
    if not any(item in run for run in planner.item(item).layers):
        return None
    graph.insert_before(join, node)
    return node.ref
