"""Chains: runs of linear nodes with nothing between them, and the cheapest way to cut one into layers.

    x ─▶ L1 ─▶ L2 ─▶ … ─▶ Ln        every tensor between is read by the next node alone

A segment of the chain is mergeable if composing it is exact. Which segments to merge is a shortest path: cut points
are the tensors, an edge is a segment as one layer, its length the cost of that layer (`cost`).
"""
from dataclasses import dataclass, replace

import numpy as np

from tfold.algebra.compose import check_composable, composed_shape
from tfold.algebra.linear_map import LinearMap
from tfold.passes import cost
from tfold.reasons import COSTS_MORE, Refusal


@dataclass
class Plan:
    """How to cut a chain: `segments` as (first, last) indices, what it costs, and why cuts stayed."""

    segments: list
    cost: float
    refusals: dict  # index of a link → Refusal


def find(graph, consumers):
    """All maximal chains, as lists of nodes; single linear nodes included."""
    chains, seen = [], set()
    for node in graph:
        if node.op != "linear" or node.name in seen:
            continue
        chain = [node]
        while (following := next_in_chain(chain[-1], consumers)) is not None:
            chain.append(following)
        seen.update(member.name for member in chain)
        chains.append(chain)
    return chains


def next_in_chain(node, consumers):
    """The linear node that alone reads `node`, or None."""
    readers = consumers[node.ref]
    if node.shared or len(readers) != 1 or readers[0] is None:
        return None
    following = readers[0]
    return following if following.op == "linear" and not following.shared and following.dtype == node.dtype else None


def plan(graph, chain, policy):
    """The cheapest cut of a chain into mergeable segments.

    Returns:
        A `Plan`; its refusals say for each link that stays whether merging is impossible or costs more.
    """
    n = len(chain)
    costs = {}
    refusals = {}
    for start in range(n):
        source, merged = chain[start].inputs[0], outline(chain[start].map)
        costs[start, start] = cost.of_map(*_spread(merged, graph.shape(source)), policy)
        for end in range(start + 1, n):
            following = outline(chain[end].map)
            # Behind a dense layer, a convolution brings its axes: the input size has to be read with them.
            size = graph.size(source, max(merged.rank, following.rank))
            try:
                merged = compose_outline(merged, following, size)
            except Refusal as refusal:
                if end == start + 1:
                    refusals[start] = refusal
                break
            costs[start, end] = cost.of_map(*_spread(merged, graph.shape(source)), policy)
    best, came_from = [0.0] + [np.inf] * n, [None] * (n + 1)
    for (start, end), price in sorted(costs.items(), key=lambda item: item[0][1]):
        if best[start] + price < best[end + 1]:
            best[end + 1], came_from[end + 1] = best[start] + price, start
    segments, at = [], n
    while at:
        segments.append((came_from[at], at - 1))
        at = came_from[at]
    segments.reverse()
    for start, _ in segments[1:]:
        refusals.setdefault(start - 1, Refusal(COSTS_MORE))
    kept = {start - 1 for start, _ in segments[1:]}
    return Plan(segments, best[n], {link: refusal for link, refusal in refusals.items() if link in kept})


def _spread(linear, shape):
    """A map and its input size: a dense layer on a feature map works at each of its pixels."""
    if linear.rank == 0 and shape is not None:
        linear = linear.with_rank(len(shape) - 2)
    return linear, (None,) * linear.rank if shape is None else shape[1 : 1 + linear.rank]


def outline(linear):
    """The map's shape without its numbers: what planning needs, at no cost in memory or arithmetic."""
    bias = linear.bias
    return replace(
        linear,
        kernel=np.broadcast_to(np.float32(1), linear.kernel.shape),
        bias=None if bias is None or not np.any(bias) else np.broadcast_to(np.float32(1), bias.shape),
    )


def compose_outline(first, second, size):
    """The outline of `compose(first, second, size)`.

    Raises:
        Refusal: as `compose`.
    """
    rank = max(first.rank, second.rank)
    first, second = first.with_rank(rank), second.with_rank(rank)
    check_composable(first, second, size)
    shape = composed_shape(first, second)
    depthwise = first.is_depthwise and second.is_depthwise and first.outputs == first.inputs
    inner = 1 if depthwise else first.inputs
    kernel = np.broadcast_to(np.float32(1), (*shape["window"], inner, second.outputs))
    bias = None
    if first.has_bias_map or second.has_bias_map or (second.is_padded and first.bias is not None):
        full = second.output_size(first.output_size(size))
        bias = np.broadcast_to(np.float32(1), (*full, second.outputs))
    elif first.bias is not None or second.bias is not None:
        bias = np.broadcast_to(np.float32(1), (second.outputs,))
    groups = first.groups if depthwise else 1
    return LinearMap(kernel, bias, shape["strides"], shape["dilation"], shape["padding"], groups)
