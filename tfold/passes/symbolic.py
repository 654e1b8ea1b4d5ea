"""Carries a linear map through a region: what is between source and end, as one map.

The same walk serves twice, with outlines to plan (what would it cost, is it exact) and with numbers to merge.
"""
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from tfold.algebra import border, outline, parallel
from tfold.algebra.affine import Affine
from tfold.algebra.compose import check_composable, compose, same_rank
from tfold.algebra.linear_map import LinearMap, identity
from tfold.passes.regions import map_of
from tfold.reasons import BORDER_NOT_EXACT, Refusal

NUMBERS = SimpleNamespace(
    of=map_of, compose=compose, add=parallel.add, concat=parallel.concat,
    times=lambda linear, factor: linear.scaled(Affine(np.full(linear.outputs, factor), np.zeros(linear.outputs))))
OUTLINES = SimpleNamespace(
    of=lambda graph, node: outline.outline(map_of(graph, node)), compose=outline.compose, add=outline.add,
    concat=outline.concat, times=lambda linear, factor: linear)


class Carried(NamedTuple):
    """A map, and how many pixels on each side it computes approximately: None if it is exact."""

    map: LinearMap
    ring: tuple | None = None


def carry(graph, item, algebra, approximate):
    """An item as one `Carried` map.

    Raises:
        Refusal: it cannot be one map, or not exactly.
    """
    if not item.is_join:
        return Carried(algebra.of(graph, item.node), item.node.attrs.get("ring"))
    carried = {}
    for each in item.inside:
        one = carry(graph, each, algebra, approximate)
        if each.source != item.source:
            one = follow(graph, item.source, carried[each.source], one, algebra, approximate)
        carried[each.node.ref] = one
    skip = Carried(identity(graph.shape(item.source)[-1], 0))
    terms = [skip if ref == item.source else carried[ref] for ref in item.node.inputs]
    maps = [term.map for term in terms]
    if "weights" in item.node.attrs:
        maps = [algebra.times(map, weight) for map, weight in zip(maps, item.node.attrs["weights"], strict=True)]
    join = algebra.add if item.node.op == "add" else algebra.concat
    return Carried(join(maps), _widest([term.ring for term in terms]))


def follow(graph, source, first, second, algebra, approximate):
    """Two `Carried` maps in series, the first reading the tensor `source`.

    Raises:
        Refusal: they cannot be one map, or not exactly; or, approximately, no pixel would be left that is right.
    """
    maps = same_rank(first.map, second.map)
    size = graph.size(source, maps[0].rank)
    exact = check_composable(*maps, size, approximate)
    ring = None
    if first.ring or not exact:
        ring = border.disturbed(*maps, size, first.ring)
        made = maps[1].output_size(maps[0].output_size(size))
        if any(n is not None and sum(pair) >= n for pair, n in zip(ring, made, strict=True)):
            raise Refusal(BORDER_NOT_EXACT, "every pixel would be border")
    return Carried(algebra.compose(*maps, size, approximate), _widest([ring, second.ring]))


def _widest(rings):
    rings = [ring for ring in rings if ring]
    if not rings:
        return None
    return tuple(
        (max(before for before, _ in axis), max(after for _, after in axis)) for axis in zip(*rings, strict=True))
