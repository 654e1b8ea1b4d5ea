"""Graph → graph, one idea a file, run in one visible order.

A pass is a function `(graph, report, options)` that rewrites the graph in place and writes down what it did and what it
refused. `run` checks the IR's rules after each.
"""
from dataclasses import dataclass

from tfold.passes.absorb import absorb
from tfold.passes.canonicalize import (
    absorb_padding,
    drop_identities,
    drop_unread,
    explain_padding,
    settle_alphas,
    split_weights,
)
from tfold.passes.cheapest_form import cheapest_form
from tfold.passes.cost import latency
from tfold.passes.dead_channels import dead_channels
from tfold.passes.fold_batch_norm import fold_batch_norm
from tfold.passes.keep_activations import keep_activations
from tfold.passes.merge_linear import drop_zero_biases, merge_linear
from tfold.passes.pad_value import pad_value
from tfold.passes.pool_first import pool_first
from tfold.passes.precision import mark_imprecise
from tfold.passes.preprocessing import keep_preprocessing


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Args:
        threshold: τ: an activation whose α lies above it is removed.
        cost: which merges pay: a cost function, see `passes.cost`.
        border: "exact", or "approximate": merge across zero padding too, where nothing makes it exact.
        preprocessing: "fold", or "keep" it as it is.
    """

    threshold: float = 0.9
    cost: object = latency
    border: str = "exact"
    preprocessing: str = "fold"


# α first: what it removes makes neighbours of linear layers, and the network without it is what a fold must preserve.
SETTLING_PASSES = (drop_unread, settle_alphas, drop_identities)


def until_settled(*passes):
    """A pass that runs others in rounds until none finds anything more to do; the last round's refusals count."""

    def rounds(graph, report, options):
        done = None
        while done != len(report.folded):
            done = len(report.folded)
            report.forget_refusals()
            for each in passes:
                each(graph, report, options)
                graph.validate()

    return rounds


# What costs digits is marked before anything takes it in. Padding before the batch norms: a shift must see the zeros
# that it would meet; in front of them, one number as padding costs less than a border map. Batch norms before merging:
# they stand between the layers that merge. And again: x + conv(x) is one layer after merging, which can take a batch
# norm.
LAST_PASSES = (cheapest_form, drop_zero_biases, explain_padding)
BATCH_NORM_PASSES = (
    split_weights, keep_activations, absorb_padding, mark_imprecise, absorb, dead_channels, fold_batch_norm,
    *LAST_PASSES)
MERGE_PASSES = (
    keep_activations, until_settled(absorb_padding, mark_imprecise, pool_first, pad_value, merge_linear),
    drop_zero_biases, explain_padding)
ALL_PASSES = (
    keep_preprocessing, split_weights, keep_activations,
    until_settled(absorb_padding, mark_imprecise, absorb, dead_channels, pad_value, fold_batch_norm, pool_first,
                  merge_linear),
    *LAST_PASSES)


def run(passes, graph, report, options):
    """Run the passes in order, checking the IR's rules after each."""
    for each in passes:
        each(graph, report, options)
        graph.validate()
