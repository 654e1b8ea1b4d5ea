"""Scale and shift of each channel: which layers and operations are read as that, with which numbers, and which not."""
import keras
import numpy as np
import pytest
from keras import layers, ops

C = np.array([1.0, -2.0, 4.0], "float32")


def adapted(**kwargs):
    layer = layers.Normalization(**kwargs)
    layer.adapt(np.random.default_rng(0).normal(3.0, [1.0, 2.0, 5.0], size=(50, 4, 5, 3)))
    return layer


@pytest.mark.parametrize("function, scale, shift", [
    (lambda x: x + 2, 1, 2), (lambda x: 2 + x, 1, 2), (lambda x: ops.add(x, 2.5), 1, 2.5),
    (lambda x: x + True, 1, 1),
    (lambda x: x - 2, 1, -2), (lambda x: 2 - x, -1, 2), (lambda x: ops.subtract(C, x), -1, C),
    (lambda x: x * 3, 3, 0), (lambda x: 3 * x, 3, 0), (lambda x: x * C, C, 0), (lambda x: ops.multiply(C, x), C, 0),
    (lambda x: x * C.reshape(1, 1, 3), C, 0), (lambda x: x * C.reshape(1, 1, 1, 3), C, 0),
    (lambda x: x * np.full((1, 1), 2.0, "float32"), 2, 0), (lambda x: x + np.float32(2), 1, 2),
    (lambda x: x / 4, 0.25, 0), (lambda x: x / C, 1 / C, 0), (lambda x: ops.divide(x, 4), 0.25, 0),
    (lambda x: ops.true_divide(x, ops.convert_to_tensor(C)), 1 / C, 0),
    (lambda x: -x, -1, 0), (ops.negative, -1, 0),
    (layers.Rescaling(0.5), 0.5, 0), (layers.Rescaling(2.0, -1.0), 2, -1), (layers.Rescaling([1.0, 2.0, 3.0], C),
                                                                           [1, 2, 3], C),
    (layers.Rescaling(C.reshape(1, 1, 3)), C, 0),
    (layers.Normalization(mean=C, variance=[4.0, 1.0, 0.25]), [0.5, 1, 2], [-0.5, 2, -8]),
    (layers.Normalization(mean=2.0, variance=4.0), 0.5, -1), (layers.Normalization(axis=3, mean=2.0, variance=4.0),
                                                              0.5, -1),
    (layers.Normalization(axis=None, mean=2.0, variance=4.0), 0.5, -1),
    (layers.Normalization(mean=C, variance=[4.0, 1.0, 0.25], invert=True), [2, 1, 0.5], C),
])
def test_what_is_affine(function, scale, shift, last):
    node = last(function)
    assert (node.op, node.attrs["kind"]) == ("affine", "arithmetic")
    np.testing.assert_allclose(node.attrs["affine"].scale, np.broadcast_to(np.float64(scale), 3), rtol=1e-7)
    np.testing.assert_allclose(node.attrs["affine"].shift, np.broadcast_to(np.float64(shift), 3), rtol=1e-7)


@pytest.mark.parametrize("options", [{}, {"invert": True}, {"axis": (-1,)}])
def test_an_adapted_normalization(options, last, run_agrees):
    layer = adapted(**options)
    node = last(layer)
    deviation = np.sqrt(np.asarray(layer.adapt_variance, np.float64))
    np.testing.assert_allclose(node.attrs["affine"].scale, deviation if layer.invert else 1 / deviation)
    x = keras.Input((4, 5, 3))
    run_agrees(keras.Model(x, layer(x)))


def test_a_variance_of_zero_is_what_keras_makes_of_it(last):
    node = last(layers.Normalization(mean=[0.0, 0.0, 1.0], variance=[1.0, 0.0, 1.0]))
    assert node.attrs["affine"].scale[1] == 1 / keras.config.epsilon()


def test_a_batch_norm_is_of_its_own_kind(last):
    assert last(layers.BatchNormalization()).attrs["kind"] == "batch_norm"


@pytest.mark.parametrize("function", [
    lambda x: 2 / x, lambda x: x / 0.0, lambda x: x / np.array([1.0, 0.0, 1.0], "float32"),
    lambda x: x * np.float32(np.inf), lambda x: x / np.float32(np.inf), lambda x: x - np.float32(np.nan),
    lambda x: x * 1e39, lambda x: x / 1e-40, lambda x: x ** 2,
    lambda x: x * np.ones((4, 1, 3), "float32"), lambda x: x + np.ones((5, 1), "float32"),
    lambda x: x + np.ones((4, 5, 3), "float32"), lambda x: x + np.ones((2, 1, 1, 1, 3), "float32"),
    lambda x: x * np.ones((1, 1, 1, 1, 3), "float32"), lambda x: x * np.float64(C),
    layers.Rescaling(np.ones((4, 1, 3))), layers.Rescaling(np.ones((1, 1, 1, 1, 3))),
    layers.Normalization(axis=1), layers.Normalization(axis=(1, -1)), layers.Normalization(axis=(1, 2, 3)),
    layers.BatchNormalization(axis=1),
])
def test_what_is_not(function, last):
    assert last(function).op == "opaque"


@pytest.mark.parametrize("function", [
    lambda x: x + np.ones(5, "float32"), layers.Rescaling(np.ones(5)), layers.Rescaling(1.0, np.ones(5)),
])
def test_a_constant_that_makes_more_channels(function, last):
    assert last(function, (4, 4, 1)).op == "opaque"


@pytest.mark.parametrize("function", [lambda x: x * 2, lambda x: x + np.ones(1, "float32"), layers.Rescaling(2.0)])
@pytest.mark.parametrize("shape", [(4, None), ()])
def test_channels_that_nobody_knows(function, shape, last):
    assert last(function, shape).op == "opaque"


@pytest.mark.parametrize("function", [
    lambda x: x * 2, lambda x: x / 2, lambda x: x + 1.5, lambda x: -x, lambda x: 1 - x, layers.Rescaling(2.0),
    layers.Normalization(mean=2.0, variance=4.0),
])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_become_other_numbers(function, dtype, last):
    assert last(function, dtype=dtype).op == "opaque"


@pytest.mark.parametrize("dtype, op", [("uint8", "opaque"), ("float32", "affine"), ("float16", "affine")])
def test_the_input_of_a_sequential_model_counts_too(dtype, op):
    from tfold.graph.capture import capture

    model = keras.Sequential([keras.Input((4, 4, 3), dtype=dtype), layers.Rescaling(1 / 255), layers.Conv2D(2, 3)])
    assert list(capture(model))[1].op == op


def test_mixed_precision(last):
    assert last(layers.Rescaling(2.0, dtype="mixed_float16")).op == "affine"  # the layer casts its float32 input
    assert last(layers.Rescaling(7e4, dtype="mixed_float16")).op == "opaque"  # infinite there
    assert last(lambda x: x * 2, dtype="float16").op == "affine"
    assert last(lambda x: x * C, dtype="float16").op == "opaque"  # float32, from here on
    assert last(lambda x: x * 7e4, dtype="float16").op == "opaque"


def test_numbers_are_not_rounded_to_what_the_layer_computes_in(last):
    node = last(layers.Normalization(mean=0.1, variance=1.0, dtype="mixed_float16"))
    assert node.attrs["affine"].shift[0] == -np.float32(0.1)


def test_a_tensor_is_no_constant(read):
    graph = read(lambda x, y: [x + y, x * y, x - y], (3,), (3,))
    assert sorted(node.op for node in graph) == ["add", "add", "input", "input", "multiply"]
