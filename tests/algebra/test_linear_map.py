"""LinearMap against TensorFlow, and its rewritings against itself, in float64."""
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfold.algebra.affine import Affine, from_batch_norm
from tfold.algebra.linear_map import LinearMap, identity, same_padding


def make(rng, window, groups=1, inner=2, per_group=2, strides=None, dilation=None, padding=None, bias=True):
    rank = len(window)
    kernel = rng.normal(size=(*window, inner, groups * per_group))
    return LinearMap(
        kernel,
        rng.normal(size=groups * per_group) if bias else None,
        strides or (1,) * rank,
        dilation or (1,) * rank,
        padding or ((0, 0),) * rank,
        groups,
    )


def assert_same(a, b):
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0) <= 1e-10 * max(1, np.abs(a).max(initial=0))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("strides, dilation", [(1, 1), (2, 1), (3, 1), (1, 2)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_apply_is_tensorflows_convolution(rank, strides, dilation, padding):
    rng = np.random.default_rng(0)
    size = (7, 8, 6)[:rank]
    x, kernel = rng.normal(size=(2, *size, 3)), rng.normal(size=(*(3, 2, 3)[:rank], 3, 4))
    extent = tuple(dilation * (k - 1) + 1 for k in kernel.shape[:rank])
    pads = same_padding(size, extent, (strides,) * rank) if padding == "SAME" else ((0, 0),) * rank
    linear = LinearMap(kernel, None, (strides,) * rank, (dilation,) * rank, pads)
    expected = tf.nn.convolution(x, kernel, strides=strides, padding=padding, dilations=dilation).numpy()
    assert_same(linear.apply(x), expected)
    assert linear.output_size(size) == expected.shape[1:-1]


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
def test_same_padding_is_tensorflows(size, window, stride):
    x, kernel = np.random.default_rng(size).normal(size=(1, size, 1)), np.ones((window, 1, 1))
    pads = same_padding((size,), (window,), (stride,))
    expected = tf.nn.conv1d(x, kernel, stride, "SAME").numpy()
    assert_same(LinearMap(kernel, None, (stride,), (1,), pads).apply(x), expected)


def test_same_padding_with_a_stride_at_an_unknown_size_is_unknown():
    assert same_padding((None,), (3,), (2,)) is None
    assert same_padding((None, 5), (3, 2), (1, 1)) == ((1, 1), (0, 1))


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_kernels_have_keras_channel_order(multiplier):
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(1, 6, 6, 4)), rng.normal(size=(3, 3, 4, multiplier))
    linear = LinearMap(kernel.reshape(3, 3, 1, -1), None, (1, 1), (1, 1), ((0, 0), (0, 0)), groups=4)
    assert linear.is_depthwise
    assert_same(linear.apply(x), tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID").numpy())


def test_grouped_kernels_have_keras_channel_order():
    import keras

    layer = keras.layers.Conv2D(6, 3, groups=2, dtype="float64")
    x = np.random.default_rng(2).normal(size=(1, 5, 5, 4))
    expected = layer(x).numpy()
    linear = LinearMap(layer.kernel.numpy(), layer.bias.numpy(), (1, 1), (1, 1), ((0, 0), (0, 0)), 2)
    assert_same(linear.apply(x), expected)


@given(st.integers(0, 2), st.sampled_from([(1, 3, 2), (2, 2, 3), (3, 1, 1), (3, 1, 2)]), st.integers(1, 3),
       st.integers(0, 9))
def test_rewritings_compute_the_same(rank, grouping, dilation, seed):
    rng = np.random.default_rng(seed)
    groups, inner, per_group = grouping if rank else (1, 3, 2)
    window = tuple(int(k) for k in rng.integers(1, 4, rank))
    linear = make(rng, window, groups, inner, per_group, dilation=(dilation,) * rank, padding=((1, 2),) * rank)
    x = rng.normal(size=(2, *(8,) * rank, linear.inputs))
    y = linear.apply(x)
    assert_same(linear.regrouped(1).apply(x), y)
    assert linear.regrouped(1).groups == 1
    assert_same(linear.undilated().apply(x), y)
    assert linear.undilated().extent == linear.extent
    after = Affine(rng.normal(size=linear.outputs), rng.normal(size=linear.outputs))
    assert_same(linear.scaled(after).apply(x), after(y))
    before = Affine(rng.normal(size=linear.inputs), np.zeros(linear.inputs))
    assert_same(linear.fed_by(before).apply(x), linear.apply(before(x)))
    before = Affine(before.scale, rng.normal(size=linear.inputs))
    unpadded = LinearMap(linear.kernel, linear.bias, linear.strides, linear.dilation, ((0, 0),) * rank, groups)
    assert_same(unpadded.fed_by(before).apply(x), unpadded.apply(before(x)))


def test_feeding_a_shift_into_padding_is_wrong_at_the_border_alone():
    """Why the batch norm pass refuses it."""
    rng = np.random.default_rng(3)
    linear = make(rng, (3, 3), padding=((1, 1), (1, 1)))
    before = Affine(np.ones(2), np.ones(2))
    x = rng.normal(size=(1, 6, 6, 2))
    error = np.abs(linear.fed_by(before).apply(x) - linear.apply(before(x)))
    assert error[:, 1:-1, 1:-1].max() < 1e-12
    assert error[:, 0].max() > 1e-3


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("channels", [1, 4])
def test_identity(rank, channels):
    x = np.random.default_rng(4).normal(size=(2, *(5,) * rank, channels))
    assert_same(identity(channels, rank).apply(x), x)


def test_a_dense_map_is_a_pointwise_convolution():
    rng = np.random.default_rng(5)
    dense = make(rng, ())
    x = rng.normal(size=(2, 4, 5, 2))
    assert_same(dense.with_rank(2).apply(x), dense.apply(x))
    with pytest.raises(ValueError, match="Received: rank 2"):
        dense.with_rank(2).with_rank(1)


@pytest.mark.parametrize("scale, center", [(True, True), (True, False), (False, True), (False, False)])
def test_from_batch_norm(scale, center):
    import keras

    layer = keras.layers.BatchNormalization(scale=scale, center=center, dtype="float64", epsilon=0.01)
    rng = np.random.default_rng(6)
    layer.build((None, 5))
    for weight in layer.weights:
        weight.assign(rng.uniform(0.5, 2, 5))
    x = rng.normal(size=(3, 5))
    affine = from_batch_norm(
        layer.moving_mean, layer.moving_variance, 0.01, layer.gamma if scale else None, layer.beta if center else None
    )
    assert_same(affine(x), layer(x, training=False).numpy())
    assert_same(affine.then(affine)(x), affine(affine(x)))
    assert affine.is_finite
    assert not from_batch_norm([0.0], [-1.0], 0.001).is_finite


def test_half_precision_is_summed_in_float64():
    rng = np.random.default_rng(7)
    kernel = rng.normal(size=(3, 3, 8, 2)).astype(np.float16)
    linear = LinearMap(kernel, None, (1, 1), (1, 1), ((0, 0), (0, 0)))
    shift = Affine(np.ones(8), np.full(8, -1.0))
    np.testing.assert_allclose(linear.fed_by(shift).bias, -kernel.astype(np.float64).sum(axis=(0, 1, 2)), rtol=1e-12)
