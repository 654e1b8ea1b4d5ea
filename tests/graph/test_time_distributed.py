"""TimeDistributed: what stands inside and beside it folds, and no loop over the steps is left."""
import keras
import numpy as np
import pytest

import tfold
from tfold.folding import fold_plan
from tfold.graph.family import family_named


def frame(L, K, pool="GlobalAveragePooling2D"):
    x = K.Input((8, 8, 3))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(x)))
    z = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(y))
    y = L.MaxPooling2D()(L.Add()([y, L.Activation("relu")(z)]))
    return K.Model(x, getattr(L, pool)()(y) if pool else y, name="frame")


def chain(*layers):
    def run(x):
        for layer in layers:
            x = layer(x)
        return x

    return run


# Name → (shape of the input, function from layers and module to the network, batch norms that stay).
NETWORKS = {
    "dense": ((5, 6), lambda L, K: chain(
        L.TimeDistributed(L.Dense(4)), L.BatchNormalization(), L.TimeDistributed(L.Activation("relu")),
        L.TimeDistributed(L.Dense(4, use_bias=False)), L.TimeDistributed(L.BatchNormalization()), L.LSTM(3)), 0),
    "convolutions": ((5, 8, 8, 3), lambda L, K: chain(
        L.TimeDistributed(L.Conv2D(4, 3, activation="relu")), L.TimeDistributed(L.BatchNormalization()),
        L.TimeDistributed(L.Conv2D(4, 3, strides=2, padding="same")), L.BatchNormalization(), L.ReLU(),
        L.TimeDistributed(L.AveragePooling2D(2)), L.TimeDistributed(L.Flatten()), L.Bidirectional(L.GRU(3))), 0),
    "model": ((3, 8, 8, 3), lambda L, K: chain(L.TimeDistributed(frame(L, K)), L.BatchNormalization(), L.Dense(3)), 0),
    "model that ends in maps": ((3, 8, 8, 3), lambda L, K: chain(
        L.TimeDistributed(frame(L, K, None)), L.TimeDistributed(L.BatchNormalization()),
        L.TimeDistributed(L.Conv2D(2, 1)), L.Flatten()), 0),
    "sequential in sequential": ((3, 8, 8, 3), lambda L, K: chain(L.TimeDistributed(K.Sequential([
        K.Sequential([K.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization(axis=3)]), L.ReLU(),
        L.Conv2D(4, 2), L.Dropout(0.1), L.BatchNormalization(), L.Flatten(), L.Dense(3)])), L.LSTM(2)), 0),
    "nested": ((2, 3, 8, 8, 3), lambda L, K: chain(
        L.TimeDistributed(L.TimeDistributed(frame(L, K))), L.BatchNormalization(), L.Dense(3)), 2),
    "two axes of steps": ((2, 3, 6), lambda L, K: chain(
        L.TimeDistributed(L.TimeDistributed(L.Dense(4))), L.TimeDistributed(L.TimeDistributed(L.BatchNormalization())),
        L.Dense(2)), 0),
    "one dimension": ((3, 9, 4), lambda L, K: chain(
        L.TimeDistributed(L.Conv1D(4, 3, padding="same")), L.TimeDistributed(L.BatchNormalization()), L.ReLU(),
        L.TimeDistributed(L.SeparableConv1D(4, 3)), L.BatchNormalization(), L.TimeDistributed(L.MaxPooling1D(2)),
        L.TimeDistributed(L.GlobalAveragePooling1D())), 0),
    "up and down": ((3, 6, 6, 2), lambda L, K: chain(
        L.TimeDistributed(L.ZeroPadding2D(1)), L.TimeDistributed(L.Conv2DTranspose(3, 3, strides=2)),
        L.TimeDistributed(L.BatchNormalization()), L.TimeDistributed(L.UpSampling2D(2)),
        L.TimeDistributed(L.Cropping2D(1)), L.TimeDistributed(L.Conv2D(2, 3))), 0),
    "what is not read": ((3, 6, 4), lambda L, K: chain(
        L.TimeDistributed(L.Dense(4)), L.TimeDistributed(L.LayerNormalization()), L.TimeDistributed(L.LSTM(4)),
        L.Dense(3), L.BatchNormalization()), 0),
    "softmax": ((3, 6), lambda L, K: chain(
        L.Dense(4), L.TimeDistributed(L.BatchNormalization()), L.TimeDistributed(L.Softmax(axis=1))), 0),
    "unknown steps": ((None, 8, 8, 3), lambda L, K: chain(
        L.TimeDistributed(frame(L, K)), L.TimeDistributed(L.BatchNormalization()), L.TimeDistributed(L.Dense(4)),
        L.LSTM(3)), 0),
    "unknown size": ((3, None, None, 3), lambda L, K: chain(
        L.TimeDistributed(L.Conv2D(4, 3)), L.TimeDistributed(L.BatchNormalization()),
        L.TimeDistributed(L.GlobalAveragePooling2D()), L.LSTM(3)), 0),
}


