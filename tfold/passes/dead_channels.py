"""A channel that a batch norm multiplies by zero is made zero where it comes from; then nothing need multiply it.

    conv ─▶ pool ─▶ γ = 0 ─▶ relu        ⇒        conv' (0 in that channel) ─▶ pool ─▶ γ = 1 ─▶ relu

Pruning by γ makes such channels. As no scale takes a zero back, the batch norm could not be folded with them in it. It
takes that nobody else reads the channel on its way.
"""
from dataclasses import replace

import numpy as np

from tfold.algebra.affine import Affine

RULE = "dead_channels"
KEEPS_ZERO = ("pool", "crop", "upsample", "identity")  # and channels in their places


def dead_channels(graph, report, options):
    """Silence every such channel that can be."""
    for norm in graph:
        if norm.op != "affine" or not norm.attrs["affine"].is_finite or norm.shared or (
                "stays" in norm.attrs):
            continue
        dead = norm.attrs["affine"].scale == 0
        consumers = graph.consumers()
        if not dead.any() or len(consumers[norm.inputs[0]]) > 1:
            continue
        silenced = {}
        if _silence(graph, consumers, norm.inputs[0], dead, silenced):
            sources = ", ".join(graph[name].label for name in silenced if graph[name].op == "linear")
            what = f"{int(dead.sum())} channels that it multiplies by 0 are 0 from {sources} on"
            report.did(RULE, [norm.label], what)
            _carry_out(graph, norm, dead, silenced)


def _silence(graph, consumers, ref, dead, silenced):
    """Whether these channels of a tensor can be made zero; `silenced`: node → channels, for all nodes on the way."""
    node = graph[ref]
    if len(consumers[ref]) > 1 or node.shape is None or node.shape[-1] != len(dead):
        return False
    silenced[node.name] = dead
    if node.op == "linear":
        return not node.shared
    if node.op == "concat" and node.attrs["axis"] == len(node.shape) - 1:
        ends = np.cumsum([graph.shape(part)[-1] for part in node.inputs])
        parts = np.split(dead, ends[:-1])
        return all(not part.any() or _silence(graph, consumers, each, part, silenced)
                   for each, part in zip(node.inputs, parts, strict=True))
    if node.op == "add" or (node.op in KEEPS_ZERO) or (node.op == "pad" and not np.any(node.attrs["value"])) or (
            node.op == "activation" and node.attrs["fn"] == "relu" and not node.attrs["params"]["threshold"]):
        return all(_silence(graph, consumers, each, dead, silenced) for each in node.inputs)
    return False


def _carry_out(graph, norm, dead, silenced):
    for name, channels in silenced.items():
        node = graph[name]
        if node.op == "linear":
            linear = node.map
            bias = None if linear.bias is None else np.where(channels, 0.0, linear.bias)
            node.attrs["map"] = replace(linear, kernel=np.where(channels, 0.0, linear.kernel), bias=bias)
            node.intact = False
    graph.store({name: Affine(np.where(channels, 0.0, 1.0), np.zeros(len(channels)))
                 for name, channels in silenced.items()})
    affine = norm.attrs["affine"]
    norm.attrs["affine"] = Affine(np.where(dead, 1.0, affine.scale), affine.shift)
    norm.intact = False
