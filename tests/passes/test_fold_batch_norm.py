"""One-rule graphs around a batch norm: what must become of each."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import reasons
from tfold.folding import fold_plan
from tfold.graph.capture import capture

BN = layers.BatchNormalization


def chain(*stack, shape=(8, 8, 3)):
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def ops_of(model):
    """The op of each layer; "scaling": a depthwise convolution that only scales and shifts its channels."""
    return ["scaling" if node.op == "linear" and node.map.is_depthwise and node.map.is_diagonal else node.op
            for node in capture(model)][1:]


FOLDED = {
    # batch norm behind
    "conv, bn": ([layers.Conv2D(4, 3), BN()], ["linear"]),
    "conv without bias, bn": ([layers.Conv2D(4, 3, use_bias=False), BN()], ["linear"]),
    "strided same conv, bn": ([layers.Conv2D(4, 3, strides=2, padding="same"), BN()], ["linear"]),
    "grouped conv, bn": ([layers.Conv2D(6, 3, groups=3), BN()], ["linear"]),
    "dilated conv, bn": ([layers.Conv2D(4, 2, dilation_rate=2, padding="same"), BN()], ["linear"]),
    "depthwise, bn": ([layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), BN()], ["linear"]),
    "separable, bn": ([layers.SeparableConv2D(8, 3), BN()], ["linear", "linear"]),
    "transposed, bn": ([layers.Conv2DTranspose(4, 3, strides=2, padding="same"), BN()], ["linear"]),
    "dense on a feature map, bn": ([layers.Dense(4), BN()], ["linear"]),
    "bn without scale": ([layers.Conv2D(4, 3), BN(scale=False)], ["linear"]),
    "bn without centre": ([layers.Conv2D(4, 3), BN(center=False)], ["linear"]),
    "bn without both": ([layers.Conv2D(4, 3), BN(scale=False, center=False)], ["linear"]),
    # between two: the one before takes it
    "conv, bn, relu": ([layers.Conv2D(4, 3), BN(), layers.ReLU()], ["linear", "activation"]),
    # batch norm in front
    "bn, valid conv": ([BN(), layers.Conv2D(4, 3, strides=2)], ["linear"]),
    "bn, 1×1 same conv": ([BN(), layers.Conv2D(4, 1, padding="same")], ["linear"]),
    "bn, grouped conv": ([BN(), layers.Conv2D(6, 3, groups=3)], ["linear"]),
    "bn, depthwise": ([BN(), layers.DepthwiseConv2D(3, depth_multiplier=2)], ["linear"]),
    "bn, dense": ([BN(), layers.Dense(4)], ["linear"]),
    "relu, bn, conv": ([layers.ReLU(), BN(), layers.Conv2D(4, 3)], ["activation", "linear"]),
    "conv with relu, bn, conv": (
        [layers.Conv2D(4, 3, activation="relu"), BN(), layers.Conv2D(4, 3)], ["linear", "activation", "linear"]),
    # several
    "bn, bn": ([BN(), BN()], ["scaling"]),
    "conv, bn, bn": ([layers.Conv2D(4, 3), BN(), BN()], ["linear"]),
    "bn, bn, conv": ([BN(), BN(), layers.Conv2D(4, 3)], ["linear"]),
    "bn, bn, bn, relu": ([BN(), BN(), BN(), layers.ReLU()], ["scaling", "activation"]),
    "conv, dropout, bn": ([layers.Conv2D(4, 3), layers.Dropout(0.5), BN()], ["linear"]),
    "bn, conv, bn": ([BN(), layers.Conv2D(4, 3), BN()], ["linear"]),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folded(name, fold_checked):
    stack, ops = FOLDED[name]
    model = chain(*[type(layer).from_config(layer.get_config()) for layer in stack])
    result = fold_checked(model, how=tfold.fold_batch_norm)
    assert ops_of(result.model) == ops
    assert result.report.after.batch_norms == ops.count("scaling")
    assert not any(type(layer).__name__ == "ZeroPadding2D" for layer in result.model.layers)
    assert [entry.reason for entry in result.report.refusals] == [reasons.GRAPH_BOUNDARY] * ops.count("scaling")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False])
def test_in_every_dimension(rank, before, fold_checked):
    conv = getattr(layers, f"Conv{rank}D")(3, 2)
    model = chain(*([BN(), conv] if before else [conv, BN()]), shape=(*(5,) * rank, 2))
    assert ops_of(fold_checked(model).model) == ["linear"]


@pytest.mark.parametrize("rank", [1, 2])
def test_causal_padding_and_depthwise_in_one_dimension(rank, fold_checked):
    model = chain(layers.Conv1D(4, 3, dilation_rate=2, padding="causal"), BN(), layers.ReLU(),
                  layers.DepthwiseConv1D(3, strides=rank, padding="same"), BN(), shape=(12, 2))
    # Once rewritten, a causal convolution is a padding layer and a convolution.
    assert ops_of(fold_checked(model).model) == ["pad", "linear", "activation", "linear"]


@pytest.mark.parametrize("gamma", [[0.0, 0.0, 0.0], [-1.0, 0.0, 2.0], [1e-20, 1.0, 1.0]])
@pytest.mark.parametrize("before", [True, False])
def test_scales_that_are_zero_or_negative(gamma, before):
    norm, conv = BN(), layers.Conv2D(3, 3)
    model = chain(*([norm, conv] if before else [conv, norm]))
    norm.set_weights([np.array(w) for w in (gamma, [1.0, 2.0, 3.0], [0.5, 0.0, -0.5], [1.0, 0.0, 2.0])])
    result = tfold.fold(model)
    assert ops_of(result.model) == ["linear"]


def test_the_fold_is_exact_in_float64():
    """Against the formula, so that float32's rounding hides nothing."""
    norm = BN(epsilon=0.01, dtype="float64")
    x = keras.Input((4,), dtype="float64")
    model = keras.Model(x, norm(layers.Dense(3, dtype="float64")(x)))
    gamma, beta, mean, variance = np.random.default_rng(0).uniform(0.5, 2, (4, 3))
    norm.set_weights([gamma, beta, mean, variance])
    kernel, bias = model.layers[1].get_weights()
    result = tfold.fold(model)
    scale = gamma / np.sqrt(variance + 0.01)
    folded_kernel, folded_bias = result.model.layers[1].get_weights()
    np.testing.assert_allclose(folded_kernel, kernel * scale, rtol=1e-14)
    np.testing.assert_allclose(folded_bias, (bias - mean) * scale + beta, rtol=1e-14)


