"""One-rule graphs of linear neighbours: what must become of each, numbers at the border included."""
import keras
import pytest
from keras import layers

import tfold
from tfold import reasons
from tfold.graph.capture import capture


def chain(*stack, shape=(9, 8, 4)):
    x = y = keras.Input(shape)
    for layer in stack:
        y = layer(y)
    return keras.Model(x, y)


def copies(stack):
    return [type(layer).from_config(layer.get_config()) for layer in stack]


def maps_of(model):
    return [node.map for node in capture(model) if node.op == "linear"]


def kinds_of(model):
    return [type(operation).__name__ for operation in model.operations][1:]


ONE = {  # chains that become one layer under policy "always": (layers, window, strides)
    "conv, conv": ([layers.Conv2D(4, 3), layers.Conv2D(5, 2)], (4, 4), (1, 1)),
    "conv same, conv valid": ([layers.Conv2D(4, 3, padding="same"), layers.Conv2D(5, 2)], (4, 4), (1, 1)),
    "strided conv, conv": ([layers.Conv2D(4, 3, strides=2), layers.Conv2D(5, 2)], (5, 5), (2, 2)),
    "strided same conv, strided conv": (
        [layers.Conv2D(4, 3, strides=2, padding="same"), layers.Conv2D(5, 2, strides=2)], (5, 5), (4, 4)),
    "conv, 1×1": ([layers.Conv2D(6, 3, padding="same"), layers.Conv2D(5, 1)], (3, 3), (1, 1)),
    "1×1, conv": ([layers.Conv2D(2, 1), layers.Conv2D(5, 3)], (3, 3), (1, 1)),
    "1×1, strided conv": ([layers.Conv2D(2, 1), layers.Conv2D(5, 3, strides=2)], (3, 3), (2, 2)),
    "strided 1×1, conv": ([layers.Conv2D(2, 1, strides=2), layers.Conv2D(5, 3)], (5, 5), (2, 2)),
    "dilated conv, 1×1": ([layers.Conv2D(4, 3, dilation_rate=2, padding="same"), layers.Conv2D(5, 1)], (5, 5), (1, 1)),
    "conv, dilated conv": ([layers.Conv2D(4, 2), layers.Conv2D(5, 2, dilation_rate=2)], (4, 4), (1, 1)),
    "depthwise, 1×1": ([layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(5, 1)], (3, 3), (1, 1)),
    "1×1, depthwise": ([layers.Conv2D(6, 1), layers.DepthwiseConv2D(3)], (3, 3), (1, 1)),
    "depthwise, depthwise": ([layers.DepthwiseConv2D(3), layers.DepthwiseConv2D(2)], (4, 4), (1, 1)),
    "separable": ([layers.SeparableConv2D(5, 3, padding="same")], (3, 3), (1, 1)),
    "grouped, grouped": ([layers.Conv2D(4, 3, groups=2), layers.Conv2D(4, 2, groups=4)], (4, 4), (1, 1)),
    "dense, dense": ([layers.Dense(3), layers.Dense(5)], (), ()),
    "dense, conv": ([layers.Dense(3), layers.Conv2D(5, 3)], (3, 3), (1, 1)),
    "conv, dense": ([layers.Conv2D(3, 3), layers.Dense(5)], (3, 3), (1, 1)),
    "three": ([layers.Conv2D(3, 1), layers.Conv2D(3, 3), layers.Conv2D(5, 1)], (3, 3), (1, 1)),
    "padding layer, conv, 1×1": (
        [layers.ZeroPadding2D(((0, 1), (2, 0))), layers.Conv2D(4, 3), layers.Conv2D(5, 1)], (3, 3), (1, 1)),
    "dropout between": ([layers.Conv2D(4, 1), layers.Dropout(0.5), layers.Conv2D(5, 3)], (3, 3), (1, 1)),
}


@pytest.mark.parametrize("name", ONE)
def test_chains_that_become_one_layer(name, fold_checked):
    stack, window, strides = ONE[name]
    result = fold_checked(chain(*copies(stack)), policy="always")
    [linear] = maps_of(result.model)
    assert (linear.extent, linear.strides) == (window, strides)
    assert not linear.has_bias_map
    assert result.report.after.depth == 1
    assert [entry for entry in result.report.refusals if entry.rule == "merge_linear"] == []


@pytest.mark.parametrize("rank", [1, 3])
def test_chains_in_other_dimensions(rank, fold_checked):
    conv = getattr(layers, f"Conv{rank}D")
    model = chain(conv(3, 1), conv(4, 3, padding="same"), conv(2, 1), shape=(*(5,) * rank, 2))
    assert fold_checked(model, policy="always").report.after.depth == 1


