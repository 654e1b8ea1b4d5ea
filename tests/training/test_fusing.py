"""What shares a sweep: seen in the graph of a training step, without what nobody reads."""

import collections

import keras
import pytest
import tensorflow as tf

import tfold
from tfold.alpha import AlphaActivation

layers = keras.layers


@pytest.fixture(autouse=True)
def compiled_operations(kernels):
    pass


def image(*shape):
    return keras.Input(shape or (6, 6, 4))


def bn(x, **options):
    return layers.BatchNormalization(**options)(x)


def graph_of(model, training=True):
    """The operations of a training step that something depends on."""

    @tf.function
    def step(*x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = tf.nest.flatten(model(list(x) if len(x) > 1 else x[0], training=training))
            # No constant as upstream gradient: TensorFlow would know it beforehand.
            loss = sum(tf.reduce_sum(tf.sin(y)) for y in outputs)
        return loss, tape.gradient(loss, [x, model.trainable_variables])

    specs = [tf.TensorSpec((2, *(n or 6 for n in tensor.shape[1:])), "float32") for tensor in model.inputs]
    graph = step.get_concrete_function(*specs).graph
    needed, todo = set(), [t.op for t in graph.outputs] + [op for op in graph.get_operations() if op.op_def.is_stateful]
    while todo:
        op = todo.pop()
        if op not in needed:
            needed.add(op)
            todo += [t.op for t in op.inputs] + list(op.control_inputs)
    return needed


def sweeps(operations):
    """(activation, parts, residuals) of each normalization, sorted."""
    return sorted(
        (op.get_attr("activation").decode(), op.get_attr("N"), op.get_attr("M"))
        for op in operations
        if op.type == "TfoldNormalize"
    )


def count(operations, *kinds):
    found = collections.Counter(op.type for op in operations)
    return sum(found[kind] for kind in kinds)


ACTIVATING = ("Relu", "Relu6", "LeakyRelu", "Maximum", "Minimum", "ClipByValue", "TfoldMix", "Sigmoid")


def fast(inputs, outputs, **options):
    return tfold.restructure_batch_norm(keras.Model(inputs, outputs), **options)


CLIPPING = {
    "ReLU": (lambda: layers.ReLU(), 0.0, float("inf")),
    "ReLU6": (lambda: layers.ReLU(6.0), 0.0, 6.0),
    "ReLU to 2.5": (lambda: layers.ReLU(max_value=2.5), 0.0, 2.5),
    "leaky ReLU layer": (lambda: layers.ReLU(negative_slope=0.1), 0.1, float("inf")),
    "LeakyReLU": (lambda: layers.LeakyReLU(negative_slope=0.2), 0.2, float("inf")),
    "LeakyReLU without slope": (lambda: layers.LeakyReLU(negative_slope=0.0), 0.0, float("inf")),
    "relu": (lambda: layers.Activation("relu"), 0.0, float("inf")),
    "relu6": (lambda: layers.Activation("relu6"), 0.0, 6.0),
    "leaky_relu": (lambda: layers.Activation("leaky_relu"), 0.2, float("inf")),
    "ops.relu": (lambda: layers.Activation(keras.ops.relu), 0.0, float("inf")),
    "a layer in Activation": (lambda: layers.Activation(layers.ReLU(6.0)), 0.0, 6.0),
    "alpha of relu": (lambda: AlphaActivation("relu"), None, float("inf")),
    "alpha of a ReLU6 layer": (lambda: AlphaActivation(layers.ReLU(6.0)), None, 6.0),
}


@pytest.mark.parametrize("kind", CLIPPING)
@pytest.mark.parametrize("with_sum", [False, True])
def test_activations_that_clip_are_taken_along(kind, with_sum):
    make, slope, limit = CLIPPING[kind]
    x, r = image(), image()
    y = layers.Add()([r, bn(x)]) if with_sum else bn(x)
    operations = graph_of(fast([x, r] if with_sum else x, make()(y)))
    assert sweeps(operations) == [("clip" if slope == 0.0 else "mix", 1, int(with_sum))]
    assert count(operations, *ACTIVATING, "AddN") == 0
    (op,) = (op for op in operations if op.type == "TfoldNormalize")
    assert op.get_attr("limit") == limit
    assert count(operations, "TfoldNormalizeGrad") == count(operations, "TfoldMoments") == 1
    added = [op for op in operations if op.type.startswith("Add") and len(op.outputs[0].shape) == 4]
    assert not added
    if slope is not None:
        assert tf.get_static_value(op.inputs[-1]) == pytest.approx(slope)


@keras.saving.register_keras_serializable(package="test")
class OwnReLU(layers.ReLU):
    """A user's class, which may do anything."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.ReLU(threshold=0.5),
        lambda: layers.ReLU(6.0, negative_slope=0.1),
        lambda: layers.Activation("swish"),
        lambda: layers.ELU(),
        lambda: layers.PReLU(),
        lambda: OwnReLU(),
        lambda: layers.Activation("linear"),
        lambda: AlphaActivation("swish"),
        lambda: AlphaActivation(layers.ReLU(negative_slope=0.1)),
        lambda: AlphaActivation(OwnReLU()),
        lambda: layers.Dropout(0.5),
    ],
)
def test_other_layers_are_not(make):
    x = image()
    assert sweeps(graph_of(fast(x, make()(bn(x))))) == [("none", 1, 0)]


def test_a_sum_alone_is_taken_along():
    x, r = image(), image()
    operations = graph_of(fast([x, r], layers.Conv2D(2, 1, use_bias=False)(layers.Add()([bn(x), r]))))
    assert sweeps(operations) == [("none", 1, 1)]
    # Two batch norms: one of them makes the sum.
    operations = graph_of(fast([x, r], layers.ReLU()(layers.Add()([bn(x), bn(r)]))))
    assert sweeps(operations) == [("clip", 1, 1), ("none", 1, 0)]
    assert count(operations, *ACTIVATING) == 0


def second_reader_of_the_batch_norm(x):
    y = bn(x)
    return layers.Multiply()([layers.ReLU()(y), y])


def batch_norm_is_an_output(x):
    y = bn(x)
    return [y, layers.ReLU()(y)]


def shared_batch_norm(x):
    shared = layers.BatchNormalization()
    return layers.Multiply()([layers.ReLU()(shared(x)), layers.Activation("relu6")(shared(2 * x))])


def shared_activation(x):
    shared = layers.ReLU()
    return layers.Multiply()([shared(bn(x)), shared(bn(2 * x))])


def sum_of_three(x):
    return layers.ReLU()(layers.Add()([bn(x), x, 2 * x]))


def sum_that_broadcasts(x):
    return layers.ReLU()(layers.Add()([bn(x), layers.GlobalAveragePooling2D(keepdims=True)(x)]))


def sum_with_itself(x):
    y = bn(x)
    return layers.ReLU()(layers.Add()([y, y]))


def operation_in_between(x):
    return layers.ReLU()(bn(x) * 2.0)


def another_precision(x):
    return layers.ReLU(dtype="mixed_bfloat16")(bn(x))


@pytest.mark.parametrize(
    "outputs",
    [second_reader_of_the_batch_norm, batch_norm_is_an_output, shared_batch_norm, shared_activation, sum_of_three,
     sum_that_broadcasts, sum_with_itself, operation_in_between, another_precision],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_what_is_left_alone(outputs, relative_difference):
    x = image()
    stock = keras.Model(x, outputs(x))
    operations = graph_of(tfold.restructure_batch_norm(stock))
    assert {kind for kind, _, _ in sweeps(operations)} == {"none"}
    assert not any(residuals for _, _, residuals in sweeps(operations))
    assert count(operations, *ACTIVATING) > 0


def test_a_sum_with_a_second_reader_is_taken_along_but_not_what_is_behind():
    x, r = image(), image()
    total = layers.Add()([bn(x), r])
    operations = graph_of(fast([x, r], layers.Multiply()([layers.ReLU()(total), total])))
    assert sweeps(operations) == [("none", 1, 1)] and count(operations, "Relu") == 1


def test_only_one_activation_is_taken_along():
    x = image()
    operations = graph_of(fast(x, layers.ReLU(6.0)(layers.LeakyReLU()(bn(x)))))
    assert sweeps(operations) == [("mix", 1, 0)] and count(operations, "Relu6") == 1


def test_concatenations_that_only_batch_norms_read_are_not_made():
    x, y, z = image(), image(6, 6, 2), image(6, 6, 3)
    inner = layers.Concatenate()([x, y])
    outer = layers.Concatenate(axis=3)([inner, z])
    outputs = [layers.ReLU()(bn(inner)), layers.ReLU(6.0)(bn(outer)), bn(outer)]
    operations = graph_of(fast([x, y, z], outputs))
    assert sweeps(operations) == [("clip", 2, 0), ("clip", 3, 0), ("none", 3, 0)]
    made = [op for op in operations if op.type == "ConcatV2" and len(op.outputs[0].shape) == 4]
    assert not made and count(operations, "Slice", "SplitV") == 0
    assert count(operations, "TfoldMoments") == 3  # each part's once, however many read it


@pytest.mark.parametrize("reader", ["convolution", "output", "frozen"])
def test_concatenations_that_something_else_reads_are_made(reader):
    x, y = image(), image()
    both = layers.Concatenate()([x, y])
    outputs = [layers.ReLU()(bn(both, trainable=reader != "frozen"))]
    outputs += [layers.Conv2D(2, 1)(both)] if reader == "convolution" else [both] if reader == "output" else []
    operations = graph_of(fast([x, y], outputs))
    assert [op.outputs[0].shape[-1] for op in operations if op.type == "ConcatV2" and op.outputs[0].shape.rank == 4]
    assert len(sweeps(operations)) == (reader != "frozen")


@pytest.mark.parametrize("axis, shape", [(1, (12, 6, 4)), (2, (6, 12, 4))])
def test_concatenations_along_another_axis_are_made(axis, shape):
    x, y = image(), image()
    operations = graph_of(fast([x, y], layers.ReLU()(bn(layers.Concatenate(axis=axis)([x, y])))))
    assert sweeps(operations) == [("clip", 1, 0)]
    assert [op for op in operations if op.type == "ConcatV2" and tuple(op.outputs[0].shape[1:]) == shape]


def test_across_the_borders_of_nested_models():
    x = image()
    inner = keras.Model(x, bn(layers.Conv2D(4, 1, use_bias=False)(x)), name="inner")
    outer = keras.Sequential([image(), inner, layers.ReLU(), layers.BatchNormalization(), layers.ReLU(6.0)])
    assert sweeps(graph_of(tfold.restructure_batch_norm(outer))) == [("clip", 1, 0)] * 2
    # The inner model by itself has a batch norm without anything behind it.
    twice = keras.Model(x, layers.Multiply()([layers.ReLU()(inner(x)), inner(2 * x)]))
    assert sweeps(graph_of(tfold.restructure_batch_norm(twice))) == [("none", 1, 0)] * 2


def test_without_compiled_operations_tensorflows_fused_one():
    x, r = image(), image()
    stock = keras.Model([x, r], layers.ReLU()(layers.Add()([bn(x), r])))
    operations = graph_of(tfold.restructure_batch_norm(stock, kernels="python"))
    assert count(operations, "FusedBatchNormV3") == count(operations, "FusedBatchNormGradV3") == 1
    assert not [op for op in operations if op.type.startswith("Tfold")]
    assert count(operations, "SquaredDifference") == 0 < count(graph_of(stock), "SquaredDifference")


CONVOLUTIONS = {
    "Conv2D": ("Conv2D", lambda **options: layers.Conv2D(3, 3, **options)),
    "depthwise": ("DepthwiseConv2dNative", lambda **options: layers.DepthwiseConv2D(3, **options)),
    "separable": ("DepthwiseConv2dNative", lambda **options: layers.SeparableConv2D(3, 3, **options)),
    "transposed": ("Conv2DBackpropInput", lambda **options: layers.Conv2DTranspose(3, 2, strides=2, **options)),
}


def image_input_of(operations, kind):
    """The op that makes what the first convolution reads."""
    (op, *_) = sorted((op for op in operations if op.type == kind), key=lambda op: op.graph.get_operations().index(op))
    return next(t.op for t in op.inputs if t.op.type in ("TfoldNormalize", "FusedBatchNormV3", "Relu"))


@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_low_memory_drops_what_a_convolution_reads(kind, engine):
    operation, make = CONVOLUTIONS[kind]
    x, r = image(), image()
    stock = keras.Model([x, r], make()(layers.ReLU()(layers.Add()([bn(x), r]) if engine == "compiled" else bn(x))))
    for memory, kept in (("normal", True), ("low", False)):
        operations = graph_of(tfold.restructure_batch_norm(stock, memory=memory, kernels=engine))
        z = image_input_of(operations, operation)
        assert z.type == ("TfoldNormalize" if engine == "compiled" else "Relu")
        readers = {op for op in operations if any(t is z.outputs[0] for t in op.inputs)}
        assert (len(readers) > 1) == kept, readers
        again = [op for op in operations if op.type == z.type and op is not z]
        assert bool(again) == (not kept)
        if again:
            # Not before the gradient is there: else it might be made at once, and be kept.
            sources = {t.op for t in again[0].inputs} | {t.op for u in again[0].inputs for t in u.op.inputs}
            assert any(op.type == "Identity" and op.control_inputs for op in sources)


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"activity_regularizer": "l2"}])
def test_low_memory_leaves_some_convolutions_alone(options):
    x = image()
    operations = graph_of(fast(x, layers.Conv2D(3, 3, **options)(layers.ReLU()(bn(x))), memory="low"))
    assert sweeps(operations) == [("clip", 1, 0)]


def test_low_memory_keeps_what_two_read():
    x = image()
    y = layers.ReLU()(bn(x))
    operations = graph_of(fast(x, [layers.Conv2D(3, 3)(y), layers.Conv2D(3, 1)(y)], memory="low"))
    assert sweeps(operations) == [("clip", 1, 0)]


def test_low_memory_behind_a_batch_norm_or_a_sum_alone():
    x, r = image(), image()
    outputs = [layers.Conv2D(3, 3)(bn(x)), layers.DepthwiseConv2D(3)(layers.Add()([bn(x), r]))]
    operations = graph_of(fast([x, r], outputs, memory="low"))
    assert sweeps(operations) == [("none", 1, 0)] * 2 + [("none", 1, 1)] * 2


@pytest.mark.parametrize("memory", ["normal", "low"])
def test_inference_has_none_of_it(memory):
    x, r = image(), image()
    y = AlphaActivation("relu")(layers.Conv2D(4, 1)(layers.ReLU()(layers.Add()([bn(x), r]))))
    model = fast([x, r], layers.Conv2D(2, 1)(layers.ReLU()(bn(layers.Concatenate()([y, x])))), memory=memory)
    assert len(sweeps(graph_of(model))) >= 2
    for training in (False, None):
        operations = graph_of(model, training)
        assert not [op.type for op in operations if "Tfold" in op.type or "FusedBatchNorm" in op.type]


def test_a_second_derivative_is_refused():
    x = image()
    model = fast(x, layers.ReLU()(bn(x)))
    data = tf.random.normal((2, 6, 6, 4))
    with tf.GradientTape() as outer:
        outer.watch(data)
        with tf.GradientTape() as tape:
            tape.watch(data)
            y = tf.reduce_sum(model(data, training=True) ** 2)
        gradient = tape.gradient(y, data)
    with pytest.raises(NotImplementedError, match=r"first derivatives only\. Received: .*restore_batch_norm\(model\)"):
        outer.gradient(gradient, data)


def test_tensors_that_live_longer_than_a_graph():
    """What is known of a tensor in one graph must not be taken into another."""
    x = image()
    model = fast(x, layers.ReLU()(bn(x)))
    data = tf.random.normal((2, 6, 6, 4))
    first = tf.function(lambda: model(data, training=True))()
    again = tf.function(lambda: model(data, training=True))()
    tf.debugging.assert_near(first, again)

    @tf.function
    def either(x, flag):
        return tf.cond(flag, lambda: model(x, training=True), lambda: -model(x, training=True))

    tf.debugging.assert_near(either(data, tf.constant(False)), -first)


def test_sums_of_unknown_size_may_broadcast():
    x, r = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    stock = keras.Model([x, r], layers.ReLU()(layers.Add()([bn(x), r])))
    model = tfold.restructure_batch_norm(stock)
    data = [tf.random.normal((2, 4, 4, 3)), tf.random.normal((2, 1, 1, 3))]
    unknown = tf.TensorSpec((None, None, None, 3))
    step = tf.function(lambda x, r: model([x, r], training=True), input_signature=[unknown, unknown])
    tf.debugging.assert_near(step(*data), stock(data, training=True), 1e-5, 1e-5)