def test_one_batch_norm_into_several_readers(fold_checked):
    x = keras.Input((8, 8, 3))
    y = BN()(x)
    model = keras.Model(x, [layers.Conv2D(4, 3)(y), layers.Conv2D(2, 1, activation="relu")(y), layers.Dense(2)(y)])
    result = fold_checked(model)
    assert result.report.after.batch_norms == 0
    assert len(result.report.folded) == 3


def test_a_shared_batch_norm_folds_into_the_layer_before_each_call(fold_checked):
    shared, x = BN(), keras.Input((8, 8, 3))
    model = keras.Model(x, [shared(layers.Conv2D(4, 3)(x)), shared(layers.Conv2D(4, 3)(x))])
    assert fold_checked(model).report.after.batch_norms == 0


def test_one_call_of_a_shared_batch_norm_may_stay(fold_checked):
    shared, x = BN(), keras.Input((8, 8, 3))
    y = shared(x)
    model = keras.Model(x, [shared(layers.Dense(3)(y)), layers.ReLU()(y)])
    result = fold_checked(model)
    assert result.report.after.batch_norms == 1
    assert [entry.reason for entry in result.report.refusals] == [reasons.GRAPH_BOUNDARY]


def test_a_batch_norm_behind_a_residual_that_became_one_layer(fold_checked):
    """The addition is no linear layer until merging has made it one; then it takes the batch norm."""
    x = keras.Input((8, 8, 3))
    y = BN()(layers.Conv2D(3, 3, padding="same")(x) + x)
    result = fold_checked(keras.Model(x, layers.Conv2D(2, 3)(y)))
    assert result.report.after.batch_norms == 0