def given(shape, batch=2, seed=0):
    size = (batch, *(8 if n is None else n for n in shape))
    return np.random.default_rng(seed).normal(size=size).astype("float32")


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_folds(name, kind, randomize, tmp_path):
    family = family_named(name)
    shape, network, left = NETWORKS[kind]
    x = family.keras.Input(shape)
    model = randomize(family.keras.Model(x, network(family.layers, family.keras)(x)))
    for layer in model.layers:  # those inside wrappers
        if isinstance(layer, family.layers.TimeDistributed):
            inner = layer.layer
            randomize(inner if hasattr(inner, "layers") else family.keras.Sequential([inner]))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == left
    x = given(shape)
    expected = np.asarray(model(x))
    np.testing.assert_allclose(result.model(x), expected, atol=1e-4 * np.abs(expected).max())
    result.model.save(tmp_path / "m.keras")
    again = family.keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(x), expected, atol=1e-4 * np.abs(expected).max())
    if None not in shape and kind != "what is not read":
        assert not any(isinstance(layer, family.layers.TimeDistributed) for layer in result.model.layers)


def test_the_file_has_no_op_for_each_step(tmp_path):
    from tfold.tflite.contents import read

    L = keras.layers
    x = keras.Input((6, 8, 8, 3))
    y = chain(*(each for _ in range(2) for each in (
        L.TimeDistributed(L.Conv2D(4, 3, padding="same")), L.BatchNormalization(), L.TimeDistributed(L.ReLU()))))(x)
    model = keras.Model(x, L.Dense(2)(L.TimeDistributed(L.GlobalAveragePooling2D())(y)))
    tfold.export(tfold.fold(model).model, tmp_path / "m.tflite")
    kinds = [op.kind for op in read(tmp_path / "m.tflite").ops]
    assert kinds.count("CONV_2D") == 2 and kinds.count("RESHAPE") <= 2 and len(kinds) <= 6, kinds


def test_shared_wrapper_and_layer_that_stands_inside_and_outside(randomize):
    L = keras.layers
    dense, norm = L.Dense(4), L.BatchNormalization()
    td = L.TimeDistributed(L.Conv2D(3, 1))
    x, frames = keras.Input((4, 4)), keras.Input((2, 5, 5, 3))
    y = L.TimeDistributed(norm)(L.TimeDistributed(dense)(L.TimeDistributed(dense)(x)))
    z = L.Flatten()(L.BatchNormalization()(td(L.ReLU()(td(frames)))))
    model = randomize(keras.Model([x, frames], L.Concatenate()([L.Flatten()(L.LSTM(2)(y)), z])))
    result = tfold.fold(model)
    for seed in (0, 1):
        inputs = [given((4, 4), seed=seed), given((2, 5, 5, 3), seed=seed)]
        np.testing.assert_allclose(result.model(inputs), model(inputs), atol=1e-4)
    assert result.model.count_params() <= model.count_params()


def test_a_batch_norm_that_computes_otherwise_keeps_the_wrapper_and_says_why():
    L = keras.layers
    inner_x = keras.Input((6, 6, 3))
    inner = keras.Model(inner_x, L.BatchNormalization()(L.Conv2D(3, 3)(inner_x), training=True), name="inner")
    x = keras.Input((3, 6, 6, 3))
    report = fold_plan(keras.Model(x, L.TimeDistributed(inner, name="each")(x)))
    assert report.after.batch_norms == 1
    assert any("stands inside each" in refusal.detail for refusal in report.refusals)


def test_masks_pass_on(randomize):
    L = keras.layers
    x = keras.Input((4, 5))
    y = L.TimeDistributed(L.BatchNormalization())(L.TimeDistributed(L.Dense(4))(L.Masking()(x)))
    model = randomize(keras.Model(x, L.GRU(3)(y)))
    inputs = given((4, 5))
    inputs[:, 2:] = 0
    result = tfold.fold(model, sample=inputs)
    assert result.report.after.batch_norms == 0
    np.testing.assert_allclose(result.model(inputs), model(inputs), atol=1e-5)


def test_quantization_aware_training_and_alphas_of_what_is_wrapped(tfmot_is_there):
    L = keras.layers
    x = keras.Input((3, 8, 8, 3))
    y = chain(L.TimeDistributed(L.Conv2D(4, 3, activation="relu")), L.TimeDistributed(L.BatchNormalization()),
              L.TimeDistributed(L.GlobalAveragePooling2D()), L.Dense(4, activation="relu"), L.Dense(2))(x)
    model = keras.Model(x, y)
    assert len(tfold.alphas(tfold.prefold(model))) == 1  # inside the wrapper none
    for aware in (tfold.quantize_aware(tfold.fold(model).model), tfold.quantize_aware(model)):
        np.testing.assert_allclose(aware(given((3, 8, 8, 3))), model(given((3, 8, 8, 3))), atol=0.05)
