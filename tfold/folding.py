"""Fold a Keras network: capture it, run the passes, build it, verify it.

    result = tfold.fold(model)
    result.model       a new, shallower Keras model; the caller's is unchanged
    print(result.report)
"""
from dataclasses import dataclass

import keras

from tfold import passes
from tfold.checks import check_threshold
from tfold.errors import BadInputError
from tfold.graph.build import build_with_tensors, layer_name
from tfold.graph.capture import capture
from tfold.passes.cost import policy_named
from tfold.passes.figures import figures
from tfold.passes.report import Report
from tfold.verification import verify


@dataclass(frozen=True)
class FoldResult:
    """A folded network: `model`, a functional Keras model, and `report`, what was done and refused and why."""

    model: keras.Model
    report: Report


def fold(model, threshold=0.9, policy="latency", verify=True, sample=None):
    """Make a network shallower without changing what it computes.

    Activations whose α lies above the threshold go, batch norms go into the linear layers beside them, linear layers
    that are now neighbours become one. What cannot be done exactly is refused, with a reason in the report.

    Args:
        model: a Functional or Sequential Keras model, pre-folded and trained, or any other. It is not changed.
        threshold: τ; α-activations with α > τ become linear, the others the activation they came from.
        policy: which merges pay: "latency" (on a CPU with XNNPACK), "macs", or "always".
        verify: run both networks on random input and compare them, border pixels too. With α strictly between 0 and 1
            the function changes when the α are settled; the comparison is then with the settled network.
        sample: input for that comparison, where random numbers will not do.

    Returns:
        A `FoldResult` with `.model` and `.report`.

    Raises:
        BadInputError: the model cannot be read (subclassed, not built, weights that are not finite), or an option is
            out of range.
        ParityError: the folded network differs from the original by more than rounding.

    Example:

    >>> result = tfold.fold(keras.applications.MobileNetV2(weights=None))
    >>> result.report.after.batch_norms
    0

    Source: Layer Folding (arXiv 2106.09309), section 3; batch norms: Yvinec et al. (arXiv 2203.14646).
    """
    return _fold(model, passes.ALL_PASSES, threshold, policy, verify, sample)


def fold_batch_norm(model, verify=True, sample=None):
    """Only fold batch norms into the linear layers beside them; α are settled at 0.9 first. See `fold`."""
    return _fold(model, passes.BATCH_NORM_PASSES, 0.9, "latency", verify, sample)


def merge_linear(model, policy="latency", verify=True, sample=None):
    """Only merge linear layers that are neighbours; α are settled at 0.9 first. See `fold`."""
    return _fold(model, passes.MERGE_PASSES, 0.9, policy, verify, sample)


def fold_plan(model, threshold=0.9, policy="latency"):
    """The `Report` that `fold` would give, without making a model: what would fold, what would not and why."""
    graph, report = capture(model), Report()
    report.before = figures(graph)
    passes.run(passes.SETTLING_PASSES + passes.ALL_PASSES, graph, report, _options(threshold, policy))
    report.after = figures(graph)
    report.homes = homes(graph, {node.name: layer_name(node.label) for node in graph})
    return report


def effective_depth(model, threshold=0.9):
    """The depth that a network would have if it were folded now.

    Args:
        model: a pre-folded network, during training for instance.
        threshold: τ.

    Returns:
        int: linear layers on the longest path of the folded network.
    """
    return fold_plan(model, threshold).after.depth


def _options(threshold, policy, border="exact"):
    check_threshold(threshold)
    if border not in ("exact", "approximate"):
        raise BadInputError(f"border is exact or approximate. Received: border={border!r}. The default is exact.")
    return passes.Options(threshold, policy_named(policy), border)


def _fold(model, rewriting, threshold, policy, check, sample):
    options = _options(threshold, policy)
    graph, report = capture(model), Report()
    report.before = figures(graph)
    settling = any(node.op == "alpha" and node.attrs["alpha"] not in (0, 1) for node in graph)
    passes.run(passes.SETTLING_PASSES, graph, report, options)
    original = graph.copy()
    passes.run(rewriting, graph, report, options)
    folded, made, layer_names = build_with_tensors(graph)
    report.after = figures(graph)
    report.homes = homes(graph, layer_names)
    if check:
        report.verification = _verified(None if settling else model, original, folded, graph, made, sample)
    return FoldResult(folded, report)


def _verified(model, original, folded, graph, made, sample):
    """Compare with the network that the passes began with, at every rewritten tensor and at the outputs."""
    reference, tensors, _ = build_with_tensors(original)
    if model is not None:  # what was captured must be what the caller's model computes
        verify(model, reference, sample=sample)

    def in_float64():
        exact_reference, exact_tensors, _ = build_with_tensors(original, "float64")
        exact_folded, exact_made, _ = build_with_tensors(graph, "float64")
        return exact_reference, exact_folded, _pairs(graph, exact_tensors, exact_made)

    return verify(reference, folded, _pairs(graph, tensors, made), sample, in_float64)


def _pairs(graph, tensors, made):
    return [(ref.node, tensors[ref], made[ref]) for ref in _rewritten_tensors(graph, made) if ref in tensors]


def _rewritten_tensors(graph, made):
    """Tensors that nodes rewritten by a pass make, or the activation that is in one Keras layer with them."""
    behind = {node.inputs[0]: node.ref for node in graph if node.op == "activation"}
    refs = []
    for node in graph:
        if not node.intact:
            ref = node.ref if node.ref in made else behind.get(node.ref)
            refs += [ref] if ref in made else []
    return refs


def homes(graph, layer_names):
    """Original layer → name of the layer of the folded model that now computes it, for all that were not dropped."""
    return {old: layer_names[node.name] for node in graph for old in node.covers}
