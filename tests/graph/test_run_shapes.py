"""run() and Keras agree in float64 on everything that is not linear: pools, pads, products, gates, upsampling…"""
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers, ops

from tfold.graph.capture import capture
from tfold.graph.ir import Ref
from tfold.graph.run import run

POOLS = {
    ("max", 1): layers.MaxPooling1D, ("max", 2): layers.MaxPooling2D, ("max", 3): layers.MaxPooling3D,
    ("average", 1): layers.AveragePooling1D, ("average", 2): layers.AveragePooling2D,
    ("average", 3): layers.AveragePooling3D,
}


def model_of(function, shape=(4, 5, 3)):
    x = keras.Input(shape)
    return keras.Model(x, function(x))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pools(data, run_agrees):
    rank = data.draw(st.integers(1, 3), label="rank")
    kind = data.draw(st.sampled_from(["max", "average"]), label="kind")
    window, strides = (
        data.draw(st.tuples(*[st.integers(1, 3)] * rank), label=label) for label in ("window", "strides"))
    padding = data.draw(st.sampled_from(["same", "valid"]), label="padding")
    size = data.draw(st.tuples(*[st.integers(3, 7)] * rank), label="size")
    model = model_of(POOLS[kind, rank](window, strides, padding), (*size, 2))
    # TensorFlow has no pools in three dimensions for float64 on the CPU.
    run_agrees(model, **({"tolerance": 1e-6, "dtype": "float32"} if rank == 3 else {}))


@pytest.mark.parametrize("layer", [
    layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D(keepdims=True), layers.GlobalMaxPooling2D(),
    layers.GlobalAveragePooling2D(keepdims=True), layers.GlobalAveragePooling3D(), layers.GlobalMaxPooling3D(),
])
def test_global_pools(layer, run_agrees):
    run_agrees(model_of(layer, (4, 5, 3, 2)[4 - layer.input_spec.ndim + 1 :]))


def test_same_pools_at_an_open_size(run_agrees):
    for size in (7, 8, 9):
        for layer in (layers.AveragePooling2D(3, 2, "same"), layers.MaxPooling2D(3, 2, "same")):
            graph = run_agrees(model_of(layer, (None, None, 2)), sizes=(size, size + 1))
            assert list(graph)[-1].attrs["padding"] is None


@pytest.mark.parametrize("function", [
    layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Cropping2D(((1, 2), (0, 3))), layers.UpSampling2D((2, 3)),
    lambda x: ops.pad(x, [[0, 0], [1, 0], [2, 1], [0, 0]], constant_values=-1.5), lambda x: x[..., 1:],
    layers.Flatten(), layers.Reshape((10, -1)), layers.Permute((3, 1, 2)), layers.Dropout(0.5),
    lambda x: 2 - x / 3, lambda x: -x, layers.Rescaling([1.0, 2.0, 3.0], 0.5), layers.BatchNormalization(),
    lambda x: x + x, lambda x: layers.Add()([x, x, x * 2]), lambda x: x * x,
    lambda x: layers.Concatenate(axis=1)([x, -x, x]), lambda x: ops.concatenate([x, 2 * x], axis=-1),
    lambda x: x * ops.sigmoid(layers.Conv2D(3, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))),
    lambda x: layers.Dense(4)(layers.GlobalAveragePooling2D()(x)),
])
def test_ops(function, run_agrees):
    assert "opaque" not in {node.op for node in run_agrees(model_of(function))}


@pytest.mark.parametrize("layer, shape", [
    (layers.ZeroPadding1D((1, 2)), (5, 2)), (layers.ZeroPadding3D(1), (3, 4, 2, 2)), (layers.Cropping1D(1), (5, 2)),
    (layers.Cropping3D(((1, 0), (0, 1), (0, 0))), (3, 4, 2, 2)), (layers.UpSampling1D(3), (4, 2)),
    (layers.UpSampling3D((1, 2, 3)), (3, 4, 2, 2)), (layers.Flatten(), (None, 3)), (layers.Reshape((-1, 2)), (None, 4)),
    (layers.Flatten(), ()),
])
def test_other_ranks_and_open_sizes(layer, shape, run_agrees):
    run_agrees(model_of(layer, shape), sizes=(5,))


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (4, 3)])
def test_bilinear_upsampling(factors, run_agrees):
    # TensorFlow computes it in float32, whatever it reads.
    run_agrees(model_of(layers.UpSampling2D(factors, interpolation="bilinear")), tolerance=1e-6)


def test_a_whole_network(run_agrees):
    x = keras.Input((17, 16, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x / 127.5 - 1.0)
    y = skip = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", activation="silu")(layers.Conv2D(16, 1, activation="gelu")(y))
    gate = layers.Dense(16, activation="hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    y = layers.Add()([skip, layers.BatchNormalization()(layers.Conv2D(8, 1)(y * gate))])
    y = layers.Concatenate()([layers.MaxPooling2D(3, 2, "same")(y), layers.SeparableConv2D(4, 3, 2, "same")(y)])
    y = layers.Conv2DTranspose(4, 3, 2, "same")(y)[..., 1:]
    y = layers.Softmax()(layers.Dense(5)(layers.Flatten()(layers.Cropping2D(1)(layers.UpSampling2D()(y)))))
    graph = run_agrees(keras.Model(x, y), tolerance=1e-7)  # gelu: see test_run_functions
    assert "opaque" not in {node.op for node in graph}


def test_it_lies_within_rounding_of_the_float32_network(randomize):
    x = keras.Input((16, 16, 3))
    y = x
    for _ in range(4):
        y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", activation="relu")(y))
    model = randomize(keras.Model(x, y))
    numbers = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    graph = capture(model)
    received, expected = run(graph, [numbers])[graph.outputs[0]], model(numbers).numpy()
    assert received.dtype == np.float64
    assert 1e-9 < np.abs(received - expected).max() / np.abs(expected).max() < 1e-5


def test_half_precision_is_computed_in_full_too():
    x = keras.Input((3,), dtype="float16")
    graph = capture(keras.Model(x, layers.Dense(2, dtype="float16")(x)))
    numbers = np.float16([[0.1, 0.2, 0.3]])
    tensors = run(graph, [numbers])
    assert tensors[Ref(graph.inputs[0])].dtype == np.float64
    np.testing.assert_array_equal(
        tensors[graph.outputs[0]], numbers.astype(np.float64) @ list(graph)[1].map.kernel.astype(np.float64))
