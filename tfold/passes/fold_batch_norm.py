"""Batch norms, and other arithmetic with a constant per channel, into the linear layers beside them, exactly.

    conv ─▶ bn           ⇒  conv'            the convolution's only reader is the batch norm
    bn ─▶ conv, conv …   ⇒  conv', conv' …   every reader is linear, and no shift meets zero padding
    bn ─▶ bn             ⇒  bn'
"""
from tfold import reasons
from tfold.reasons import Refusal

RULE = {"batch_norm": "fold_batch_norm", "arithmetic": "fold_arithmetic"}


def fold_batch_norm(graph, report, options):
    """Fold every affine node that a neighbour can absorb; say why for each that stays."""
    folding = True
    while folding:  # two batch norms that have become one may have a neighbour that neither had alone
        folding, refusals, consumers = False, {}, graph.consumers()
        for node in graph:
            if node.op == "affine":
                try:
                    _fold(graph, node, consumers, report)
                    folding = True
                except Refusal as refusal:
                    refusals[node.name] = node, refusal
    for node, refusal in refusals.values():
        report.refused(RULE[node.attrs["kind"]], [node.label], refusal.reason, refusal.detail)
    for node in graph:
        if node.op == "opaque" and node.attrs["batch_norms"]:
            report.refused("fold_batch_norm", [node.label], reasons.UNKNOWN_LAYER, node.attrs["why"])


def _fold(graph, norm, consumers, report):
    if not norm.attrs["affine"].is_finite:
        raise Refusal(reasons.NOT_FINITE, "its variance is not positive")
    try:
        _fold_into_producer(graph, norm, consumers, report)
    except Refusal as backward:
        try:
            _fold_into_readers(graph, norm, consumers, report)
        except Refusal as forward:
            raise _both(backward, forward) from None


def _fold_into_producer(graph, norm, consumers, report):
    producer = graph[norm.inputs[0]]
    if producer.op not in ("linear", "affine"):
        raise Refusal(_why_not(producer), f"{producer.label} stands before it")
    if producer.shared:
        raise Refusal(reasons.SHARED_WEIGHTS, f"{producer.label} is called more than once")
    if producer.dtype != norm.dtype:
        raise Refusal(reasons.DIFFERENT_TYPES, f"{producer.label} computes in {producer.dtype}, it in {norm.dtype}")
    if len(consumers[norm.inputs[0]]) > 1:
        raise Refusal(reasons.SEVERAL_CONSUMERS, f"{producer.label} is also read elsewhere")
    affine = norm.attrs["affine"]
    report.did(RULE[norm.attrs["kind"]], [producer.label, norm.label], f"folded into {producer.label}")
    # The node of the batch norm takes over: it still makes the same tensor, so nobody behind it changes.
    named = producer
    if producer.op == "linear":
        norm.attrs = {**producer.attrs, "map": producer.map.scaled(affine)}
    else:
        named = producer if producer.attrs["kind"] == "batch_norm" else norm  # a batch norm remains one
        norm.attrs = {"affine": producer.attrs["affine"].then(affine), "kind": named.attrs["kind"]}
    norm.op, norm.inputs, norm.label, norm.layer = producer.op, producer.inputs, named.label, named.layer
    norm.covers = producer.covers + norm.covers
    norm.intact = norm.shared = False
    consumers[norm.inputs[0]] = [norm if reader is producer else reader for reader in consumers[norm.inputs[0]]]
    graph.remove(producer)


def _fold_into_readers(graph, norm, consumers, report):
    affine = norm.attrs["affine"]
    readers = consumers[norm.ref]
    for reader in readers:
        if reader is None:
            raise Refusal(reasons.GRAPH_BOUNDARY, "its output is an output of the network")
        if reader.op != "linear":
            raise Refusal(_why_not(reader), f"{reader.label} stands behind it")
        if reader.shared:
            raise Refusal(reasons.SHARED_WEIGHTS, f"{reader.label} is called more than once")
        if reader.dtype != norm.dtype:
            raise Refusal(reasons.DIFFERENT_TYPES, f"{reader.label} computes in {reader.dtype}, it in {norm.dtype}")
        if affine.shift.any() and reader.map.transposed:
            raise Refusal(reasons.TRANSPOSED, f"{reader.label} would need a bias that differs by pixel")
        if affine.shift.any() and reader.map.is_padded:
            raise Refusal(reasons.BORDER_NOT_EXACT, f"its shift would meet the zero padding of {reader.label}")
    for reader in readers:
        reader.attrs["map"] = reader.map.fed_by(affine)
        reader.inputs = norm.inputs
        reader.covers = norm.covers + reader.covers
        reader.intact = False
        report.did(RULE[norm.attrs["kind"]], [norm.label, reader.label], f"folded into {reader.label}")
    consumers[norm.inputs[0]] = [r for r in consumers[norm.inputs[0]] if r is not norm] + readers
    graph.remove(norm)


def _why_not(node):
    return {
        "activation": reasons.ACTIVATION_BETWEEN,
        "alpha": reasons.ACTIVATION_BETWEEN,
        "opaque": reasons.UNKNOWN_LAYER,
        "input": reasons.GRAPH_BOUNDARY,
    }.get(node.op, reasons.NO_NEIGHBOUR)


def _both(backward, forward):
    """One refusal of two: the direction that came nearer gives the reason, both give the detail."""
    distant = (reasons.ACTIVATION_BETWEEN, reasons.UNKNOWN_LAYER, reasons.GRAPH_BOUNDARY)
    order = sorted((backward, forward), key=lambda told: (told.reason in distant, told.reason == reasons.NO_NEIGHBOUR))
    nearest = forward if all(told.reason in distant for told in order) else order[0]
    return Refusal(nearest.reason, f"{backward.detail}; {forward.detail}")
