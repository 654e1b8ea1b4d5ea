"""What people are told of batch norms: which go, why others stay, and why no larger set can go."""
from itertools import combinations

import keras
import numpy as np
import pytest
from keras import layers as L

import tfold
from tfold.folding import fold_plan
from tfold.graph.capture import capture
from tfold.passes.explain import fates


def norm(name, x, negative=False):
    """A batch norm with random numbers."""
    layer = L.BatchNormalization(name=name)
    y = layer(x)
    n, rng = x.shape[-1], np.random.default_rng(len(name) + sum(map(ord, name)))
    scale = rng.uniform(0.5, 1.5, n) * (np.where(np.arange(n) % 2, -1, 1) if negative else 1)
    layer.set_weights([scale, rng.normal(size=n), rng.normal(size=n), rng.uniform(0.5, 2, n)])
    return y


def dense_block(negative=()):
    """Three layers as in a DenseNet, on a first tensor that each of their batch norms reads."""
    x = keras.Input((6, 6, 3))
    y = L.Conv2D(4, 1, name="stem")(x)
    for i in range(3):
        z = L.ReLU()(norm(f"bn{i}", y, i in negative))
        y = L.Concatenate()([y, L.Conv2D(2, 3, padding="same")(z)])
    return keras.Model(x, L.GlobalAveragePooling2D()(L.Conv2D(2, 1)(y)))


def test_a_dense_block_gives_one():
    report = fold_plan(dense_block())
    proof = report.largest_fold
    assert (proof.total, proof.largest, proof.at_most, proof.is_proved) == (3, 1, 1, True)
    [bound] = proof.bounds
    assert (set(bound.batch_norms), bound.at_most) == ({"bn0", "bn1", "bn2"}, 1)
    assert "shift" in bound.why
    told = "1 of 3 batch norms can go without adding anything, and no more, because\n  at most 1 of the 3"
    assert str(proof).startswith(told)


def test_the_numbers_of_the_proof_can_be_checked_by_hand():
    """ReLU holds every output at shift 0, so each batch norm needs shift ÷ scale before it: no two of them the same."""
    model = dense_block()
    [bound] = fold_plan(model).largest_fold.bounds
    given = {node.label: node.attrs["affine"] for node in capture(model) if node.op == "affine"}
    for numbers in bound.numbers:
        for label, at in numbers.items():
            channel = at["channel"]
            assert (at["scale"], at["shift"]) == (given[label].scale[channel], given[label].shift[channel])
            assert channel < 4  # of the first tensor, which all of them read
    for a, b in combinations(bound.batch_norms, 2):
        wanted = [(numbers[a]["shift"] / numbers[a]["scale"], numbers[b]["shift"] / numbers[b]["scale"])
                  for numbers in bound.numbers]
        assert any(abs(one - other) > 1e-3 for one, other in wanted)


def test_what_stays_says_what_it_competes_with():
    model = dense_block()
    result = tfold.fold(model)
    told = {name: (goes, why) for name, goes, why in fates(capture(model), result.report)}
    [gone] = [name for name, (goes, _) in told.items() if goes]
    assert told[gone][1].startswith("folded into stem")
    for name in {"bn0", "bn1", "bn2"} - {gone}:
        assert not told[name][0]
        assert f"{gone}, which goes" in told[name][1] and "an addition stays of it" in told[name][1]
    assert result.report.after.batch_norms == 2


def test_a_sign_is_named():
    told = {name: why for name, _, why in fates(*_model_and_report(dense_block(negative=(0,))))}
    assert "sign" in told["bn0"] or "sign" in fold_plan(dense_block(negative=(0,))).largest_fold.bounds[0].why


def _model_and_report(model):
    return capture(model), fold_plan(model)


def test_batch_norms_that_nobody_can_read_count_as_staying():
    x = keras.Input((6, 6, 4))
    y = L.BatchNormalization(axis=1, name="rows")(L.Conv2D(4, 1)(x))
    y = L.BatchNormalization(name="bn")(L.Conv2D(4, 1)(y))
    model = keras.Model(x, y)
    report = fold_plan(model)
    assert (report.largest_fold.total, report.largest_fold.largest, report.largest_fold.at_most) == (2, 1, 1)
    assert [(name, goes) for name, goes, _ in fates(capture(model), report)] == [("rows", False), ("bn", True)]


def test_all_go():
    x = keras.Input((6, 6, 3))
    model = keras.Model(x, L.ReLU()(norm("bn", L.Conv2D(4, 3)(x))))
    proof = fold_plan(model).largest_fold
    assert (proof.total, proof.largest, proof.at_most, proof.bounds) == (1, 1, 1, ())
    assert str(proof) == "1 of 1 batch norms can go without adding anything"


def test_a_network_without_batch_norms_is_told_nothing_of_them():
    assert "batch norms can go" not in str(fold_plan(keras.Sequential([keras.Input((3,)), L.Dense(2)])))


@pytest.mark.parametrize("layer", [L.Activation("sigmoid"), L.ReLU(6.0), L.Softmax()])
def test_an_activation_that_stops_everything_is_named(layer):
    x = keras.Input((6, 6, 3))
    y = L.Add()([L.Conv2D(3, 1)(x), L.Activation("tanh", name="skip")(x)])
    model = keras.Model(x, L.Conv2D(2, 1)(layer(norm("bn", y))))
    [(_, goes, why)] = fates(*_model_and_report(model))
    assert not goes and layer.name in why and "skip is not linear" in why
