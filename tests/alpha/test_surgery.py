import keras
import numpy as np
import pytest

from tfold.alpha import AlphaActivation, AlphaPenalty, alpha_layers, alphas, prefold
from tfold.errors import BadInputError
from tfold.graph.calls import read_calls

layers = keras.layers

EXPECTED = {
    "sequential": ["conv_alpha", "depthwise_alpha", "act", "hidden_alpha"],
    "functional": ["relu6", "b_alpha", "leaky"],
    "operations": 3,  # Keras numbers the operations' names
    "nested": ["middle/inner/first_alpha", "middle/inner/elu", "middle/last"],
    "two_inputs": ["shared_alpha", "act", "act_1"],
    "squeeze_excite": ["expand_alpha", "reduce_alpha"],
}


def test_computes_the_same_and_leaves_the_callers_model_alone(model, outputs_of):
    before, calls = outputs_of(model), [call.path for call in read_calls(model).calls]
    weights = [np.array(weight) for weight in model.get_weights()]
    f_alpha = prefold(model)
    for old, new in zip(before, outputs_of(f_alpha), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [call.path for call in read_calls(model).calls] == calls
    for layer in alpha_layers(f_alpha).values():
        layer.alpha.assign(0.5)
    assert max(np.abs(old - new).max() for old, new in zip(before, outputs_of(f_alpha), strict=True)) > 1e-4
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert f_alpha.name == model.name and isinstance(f_alpha, type(model)) and not f_alpha.compiled


def test_what_is_replaced(model):
    names = list(alphas(prefold(model)))
    expected = EXPECTED[model.name]
    assert (len(names) if isinstance(expected, int) else names) == expected


def test_layer_names_survive(model):
    def names(network):
        return [layer.name for layer in network.layers]

    f_alpha = prefold(model)
    added = {name.split("/")[-1] for name in alphas(f_alpha)} - set(names(model))
    assert set(names(f_alpha)) - added == set(names(model))


def test_mobilenet_v2(outputs_of):
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35)
    f_alpha = prefold(model)
    np.testing.assert_array_equal(outputs_of(model, 2)[0], outputs_of(f_alpha, 2)[0])
    assert len(alphas(f_alpha)) == 35 and list(alphas(f_alpha))[0] == "Conv1_relu"


def test_nested_backbone_is_not_the_end_of_the_network():
    x = keras.Input((4,))
    backbone = keras.Model(x, layers.ReLU(name="relu")(layers.Dense(4)(x)), name="backbone")
    with pytest.raises(BadInputError, match="'relu' is the network's last activation"):
        prefold(backbone)
    assert list(alphas(prefold(keras.Sequential([x, backbone, layers.Dense(2)])))) == ["backbone/relu"]


def test_the_last_activation_is_found_behind_reshaping_and_for_each_output():
    x = keras.Input((4, 4, 1))
    y = layers.Conv2D(4, 3, activation="relu", name="features")(x)
    z = layers.Dense(4, activation="relu", name="hidden")(layers.Flatten()(y))
    end = layers.Dropout(0.1)(layers.Activation("sigmoid", name="end")(layers.Dense(4)(z)))
    assert list(alphas(prefold(keras.Model(x, layers.Reshape((2, 2))(end))))) == ["features_alpha", "hidden_alpha"]
    # `features` is an output too now: what the network returns must stay what it is.
    assert list(alphas(prefold(keras.Model(x, [end, y])))) == ["hidden_alpha"]


def test_softmax_and_linear_are_left_alone():
    model = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(4, activation="softmax", name="attention"),
            layers.Dense(4, activation="relu", name="a"),
            layers.Activation("linear", name="nothing"),
            layers.Activation("log_softmax", name="s"),
            layers.Dense(4, name="b"),
        ]
    )
    assert list(alphas(prefold(model))) == ["a_alpha"]


def test_other_layers_are_left_alone():
    x = keras.Input((5, 4))
    y = layers.LSTM(4, return_sequences=True)(x)
    y = layers.MultiHeadAttention(2, 2)(y, y)
    y = layers.TimeDistributed(layers.Dense(3, activation="relu"))(y)
    y = layers.Dense(3, activation=keras.layers.PReLU(), name="prelu")(y)
    model = keras.Model(x, layers.Dense(2)(layers.Activation("relu", name="act")(layers.Dense(3)(y))))
    assert list(alphas(prefold(model))) == ["act"]


@keras.saving.register_keras_serializable(package="test")
class Clipped(layers.ReLU):
    """A user's activation layer."""

    def call(self, inputs):
        return keras.ops.minimum(super().call(inputs), 2.0)


@keras.saving.register_keras_serializable(package="test")
class OddDense(layers.Dense):
    """A user's layer whose activation is not at its end."""

    def call(self, inputs, training=None):
        return self.activation(inputs) + super().call(inputs)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_users_classes(outputs_of):
    model = keras.Sequential(
        [
            layers.Input((4,)),
            OddDense(4, activation="relu", name="odd"),
            Clipped(name="clipped"),
            layers.Dense(4, activation=lambda x: keras.ops.maximum(x, -0.5), name="own"),
            layers.Dense(2),
        ]
    )
    f_alpha = prefold(model)
    assert list(alphas(f_alpha)) == ["clipped", "own_alpha"]
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(f_alpha)[0])


