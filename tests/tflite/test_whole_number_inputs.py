"""Networks that take bytes or other whole numbers: the file takes them too, and computes in integers behind them."""
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers

import tfold
from tfold.measure import run_tflite
from tfold.tflite.contents import read

ops = keras.ops
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 8, 8, 3)).astype("uint8")
K2 = tf_keras.layers


def network(first, dtype="uint8", keras_=keras, shape=(8, 8, 3)):
    image = keras_.Input(shape, dtype=dtype, name="image")
    x = keras_.layers.Conv2D(4, 3, use_bias=False)(first(image))
    x = keras_.layers.ReLU()(keras_.layers.BatchNormalization()(x))
    return keras_.Model(image, keras_.layers.Dense(3)(keras_.layers.GlobalAveragePooling2D()(x)))


NETWORKS = {
    "Rescaling": lambda: network(layers.Rescaling(1 / 255)),
    "cast": lambda: network(lambda x: ops.cast(x, "float32") / 255.0),
    "divide": lambda: network(lambda x: x / 127.5 - 1),
    "Reshape before": lambda: network(lambda x: layers.Rescaling(1 / 255)(layers.Reshape((8, 8, 3))(x)), shape=(64, 3)),
    "CenterCrop before": lambda: network(lambda x: layers.Rescaling(1 / 255)(layers.CenterCrop(6, 6)(x))),
    "tf_keras Rescaling": lambda: network(K2.Rescaling(1 / 255), keras_=tf_keras),
    "tf_keras cast": lambda: network(lambda x: tf.cast(x, tf.float32) / 255.0, keras_=tf_keras),
}


def exported(model, path, quantize, **options):
    data = PIXELS.reshape(40, *model.inputs[0].shape[1:])
    return tfold.export(model, path, quantize, data if quantize.startswith("int") else None, sample=data[:8], **options)


def ends(path):
    """(type, steps, zero point) of the input, and the kinds of ops that compute in floats."""
    contents = read(path)
    tensor = contents.tensors[contents.inputs[0]]
    floats = {op.kind for op in contents.ops if contents.tensors[op.outputs[0]].is_float}
    return (tensor.dtype, *tensor.scales, *tensor.zero_points), floats


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("is_folded", [False, True])
def test_an_int8_file_takes_the_bytes_themselves(name, is_folded, tmp_path, randomize):
    model = randomize(NETWORKS[name]())
    model = tfold.fold(model).model if is_folded else model
    assert exported(model, tmp_path / "m.tflite", "int8").parity < 0.1
    assert ends(tmp_path / "m.tflite") == (("uint8", 1.0, 0), {"DEQUANTIZE"})
    (output,) = run_tflite(tmp_path / "m.tflite", PIXELS[:1].reshape(1, *model.inputs[0].shape[1:])).values()
    assert np.abs(output).max() > 0


@pytest.mark.parametrize("quantize, options, expected, floats", [
    ("float32", {}, ("uint8",), None), ("dynamic", {}, ("uint8",), None), ("float16", {}, ("uint8",), None),
    ("int8", {"input_type": "uint8"}, ("uint8", 1.0, 0), {"DEQUANTIZE"}),
    ("int8", {"input_type": "int8", "output_type": "int8"}, ("int8", 1.0, -128), set()),
    ("int8", {"input_type": "float32"}, ("float32",), {"DEQUANTIZE"}),
    ("int16", {}, ("float32",), {"DEQUANTIZE"}),
])
def test_every_format(quantize, options, expected, floats, tmp_path, randomize):
    model = randomize(NETWORKS["Rescaling"]())
    assert exported(model, tmp_path / "m.tflite", quantize, **options).parity < 0.1
    found, computing = ends(tmp_path / "m.tflite")
    assert found == expected and (floats is None or computing == floats)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int16", "float16", "bool", "float64"])
def test_other_types_stay_what_they_are(dtype, tmp_path):
    x = keras.Input((6,), dtype=dtype)
    model = keras.Model(x, layers.Dense(3)(layers.Dense(8, activation="relu")(ops.cast(x, "float32"))))
    values = RNG.integers(0, 2 if dtype == "bool" else 20, (40, 6)).astype(dtype)
    for options in ({}, {"input_type": "int8"}) if dtype != "bool" else ({},):
        done = tfold.export(model, tmp_path / "m.tflite", "int8", values, force=True, **options)
        assert done.parity < 0.1
        found = ends(tmp_path / "m.tflite")[0][0]
        assert found == (options.get("input_type") or ("float32" if "float" in dtype else dtype))


def test_bytes_beside_floats_and_token_numbers(tmp_path):
    image, more, words = (keras.Input((8, 8, 3), dtype="uint8", name="image"), keras.Input((4,), name="more"),
                          keras.Input((5,), dtype="int32", name="words"))
    x = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image))),
                              layers.Dense(4)(more), layers.Flatten()(layers.Embedding(10, 3)(words))])
    model = keras.Model([image, more, words], layers.Dense(3)(x))
    data = {"image": PIXELS, "more": RNG.normal(size=(40, 4)).astype("float32"), "words": RNG.integers(0, 10, (40, 5))}
    assert tfold.export(model, tmp_path / "m.tflite", "int8", data).parity < 0.1
    contents = read(tmp_path / "m.tflite")
    types = {name: contents.tensors[index].dtype for name, index in contents.signatures[0].inputs.items()}
    assert types == {"image": "uint8", "more": "float32", "words": "int32"}


def test_arithmetic_in_whole_numbers_stays_in_whole_numbers(tmp_path):
    """7 // 2 is 3 in whole numbers: such an input must not become floats."""
    model = network(lambda x: ops.cast(x // 2, "float32") / 255, dtype="int32")
    with pytest.raises(tfold.BadInputError, match="computes in integers.*CAST"):
        exported(model, tmp_path / "m.tflite", "int8")
    assert exported(model, tmp_path / "m.tflite", "int8", float_fallback=True).parity < 0.1
