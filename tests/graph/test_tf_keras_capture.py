"""A tf_keras model is read as its Keras 3 twin is: the same graph, the same walls, the same errors."""
import keras
import numpy as np
import pytest

import tfold
from tfold.graph.build import build
from tfold.graph.capture import capture

tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
L = tf_keras.layers

TWINS = {}


def twin(function):
    TWINS[function.__name__] = function
    return function


@twin
def layers_with_kernels(k):
    x = k.Input((12, 12, 4))
    y = k.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = k.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(y)
    y = k.layers.SeparableConv2D(8, 3, dilation_rate=2, padding="same")(y)
    y = k.layers.Conv2DTranspose(4, 3, 2, "same")(k.layers.Conv2D(8, 1, groups=2)(y))
    return k.Model(x, k.layers.Dense(3, activation="softmax")(k.layers.Flatten()(y)))


@twin
def layers_of_one_axis(k):
    x = k.Input((9, 4))
    y = k.layers.Conv1D(6, 3, padding="causal", activation="elu")(x)
    y = k.layers.DepthwiseConv1D(3, padding="same")(k.layers.ZeroPadding1D(1)(y))
    return k.Model(x, k.layers.GlobalMaxPooling1D()(k.layers.MaxPooling1D()(y)))


@twin
def scale_and_shift(k):
    x = k.Input((6, 6, 3))
    y = k.layers.Rescaling([1.0, 2.0, 3.0], 0.5)(x)
    y = k.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 3.0])(y)
    y = k.layers.BatchNormalization(scale=False, epsilon=1e-2)(y)
    return k.Model(x, [y * 2.0 + 1.0, 1.0 - y, y / 4.0, -y, y + np.ones(3, "float32")])


@twin
def activation_layers(k):
    x = k.Input((6, 3))
    slope = {"alpha": 0.25} if k is tf_keras else {"negative_slope": 0.25}
    kinds = (k.layers.ReLU(6.0), k.layers.ReLU(1.0, 0.25, 0.5), k.layers.LeakyReLU(**slope), k.layers.ELU(0.5),
             k.layers.Softmax(1), *map(k.layers.Activation, ("swish", "gelu", "tanh", "linear", "relu6")))
    return k.Model(x, [kind(x) for kind in kinds])


@twin
def joins_and_shapes(k):
    x, gate = k.Input((6, 4, 3)), k.Input((1, 1, 3))
    y = k.layers.Concatenate()([k.layers.Add()([x, x]), x, k.layers.Multiply()([x, gate])])
    y = k.layers.Cropping2D(((1, 0), (0, 1)))(k.layers.UpSampling2D(2)(k.layers.ZeroPadding2D(1)(y)))
    return k.Model([x, gate], [k.layers.Permute((3, 1, 2))(y), k.layers.Reshape((-1, 9))(y), x + x, x * x, x - x,
                               k.layers.Subtract()([x, x]), k.layers.Dropout(0.5)(y[:, :, :, 1:4])])


@twin
def nested_and_shared(k):
    inner = k.Sequential([k.Input((6,)), k.layers.Dense(6), k.layers.BatchNormalization(), k.layers.ReLU()])
    shared, a, b = k.layers.Dense(6), k.Input((6,)), k.Input((6,))
    outer = k.Model([a, b], k.layers.Add()([inner(a), inner(inner(b))]))
    x, y = k.Input((6,)), k.Input((6,))
    return k.Model({"x": x, "y": y}, {"one": outer([y, shared(x)]), "two": shared(y)})


def described(graph):
    """What does not depend on names, or on which of two calls stands first."""
    found = [(node.op, node.shapes, node.shared, node.intact, node.dtype, node.attrs.get("fn"), _settings(node))
             for node in graph]
    return sorted(found, key=str)


def _settings(node):
    if node.op == "linear":
        m = node.map
        return m.kernel.shape, m.bias is not None, m.strides, m.dilation, m.padding, m.groups, m.transposed
    skipped = ("affine", "map", "why", "is_linear", "batch_norms", "function")
    return sorted((key, str(value)) for key, value in node.attrs.items() if key not in skipped)


@pytest.mark.parametrize("name", TWINS)
def test_the_graph_is_that_of_the_twin(name, randomize):
    model, other = randomize(TWINS[name](tf_keras)), TWINS[name](keras)
    other.set_weights(model.get_weights())
    graph, expected = capture(model), capture(other)
    assert (graph.family, expected.family) == ("tf_keras", "keras")
    assert described(graph) == described(expected)
    for op, key in (("linear", "map"), ("affine", "affine")):
        numbers = [sorted(_numbers(node.attrs[key]) for node in each if node.op == op) for each in (graph, expected)]
        assert numbers[0] == pytest.approx(numbers[1])


def _numbers(found):
    return float(np.sum(found.scale + found.shift)) if hasattr(found, "scale") else float(np.sum(found.kernel))