def stays(model, reason, fold_checked, how=tfold.fold):
    result = fold_checked(model, how=how)
    assert result.report.after.batch_norms == 1
    [entry] = [entry for entry in result.report.refusals if entry.rule == "fold_batch_norm"]
    assert entry.reason == reason
    assert entry.nodes == ("bn",)
    return entry


IN_FRONT_OF_ZEROS = pytest.mark.parametrize("stack", [
    lambda: [layers.Conv2D(4, 3, padding="same", name="conv")],
    lambda: [layers.ZeroPadding2D(((1, 0), (0, 0))), layers.Conv2D(4, 3, name="conv")],
    lambda: [layers.ZeroPadding2D(((0, 0), (0, 2))), layers.Conv2D(4, 3, name="conv")],
])


@IN_FRONT_OF_ZEROS
@pytest.mark.parametrize("how", [tfold.fold, tfold.fold_batch_norm])
def test_shift_in_front_of_zeros(stack, how, fold_checked):
    report = fold_checked(chain(BN(name="bn"), *stack()), how=how).report
    assert report.after.batch_norms == 0
    [entry] = [entry for entry in report.folded if entry.rule == "fold_batch_norm"]
    assert (entry.nodes, entry.detail) == (("bn",), "folded into conv (with a border map)")


@IN_FRONT_OF_ZEROS
@pytest.mark.parametrize("how", [tfold.fold, tfold.fold_batch_norm])
def test_shift_in_front_of_zeros_at_an_open_size(stack, how, fold_checked):
    """A border map needs the size."""
    entry = stays(
        chain(BN(name="bn"), *stack(), shape=(None, None, 3)), reasons.BORDER_NOT_EXACT, fold_checked, how)
    assert "the zero padding of conv" in entry.detail and entry.detail.endswith("an addition stays of it")


def test_no_shift_in_front_of_zero_padding_is_no_problem():
    norm = BN(center=False)
    model = chain(norm, layers.Conv2D(4, 3, padding="same"))
    norm.set_weights([np.array(w) for w in ([2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0])])
    assert tfold.fold(model).report.after.batch_norms == 0


def test_batch_norm_in_front_of_a_shared_layer(fold_checked):
    shared, x = layers.Dense(3), keras.Input((3,))
    model = keras.Model(x, [shared(BN(name="bn")(x)), shared(x)])
    stays(model, reasons.SHARED_WEIGHTS, fold_checked)


def test_batch_norm_behind_a_shared_layer(fold_checked):
    shared, x = layers.Dense(3), keras.Input((3,))
    model = keras.Model(x, [BN(name="bn")(shared(x)), layers.ReLU()(shared(x))])
    stays(model, reasons.SHARED_WEIGHTS, fold_checked)


def test_batch_norm_behind_a_layer_that_others_read(fold_checked):
    x = keras.Input((3,))
    y = layers.Dense(3)(x)
    entry = stays(keras.Model(x, [BN(name="bn")(y), layers.ReLU(name="r")(y)]), reasons.GRAPH_BOUNDARY, fold_checked)
    assert entry.detail == "bn is an output of the network; r is an output of the network"


def test_batch_norm_behind_a_layer_that_is_an_output_too(fold_checked):
    x = keras.Input((3,))
    y = layers.Dense(3)(x)
    stays(keras.Model(x, [BN(name="bn")(y), y]), reasons.GRAPH_BOUNDARY, fold_checked)


def test_batch_norm_with_one_reader_that_cannot_take_it(fold_checked):
    x = keras.Input((3,))
    y = BN(name="bn")(x)
    stays(keras.Model(x, [layers.Dense(2)(y), layers.ReLU()(y)]), reasons.GRAPH_BOUNDARY, fold_checked)


@pytest.mark.parametrize("layer", [layers.PReLU(), layers.Lambda(lambda x: x * 2)])
def test_batch_norm_between_walls(layer, fold_checked):
    stays(chain(layer, BN(name="bn"), layers.LayerNormalization()), reasons.UNKNOWN_LAYER, fold_checked)


def test_batch_norm_alone(fold_checked):
    stays(chain(BN(name="bn")), reasons.GRAPH_BOUNDARY, fold_checked)


