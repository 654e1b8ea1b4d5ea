"""Neighbouring linear layers become one, exactly, where that does not cost more.

    x ─▶ 1×1 ─▶ dw 3×3 ─▶ 1×1 ─▶ y              ⇒  x ─▶ 3×3 ─▶ y
    x ─┬─▶ conv … conv ─▶ + ─▶ y                ⇒  x ─▶ conv ─▶ y       skip: the identity is a 1×1 kernel
       └───────────────────┘
    x ─┬─▶ conv a ─▶ + ─▶ y                     ⇒  x ─▶ conv ─▶ y
       └─▶ conv b ───┘

Each round merges the chains and the additions that are there; a merged block is one linear node, so that the next round
sees the chain of blocks. Which cut of a chain is cheapest is `chains.plan`'s business, what a layer costs `cost`'s.
"""
from dataclasses import replace
from functools import reduce

from tfold import reasons
from tfold.algebra.compose import add, compose
from tfold.algebra.linear_map import identity
from tfold.passes import chains, cost
from tfold.reasons import Refusal

RULE = "merge_linear"


def merge_linear(graph, report, options):
    """Merge chains and parallel branches until nothing is left that pays; report what stays, and why."""
    while True:
        consumers = graph.consumers()
        refusals = {}
        additions = [node for node in graph if node.op == "add"]
        merged = [_merge_addition(graph, node, consumers, options, report, refusals) for node in additions]
        if any(merged):
            consumers = graph.consumers()
        merged += [
            _merge_chain(graph, chain, options, report, refusals) for chain in chains.find(graph, consumers)
        ]
        if not any(merged):
            break
    _report_unchained(graph, consumers, refusals)
    for nodes, refusal in refusals.items():
        report.refused(RULE, nodes, refusal.reason, refusal.detail)


def _merge_chain(graph, chain, options, report, refusals):
    plan = chains.plan(graph, chain, options.policy)
    for link, refusal in plan.refusals.items():
        refusals[chain[link].label, chain[link + 1].label] = refusal
    merged = False
    for start, end in plan.segments:
        if end > start:
            _join(graph, chain[start : end + 1], report)
            merged = True
    return merged


def _join(graph, segment, report):
    """Compose the nodes of a segment into its last node, which goes on making the same tensor."""
    first, last = segment[0], segment[-1]
    linear = first.map
    for node in segment[1:]:
        size = graph.size(first.inputs[0], max(linear.rank, node.map.rank))
        linear = compose(linear, node.map, size)
    report.did(RULE, [node.label for node in segment], f"merged into one {_describe(linear)}")
    last.attrs["map"] = linear
    last.inputs = first.inputs
    _take_over(last, segment)
    for node in segment[:-1]:
        graph.remove(node)


def _take_over(node, parts):
    """Name and origin of a node that now computes what all `parts` computed."""
    linear = [part for part in parts if part.op == "linear"]
    node.label = "+".join(part.label for part in linear) or node.label
    node.covers = sum((part.covers for part in parts), ())
    node.layer = linear[-1].layer if linear else node.layer
    node.intact = node.shared = False


def _merge_addition(graph, node, consumers, options, report, refusals):
    """An addition whose terms are all linear in one tensor becomes one linear node, if that is cheaper."""
    branches = _branches(graph, node, consumers)
    if branches is None:
        return False
    source, chain_of = branches
    members = [member for chain in chain_of for member in chain]
    shape = graph.shape(source)
    rank = max((member.map.rank for member in members), default=None)
    if rank is None or shape is None or shape[-1] is None or node.shape is None:
        return False  # x + x: no linear layer to merge into
    size = graph.size(source, rank)
    try:
        outlines = [
            reduce(lambda a, b: chains.compose_outline(a, b, size), [chains.outline(m.map) for m in chain])
            if chain else identity(shape[-1], rank)
            for chain in chain_of
        ]
        whole = cost.of_map(add(outlines), size, options.policy)
        parts = sum(chains.plan(graph, chain, options.policy).cost for chain in chain_of if chain)
        elements = cost.elements(node.shape)
        if whole > parts + cost.of_add(elements * (len(chain_of) - 1), options.policy):
            raise Refusal(reasons.COSTS_MORE)
    except Refusal as refusal:
        refusals[(*(member.label for member in members), node.label)] = refusal
        return False
    maps = [
        reduce(lambda a, b: compose(a, b, size), [m.map for m in chain]) if chain else identity(shape[-1], rank)
        for chain in chain_of
    ]
    linear = add(maps)
    report.did(RULE, [*(m.label for m in members), node.label], f"merged into one {_describe(linear)}")
    _take_over(node, [*members, node])
    node.op, node.attrs, node.inputs = "linear", {"map": linear}, (source,)
    for member in members:
        graph.remove(member)
    return True


def _branches(graph, node, consumers):
    """`(source, chains)` of an addition whose every term is a chain from `source` (empty: the source itself)."""
    chain_of, sources = [], set()
    for ref in node.inputs:
        chain = []
        while (
            graph[ref].op == "linear" and not graph[ref].shared and len(consumers[ref]) == 1
            and graph[ref].dtype == node.dtype
        ):
            chain.insert(0, graph[ref])
            ref = graph[ref].inputs[0]
        # The source has a reader for each branch, so every chain stops there by itself.
        chain_of.append(chain)
        sources.add(ref)
    return (sources.pop(), chain_of) if len(sources) == 1 else None


def _report_unchained(graph, consumers, refusals):
    """Linear neighbours that form no chain: say what stands against it."""
    for node in graph:
        if node.op != "linear" or graph[node.inputs[0]].op != "linear":
            continue
        before = graph[node.inputs[0]]
        key = (before.label, node.label)
        if key in refusals:
            continue
        if before.shared or node.shared:
            refusals[key] = Refusal(reasons.SHARED_WEIGHTS)
        elif len(consumers[before.ref]) > 1:
            refusals[key] = Refusal(reasons.SEVERAL_CONSUMERS, f"{before.label} is also read elsewhere")
        elif before.dtype != node.dtype:
            refusals[key] = Refusal(reasons.DIFFERENT_TYPES)


def _describe(linear):
    window = "×".join(str(k) for k in linear.window)
    kind = "dense layer" if linear.rank == 0 else f"{window} depthwise convolution" if linear.is_depthwise else (
        f"{window} convolution")
    return f"{kind} {linear.inputs} → {linear.outputs}" + (", with a border map" if linear.has_bias_map else "")


def drop_zero_biases(graph, report, options):
    """A bias of zeros that arithmetic left behind goes."""
    for node in graph:
        if node.op == "linear" and not node.intact and node.map.bias is not None and not node.map.bias.any():
            node.attrs["map"] = replace(node.map, bias=None)