FUNCTIONS = {
    "tf.concat": (lambda x: tf.concat([x, x], -1), "concat"),
    "tf.pad": (lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=2.5), "pad"),
    "x[..., a:b]": (lambda x: x[..., 1:], "slice"),
    "x[:, :, :, a:b]": (lambda x: x[:, :, :, -1:], "slice"),
    "tf.reshape": (lambda x: tf.reshape(x, (-1, 20, 3)), "reshape"),
    "tf.transpose": (lambda x: tf.transpose(x, (0, 2, 1, 3)), "permute"),
    "tf.add": (lambda x: tf.add(np.float32([1, 2, 3]), x), "affine"),
    "tf.multiply": (lambda x: tf.multiply(x, tf.constant([[[1.0, 2.0, 3.0]]])), "affine"),
    **{f"tf.nn.{name}": (getattr(tf.nn, name), "activation") for name in (
        "relu", "relu6", "leaky_relu", "elu", "selu", "silu", "gelu", "softmax", "sigmoid", "tanh", "softplus")},
    "a map": (lambda x: x + np.ones((4, 5, 3), "float32"), "opaque"),
    "tf.clip_by_value": (lambda x: tf.clip_by_value(x, 0, 6), "opaque"),
    "tf.nn.silu, steeper": (lambda x: tf.nn.silu(x, 2.0), "opaque"),
    "every second channel": (lambda x: x[..., ::2], "opaque"),
    "along the batch": (lambda x: tf.concat([x, x], 0), "opaque"),
    "reflection": (lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "REFLECT"), "opaque"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tensorflow_functions(name):
    function, op = FUNCTIONS[name]
    x = tf_keras.Input((4, 5, 3))
    assert [node.op for node in capture(tf_keras.Model(x, function(x)))] == ["input", op]


def test_a_saved_function_is_read_from_its_names(tmp_path):
    x = tf_keras.Input((4, 5, 3))
    model = tf_keras.Model(x, [2.0 - x, x[..., 1:], tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), tf.concat([x, x], -1)])
    model.save(tmp_path / "model.h5")
    loaded = tf_keras.models.load_model(tmp_path / "model.h5")
    assert described(capture(loaded)) == described(capture(model))


def test_activations_given_as_functions():
    x = tf_keras.Input((5,))
    functions = (tf.nn.relu, tf.nn.leaky_relu, tf_keras.activations.swish, tf_keras.activations.hard_sigmoid)
    outputs = [L.Dense(2, activation=function)(x) for function in functions]
    found = [node.attrs["fn"] for node in capture(tf_keras.Model(x, outputs)) if node.op == "activation"]
    assert sorted(found) == ["custom", "relu", "relu", "silu"]  # hard_sigmoid is another function in Keras 3


@pytest.mark.parametrize("layer, op", [
    (lambda: L.experimental.SyncBatchNormalization(), "affine"),
    (lambda: L.BatchNormalization(renorm=True), "opaque"),
    (lambda: L.BatchNormalization(axis=1), "opaque"),
    (lambda: L.Conv2D(2, 3, data_format="channels_first", activation="softmax"), "opaque"),
    (lambda: L.PReLU(), "opaque"),
    (lambda: L.Lambda(lambda x: x), "opaque"),
    (lambda: L.TimeDistributed(L.Dense(2)), "linear"),
    (lambda: L.TimeDistributed(L.Lambda(lambda x: x)), "opaque"),
    (lambda: L.Dropout(0.5, dtype="float16"), "opaque"),
    (lambda: type("Mine", (L.Dense,), {})(3), "opaque"),
])
def test_what_is_a_wall(layer, op):
    x = tf_keras.Input((6, 6, 3))
    assert [node.op for node in capture(tf_keras.Model(x, layer()(x)))] == ["input", op]


def test_training_true_makes_a_wall_and_false_does_not():
    x = tf_keras.Input((3,))
    for training, op in ((True, "opaque"), (False, "affine")):
        model = tf_keras.Model(x, L.BatchNormalization()(x, training=training))
        assert list(capture(model))[-1].op == op


def test_a_small_epsilon_is_taken_as_it_is():
    x = tf_keras.Input((4, 4, 2))
    model = tf_keras.Model(x, L.BatchNormalization(epsilon=1e-7)(x))
    model.layers[1].moving_variance.assign([1e-5, 1e-4])
    scale = list(capture(model))[1].attrs["affine"].scale
    ones = model(np.ones((1, 4, 4, 2), "float32")).numpy()[0, 0, 0]
    np.testing.assert_allclose(scale, ones, rtol=1e-5)


def test_only_the_calls_of_this_model_are_read():
    layer, x, y = L.Dense(4), tf_keras.Input((4,)), tf_keras.Input((4,))
    tf_keras.Model(x, layer(layer(x)))
    graph = capture(tf_keras.Model(y, layer(y)))
    assert [node.op for node in graph] == ["input", "linear"] and not list(graph)[1].shared


class Subclassed(tf_keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = L.Dense(2)

    def call(self, x):
        return self.dense(x)


def nan_weights():
    model = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.Sequential([L.Dense(2, name="inner")])])
    model.layers[0].layers[0].bias.assign([np.nan, 0.0])
    return model


@pytest.mark.parametrize("model, words", [
    (lambda: Subclassed(), "Received: 'mine', a subclassed model.*tf_keras.Model"),
    (lambda: tf_keras.Sequential([L.Dense(2)], name="loose"), "Received: 'loose', which is not built.*tf_keras.Input"),
    (lambda: tf_keras.Sequential(name="empty"), "Received: 'empty', which is not built"),
    (nan_weights, "Received: NaN or infinity in .*inner/bias"),
    (lambda: L.Dense(2), "Received: tf_keras.*Dense.*tf_keras.Model"),
])
def test_what_cannot_be_read_is_said_in_one_sentence(model, words):
    for function in (capture, tfold.fold):
        with pytest.raises(tfold.BadInputError, match=words):
            function(model())


def test_a_layer_that_cannot_be_copied_is_named():
    class Forgetful(L.Layer):
        def __init__(self, needed, **kwargs):
            super().__init__(**kwargs)

        def get_config(self):
            return {"name": self.name}

    x = tf_keras.Input((4,))
    with pytest.raises(tfold.BadInputError, match=r"Received: 'stubborn' \(Forgetful\), which fails with.*get_config"):
        build(capture(tf_keras.Model(x, Forgetful(1, name="stubborn")(x))))