def test_causal_convolutions(fold_checked):
    model = chain(layers.Conv1D(3, 1), layers.Conv1D(4, 3, padding="causal"), layers.Conv1D(2, 1), shape=(9, 2))
    result = fold_checked(model, policy="always")
    assert kinds_of(result.model) == ["ZeroPadding1D", "Conv1D", "Add"]
    assert result.model.layers[1].padding == (2, 0)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_bias_in_front_of_same_padding_becomes_a_border_map(size, strides, fold_checked):
    """SAME padding stands on both sides at stride 1; at stride 2 and an even size behind alone."""
    model = chain(layers.Conv2D(6, 1), layers.Conv2D(3, 3, strides=strides, padding="same"), shape=(size, size, 4))
    result = fold_checked(model, policy="always")
    assert kinds_of(result.model) == ["Conv2D", "Add"]
    assert "with a border map" in str(result.report)
    assert result.report.after.depth == 1
    assert result.model.layers[1].padding == "same"


def test_without_a_bias_same_padding_needs_no_map(fold_checked):
    model = chain(layers.Conv2D(6, 1, use_bias=False), layers.Conv2D(3, 3, padding="same"))
    assert kinds_of(fold_checked(model, policy="always").model) == ["Conv2D"]


def test_a_border_map_travels_on(fold_checked):
    model = chain(layers.Conv2D(6, 1), layers.DepthwiseConv2D(3, padding="same"), layers.Conv2D(4, 1),
                  layers.BatchNormalization(), layers.Dense(2), layers.ReLU())
    result = fold_checked(model, policy="always")
    assert kinds_of(result.model) == ["Conv2D", "Add", "ReLU"]


def test_the_layers_own_activation_stays_behind_a_border_map(fold_checked):
    model = chain(layers.Conv2D(6, 1), layers.Conv2D(3, 3, padding="same", activation="relu"))
    assert kinds_of(fold_checked(model, policy="always").model) == ["Conv2D", "Add", "Activation"]


def inverted_residual(x, expansion=3, strides=1, skip=True, bias=False):
    c = x.shape[-1]
    y = layers.Conv2D(expansion * c, 1, use_bias=bias)(x)
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=bias)(y)
    y = layers.Conv2D(c, 1)(y)
    return layers.Add()([x, y]) if skip else y


@pytest.mark.parametrize("bias", [False, True])
def test_an_inverted_residual_with_its_skip_becomes_one_convolution(bias, fold_checked):
    x = keras.Input((9, 8, 4))
    result = fold_checked(keras.Model(x, inverted_residual(x, bias=bias)), policy="always")
    assert [(m.window, m.padding) for m in maps_of(result.model)] == [((3, 3), ((1, 1), (1, 1)))]
    assert kinds_of(result.model) == ["Conv2D", "Add"] if bias else ["Conv2D"]


def test_two_residuals_in_a_row_stay_two_where_the_border_is_in_the_way(fold_checked):
    x = keras.Input((9, 8, 4))
    result = fold_checked(keras.Model(x, inverted_residual(inverted_residual(x))), policy="always")
    assert result.report.after.depth == 2
    assert {entry.reason for entry in result.report.refusals} == {reasons.BORDER_NOT_EXACT}


def test_residuals_without_padding_become_one(fold_checked):
    x = y = keras.Input((5,))
    for _ in range(3):
        y = layers.Add()([y, layers.Dense(5)(layers.Dense(8)(y))])
    result = fold_checked(keras.Model(x, y), policy="always")
    assert kinds_of(result.model) == ["Dense"]


@pytest.mark.parametrize("branches", [
    lambda x: [layers.Conv2D(4, 3, padding="same")(x), x],
    lambda x: [x, layers.Conv2D(4, 3, padding="same")(x), layers.Conv2D(4, 1)(x)],
    lambda x: [layers.Conv2D(4, 2, padding="same")(x), layers.Conv2D(4, 3, padding="same")(x)],
    lambda x: [layers.Conv2D(3, 3, strides=2, padding="same")(x), layers.Conv2D(3, 1, strides=2)(x)],
    lambda x: [layers.Conv2D(3, (1, 3), padding="same")(x), layers.Conv2D(3, (3, 1), padding="same")(x)],
    lambda x: [layers.DepthwiseConv2D(3, padding="same")(x), x],
    lambda x: [layers.DepthwiseConv2D(3, padding="same")(x), layers.Conv2D(4, 1)(x)],
    lambda x: [layers.Dense(4)(x), layers.Conv2D(4, 3, padding="same")(x)],
    lambda x: [layers.Conv2D(4, 3, dilation_rate=2, padding="same")(x), x],
    lambda x: [layers.Conv2D(4, 3, dilation_rate=2, padding="same")(x), layers.Conv2D(4, 3, padding="same")(x)],
    lambda x: [layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)),
               layers.BatchNormalization()(layers.Conv2D(4, 1)(x))],
])
def test_parallel_branches_become_one(branches, fold_checked):
    x = keras.Input((9, 8, 4))
    result = fold_checked(keras.Model(x, layers.Add()(branches(x))), policy="always")
    assert result.report.after.depth == len(maps_of(result.model)) == 1
    assert not any(isinstance(layer, layers.Add) for layer in result.model.layers)


