"""Small networks of every kind that prefold has to cope with."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

layers = keras.layers


def sequential():
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.DepthwiseConv2D(3, activation="swish", name="depthwise"),
            layers.Activation("tanh", name="act"),
            layers.Flatten(),
            layers.Dense(5, activation=keras.layers.LeakyReLU(negative_slope=0.1), name="hidden"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax", name="predictions"),
        ],
        name="sequential",
    )


def functional():
    x = keras.Input((6,), name="x")
    y = layers.Dense(5, name="a")(x)
    y = layers.ReLU(max_value=6, name="relu6")(y)
    y = layers.Dense(5, activation="elu", name="b")(y)
    z = layers.Dense(5, name="c")(y)
    z = layers.PReLU(name="prelu")(z)
    y = layers.Add(name="add")([y, z])
    y = layers.LeakyReLU(name="leaky")(y)
    y = layers.Dense(4, name="d")(y)
    return keras.Model(x, layers.Activation("sigmoid", name="out")(y), name="functional")


def operations():
    x = keras.Input((6,), name="x")
    y = keras.ops.relu(layers.Dense(5, name="a")(x))
    y = keras.activations.relu(layers.Dense(5, name="b")(y), negative_slope=0.3)
    y = keras.ops.leaky_relu(layers.Dense(5, name="c")(y) + 1.0, negative_slope=0.1)
    y = keras.ops.gelu(layers.Dense(5, name="d")(y))  # the approximation: no stock activation has its values
    y = layers.Lambda(lambda t: t * 2.0, name="double")(y)
    return keras.Model(x, keras.ops.softmax(layers.Dense(3, name="e")(y)), name="operations")


def nested():
    inner = keras.Sequential([layers.Dense(6, activation="gelu", name="first"), layers.ELU(name="elu")], name="inner")
    x = keras.Input((6,), name="x")
    y = inner(layers.Dense(6, name="pre")(x))
    middle = keras.Model(x, layers.Activation("relu", name="last")(y), name="middle")
    image = keras.Input((6,), name="image")
    y = middle(image, training=False)
    return keras.Model(image, layers.Dense(2, name="head")(middle(y)), name="nested")  # called twice


def two_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(5, activation="relu", name="shared")  # called twice
    act = layers.ReLU(name="act")  # called twice
    y = layers.Concatenate(name="join")([act(shared(left)), act(shared(right))])
    outputs = {
        "label": layers.Dense(3, activation="softmax", name="label")(y),
        "score": layers.Dense(1, activation="sigmoid", name="score")(y),
    }
    return keras.Model({"left": left, "right": right}, outputs, name="two_inputs")


def squeeze_excite():
    x = keras.Input((8, 8, 4), name="x")
    y = layers.Conv2D(4, 1, activation="swish", name="expand")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(2, 1, activation="relu", name="reduce")(gate)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
    hard = layers.ReLU(6.0, name="hard")(layers.Conv2D(4, 1, name="gate_2")(y) + 3.0) * (1.0 / 6.0)
    y = layers.Multiply(name="excite")([layers.Multiply(name="scale")([y, gate]), hard])
    return keras.Model(x, layers.Conv2D(2, 1, activation="tanh", name="project")(y), name="squeeze_excite")


MODELS = {make.__name__: make for make in (sequential, functional, operations, nested, two_inputs, squeeze_excite)}


@pytest.fixture(params=list(MODELS))
def model(request):
    keras.utils.set_random_seed(0)
    return MODELS[request.param]()


@pytest.fixture
def make():
    """Makes a network of a kind by its name."""

    def make_model(name):
        keras.utils.set_random_seed(0)
        return MODELS[name]()

    return make_model


@pytest.fixture
def outputs_of():
    """Outputs of a model on the same random input each time, flattened."""

    def outputs(model, batch=3):
        rng = np.random.default_rng(1)

        def values(tensor):
            return rng.normal(size=(batch, *tensor.shape[1:])).astype("float32")

        # A Sequential model that was never called as a layer has no `input`.
        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        inputs = keras.tree.map_structure(values, inputs)
        result = model(inputs, training=False)
        return [keras.ops.convert_to_numpy(value) for value in keras.tree.flatten(result)]

    return outputs


@pytest.fixture
def set_alphas():
    """Sets the α of a model, in order, from the given values, repeated."""
    from tfold.alpha import alpha_layers

    def assign(model, *values):
        for index, layer in enumerate(alpha_layers(model).values()):
            layer.alpha.assign(values[index % len(values)])

    return assign
