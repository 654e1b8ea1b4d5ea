"""Makes the .tflite files these tests run, in a process of its own: `python make_models.py FOLDER`.

With TensorFlow loaded it also runs one of them in both runtimes, because that is where runtimes used to die.
"""

import sys
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import tensorflow as tf

from tfold.measure import available_runtimes, run_tflite

layers = keras.layers


def convert(model, path, **settings):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    for name, value in settings.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())


def of_version(source, path, version):
    """Writes a .tflite file whose dense layers ask for another version of their op."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(source.read_bytes(), 0))
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED:
            code.version = version
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def main(folder: Path):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(5, 12, 12, 3)).astype("float32")

    x = inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="normal")(x)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.GlobalAveragePooling2D()(x)
    conv = keras.Model(inputs, layers.Dense(4, bias_initializer="normal")(x))
    convert(conv, folder / "conv.tflite")
    convert(
        conv,
        folder / "int8.tflite",
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([image[k : k + 1]] for k in range(5)),
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    of_version(folder / "conv.tflite", folder / "newer.tflite", 12)  # known to LiteRT, not to tflite-runtime 2.14
    fixed = keras.Input((12, 12, 3), batch_size=1)
    convert(keras.Model(fixed, conv(fixed)), folder / "fixed.tflite")

    ids, features = keras.Input((4,), dtype="int32", name="ids"), keras.Input((4, 8), name="features")
    total = layers.Add()([layers.Embedding(10, 8)(ids), features])
    two = keras.Model([ids, features], [total, layers.Flatten()(features)])
    convert(two, folder / "two.tflite")

    anysize = keras.Input((None, None, 3))
    convert(keras.Model(anysize, layers.Conv2D(2, 3, padding="same")(anysize)), folder / "anysize.tflite")

    class Inverse(layers.Layer):
        def call(self, x):
            return tf.linalg.inv(tf.reshape(x, (-1, 2, 2)))

    values = keras.Input((4,))
    inverse = keras.Model(values, Inverse()(values))
    convert(inverse, folder / "custom.tflite", allow_custom_ops=True)
    converter = tf.lite.TFLiteConverter.from_keras_model(inverse)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (folder / "flex.tflite").write_bytes(converter.convert())

    conv.save(folder / "conv.keras")
    codes, feature = rng.integers(0, 10, (3, 4)).astype("int32"), rng.normal(size=(3, 4, 8)).astype("float32")
    summed, flat = two.predict([codes, feature], verbose=0)
    here = {
        name: run_tflite(folder / "conv.tflite", image, name)["output_0"]
        for name, found in available_runtimes().items()
        if found.version
    }
    np.savez(
        folder / "arrays.npz", image=image, conv=conv.predict(image, verbose=0), ids=codes, features=feature,
        summed=summed, flat=flat, **here,
    )


main(Path(sys.argv[1]))
