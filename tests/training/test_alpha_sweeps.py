"""σ_α in the sweep of the batch norm in front, and by an operation of its own: what α learns is the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfold
from tfold.alpha import AlphaActivation, AlphaPenalty, AlphaSchedule, alpha_layers, alphas, prefold, settle
from tfold.training import restore_batch_norm

layers = keras.layers
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(16, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, 16)


def network(dtype=None):
    """An α behind a batch norm, behind a sum, inside a convolution, and one of swish."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="a", dtype=dtype)(image)
    x = layers.ReLU(name="relu", dtype=dtype)(layers.BatchNormalization(name="bn", dtype=dtype)(x))
    y = layers.Conv2D(4, 3, padding="same", name="b", activation="relu", dtype=dtype)(x)
    y = layers.BatchNormalization(name="bn_2", dtype=dtype)(layers.Conv2D(4, 1, name="c", dtype=dtype)(y))
    x = layers.ReLU(6.0, name="relu6", dtype=dtype)(layers.Add(name="add", dtype=dtype)([x, y]))
    x = layers.BatchNormalization(name="bn_3", dtype=dtype)(layers.DepthwiseConv2D(3, name="d", dtype=dtype)(x))
    x = layers.Activation("swish", name="swish", dtype=dtype)(x)
    x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
    return keras.Model(image, layers.Dense(4, activation="softmax", name="out", dtype="float32")(x))


ALPHAS = {"relu": 0.25, "b_alpha": 0.4, "relu6": 0.6, "swish": 0.5}


def set_alphas(model, values=ALPHAS):
    for name, layer in alpha_layers(model).items():
        layer.alpha.assign(values[name])
    return model


def gradients_of(model):
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            y = keras.losses.sparse_categorical_crossentropy(LABELS, model(IMAGES, training=True))
            loss = tf.reduce_mean(y) + sum(model.losses)
        return loss, tape.gradient(loss, model.trainable_variables)

    graph = step.get_concrete_function().graph
    loss, gradients = step()
    found = {v.path: g.numpy() for v, g in zip(model.trainable_variables, gradients, strict=True)}
    return float(loss), found, [op for op in graph.get_operations() if op.type in ("TfoldNormalize", "TfoldMix")]


