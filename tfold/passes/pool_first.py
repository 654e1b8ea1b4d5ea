"""An average is taken before a layer that works on each pixel by itself, where that is cheaper. Exact.

    x ─▶ 1×1 ─▶ average pool ─▶ y       ⇒   x ─▶ average pool ─▶ 1×1 ─▶ y        a quarter of the positions, at 2×2
    x ─▶ 1×1 ─▶ global average ─▶ y     ⇒   x ─▶ global average ─▶ dense ─▶ y
    x ─▶ bn ─▶ average pool ─▶ y        ⇒   x ─▶ average pool ─▶ bn ─▶ y

The mean of A·x + b is A·mean + b, and Keras' average leaves padding out, so "same" padding is no obstacle.
"""
from dataclasses import replace
from math import prod

from tfold.graph.ir import Node
from tfold.passes import cost
from tfold.passes.free import is_free
from tfold.passes.sizes import likely_shapes

RULE = "pool_first"


def pool_first(graph, report, options):
    """Swap every such pair that pays."""
    consumers, sizes = graph.consumers(), likely_shapes(graph)
    for pool in graph:
        while pool is not None and pool.op == "pool" and pool.attrs["kind"] == "average":
            before, average = graph[pool.inputs[0]], None
            if consumers[before.ref] == [pool] and before.dtype == pool.dtype and _is_pointwise(before) and not (
                    before.op == "affine" and is_free(graph, consumers, before)) and (
                    _pays(sizes, before, pool, options.cost)):
                report.did(RULE, [before.label, pool.label], "the average is taken first")
                average = _swap(graph, before, pool)
                consumers, sizes = graph.consumers(), likely_shapes(graph)
            pool = average  # what stands before it now may be of the same kind


def _is_pointwise(node):
    if node.op == "affine":
        return node.attrs["affine"].is_finite and "stays" not in node.attrs
    return node.op == "linear" and not node.shared and node.map.groups == 1 and node.map.is_pointwise and (
        not node.map.has_bias_map)


def _pays(sizes, before, pool, policy):
    wide, made, small = sizes[before.inputs[0]], sizes[before.ref], sizes[pool.ref]
    if None in (wide, made, small, before.shape, pool.shape) or before.shape[-1] is None or len(made) < 3:
        return False

    def total(shape, pooled, size):
        attrs = pool.attrs
        window = attrs["window"] or wide[1:-1]
        pooling = cost.of_pool(pooled, window, attrs["strides"] or window, pooled[-1], wide[1:-1], policy)
        if before.op == "affine":
            return pooling + cost.of_affine(before.attrs["affine"], cost.elements(shape), policy)
        return pooling + cost.of_map(before.map, size, policy)

    size = small[1:-1] or (1,) * (len(wide) - 2)
    # At equal cost ("always" counts layers alone) it is still less work, unless the window does not stride.
    after, now = total(small, (*small[:-1], wide[-1]), size), total(made, small, wide[1:-1])
    return after < now or (after == now and prod(size) < prod(wide[1:-1]))


def _swap(graph, before, pool):
    """The pool's node goes on making the same tensor; a new one, which is returned, takes the average."""
    average = Node(
        graph.unique(f"{pool.name}_first"), "pool", before.inputs, dict(pool.attrs),
        ((*pool.shape[:-1], graph.shape(before.inputs[0])[-1]),), pool.layer, pool.shared, pool.intact, pool.covers,
        pool.label, pool.dtype, pool.call, steps=pool.steps, moved=pool.moved)
    graph.insert_before(pool, average)
    pool.op, pool.attrs, pool.inputs = before.op, dict(before.attrs), (average.ref,)
    if pool.op == "linear" and len(pool.shape) == 2:
        kernel = before.map.kernel.reshape(before.map.kernel.shape[-2:])
        pool.attrs["map"] = replace(before.map, kernel=kernel, strides=(), dilation=(), padding=())
    pool.label, pool.layer, pool.covers = before.label, before.layer, before.covers
    pool.intact = pool.shared = False
    graph.remove(before)
    return average