@pytest.mark.parametrize("layer, reason, half", [
    (layers.MaxPooling2D(), reasons.NEGATIVE_SCALE, "a multiplication"),
    (layers.ZeroPadding2D(), reasons.BORDER_NOT_EXACT, "an addition"),
])
def test_batch_norm_behind_a_pool_or_padding(layer, reason, half, fold_checked):
    model = chain(layers.Conv2D(4, 3), layer, BN(name="bn"), layers.MaxPooling2D(), shape=(None, None, 3))
    assert stays(model, reason, fold_checked).detail.endswith(f"; {half} stays of it")


def test_batch_norm_behind_padding_at_a_known_size(fold_checked):
    """Padding with a number for each channel, which becomes zero."""
    model = chain(layers.Conv2D(4, 3), layers.ZeroPadding2D(), BN(name="bn"), layers.MaxPooling2D())
    assert ops_of(fold_checked(model).model) == ["linear", "pad", "opaque", "pool"]


@pytest.mark.parametrize("layer, adds", [(layers.ZeroPadding2D(), True), (layers.MaxPooling2D(), False)])
def test_what_stays_of_a_batch_norm_is_one_operation(layer, adds, fold_checked):
    model = chain(layers.Conv2D(4, 3), layer, BN(name="bn"), layers.MaxPooling2D(), shape=(None, None, 3))
    norm = fold_checked(model).model.get_layer("bn")
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + np.float32(norm.epsilon))
    assert not norm.trainable and not norm.moving_mean.numpy().any()
    assert np.array_equal(scale, np.ones(4)) == adds
    assert norm.beta.numpy().any() == adds


def test_shift_in_front_of_a_transposed_convolution(fold_checked):
    stays(chain(BN(name="bn"), layers.Conv2DTranspose(4, 3)), reasons.TRANSPOSED, fold_checked)


def test_statistics_that_give_no_numbers():
    norm = BN(name="bn")
    model = chain(layers.Conv2D(4, 3), norm)
    norm.moving_variance.assign([1.0, -1.0, 1.0, 1.0])
    [entry] = tfold.fold(model, verify=False).report.refusals
    assert (entry.reason, entry.nodes) == (reasons.NOT_FINITE, ("bn",))
    assert fold_plan(model).after.batch_norms == 1
    with pytest.raises(tfold.BadInputError, match="NaN or infinity"):
        tfold.fold(model)


def test_only_batch_norms_are_folded(fold_checked):
    model = chain(layers.Dense(4), BN(), layers.Dense(3), shape=(5,))
    result = fold_checked(model, how=tfold.fold_batch_norm)
    assert ops_of(result.model) == ["linear", "linear"]


@pytest.mark.parametrize("call, why", [
    (lambda x: layers.BatchNormalization(axis=1, name="bn")(x), "axis 1, not the last"),
    (lambda x: layers.BatchNormalization(name="bn")(x, training=True), "called with training=True"),
    (lambda x: layers.TimeDistributed(keras.Sequential([
        layers.Lambda(lambda y: y), layers.BatchNormalization()]), name="bn")(x), "inside bn, a TimeDistributed"),
])
def test_a_batch_norm_that_cannot_be_read_is_counted_and_refused(call, why):
    x = keras.Input((8, 8, 3))
    report = fold_plan(keras.Model(x, call(layers.Conv2D(4, 3)(x))))
    assert report.before.batch_norms == report.after.batch_norms == 1
    (entry,) = report.refusals
    assert entry.reason == reasons.UNKNOWN_LAYER and why in entry.detail


def test_a_tensor_given_by_name_is_a_tensor(fold_checked):
    x = keras.Input((8, 8, 3))
    y = layers.ReLU()(inputs=layers.BatchNormalization()(inputs=layers.Conv2D(4, 3)(x)))
    assert fold_checked(keras.Model(x, y)).report.after.batch_norms == 0


def test_depth_and_macs_of_layers_tfold_does_not_know():
    x = keras.Input((8, 4))
    y = layers.PReLU()(layers.Dense(4)(x))
    y = layers.Dense(3)(layers.MultiHeadAttention(2, 4, name="attention")(y, y))
    figures = fold_plan(keras.Model(x, y)).before
    assert figures.depth == 3 and figures.uncounted == ("MultiHeadAttention",)
    assert figures.macs == 8 * 4 * 4 + 8 * 4 * 3