def test_a_merged_branch_keeps_name_and_settings_of_its_convolution(fold_checked):
    x = keras.Input((9, 8, 4))
    y = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2", trainable=False, name="conv")(x)
    [_, conv] = fold_checked(keras.Model(x, layers.Add(name="add")([x, y]))).model.layers
    assert (conv.name, conv.trainable) == ("conv", False)
    assert isinstance(conv.kernel_regularizer, keras.regularizers.L2)


def test_a_tensor_added_to_itself(fold_checked):
    x = keras.Input((4,))
    y = layers.Dense(4)(x)
    assert kinds_of(fold_checked(keras.Model(x, y + y)).model) == ["Dense"]


def refused(model, reason, fold_checked, policy="always"):
    result = fold_checked(model, policy=policy)
    assert reason in [entry.reason for entry in result.report.refusals if entry.rule == "merge_linear"]
    assert result.report.after.depth == result.report.before.depth
    return result


@pytest.mark.parametrize("second", [
    layers.Conv2D(4, 3, padding="same"),
    layers.Conv2D(4, 2, padding="same"),
    layers.Conv2D(4, 3, strides=2, padding="same"),
    layers.DepthwiseConv2D(3, padding="same"),
])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_window_in_front_of_zero_padding(padding, second, fold_checked):
    [second] = copies([second])
    refused(chain(layers.Conv2D(4, 3, padding=padding), second), reasons.BORDER_NOT_EXACT, fold_checked)


def test_a_padding_layer_between(fold_checked):
    model = chain(layers.Conv2D(4, 3), layers.ZeroPadding2D(1), layers.Conv2D(4, 2))
    refused(model, reasons.BORDER_NOT_EXACT, fold_checked)


def test_an_open_size_and_a_border_map(fold_checked):
    model = chain(layers.Conv2D(4, 1), layers.Conv2D(4, 3, padding="same"), shape=(None, None, 4))
    refused(model, reasons.UNKNOWN_SIZE, fold_checked)


def test_an_open_size_and_a_stride(fold_checked):
    model = chain(layers.Conv2D(4, 1, use_bias=False), layers.Conv2D(4, 3, strides=2, padding="same"),
                  shape=(None, 8, 4))
    refused(model, reasons.UNKNOWN_SIZE, fold_checked)


def test_an_open_size_is_no_obstacle_where_no_padding_is(fold_checked):
    model = chain(layers.Conv2D(4, 1), layers.Conv2D(4, 3), shape=(None, None, 4))
    assert fold_checked(model, policy="always").report.after.depth == 1


def test_transposed(fold_checked):
    refused(chain(layers.Conv2DTranspose(4, 3), layers.Conv2D(4, 2)), reasons.TRANSPOSED, fold_checked)
    refused(chain(layers.Conv2D(4, 1), layers.Conv2DTranspose(4, 3)), reasons.TRANSPOSED, fold_checked)


@pytest.mark.parametrize("stack", [
    [layers.Conv2DTranspose(4, 3, strides=2, padding="same"), layers.Conv2D(2, 1)],
    [layers.Conv2D(3, 1, use_bias=False), layers.Conv2DTranspose(4, 3, strides=2)],
    [layers.Dense(3, use_bias=False), layers.Conv2DTranspose(4, 3), layers.Dense(5)],
])
def test_transposed_convolutions_take_in_pointwise_ones(stack, fold_checked):
    model = fold_checked(chain(*copies(stack)), policy="always").model
    assert kinds_of(model) == ["Conv2DTranspose"]


def test_shared(fold_checked):
    shared = layers.Dense(4)
    model = chain(shared, layers.Dense(3), shape=(4,))
    x = keras.Input((4,))
    model = keras.Model(x, [model(x), layers.ReLU()(shared(x))])
    refused(model, reasons.SHARED_WEIGHTS, fold_checked)


def test_several_consumers(fold_checked):
    x = keras.Input((4,))
    y = layers.Dense(4, name="first")(x)
    result = refused(keras.Model(x, [layers.Dense(3)(y), layers.ReLU()(y)]), reasons.SEVERAL_CONSUMERS, fold_checked)
    assert "first" in result.report.refusals[0].detail


