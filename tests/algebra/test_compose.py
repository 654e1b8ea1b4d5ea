"""Two maps as one, against running the two, border pixels included; and that what is refused really differs."""
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfold import reasons
from tfold.algebra import border, outline
from tfold.algebra.affine import Affine
from tfold.algebra.compose import check_composable, compose, composed_shape
from tfold.algebra.linear_map import LinearMap, averaging, diagonal, same_padding, selection
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
    outlined = outline.compose(outline.outline(first), outline.outline(second), size[: max(first.rank, second.rank)])
    assert_outlined(outlined, one)


def assert_outlined(outlined, linear):
    """An outline is the map without its numbers: all else must be the same."""
    assert outlined.kernel.shape == linear.kernel.shape
    assert (outlined.bias is None) <= (linear.bias is None or not linear.bias.any())
    if outlined.bias is not None and linear.bias is not None:
        assert linear.bias.shape in (outlined.bias.shape, outlined.bias.shape[-1:])
    for name in ("strides", "dilation", "padding", "groups", "transposed"):
        assert getattr(outlined, name) == getattr(linear, name), name


@st.composite
def padded_pairs(draw):
    """Two convolutions whose border no merge can keep, and a third behind them."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    size = (draw(st.integers(9, 14)),)
    found = []
    for _ in range(3):
        padding = ((draw(st.integers(0, 2)), draw(st.integers(0, 2))),)
        found.append(conv(rng, (draw(st.integers(2, 4)),), 2, 2, padding, rng.normal(size=2),
                          strides=(draw(st.integers(1, 3)),)))
    return found, size


@settings(max_examples=300)
@given(padded_pairs())
def test_an_approximate_merge_is_wrong_in_the_ring_it_names_and_nowhere_else(case):
    [first, second, third], size = case
    assume(min(*second.output_size(first.output_size(size)), *third.output_size(second.output_size(
        first.output_size(size)))) > 0)
    try:
        one = compose(first, second, size, approximate=True)
    except Refusal:
        assume(False)
    assert_outlined(outline.compose(outline.outline(first), outline.outline(second), size, True), one)
    assume(not one.has_bias_map)
    exact = check_composable(first, second, size, approximate=True)
    ring = None if exact else border.disturbed(first, second, size)
    x = rng_input(size)
    y = second.apply(first.apply(x))
    assert_same_inside(one.apply(x), y, ring or ((0, 0),))
    two = compose(one, third, size, approximate=True)  # the ring grows with what comes behind
    if ring or not check_composable(one, third, size, approximate=True):
        ring = border.disturbed(one, third, size, ring)
        assert_same_inside(two.apply(x), third.apply(y), ring)


def rng_input(size):
    return np.random.default_rng(0).normal(size=(1, *size, 2))


def assert_same_inside(a, b, ring):
    [(before, after)] = ring
    assert np.abs(a - b)[:, before : a.shape[1] - after].max(initial=0) <= 1e-9 * np.abs(b).max()


def test_two_padded_convolutions_differ_from_one_in_a_ring_of_one_pixel():
    rng = np.random.default_rng(13)
    first, second = (conv(rng, (3, 3), 2, 2, padding=1) for _ in range(2))
    assert border.disturbed(first, second, (8, 8)) == ((1, 1), (1, 1))
    x = rng.normal(size=(1, 8, 8, 2))
    error = np.abs(compose(first, second, (8, 8), approximate=True).apply(x) - second.apply(first.apply(x)))
    assert error[:, 1:-1, 1:-1].max() < 1e-12
    assert min(error[:, 0].max(), error[:, -1].max(), error[:, :, 0].max(), error[:, :, -1].max()) > 1e-3


@settings(max_examples=200)
@given(pairs())
def test_a_refused_border_does_differ(case):
    """Put the two together as if there were no border: where that is refused, the numbers are really wrong."""
    first, second, size = case
    rank = len(size)
    first, second = (replace(m.with_rank(rank).regrouped(1), bias=None) for m in (first, second))
    # A window with holes or steps may happen to miss the pixels in question; the refusal is then merely cautious.
    assume(first.strides == first.dilation == second.strides == second.dilation == (1,) * rank)
    assume(all(n > 0 for n in second.output_size(first.output_size(size))))
    no_padding = ((0, 0),) * rank
    kernel = compose(replace(first, padding=no_padding), replace(second, padding=no_padding), size).kernel
    shape = composed_shape(first, second)
    blind = LinearMap(kernel, None, shape.strides, shape.dilation, shape.padding)
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


@pytest.mark.parametrize("before, after, groups", [(4, 2, 2), (2, 4, 2), (4, 4, 4), (2, 2, 2), (4, 1, 1)])
def test_of_two_groupings_the_common_one_remains(before, after, groups):
    rng = np.random.default_rng(9)
    first = conv(rng, (3, 3), 4 // before, 8, groups=before)
    second = conv(rng, (2, 2), 8 // after, 4, groups=after)
    one = compose(first, second, (9, 9))
    assert one.groups == groups
    x = rng.normal(size=(1, 9, 9, 4))
    assert_same(one.apply(x), second.apply(first.apply(x)))


def test_pooling_selecting_and_scaling_are_linear_maps():
    rng = np.random.default_rng(10)
    x = rng.normal(size=(2, 6, 6, 4))
    assert_same(averaging(4, (2, 3), (2, 3)).apply(x), x.reshape(2, 3, 2, 2, 3, 4).mean(axis=(2, 4)))
    assert_same(selection(4, 1, 3, 2).apply(x), x[..., 1:3])
    affine = Affine(rng.normal(size=4), rng.normal(size=4))
    assert_same(diagonal(affine, 2).apply(x), affine(x))
    assert_same(diagonal(affine, 0).apply(x), affine(x))
    pooled = compose(conv(rng, (3, 3), 4, 4), averaging(4, (2, 2), (2, 2)), (6, 6))
    assert (pooled.window, pooled.strides) == ((4, 4), (2, 2))


def test_zeros_that_no_window_reaches_are_trimmed():
    rng = np.random.default_rng(11)
    linear = conv(rng, (3, 3), 2, 2, padding=1, strides=(2, 2))
    trimmed = linear.trimmed((8, 9))
    assert trimmed.padding == ((1, 0), (1, 1))
    x = rng.normal(size=(1, 8, 9, 2))
    assert_same(trimmed.apply(x), linear.apply(x))
    assert linear.trimmed((None, 9)) is linear


@pytest.mark.parametrize("transposed_first", [True, False])
def test_a_transposed_convolution_takes_in_its_pointwise_neighbours(transposed_first):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(12)
    big = conv(rng, (3, 3), 3, 3, bias=rng.normal(size=3), transposed=True, strides=(2, 2), padding=None)
    point = conv(rng, (1, 1), 3, 3, bias=rng.normal(size=3) if transposed_first else None)

    def run(linear, x):
        if not linear.transposed:
            return linear.apply(x)
        kernel = np.swapaxes(linear.kernel, -1, -2)
        return tf.nn.conv2d_transpose(x, kernel, (1, 11, 11, 3), 2, "VALID").numpy() + linear.bias_or_zeros()

    first, second = (big, point) if transposed_first else (point, big)
    x = rng.normal(size=(1, 5, 5, 3))
    one = compose(first, second, (5, 5))
    assert one.transposed
    assert_same(run(one, x), run(second, run(first, x)))
    assert_outlined(outline.compose(outline.outline(first), outline.outline(second), (5, 5)), one)


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
    (reasons.TRANSPOSED, {"window": 1, "bias": np.ones(2)}, {"transposed": True, "padding": None}, (6,)),
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