def test_adapted_normalization_and_batch_statistics(outputs_of):
    normalization = layers.Normalization(name="norm")
    normalization.adapt(np.random.default_rng(0).normal(3.0, 5.0, (64, 4)))
    model = keras.Sequential(
        [
            keras.Input((4,)),
            normalization,
            layers.Dense(4, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    bn = model.layers[2]
    bn.set_weights([weight + 0.5 for weight in bn.get_weights()])
    np.testing.assert_array_equal(outputs_of(model)[0], outputs_of(prefold(model))[0])


def test_trainable_flags(make):
    model = make("functional")
    model.get_layer("b").trainable = False
    model.get_layer("leaky").trainable = False
    f_alpha = prefold(model)
    frozen = {layer.name for layer in f_alpha.layers if not layer.trainable}
    assert frozen == {"b", "b_alpha", "leaky"}
    model.trainable = False
    assert prefold(model).trainable_variables == []


def test_a_compiled_model_with_its_own_loss(make):
    model = make("functional")
    model.compile("sgd", loss=lambda y, prediction: keras.ops.mean(y - prediction))
    assert not prefold(model).compiled


def test_activity_regularizer_stays_behind_the_activation(make):
    x = keras.Input((3,))
    y = layers.Dense(3, activation="relu", activity_regularizer="l1", name="a")(x)
    model = keras.Model(x, layers.Dense(1)(layers.Activation("tanh", activity_regularizer="l2", name="b")(y)))
    data = np.random.default_rng(0).normal(size=(4, 3))
    losses = []
    for network in (model, prefold(model, AlphaPenalty(0.0))):
        network.compile("sgd", "mse")
        losses.append(network.evaluate(data, np.zeros(4), verbose=0))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_mixed_precision_of_layers_and_operations():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x = keras.Input((4,))
        y = keras.ops.relu(layers.Dense(4, activation="relu", name="a")(x))
        model = keras.Model(x, layers.Dense(2, dtype="float32")(y))
    finally:
        keras.config.set_dtype_policy("float32")
    f_alpha = prefold(model)
    found = alpha_layers(f_alpha).values()
    assert [layer.dtype_policy.name for layer in found] == ["mixed_float16"] * 2
    np.testing.assert_array_equal(model.predict(np.eye(4), verbose=0), f_alpha.predict(np.eye(4), verbose=0))


def test_twice_is_once(make, outputs_of, set_alphas):
    f_alpha = prefold(make("functional"), AlphaPenalty(0.7), skip="leaky")
    set_alphas(f_alpha, 0.3, 0.6)
    again = prefold(f_alpha)
    assert alphas(again) == pytest.approx({"relu6": 0.3, "b_alpha": 0.6, "leaky": 0.0})
    assert [layer.alpha_regularizer.strength for layer in alpha_layers(again).values()] == [0.7, 0.7, 0.25]
    np.testing.assert_array_equal(outputs_of(f_alpha)[0], outputs_of(again)[0])


def test_new_names_are_unique():
    x = keras.Input((4,), name="a_alpha")
    model = keras.Model(x, layers.Dense(1)(layers.Dense(4, activation="relu", name="a")(x)))
    assert list(alphas(prefold(model))) == ["a_alpha_1"]


def test_penalty_and_costs(make):
    f_alpha = prefold(make("nested"), AlphaPenalty(0.1, p=3), costs={"middle/inner/elu": 2, "first": 0.5})
    costs = {name: layer.alpha_regularizer.cost for name, layer in alpha_layers(f_alpha).items()}
    assert costs == {"middle/inner/first_alpha": 0.5, "middle/inner/elu": 2.0, "middle/last": 1.0}
    assert {layer.alpha_regularizer.p for layer in alpha_layers(f_alpha).values()} == {3.0}


def test_alphas_in_a_subclassed_model():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.act = AlphaActivation("relu", name="act")

        def call(self, x):
            return self.act(x)

    model = Own()
    with pytest.raises(BadInputError, match="not built"):
        alphas(model)
    model(np.ones((1, 2)))
    assert alphas(model) == {"act": 0.0}


def test_batch_norms_are_restructured_where_there_are_some(model):
    f_alpha = prefold(model)
    kinds = {type(call.op) for call in read_calls(f_alpha).calls}
    restructured = {kind.__name__ for kind in kinds if hasattr(kind, "_tfold_stock")}
    assert restructured == ({"BatchNormalization"} if model.name == "sequential" else set())
    assert not any(hasattr(type(call.op), "_tfold_stock") for call in read_calls(model).calls)


def test_of_a_restructured_model(make, outputs_of):
    from tfold.training import restructure_batch_norm

    model = make("sequential")
    f_alpha, expected = prefold(restructure_batch_norm(model, memory="low")), prefold(model)
    assert [type(layer) for layer in f_alpha.layers] == [type(layer) for layer in expected.layers]
    assert alphas(f_alpha) == alphas(expected)
    np.testing.assert_array_equal(outputs_of(f_alpha)[0], outputs_of(model)[0])
