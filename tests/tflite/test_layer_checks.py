"""Layers that no .tflite file can hold: a sentence names the layer and the reason. What can be exported is exported."""
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfold
from tfold.tflite.contents import read

tf_keras = pytest.importorskip("tf_keras")


class Counter(layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        return x * self.count


class Noise(layers.Layer):
    def call(self, x):
        return x + keras.random.normal((1, 1))


class Python(layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(lambda a: a * 2, [x], tf.float32), x.shape)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class Eager(layers.Layer):
    def call(self, x):
        return x * float(x.numpy().max())

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class TfPython(tf_keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.py_function(lambda a: a * 2, [x], tf.float32), x.shape)


def of(keras_, layer, shape=(4,), dtype="float32", batch=None, **arguments):
    x = keras_.Input(shape, batch_size=batch, dtype=dtype)
    return keras_.Model(x, layer(x, **arguments), name="net")


K2 = tf_keras.layers
REFUSED = {
    "a counter": (lambda: of(keras, Counter(name="c")), r"remembers nothing .* in which c \(Counter\) changes a var"),
    "noise of one's own": (lambda: of(keras, Noise(name="n")), r"in which n \(Noise\) draws random numbers"),
    "a Python function": (lambda: of(keras, Python(name="p")), r"no Python\. .* in which p \(Python\) runs a Python f"),
    "values in Python": (lambda: of(keras, Eager(name="e")), r"TensorFlow can trace .*, whose layer 'e' fails"),
    "a stateful RNN": (lambda: of(keras, layers.GRU(2, stateful=True, name="g"), (3, 2), batch=1),
                       r"in which g \(GRU\) changes a variable .*stateful=False"),
    "words": (lambda: of(keras, layers.StringLookup(vocabulary=["a"], name="w"), (1,), "string"),
              r"no tables .* in which w \(StringLookup\) looks its input up .*get_layer\('w'\)\.output"),
    "numbers": (lambda: of(keras, layers.IntegerLookup(vocabulary=[1], name="i"), (1,), "int64"),
                r"in which i \(IntegerLookup\) looks its input up"),
    "hashes": (lambda: of(keras, layers.Hashing(5, name="h"), (1,), "int64"), r"StringToHashBucketFast \(layer h\)"),
    "counts": (lambda: of(keras, layers.CategoryEncoding(3, output_mode="count", name="k"), (2,), "int32"),
               r"DenseBincount \(layer k\)"),
    "tf_keras: batch statistics": (lambda: of(tf_keras, K2.BatchNormalization(name="b"), (4, 4, 2), training=True),
                                   r"in which b \(BatchNormalization\) is a batch norm .* training=True"),
    "tf_keras: dropout": (lambda: of(tf_keras, K2.Dropout(0.5, name="d"), training=True),
                          r"in which d \(Dropout\) draws random numbers.*Leave training=True out"),
    "tf_keras: a crop": (lambda: of(tf_keras, K2.RandomCrop(2, 2, name="r"), (4, 4, 3)), r"\(RandomCrop\).*CenterCrop"),
    "tf_keras: a Python function": (lambda: of(tf_keras, TfPython(name="p")), r"in which p \(TfPython\) runs a Python"),
    "tf_keras: a stateful RNN": (lambda: of(tf_keras, K2.LSTM(2, stateful=True, name="l"), (3, 2), batch=1),
                                 r"in which l \(LSTM\) changes a variable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_layer_and_the_reason_are_named(name, tmp_path):
    make, words = REFUSED[name]
    with pytest.raises(tfold.BadInputError, match=words) as found:
        tfold.export(make(), tmp_path / "m.tflite")
    assert "AssignVariableOp" not in str(found.value) and "\n" not in str(found.value)
    assert not list(tmp_path.iterdir())


def test_a_table_stays_out_where_tensorflows_ops_are_allowed(tmp_path):
    """The converter would leave a placeholder where the table was."""
    with pytest.raises(tfold.BadInputError, match="no tables"):
        tfold.export(REFUSED["numbers"][0](), tmp_path / "m.tflite", select_tf_ops=True)


@pytest.mark.parametrize("layer", [
    lambda: layers.BatchNormalization(name="given"), lambda: layers.Dropout(0.5, name="given"),
    lambda: keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(),
                              layers.Dropout(0.5)], name="given")])
def test_what_predict_does_is_exported_and_said(layer, tmp_path, randomize):
    """Keras 3 replaces training=True of a call in predict() and model(x, training=False)."""
    model = randomize(of(keras, layer(), (6, 6, 3), training=True))
    before = [weight.copy() for weight in model.get_weights()]
    done = tfold.export(model, tmp_path / "m.tflite")
    assert done.parity < 1e-5
    assert [each for each in done.warnings if "given does what it does at inference" in each]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("layer", [
    lambda: layers.RandomCrop(3, 3), lambda: layers.RandomFlip(), lambda: layers.Solarization(),
    lambda: layers.CenterCrop(3, 3), lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True)])
def test_layers_that_prepare_images(layer, tmp_path):
    done = tfold.export(of(keras, layer(), (5, 6, 3)), tmp_path / "m.tflite")
    assert done.parity < 1e-5 and not done.warnings


def test_layers_that_sort_numbers_into_bins(tmp_path):
    layer = layers.Discretization(bin_boundaries=[-0.5, 0.5], output_mode="one_hot")
    tfold.export(of(keras, layer, (1,)), tmp_path / "m.tflite")
    assert "CUSTOM" not in [op.kind for op in read(tmp_path / "m.tflite").ops]


def test_a_fixed_batch_size_can_be_kept(tmp_path):
    x = keras.Input((4,), batch_size=4)
    model = keras.Model(x, layers.Dense(2)(keras.ops.reshape(x, (2, 8))))
    with pytest.raises(tfold.BadInputError, match=r"whose layer 'reshape.*' fails with batch 1: .*batch=4 \(--batch\)"):
        tfold.export(model, tmp_path / "m.tflite")
    assert tfold.export(model, tmp_path / "m.tflite", batch=4).parity < 1e-5
