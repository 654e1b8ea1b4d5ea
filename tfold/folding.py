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
from tfold.graph.build import build_with_tensors, names_in
from tfold.graph.capture import capture
from tfold.graph.constraints import dropped_constraints
from tfold.passes.cost import policy_named
from tfold.passes.figures import figures
from tfold.passes.figures import nonlinear_depth as _nonlinear_depth
from tfold.passes.preprocessing import folded_numbers
from tfold.passes.ranges import merged_ranges
from tfold.passes.report import Report
from tfold.verification import verify as _verify


@dataclass(frozen=True)
class FoldResult:
    """A folded network: `model`, a functional Keras model, and `report`, what was done and refused and why."""

    model: keras.Model
    report: Report


def fold(model, threshold=0.9, policy="latency", border="exact", verify=True, sample=None, preprocessing="fold"):
    """Make a network shallower without changing what it computes.

    Activations whose α lies above the threshold go, the largest possible set of batch norms goes into the linear
    layers, linear layers that are now neighbours become one. What cannot be done exactly is refused, with a reason in
    the report. What is left of a batch norm is frozen: it computes the same in training and after it.

    Args:
        model: a Functional or Sequential Keras model, pre-folded and trained, or any other; or a tf_keras model, of
            which a tf_keras model is made. It is not changed.
        threshold: τ; α-activations with α > τ become linear, the others the activation they came from.
        policy: which merges pay: "latency" (on a CPU with XNNPACK), "macs", "always", or a function that gives the
            cost of a `tfold.passes.cost.Operation`, for a target of your own.
        border: "exact", or "approximate": also merge a convolution with the zero-padded one behind it, although the
            pixels near the border then differ. The report names each such merge, and how large the difference is;
            fine-tune afterwards. `prefold(padding="forward")` avoids it.
        verify: run both networks on random input, and on what their first layers were adapted to, and compare them,
            border pixels too; whether the fold is right is decided in float64, on any processor alike. With α strictly
            between 0 and 1 the function changes when the α are settled; the comparison is then with the settled
            network.
        sample: input for that comparison, where random numbers will not do.
        preprocessing: "fold" what scales the input (Rescaling, Normalization, x / 255, a batch norm that comes first)
            into the layers behind it; or "keep" it, where the network is to be trained further: a first layer that
            reads 0…255 takes far longer steps than the others. Fold once more at the end.

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
    return _fold(model, passes.ALL_PASSES, _options(threshold, policy, border, preprocessing), verify, sample)


def fold_batch_norm(model, verify=True, sample=None):
    """Only fold batch norms, the largest set that can go; α are settled at 0.9 first. See `fold`.

    `report.largest_fold` says how many can go and proves that no set is larger.
    """
    return _fold(model, passes.BATCH_NORM_PASSES, _options(), verify, sample)


def merge_linear(model, policy="latency", border="exact", verify=True, sample=None):
    """Only merge linear regions, the batch norms in them included; α are settled at 0.9 first. See `fold`."""
    return _fold(model, passes.MERGE_PASSES, _options(policy=policy, border=border), verify, sample)


def fold_plan(model, threshold=0.9, policy="latency", border="exact", preprocessing="fold"):
    """The `Report` that `fold` would give, without making a model: what would fold, what would not and why."""
    graph, report = capture(model), Report()
    report.before = figures(graph)
    options = _options(threshold, policy, border, preprocessing)
    passes.run(passes.SETTLING_PASSES, graph, report, options)
    original = graph.copy()
    passes.run(passes.ALL_PASSES, graph, report, options)
    report.after = figures(graph)
    report.scaling = folded_numbers(original, graph)
    report.homes = homes(graph, names_in(graph))
    report.constraints = dropped_constraints(original, graph, report.homes)
    report.ranges = merged_ranges(original, graph)
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


def nonlinear_depth(model, threshold=0.9):
    """The depth that counts non-linearities alone: linear layers in a row are one, whether they are merged or not.

    It is the axis of EDNL, the effective degree of non-linearity of a task (Layer Folding, arXiv 2106.09309, sec. 4):
    `depth` in a report, and `effective_depth`, count the layers that there really are, and it may not pay to merge two.

    Example:

    >>> tfold.nonlinear_depth(CifarResNet(20))
    20

    Args:
        model: a Functional or Sequential model, pre-folded or not.
        threshold: τ: activations whose α lies above it count as gone.

    Returns:
        int: linear maps on the longest path.
    """
    check_threshold(threshold)
    graph = capture(model)
    passes.run(passes.SETTLING_PASSES, graph, Report(), _options(threshold))
    return _nonlinear_depth(graph)


def _options(threshold=0.9, policy="latency", border="exact", preprocessing="fold"):
    check_threshold(threshold)
    if preprocessing not in ("fold", "keep"):
        raise BadInputError(
            f"preprocessing is fold or keep. Received: preprocessing={preprocessing!r}. The default is fold; keep is "
            "for networks that are trained further.")
    if border not in ("exact", "approximate"):
        raise BadInputError(f"border is exact or approximate. Received: border={border!r}. The default is exact.")
    return passes.Options(threshold, policy_named(policy), border, preprocessing)


def _fold(model, rewriting, options, check, sample):
    graph, report = capture(model), Report()
    report.before = figures(graph)
    settled = any(node.op == "alpha" and node.attrs["alpha"] not in (0, 1) for node in graph)
    passes.run(passes.SETTLING_PASSES, graph, report, options)
    original = graph.copy()
    passes.run(rewriting, graph, report, options)
    built = build_with_tensors(graph)
    report.after = figures(graph)
    report.scaling = folded_numbers(original, graph)
    report.homes = homes(graph, built.layer_names)
    report.constraints = dropped_constraints(original, graph, report.homes)
    report.ranges = merged_ranges(original, graph)
    if check:
        report.verification = _verify(model, settled, original, graph, built, sample)
    return FoldResult(built.model, report)


def homes(graph, layer_names):
    """Original layer → name of the layer of the folded model that now computes it, for all that were not dropped."""
    return {old: layer_names[node.name] for node in graph for old in node.covers}
