"""Two maps as one, against running the two, border pixels included; and that what is refused really differs."""
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfold import reasons
from tfold.algebra.compose import add, check_composable, compose, composed_shape
from tfold.algebra.linear_map import LinearMap, identity, same_padding
from tfold.reasons import Refusal


@st.composite
def maps(draw, rank, inputs, size, dense=True):
    """A random map on a tensor of that size: any kind, stride, dilation, padding of each side, bias or bias map."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    kind = draw(st.sampled_from(["full", "full", "pointwise", "depthwise", "grouped", "dense"]))
    if kind == "dense" and dense:
        return LinearMap(rng.normal(size=(inputs, 3)), rng.normal(size=3) if draw(st.booleans()) else None)
    window = (1,) * rank if kind == "pointwise" else tuple(draw(st.integers(1, 3)) for _ in range(rank))
    strides, dilation = (1,) * rank, (1,) * rank
    if draw(st.booleans()):
        strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    elif draw(st.booleans()):
        dilation = (draw(st.integers(1, 3)),) * rank
    groups = inputs if kind == "depthwise" else 2 if kind == "grouped" and inputs % 2 == 0 else 1
    kernel = rng.normal(size=(*window, inputs // groups, groups * draw(st.integers(1, 2))))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
    padding = draw(st.sampled_from(["valid", "valid", "same", "explicit"]))
    if padding == "valid":
        padding = ((0, 0),) * rank
    elif padding == "same":
        padding = same_padding(size, extent, strides)
    else:
        padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    linear = LinearMap(kernel, None, strides, dilation, padding, groups)
    assume(all(n > 0 for n in linear.output_size(size)))
    bias = draw(st.sampled_from(["none", "vector", "vector", "map"]))
    if bias != "none":
        shape = (*linear.output_size(size), linear.outputs) if bias == "map" else (linear.outputs,)
        linear = replace(linear, bias=rng.normal(size=shape))
    return linear


@st.composite
def pairs(draw):
    rank = draw(st.integers(1, 2))
    size = tuple(draw(st.integers(4, 9)) for _ in range(rank))
    first = draw(maps(rank, draw(st.sampled_from([1, 2, 4])), size))
    between = first.with_rank(rank).output_size(size)
    second = draw(maps(rank, first.outputs, between))
    return first, second, size


def assert_same(a, b):
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1e-10 * max(1, np.abs(a).max())


@settings(max_examples=400)
@given(pairs())
def test_a_composed_map_computes_what_the_two_compute(case):
    first, second, size = case
    x = np.random.default_rng(0).normal(size=(2, *size, first.inputs))
    try:
        one = compose(first, second, size[: max(first.rank, second.rank)])
    except Refusal as refusal:
        assert refusal.reason == reasons.BORDER_NOT_EXACT  # sizes are known, nothing is transposed
        return
    assert_same(one.apply(x), second.apply(first.apply(x)))


@settings(max_examples=200)
@given(pairs())
def test_a_refused_border_does_differ(case):
    """Put the two together as if there were no border: where that is refused, the numbers are really wrong."""
    first, second, size = case
    rank = len(size)
    first, second = (replace(m.with_rank(rank).ungrouped(), bias=None) for m in (first, second))
    # A window with holes or steps may happen to miss the pixels in question; the refusal is then merely cautious.
    assume(first.strides == first.dilation == second.strides == second.dilation == (1,) * rank)
    assume(all(n > 0 for n in second.output_size(first.output_size(size))))
    no_padding = ((0, 0),) * rank
    kernel = compose(replace(first, padding=no_padding), replace(second, padding=no_padding), size).kernel
    shape = composed_shape(first, second)
    blind = LinearMap(kernel, None, shape["strides"], shape["dilation"], shape["padding"])
    x = np.random.default_rng(0).normal(size=(1, *size, first.inputs))
    difference = np.abs(second.apply(first.apply(x)) - blind.apply(x)).max()
    try:
        check_composable(first, second, size)
    except Refusal:
        assert difference > 1e-6
    else:
        assert difference < 1e-9


def conv(rng, window, inputs, outputs, padding=0, bias=None, **changes):
    rank = len(window)
    padding = ((padding, padding),) * rank if isinstance(padding, int) else padding
    linear = LinearMap(rng.normal(size=(*window, inputs, outputs)), bias, (1,) * rank, (1,) * rank, padding)
    return replace(linear, **changes)


def test_shapes_of_the_composed_map():
    rng = np.random.default_rng(0)
    one = compose(conv(rng, (3, 3), 2, 4, strides=(2, 2)), conv(rng, (3, 3), 4, 5), (9, 9))
    assert (one.window, one.strides, one.padding) == ((7, 7), (2, 2), ((0, 0), (0, 0)))  # k1 + s1·(k2 − 1)
    one = compose(conv(rng, (1, 1), 2, 4), conv(rng, (3, 3), 4, 5, padding=1), (9, 9))
    assert (one.window, one.padding) == ((3, 3), ((1, 1), (1, 1)))


def test_asymmetric_padding_survives_each_side_by_itself():
    rng = np.random.default_rng(1)
    second = conv(rng, (3, 3), 4, 5, strides=(2, 2), padding=((0, 1), (0, 1)))
    one = compose(conv(rng, (1, 1), 2, 4), second, (8, 8))
    assert one.padding == ((0, 1), (0, 1))
    assert one.padding == same_padding((8, 8), (3, 3), (2, 2))


def test_depthwise_after_depthwise_stays_depthwise():
    rng = np.random.default_rng(2)
    first = conv(rng, (3, 3), 1, 4, groups=4)
    one = compose(first, conv(rng, (3, 3), 1, 8, groups=4), (9, 9))
    assert one.is_depthwise
    assert one.kernel.shape == (5, 5, 1, 8)


def test_dilated_pointwise_pairs_keep_their_dilation():
    rng = np.random.default_rng(3)
    one = compose(conv(rng, (1, 1), 2, 2), conv(rng, (3, 3), 2, 2, dilation=(2, 2)), (9, 9))
    assert (one.window, one.dilation) == ((3, 3), (2, 2))


def test_padding_after_a_bias_gives_a_border_map_and_none_without_bias():
    rng = np.random.default_rng(4)
    first, second = conv(rng, (1, 1), 2, 4, bias=rng.normal(size=4)), conv(rng, (3, 3), 4, 5, padding=1)
    one = compose(first, second, (6, 7))
    assert one.bias.shape == (6, 7, 5)
    inner = one.bias[1:-1, 1:-1]
    assert (inner == inner[0, 0]).all()
    assert not np.allclose(one.bias[0, 0], inner[0, 0])
    assert not compose(replace(first, bias=np.zeros(4)), second, (6, 7)).has_bias_map


@pytest.mark.parametrize("reason, first, second, size", [
    (reasons.TRANSPOSED, {"transposed": True, "padding": None}, {}, (6,)),
    (reasons.TRANSPOSED, {}, {"transposed": True, "padding": None}, (6,)),
    (reasons.UNKNOWN_SIZE, {"padding": None}, {}, (None,)),
    (reasons.UNKNOWN_SIZE, {"strides": (2,), "padding": ((1, 0),)}, {"padding": ((0, 1),)}, (None,)),
    (reasons.UNKNOWN_SIZE, {"window": 1, "bias": np.ones(2)}, {"padding": ((1, 1),)}, (None,)),
    (reasons.BORDER_NOT_EXACT, {"padding": ((1, 1),)}, {"padding": ((1, 1),)}, (6,)),
    (reasons.BORDER_NOT_EXACT, {}, {"padding": ((0, 1),)}, (6,)),
])
def test_refusals(reason, first, second, size):
    rng = np.random.default_rng(5)
    first = conv(rng, (first.pop("window", 3),), 2, 2, **first)
    second = conv(rng, (3,), 2, 2, **second)
    for attempt in (compose, check_composable):
        with pytest.raises(Refusal) as refused:
            attempt(first, second, size)
        assert refused.value.reason == reason


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
def test_added_maps_compute_the_sum(case):
    found, size = case
    x = np.random.default_rng(0).normal(size=(2, *size, found[0].inputs))
    try:
        one = add(found)
    except Refusal as refusal:
        assert refusal.reason == reasons.DIFFERENT_SHAPES
        assert max(max(m.dilation, default=1) for m in found) > 1  # windows with holes, shifted against one another
        return
    assert_same(one.apply(x), reduce(np.add, [m.apply(x) for m in found]))


def test_the_skip_of_a_residual_is_one_in_the_middle_of_the_kernel():
    rng = np.random.default_rng(6)
    linear = conv(rng, (3, 3), 4, 4, padding=1)
    one = add([linear, identity(4, 2)])
    assert one.padding == linear.padding
    np.testing.assert_array_equal(one.kernel[1, 1] - linear.kernel[1, 1], np.eye(4))


def test_depthwise_plus_identity_stays_depthwise():
    linear = conv(np.random.default_rng(7), (3, 3), 1, 4, padding=1, groups=4)
    assert add([linear, identity(4, 2)]).is_depthwise


@pytest.mark.parametrize("reason, changes", [
    (reasons.TRANSPOSED, {"transposed": True}),
    (reasons.UNKNOWN_SIZE, {"padding": None}),
    (reasons.DIFFERENT_SHAPES, {"strides": (2,)}),
    (reasons.DIFFERENT_SHAPES, {"padding": ((1, 1),)}),
])
def test_refused_additions(reason, changes):
    linear = conv(np.random.default_rng(8), (3,), 2, 2)
    with pytest.raises(Refusal) as refused:
        add([linear, replace(linear, **changes)])
    assert refused.value.reason == reason
