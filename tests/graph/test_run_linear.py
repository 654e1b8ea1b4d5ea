"""run() and Keras agree in float64 on every kind of linear layer, at all settings that the layers take."""
import keras
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from keras import layers

CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
TRANSPOSED = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
DEPTHWISE = {1: layers.DepthwiseConv1D, 2: layers.DepthwiseConv2D}
few = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def model_of(layer, size, channels):
    x = keras.Input((*size, channels))
    return keras.Model(x, layer(x))


def numbers(rank, largest):
    return st.tuples(*[st.integers(1, largest)] * rank)


@few
@given(data=st.data())
def test_convolutions(data, run_agrees):
    rank = data.draw(st.integers(1, 3), label="rank")
    window = data.draw(numbers(rank, 4), label="window")
    strides = data.draw(st.one_of(st.just((1,) * rank), numbers(rank, 3)), label="strides")
    # TensorFlow takes one of the two above 1.
    dilation = data.draw(numbers(rank, 3), label="dilation") if set(strides) == {1} else (1,) * rank
    padding = data.draw(st.sampled_from(["same", "valid"] + ["causal"] * (rank == 1)), label="padding")
    groups = data.draw(st.sampled_from([1, 2, 4]), label="groups") if rank < 3 else 1
    size = data.draw(st.tuples(*[st.integers(10, 12)] * rank), label="size")
    layer = CONV[rank](4, window, strides, padding, dilation_rate=dilation, groups=groups,
                       use_bias=data.draw(st.booleans(), label="bias"))
    run_agrees(model_of(layer, size, 4))


@few
@given(data=st.data())
def test_transposed_convolutions(data, run_agrees):
    rank = data.draw(st.integers(1, 3), label="rank")
    window, size = (data.draw(numbers(rank, 4), label=label) for label in ("window", "size"))
    strides = data.draw(numbers(rank, 3), label="strides")
    padding = data.draw(st.sampled_from(["same", "valid"]), label="padding")
    output_padding = None
    if min(strides) > 1 and data.draw(st.booleans(), label="output padding given"):
        output_padding = tuple(data.draw(st.integers(0, s - 1)) for s in strides)
    layer = TRANSPOSED[rank](3, window, strides, padding, output_padding=output_padding)
    # Keras takes some that TensorFlow has no output for: as many windows must fit into it as there are inputs.
    made = layer.compute_output_shape((None, *size, 2))[1:-1]
    reach = window if padding == "valid" else (1,) * rank
    assume(all((m - w) // s + 1 == n for m, w, s, n in zip(made, reach, strides, size, strict=True)))
    run_agrees(model_of(layer, size, 2))


@pytest.mark.parametrize("layer", [
    layers.Conv1DTranspose(3, 3, dilation_rate=2),
    layers.Conv2DTranspose(3, (2, 3), dilation_rate=(2, 1), padding="same", use_bias=False),
])
def test_dilated_transposed_convolutions(layer, run_agrees):
    # TensorFlow has no float64 kernel for them on the CPU.
    run_agrees(model_of(layer, (7, 6)[: layer.rank], 2), tolerance=1e-6, dtype="float32")


@few
@given(data=st.data())
def test_depthwise_and_separable(data, run_agrees):
    rank = data.draw(st.integers(1, 2), label="rank")
    window = data.draw(numbers(rank, 4), label="window")
    stride = data.draw(st.integers(1, 3), label="stride")
    dilation = data.draw(st.integers(1, 3), label="dilation") if stride == 1 else 1
    padding = data.draw(st.sampled_from(["same", "valid"]), label="padding")
    multiplier = data.draw(st.integers(1, 3), label="multiplier")
    size = data.draw(st.tuples(*[st.integers(10, 12)] * rank), label="size")
    assume(rank == 2 or dilation == 1)
    options = {"strides": stride, "padding": padding, "depth_multiplier": multiplier, "dilation_rate": dilation}
    x = keras.Input((*size, 3))
    y = DEPTHWISE[rank](window, **options)(x)
    z = {1: layers.SeparableConv1D, 2: layers.SeparableConv2D}[rank](5, window, activation="tanh", **options)(x)
    run_agrees(keras.Model(x, [y, z]))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_dense(shape, run_agrees):
    run_agrees(model_of(layers.Dense(5, activation="relu"), shape[:-1], shape[-1]))


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("layer", [
    layers.Conv2D(4, 3, strides=2, padding="same"), layers.DepthwiseConv2D(3, strides=2, padding="same"),
    layers.Conv2D(4, (2, 3), padding="same", dilation_rate=2),
])
def test_same_padding_at_a_size_that_is_open(layer, size, run_agrees):
    graph = run_agrees(model_of(layer, (None, None), 3), sizes=(size, size + 1))
    assert list(graph)[1].shape[1] is None
