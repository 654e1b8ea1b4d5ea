"""Each layer and function of Keras 2, saved by tf_keras in both formats, computes the same in Keras 3."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfold.graph.family import KERAS
from tfold.keras2.errors import Untranslatable
from tfold.keras2.load import _translated
from tfold.model_file.allowed import check
from tfold.model_file.read import read
from tfold.sampling import random_input

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers

# Shape of the input without the batch, and what is made of it.
NETWORKS = {
    "conv1d": ((20, 4), lambda x: L.Conv1D(5, 3, padding="causal", dilation_rate=2)(x)),
    "conv2d": ((9, 9, 4), lambda x: L.Conv2D(6, 3, groups=2, padding="same", activation="swish")(x)),
    "conv3d": ((5, 5, 5, 2), lambda x: L.Conv3D(3, 2)(x)),
    "transposed": ((5, 5, 4), lambda x: L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)(x)),
    "separable": ((9, 9, 4), lambda x: L.SeparableConv2D(6, 3, depth_multiplier=2)(x)),
    "depthwise": ((9, 9, 4), lambda x: L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)),
    "depthwise 1d": ((9, 4), lambda x: L.DepthwiseConv1D(3)(x)),
    "hard sigmoid behind": ((7,), lambda x: L.Dense(4, activation="hard_sigmoid")(x)),
    "hard sigmoid": ((7,), lambda x: L.Activation("hard_sigmoid")(x)),
    "activations": ((7,), lambda x: L.Activation("gelu")(L.Activation("exponential")(L.Activation("selu")(
        L.Dense(3, activation=tf.nn.leaky_relu)(L.Dense(3, activation=tf.nn.tanh)(x)))))),
    "activation layers": ((30,), lambda x: L.ELU(0.3)(L.LeakyReLU(0.1)(L.ReLU(2.0, 0.1, 0.2)(
        L.ThresholdedReLU(0.4)(x))))),
    "a layer as activation": ((7,), lambda x: L.Dense(3, activation=L.LeakyReLU(0.3))(x)),
    "prelu": ((5, 5, 3), lambda x: L.PReLU(shared_axes=[1, 2])(x)),
    "softmax": ((4, 5), lambda x: L.Softmax(axis=1)(x)),
    "batch norm": ((5, 5, 3), lambda x: L.BatchNormalization(epsilon=0.1)(L.BatchNormalization(
        axis=1, scale=False, center=False)(x))),
    "synchronized batch norm": ((5, 5, 3), lambda x: L.experimental.SyncBatchNormalization()(x)),
    "other normalizations": ((5, 5, 8), lambda x: L.UnitNormalization()(L.GroupNormalization(4)(
        L.LayerNormalization(axis=[2, 3])(x)))),
    "lstm": ((7, 4), lambda x: L.LSTM(5)(x)),
    "gru": ((7, 4), lambda x: L.GRU(4, reset_after=False)(L.GRU(5, return_sequences=True)(x))),
    "cells": ((5, 4), lambda x: L.RNN([L.LSTMCell(3), L.GRUCell(4)])(x)),
    "bidirectional": ((5, 4), lambda x: L.Bidirectional(L.SimpleRNN(3), merge_mode="sum")(x)),
    "time distributed": ((3, 8, 8, 2), lambda x: L.TimeDistributed(tf_keras.Sequential([
        L.Input((8, 8, 2)), L.Conv2D(3, 3), L.BatchNormalization(), L.GlobalAveragePooling2D()]))(x)),
    "embedding": ((6,), lambda x: L.LSTM(3)(L.Embedding(10, 4, mask_zero=True)(x))),
    "attention": ((6, 8), lambda x: L.Attention(use_scale=True)([L.MultiHeadAttention(2, 3)(query=x, value=x), x])),
    "pooling": ((9, 9, 4), lambda x: L.Concatenate()([
        L.GlobalAveragePooling2D()(x), L.GlobalMaxPooling2D()(x), L.Flatten()(L.MaxPooling2D(3, padding="same")(x)),
        L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(L.AveragePooling2D()(x)))])),
    "shapes": ((8, 8, 4), lambda x: L.RepeatVector(3)(L.Flatten()(L.Permute((2, 1, 3))(L.Reshape((16, 16, -1))(
        L.Cropping2D(2)(L.ZeroPadding2D(((1, 3), (2, 2)))(L.UpSampling2D(2, interpolation="bilinear")(x)))))))),
    "merging": ((6,), lambda x: L.Dot(1)([L.Add()([L.Multiply()([x, x]), L.Subtract()([x, x]), L.Average()([x, x])]),
                                         L.Maximum()([x, L.Minimum()([x, x])])])),
    "of training alone": ((6,), lambda x: L.GaussianNoise(.1)(L.AlphaDropout(.1)(L.GaussianDropout(.2)(
        L.ActivityRegularization(0.1)(L.Dropout(.2)(x)))))),
    "preprocessing": ((20, 20, 3), lambda x: L.Resizing(8, 8)(L.CenterCrop(16, 16)(L.RandomRotation(0.1)(
        L.RandomFlip()(L.Rescaling(1 / 255., -.5)(x)))))),
    "given statistics": ((5,), lambda x: L.Normalization(mean=[1.] * 5, variance=[2.] * 5)(x)),
    "regularized": ((7,), lambda x: L.Dense(4, kernel_constraint="max_norm",
                                            kernel_regularizer=tf_keras.regularizers.l1_l2(0.1, 0.2))(x)),
    "half precision": ((6,), lambda x: L.Dense(3, dtype="mixed_float16")(x)),
    # What people write between layers.
    "arithmetic": ((6, 6, 4), lambda x: tf.nn.leaky_relu((1.0 - x) / 2.0) ** 2.0 + 2.0 * tf.reduce_mean(
        x, axis=[1, 2], keepdims=True) * tf.nn.sigmoid(x)),
    "images": ((6, 6, 4), lambda x: tf.concat([tf.image.resize(x, (12, 12)), tf.nn.depth_to_space(x, 2)], -1)),
    "slices": ((6, 6, 4), lambda x: tf.stack(tf.split(tf.transpose(x[:, ::2, :, 1:3], [0, 2, 1, 3]), 2, axis=-1), 1)),
    "products": ((6, 4), lambda x: tf.matmul(x, x, transpose_b=True) + tf.squeeze(tf.expand_dims(
        tf.clip_by_value(tf.cast(x, tf.float32), -1, 1), 1), 1)[:, :, :1]),
    "sizes": ((6, 4), lambda x: tf.reshape(x, (tf.shape(x)[0], 24))),
    "pooled": ((6, 6, 4), lambda x: tf.math.l2_normalize(tf.nn.avg_pool2d(tf.pad(
        x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2, 2, "SAME"), axis=-1)),
    "backend": ((6, 4), lambda x: tf.nn.relu6(tf_keras.backend.mean(x, axis=1))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_in_keras_3(name, tmp_path, shaken):
    shape, make = NETWORKS[name]
    inputs = L.Input(shape, dtype="int32" if name == "embedding" else None)
    model = shaken(tf_keras.Model(inputs, make(inputs)))
    sample = random_input(model, batch=2)
    expected = np.asarray(model(sample, training=False), "float64")
    assert np.abs(expected).max() > 1e-3  # else it would be easy to be the same
    tolerance = 1e-2 if name == "half precision" else 1e-5
    for ending in ("h5", "keras"):
        model.save(tmp_path / f"m.{ending}")
        file = read(tmp_path / f"m.{ending}")
        check(file)
        assert file.is_of_keras2
        found = _translated(file, {})
        assert isinstance(found, keras.Model) and found.count_params() == model.count_params()
        output = np.asarray(found(sample, training=False), "float64")
        np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("make, words", [
    (lambda x: L.LSTM(3, recurrent_activation="hard_sigmoid")(x), "activation hard_sigmoid"),
    (lambda x: L.LocallyConnected1D(3, 2)(x), "LocallyConnected1D layers"),
    (lambda x: L.Dense(2, activation=lambda t: t * 2)(x), "Dense layer.*of its own"),
    (lambda x: L.BatchNormalization(axis=[1, 2])(x), "axis="),
    (lambda x: tf.linalg.cholesky(tf.matmul(x, x, transpose_a=True)), "tf.linalg.cholesky"),
    (lambda x: tf.cumsum(x, axis=1, exclusive=True), "exclusive"),
], ids=["hard sigmoid inside", "locally connected", "own function", "two axes", "other function", "other setting"])
def test_what_keras_3_does_not_have(make, words, tmp_path):
    inputs = L.Input((6, 4))
    tf_keras.Model(inputs, make(inputs)).save(tmp_path / "m.h5")
    with pytest.raises(Untranslatable, match=words):
        _translated(read(tmp_path / "m.h5"), {})


def test_a_regularizer_that_is_unknown_goes_with_a_word(tmp_path, rewritten):
    tf_keras.Sequential([L.Dense(3, input_shape=(4,), kernel_regularizer="l2")]).save(tmp_path / "m.h5")

    def change(layer):
        if layer["class_name"] == "L2":
            layer["class_name"] = "OrthogonalRegularizer"

    with pytest.warns(UserWarning, match="OrthogonalRegularizer of layer 'dense"):
        found = _translated(read(rewritten(tmp_path / "m.h5", change)), {})
    assert KERAS.flatten(found.layers)[-1].kernel_regularizer is None