def test_a_tensor_that_is_an_output_stays(fold_checked):
    x = keras.Input((4,))
    y = layers.Dense(4)(x)
    refused(keras.Model(x, [layers.Dense(3)(y), y]), reasons.SEVERAL_CONSUMERS, fold_checked)


def test_a_dilated_window_that_is_shifted_against_the_skip(fold_checked):
    x = keras.Input((9, 3))
    y = layers.Conv1D(3, 2, dilation_rate=3)(layers.ZeroPadding1D((1, 2))(x))
    [linear] = maps_of(fold_checked(keras.Model(x, y + x), policy="always").model)
    assert (linear.window, linear.dilation) == ((4,), (1,))


def test_branches_with_different_strides(fold_checked):
    x = keras.Input((1, 3))
    refused(keras.Model(x, layers.Conv1D(3, 1, strides=2)(x) + layers.Conv1D(3, 1)(x)), reasons.DIFFERENT_SHAPES,
            fold_checked)


@pytest.mark.parametrize("policy", ["latency", "macs"])
def test_what_costs_more_stays(policy, fold_checked):
    """The neck of 64 → 2 → 64: merged, it would be sixteen times the arithmetic."""
    wide = chain(layers.Conv2D(2, 1), layers.Conv2D(64, 1), shape=(32, 32, 64))
    result = refused(wide, reasons.COSTS_MORE, fold_checked, policy)
    assert result.report.after == result.report.before
    assert fold_checked(wide, policy="always").report.after.depth == 1


def test_a_residual_that_costs_more_stays(fold_checked):
    x = keras.Input((64,))
    model = keras.Model(x, layers.Dense(64)(layers.Dense(2)(x)) + x)
    refused(model, reasons.COSTS_MORE, fold_checked, "macs")


def test_the_cheapest_cut_of_a_chain_is_found(fold_checked):
    """Through 8 → 64 → 8 → 64 → 8 it is one layer; through the neck of 64 → 32 → 2 → 32 → 64 it is two."""
    model = chain(*(layers.Dense(n) for n in (64, 8, 64, 8)), shape=(8,))
    assert fold_checked(model, policy="macs").report.after.macs == 64
    model = chain(*(layers.Dense(n) for n in (32, 2, 32, 64)), shape=(64,))
    result = fold_checked(model, policy="macs")
    assert (result.report.after.depth, result.report.after.macs) == (2, 64 * 2 + 2 * 64)


def test_a_dense_layer_on_a_feature_map_costs_at_each_pixel(fold_checked):
    """Merging 8 → 4 → 8 costs 64 instead of 64 a pixel: of equal ones, the fewer layers."""
    model = chain(layers.Dense(4), layers.Conv2D(8, 1), shape=(6, 6, 8))
    result = fold_checked(model, policy="macs")
    assert (result.report.before.macs, result.report.after.macs, result.report.after.depth) == (36 * 64, 36 * 64, 1)


@pytest.mark.parametrize("policy", ["latency", "macs"])
def test_macs_never_grow_under_macs(policy, fold_checked):
    x = keras.Input((16, 16, 8))
    y = inverted_residual(inverted_residual(x, 6), 2)
    result = fold_checked(keras.Model(x, layers.Conv2D(4, 1)(y)), policy=policy)
    if policy == "macs":
        assert result.report.after.macs <= result.report.before.macs
    assert result.report.after.depth < result.report.before.depth


def test_activations_keep_layers_apart(fold_checked):
    model = chain(layers.Dense(4, activation="relu"), layers.Dense(3), layers.ELU(), layers.Dense(2), shape=(5,))
    result = fold_checked(model, policy="always")
    assert result.report.after.depth == 3
    assert result.report.folded == []


def test_a_batch_norm_between_is_a_linear_layer_too(fold_checked):
    model = chain(layers.Dense(4), layers.BatchNormalization(), layers.Dense(3), layers.Dense(2), shape=(5,))
    result = fold_checked(model, how=tfold.merge_linear, policy="always")
    assert kinds_of(result.model) == ["Dense"]


def test_merged_layers_keep_settings_and_names_of_theirs(fold_checked):
    model = chain(layers.Dense(6, name="a"), layers.Dense(3, name="b", kernel_regularizer="l2", activation="relu"),
                  shape=(5,))
    [_, merged] = fold_checked(model, policy="always").model.layers
    assert "a" in merged.name and "b" in merged.name
    assert merged.activation is keras.activations.relu
    assert isinstance(merged.kernel_regularizer, keras.regularizers.L2)
