"""Batch norms, and other arithmetic with a constant per channel, into the linear layers right beside them.

    conv ─▶ bn           ⇒  conv'            the convolution's only reader is the batch norm
    bn ─▶ conv, conv …   ⇒  conv', conv' …   every reader is linear, and no shift meets zero padding
    bn ─▶ bn             ⇒  bn'

It stands in nobody's way, so it comes first: what is left is chosen for the whole graph by `fold_batch_norm`.
"""
from tfold.passes.precision import chained, fits_before, is_precise

RULE = {"batch_norm": "fold_batch_norm", "arithmetic": "fold_arithmetic"}


def absorb(graph, report, options):
    """Fold every affine node that a neighbour can absorb."""
    folding = True
    while folding:  # two batch norms that have become one may have a neighbour that neither had alone
        folding, consumers = False, graph.consumers()
        for node in graph:
            if node.op == "affine" and node.attrs["affine"].is_finite:
                folding |= _into_producer(graph, node, consumers, report) or _into_readers(
                    graph, node, consumers, report)


def _into_producer(graph, norm, consumers, report):
    producer = graph[norm.inputs[0]]
    if producer.op not in ("linear", "affine") or producer.shared or producer.dtype != norm.dtype:
        return False
    if len(consumers[producer.ref]) > 1 or (producer.op == "affine" and not producer.attrs["affine"].is_finite):
        return False
    affine = norm.attrs["affine"]
    if producer.op == "linear":
        named, attrs = producer, {**producer.attrs, "map": producer.map.scaled(affine)}
        if not fits_before(attrs["map"], norm):
            return False
    else:
        named = producer if producer.attrs["kind"] == "batch_norm" else norm  # a batch norm remains one
        attrs = chained(producer, norm) | {"kind": named.attrs["kind"]}
        if "stays" in producer.attrs or "stays" in norm.attrs or not is_precise(attrs, norm.dtype):
            return False
    report.did(RULE[norm.attrs["kind"]], [producer.label, norm.label], f"folded into {producer.label}")
    # The node of the batch norm takes over: it still makes the same tensor, so nobody behind it changes.
    norm.attrs = attrs
    norm.op, norm.inputs, norm.label, norm.layer = producer.op, producer.inputs, named.label, named.layer
    norm.covers = producer.covers + norm.covers
    norm.intact = norm.shared = False
    consumers[norm.inputs[0]] = [norm if reader is producer else reader for reader in consumers[norm.inputs[0]]]
    graph.remove(producer)
    return True


def _into_readers(graph, norm, consumers, report):
    affine, readers = norm.attrs["affine"], consumers[norm.ref]
    if not all(_takes(reader, norm, affine) for reader in readers) or "stays" in norm.attrs:
        return False
    for reader in readers:
        reader.attrs["map"] = reader.map.fed_by(affine)
        reader.inputs = norm.inputs
        reader.covers = norm.covers + reader.covers
        reader.intact = False
        report.did(RULE[norm.attrs["kind"]], [norm.label, reader.label], f"folded into {reader.label}")
    consumers[norm.inputs[0]] = [r for r in consumers[norm.inputs[0]] if r is not norm] + readers
    graph.remove(norm)
    return True


def _takes(reader, norm, affine):
    if reader is None or reader.op != "linear" or reader.shared or reader.dtype != norm.dtype:
        return False
    return not affine.shift.any() or not (reader.map.transposed or reader.map.is_padded)