@pytest.mark.parametrize("engine", ["none", "compiled"])
def test_gradients_equal_those_of_the_stock_form(engine, request):
    if engine == "compiled":
        request.getfixturevalue("kernels")
    f_alpha = set_alphas(prefold(network(), AlphaPenalty(0.3)))
    restructured = {type(layer).__name__ for layer in f_alpha.layers if hasattr(layer, "_tfold_stock")}
    assert restructured == {"BatchNormalization", "Add"}
    stock = restore_batch_norm(f_alpha)
    assert alphas(stock) == alphas(f_alpha)
    for layer in alpha_layers(stock).values():
        layer.tfold_takes_over = lambda: False
        layer._in_one_sweep = lambda inputs: None  # the plain formula
    (loss, expected, plain), (mine, found, operations) = gradients_of(stock), gradients_of(f_alpha)
    assert not plain
    np.testing.assert_allclose(mine, loss, rtol=1e-6)
    assert set(found) == set(expected)
    for path, gradient in expected.items():  # of biases in front of a batch norm there is nothing but rounding
        np.testing.assert_allclose(found[path], gradient, rtol=1e-4, atol=1e-6, err_msg=path)
    for a, b in zip(stock.non_trainable_variables, f_alpha.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    if engine == "compiled":
        mixes = [op for op in operations if op.type == "TfoldNormalize" and op.get_attr("activation") == b"mix"]
        assert [op.get_attr("M") for op in mixes] == [0, 1]
        assert len([op for op in operations if op.type == "TfoldMix"]) == 1  # that of a convolution with its activation
    else:
        assert not operations


@pytest.mark.parametrize("activation", ["relu", "relu6", layers.ReLU(max_value=2.5)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_alone_it_is_the_plain_formula(activation, alpha, kernels):
    layer = AlphaActivation(activation, alpha_initializer=keras.initializers.Constant(alpha))
    x = tf.constant(8 * RNG.normal(size=(3, 40, 7)), "float32")
    dy = tf.constant(RNG.normal(size=x.shape), "float32")
    found = []
    for training in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * dy)
        found.append([y, *tape.gradient(loss, [x, layer.alpha.value])])
    for name, plain, mine in zip(("y", "dx", "dalpha"), *found, strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-4 if name == "dalpha" else 1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["swish", "elu", layers.LeakyReLU(negative_slope=0.1)], ids=str)
def test_other_activations_are_what_they_were(activation, kernels):
    layer = AlphaActivation(activation, alpha_initializer=keras.initializers.Constant(0.3))
    assert not layer.tfold_takes_over()
    x = tf.constant(RNG.normal(size=(3, 7)), "float32")
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    traced = tf.function(lambda x: layer(x, training=True)).get_concrete_function(x).graph.get_operations()
    assert not [op.type for op in traced if "Tfold" in op.type]


def test_another_rank_and_no_batch_norm(kernels):
    """An α has an operation of its own anywhere; a batch norm of dense layers stays Keras', without a warning."""
    stack = [layers.Dense(5), layers.BatchNormalization(), layers.ReLU(), layers.Dense(2)]
    model = keras.Sequential([layers.Input((6,)), *stack])
    f_alpha = prefold(model)
    assert not [layer for layer in f_alpha.layers if hasattr(layer, "_tfold_stock")]
    x = tf.constant(RNG.normal(size=(8, 6)), "float32")
    np.testing.assert_allclose(f_alpha(x, training=True), model(x, training=True), rtol=1e-5, atol=1e-6)


def fit(model, epochs=2, **options):
    keras.utils.set_random_seed(2)
    return model.fit(IMAGES, LABELS, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **options).history


@pytest.mark.parametrize("dtype, within", [("float32", 1e-4), ("mixed_bfloat16", 3e-2), ("mixed_float16", 5e-3)])
def test_a_schedule_and_what_comes_after(dtype, within, kernels, tmp_path):
    histories, models = [], []
    for change in (restore_batch_norm, lambda model: model):
        f_alpha = change(set_alphas(prefold(network(dtype), AlphaPenalty(0.25), tie=())))
        f_alpha.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
        histories.append(fit(f_alpha, 3, callbacks=[AlphaSchedule(1.0, warmup=1)]))
        models.append(f_alpha)
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=within, atol=within, err_msg=name)
    stock, fast = models
    np.testing.assert_allclose(list(alphas(fast).values()), list(alphas(stock).values()), atol=within)
    if dtype != "float32":
        return
    # A file has the stock form; restructured, it goes on as the model itself would have.
    fast.save(tmp_path / "f_alpha.keras")
    loaded = keras.models.load_model(tmp_path / "f_alpha.keras")
    assert alphas(loaded) == alphas(fast) and type(loaded.get_layer("bn")) is layers.BatchNormalization
    again = tfold.restructure_batch_norm(loaded)
    again.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    fast.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    np.testing.assert_allclose(fit(again)["loss"], fit(fast)["loss"], rtol=1e-4)
    settled = settle(set_alphas(fast, dict.fromkeys(ALPHAS, 0.1)))
    assert all(type(layer) is getattr(layers, type(layer).__name__) for layer in settled.layers)
    assert [layer.name for layer in settled.layers] == [layer.name for layer in network().layers]
    assert settled.get_layer("b").activation is keras.activations.relu


def test_a_tied_alpha_learns_from_both(kernels):
    """One α is one layer, called twice: it cannot be part of two sweeps."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = image
    for name in "ab":
        x = layers.BatchNormalization(name=f"bn_{name}")(layers.Conv2D(4, 3, name=name, use_bias=False)(x))
        x = layers.ReLU(name=f"relu_{name}")(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))
    f_alpha = prefold(model, tie=[["relu_a", "relu_b"]], only=["relu_a", "relu_b"])
    set_alphas(f_alpha, {"relu_a": 0.3})
    stock = restore_batch_norm(f_alpha)
    for layer in alpha_layers(stock).values():
        layer._in_one_sweep = lambda inputs: None
    (_, expected, _), (_, found, operations) = gradients_of(stock), gradients_of(f_alpha)
    assert len([op for op in operations if op.type == "TfoldMix"]) == 2
    np.testing.assert_allclose(found["relu_a/alpha"], expected["relu_a/alpha"], rtol=1e-4)


def test_padding_moves_as_before():
    model = network()
    forward = prefold(model, padding="forward", only=["b"])
    assert type(forward.get_layer("bn"))._tfold_stock is layers.BatchNormalization
    plain = restore_batch_norm(forward)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in forward.layers]
    np.testing.assert_array_equal(plain(IMAGES), forward(IMAGES))
    assert tfold.effective_depth(forward) == tfold.effective_depth(plain)


def test_only_an_alpha_of_the_sweep_is_made_anew():
    """prefold of a restructured model, and a restructured F_α, are the same."""
    both = [prefold(tfold.restructure_batch_norm(network())), tfold.restructure_batch_norm(prefold(network()))]
    assert [type(layer) for layer in both[0].layers] == [type(layer) for layer in both[1].layers]
    assert [layer.get_config() for layer in alpha_layers(both[0]).values()] == [
        layer.get_config() for layer in alpha_layers(both[1]).values()
    ]
