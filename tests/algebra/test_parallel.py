"""Parallel maps as one: their sum, and their channels side by side, against running them all."""
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold import reasons
from tfold.algebra import outline
from tfold.algebra.linear_map import LinearMap, identity, same_padding
from tfold.algebra.parallel import add, concat
from tfold.reasons import Refusal


def conv(rng, window, inputs, outputs, padding=0, **changes):
    rank = len(window)
    padding = ((padding, padding),) * rank
    linear = LinearMap(rng.normal(size=(*window, inputs, outputs)), None, (1,) * rank, (1,) * rank, padding)
    return replace(linear, **changes)


def assert_same(a, b):
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1e-10 * max(1, np.abs(a).max())


@st.composite
def branches(draw):
    rank = draw(st.integers(0, 2))
    size = tuple(draw(st.integers(5, 8)) for _ in range(rank))
    inputs, stride = draw(st.sampled_from([2, 4])), draw(st.integers(1, 2)) if rank else 1
    found = []
    for _ in range(draw(st.integers(2, 3))):
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        kind = draw(st.sampled_from(["full", "depthwise", "identity", "dilated", "grouped", "map"]))
        if rank == 0:
            bias = rng.normal(size=inputs) if draw(st.booleans()) else None
            found.append(identity(inputs, 0) if kind == "identity" else LinearMap(rng.normal(size=(inputs,) * 2), bias))
            continue
        if kind == "identity" and stride == 1:
            found.append(identity(inputs, rank))
            continue
        window = tuple(draw(st.integers(1, 4)) for _ in range(rank))
        dilation = (2,) * rank if kind == "dilated" and stride == 1 else (1,) * rank
        extent = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
        groups = {"depthwise": inputs, "grouped": 2}.get(kind, 1)
        kernel = rng.normal(size=(*window, inputs // groups, inputs))
        linear = LinearMap(kernel, rng.normal(size=inputs), (stride,) * rank, dilation,
                           same_padding(size, extent, (stride,) * rank), groups)
        if kind == "map":
            linear = replace(linear, bias=rng.normal(size=(*linear.output_size(size), inputs)))
        found.append(linear)
    return found, size


@settings(max_examples=200)
@given(branches())
def test_parallel_maps_as_one(case):
    found, size = case
    x = np.random.default_rng(0).normal(size=(2, *size, found[0].inputs))
    one, side_by_side = add(found), concat(found)
    results = [m.apply(x) for m in found]
    assert_same(one.apply(x), reduce(np.add, results))
    assert_same(side_by_side.apply(x), np.concatenate(results, axis=-1))
    outlines = [outline.outline(m) for m in found]
    for outlined, linear in ((outline.add(outlines), one), (outline.concat(outlines), side_by_side)):
        assert outlined.kernel.shape == linear.kernel.shape
        assert (outlined.strides, outlined.dilation, outlined.padding, outlined.groups) == (
            linear.strides, linear.dilation, linear.padding, linear.groups)
        assert outlined.has_bias_map == linear.has_bias_map


def test_the_skip_of_a_residual_is_one_in_the_middle_of_the_kernel():
    rng = np.random.default_rng(6)
    linear = conv(rng, (3, 3), 4, 4, padding=1)
    one = add([linear, identity(4, 2)])
    assert one.padding == linear.padding
    np.testing.assert_array_equal(one.kernel[1, 1] - linear.kernel[1, 1], np.eye(4))


def test_depthwise_plus_identity_stays_depthwise():
    linear = conv(np.random.default_rng(7), (3, 3), 1, 4, padding=1, groups=4)
    assert add([linear, identity(4, 2)]).is_depthwise


@pytest.mark.parametrize("attempt", [add, concat, outline.add, outline.concat])
@pytest.mark.parametrize("reason, changes", [
    (reasons.TRANSPOSED, {"transposed": True}),
    (reasons.UNKNOWN_SIZE, {"padding": None}),
    (reasons.DIFFERENT_SHAPES, {"strides": (2,)}),
    (reasons.DIFFERENT_SHAPES, {"padding": ((1, 1),)}),
])
def test_refusals(attempt, reason, changes):
    linear = conv(np.random.default_rng(8), (3,), 2, 2)
    with pytest.raises(Refusal) as refused:
        attempt([linear, replace(linear, **changes)])
    assert refused.value.reason == reason
