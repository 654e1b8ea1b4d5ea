"""One spelling for one thing, before the passes that look for patterns.

    alpha (α > τ) ─▶ nothing          alpha (else) ─▶ its activation        identity (dropout) ─▶ nothing
    pad ─▶ conv   ⇒  conv with that padding
"""
from dataclasses import replace

RULE = "canonicalize"


def settle_alphas(graph, report, options):
    """Every α-activation becomes linear (α > threshold) or the activation it was made from."""
    for node in graph:
        if node.op == "alpha":
            alpha = node.attrs["alpha"]
            node.intact = False
            if alpha > options.threshold:
                node.op = "identity"
                report.did("settle_alpha", [node.label], f"activation removed, α = {alpha:.3f}")
            else:
                node.op = "activation"


def drop_identities(graph, report, options):
    """What does nothing at inference goes."""
    replaced = {}
    for node in graph:
        if node.op == "identity":
            replaced[node.ref] = node.inputs[0]
            graph.remove(node)
    graph.substitute(replaced)


def absorb_padding(graph, report, options):
    """A zero padding layer in front of a convolution becomes the convolution's padding."""
    consumers = graph.consumers()
    for pad in graph:
        if pad.op != "pad":
            continue
        readers = consumers[pad.ref]
        rank = len(pad.attrs["padding"])
        if not all(
            reader is not None and reader.op == "linear" and not reader.shared and not reader.map.transposed
            and reader.map.rank == rank and reader.map.padding is not None
            for reader in readers
        ):
            continue
        for conv in readers:
            padding = tuple(
                (a + c, b + d) for (a, b), (c, d) in zip(pad.attrs["padding"], conv.map.padding, strict=True)
            )
            conv.attrs["map"] = replace(conv.map, padding=padding)
            conv.intact = False
            conv.inputs = pad.inputs
            conv.covers = pad.covers + conv.covers
            report.did(RULE, [pad.label, conv.label], "padding moved into the convolution")
        graph.remove(pad)
