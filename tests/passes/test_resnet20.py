"""A ResNet-20 with α at 0 and 1 in any pattern: exact where it can be, and approximate merging takes the rest."""
import keras
import numpy as np
import pytest

import tfold
from tfold import reasons
from tfold.zoo import CifarResNet

GIVEN = "10 01 11 | 11 01 01 | 01 00 01"  # (α1, α2) of each block


def alphas(pattern):
    """Name of the activation → its α."""
    stages = [stage.split() for stage in pattern.split("|")]
    return {f"stage{i}_block{j}_relu{k}": float(block[k - 1]) for i, stage in enumerate(stages, 1)
            for j, block in enumerate(stage, 1) for k in (1, 2)}


@pytest.fixture(scope="module")
def networks():
    """Pre-folded networks by padding; made once, for their α are set anew for each pattern."""
    keras.utils.set_random_seed(0)
    base = CifarResNet(20)
    return {padding: tfold.prefold(base, skip="relu_0", padding=padding) for padding in ("keep", "forward")}


@pytest.fixture
def network(networks):
    def with_alphas(pattern, padding="keep"):
        for name, alpha in alphas(pattern).items():
            networks[padding].get_layer(name).alpha.assign(alpha)
        return networks[padding]

    return with_alphas


def random_pattern(seed):
    rng = np.random.default_rng(seed)
    return " | ".join(" ".join("".join(rng.choice(["0", "1"], 2)) for _ in range(3)) for _ in range(3))


@pytest.mark.parametrize("policy", ["latency", "macs", "always"])
@pytest.mark.parametrize("padding", ["keep", "forward"])
@pytest.mark.parametrize("pattern", [GIVEN, *map(random_pattern, range(4)), "11 11 11 | 11 11 11 | 11 11 11"])
def test_every_pattern_folds_exactly(pattern, padding, policy, network, fold_checked):
    report = fold_checked(network(pattern, padding), policy=policy).report
    assert report.before.depth == 20 and report.after.batch_norms == 0
    assert report.after.depth <= 20
    assert policy != "macs" or report.after.macs <= report.before.macs
    removed = sum(alphas(pattern).values())
    assert len([entry for entry in report.folded if entry.rule == "settle_alpha"]) == removed


@pytest.mark.parametrize("pattern", [GIVEN, *map(random_pattern, range(4))])
def test_what_the_border_forbids_merges_approximately(pattern, network, randomize):
    model = randomize(network(pattern))
    exact = tfold.fold(model, policy="always")
    refused = [entry for entry in exact.report.refusals if entry.reason == reasons.BORDER_NOT_EXACT]
    report = tfold.fold(model, policy="always", border="approximate").report
    kept = [entry for entry in report.refusals if entry.reason == reasons.BORDER_NOT_EXACT]
    assert all("every pixel would be border" in entry.detail for entry in kept)
    merged = [entry for entry in report.folded if "approximate at the border" in entry.detail]
    assert bool(merged) == bool(refused)
    assert len(report.verification.approximate) == len(merged)
    for there in report.verification.approximate:
        assert there.border > 1e-5 >= there.interior
    assert report.after.depth < exact.report.after.depth or not refused


def test_the_given_pattern(network, randomize):
    """The figures in README."""
    depths = {}
    for padding, border in (("keep", "exact"), ("keep", "approximate"), ("forward", "exact")):
        model = randomize(network(GIVEN, padding))
        for policy in ("latency", "macs", "always"):
            report = tfold.fold(model, policy=policy, border=border).report
            depths[padding, border, policy] = report.after.depth, round(report.after.macs / 1e6, 1)
    assert depths == {
        ("keep", "exact", "latency"): (20, 40.8), ("keep", "exact", "macs"): (20, 40.8),
        ("keep", "exact", "always"): (20, 40.8), ("keep", "approximate", "latency"): (20, 40.8),
        ("keep", "approximate", "macs"): (20, 40.8), ("keep", "approximate", "always"): (16, 50.1),
        ("forward", "exact", "latency"): (20, 46.6), ("forward", "exact", "macs"): (20, 46.6),
        ("forward", "exact", "always"): (17, 52.1),
    }
