"""Costs: what the policies say of an operation, and a policy of the user's own."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import LinearMap, diagonal, same_padding
from tfold.passes import cost
from tfold.passes.cost import POLICIES, Operation


def conv(window, inputs, outputs, groups=1, **changes):
    settings = {"bias": None, "strides": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), **changes}
    return LinearMap(np.ones((*window, inputs // groups, outputs), "float32"), groups=groups, **settings)


def seen(linear, size):
    """The operations that a policy is asked about."""
    operations = []
    cost.of_map(linear, size, lambda op: operations.append(op) or 1.0)
    return operations


def test_an_operation_says_what_there_is_to_know():
    [op] = seen(conv((3, 3), 4, 8, strides=(2, 2)), (9, 9))
    assert op == Operation("full", 16 * 9 * 4 * 8, 16 * 8, 4, 8, (3, 3), (2, 2), (9, 9))
    assert seen(conv((3, 3), 4, 8, groups=4), (9, 9))[0].kind == "depthwise"
    assert seen(conv((3, 3), 4, 8, groups=2), (9, 9))[0].kind == "grouped"
    transposed = conv((2, 2), 4, 8, padding=None, transposed=True, strides=(2, 2))
    assert (seen(transposed, (5, 5))[0].kind, seen(transposed, (5, 5))[0].macs) == ("transposed", 25 * 4 * 4 * 8)


def test_a_dense_layer_on_a_feature_map_works_at_each_pixel():
    dense = LinearMap(np.ones((4, 8)))
    assert seen(dense, ())[0].macs == 32 and seen(dense, (5, 5))[0].macs == 25 * 32


def test_border_maps_and_padding_layers_cost_too():
    same = conv((3, 3), 2, 2, padding=((1, 1), (1, 1)), bias=np.zeros((9, 9, 2)))
    assert [op.kind for op in seen(same, (9, 9))] == ["full", "elementwise"]
    uneven = conv((3, 3), 2, 2, padding=((2, 0), (1, 1)))
    assert [(op.kind, op.elements) for op in seen(uneven, (9, 9))] == [("full", 162), ("pad", 11 * 11 * 2)]
    assert same_padding((9, 9), (3, 3), (1, 1)) == same.padding


@pytest.mark.parametrize("policy", POLICIES)
def test_more_work_costs_more(policy):
    price = POLICIES[policy]
    small, large = (cost.of_map(conv((3, 3), n, n), (9, 9), price) for n in (4, 8))
    assert 0 < small < large
    assert 0 < cost.of_elements(10, price) < cost.of_map(conv((1, 1), 1, 1), (9, 9), price)


@pytest.mark.parametrize("scale, shift, operations", [(1, 0, 0), (2, 0, 1), (1, 3, 1), (2, 3, 2), (0, 0, 1)])
def test_what_a_batch_norm_costs(scale, shift, operations):
    affine = Affine(np.array([1.0, scale]), np.array([0.0, shift]))
    assert cost.operations_of(affine) == operations
    assert cost.of_affine(affine, 10, lambda op: op.elements) == 10 * operations


@pytest.mark.parametrize("policy, is_cheaper", [("latency", True), ("macs", False), ("always", False)])
def test_scale_and_shift_as_one_depthwise_convolution(policy, is_cheaper):
    affine = Affine(np.full(8, 2.0), np.ones(8))
    price = POLICIES[policy]
    assert (cost.of_map(diagonal(affine, 2), (9, 9), price) < cost.of_affine(affine, 9 * 9 * 8, price)) == is_cheaper


def test_an_open_size_counts_as_a_likely_one():
    assert seen(conv((1, 1), 2, 2), (None, 7))[0].size == (cost.UNKNOWN_SIZE, 7)


def network():
    x = keras.Input((8,))
    return keras.Model(x, layers.Dense(4, name="b")(layers.Dense(2, name="a")(x)))


def test_a_policy_of_ones_own_decides(fold_checked):
    asked = []

    def cheap(op):
        asked.append(op)
        return op.inputs * op.outputs

    assert fold_checked(network(), policy=cheap).report.after.depth == 2  # 8·2 + 2·4 < 8·4
    assert {(op.inputs, op.outputs) for op in asked} == {(8, 2), (2, 4), (8, 4)}
    assert fold_checked(network(), policy=lambda op: 1).report.after.depth == 1


@pytest.mark.parametrize("answer", [None, "cheap", float("nan"), -1.0, float("inf")])
def test_a_policy_must_give_a_cost(answer):
    with pytest.raises(tfold.BadInputError, match="A policy gives the cost of an operation"):
        tfold.fold(network(), policy=lambda op: answer)


@pytest.mark.parametrize("policy", ["fastest", None, 3])
def test_unknown_policies(policy):
    with pytest.raises(tfold.BadInputError, match="policy is one of latency, macs, always, or a function"):
        tfold.fold(network(), policy=policy)
