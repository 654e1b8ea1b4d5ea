"""Makes the files that these tests hand to the command line: `python make_models.py FOLDER`."""

import os
import sys
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import tfold

layers = keras.layers

MY_LAYERS = '''
"""Layers of a user: registered, not, signalling while it is saved, random, of an op that TFLite has not."""
import os
import signal

import keras

if "GREET" in os.environ:
    print("my_layers says hello")


@keras.saving.register_keras_serializable("mine")
class Registered(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


class Plain(keras.layers.Layer):
    def call(self, x):
        return x + 1.0


class Signalled(keras.layers.Layer):
    def call(self, x):
        return x + 0.0

    def save_own_variables(self, store):
        if "SIGNAL" in os.environ:
            os.kill(os.getpid(), getattr(signal, os.environ["SIGNAL"]))


class Dice(keras.layers.Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


class Drifting(keras.layers.Layer):
    """No copy of it computes the same: a fault that a fold must notice."""

    made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        Drifting.made += 1
        self.offset = float(Drifting.made)

    def call(self, x):
        return x + self.offset


class Flexible(keras.layers.Layer):
    def call(self, x):
        import tensorflow as tf

        return tf.linalg.cholesky(tf.linalg.diag(1.0 + x * x))


class Whole(keras.Model):
    """A subclassed model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)
'''


def small(channels=8):
    x = inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(6, name="relu6")(x)
    x = layers.Conv2D(channels, 1, name="expand")(x)
    x = layers.Conv2D(channels, 1, name="project")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="head")(x), name="small")


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    return keras.Model([a, b], layers.Add(name="sum")([a, b]), name="two")


def with_layer(layer):
    x = inputs = keras.Input((4,))
    x = layer(layers.Dense(4)(x))
    return keras.Model(inputs, layers.Dense(2)(x))


def replace_in_zip(source, path, **contents):
    """A copy of a .keras file with other members; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = contents.get(name.split(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)


def main(folder):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    (folder / "my_layers.py").write_text(MY_LAYERS)
    (folder / "not_importable.py").write_text("raise RuntimeError('this module has a fault')\n")
    (folder / "script.py").write_text("import sys\nsys.exit(0)\n")
    sys.path.insert(0, str(folder))
    import my_layers

    base = small()
    base.layers[2].set_weights([np.linspace(0.5, 1.5, 8)] * 4)
    base.save(folder / "small.keras")
    base.save(folder / "small.h5")
    tfold.export(base, folder / "small.tflite")
    tfold.export(tfold.fold(base).model, folder / "folded.tflite")

    # For quantisation: TensorFlow's converter leaves kernels of less than 1024 numbers as they are.
    images = rng.uniform(-1, 1, (100, 12, 12, 3)).astype("float32")
    np.savez(folder / "images.npz", x=images, y=np.arange(100) % 4)
    wide = small(40)
    wide.save(folder / "wide.keras")
    for name in ("float32", "int8"):
        tfold.export(wide, folder / f"{name}.tflite", name, images)
    tfold.export(two_inputs(), folder / "two.tflite")
    for number, pixels in enumerate(rng.integers(0, 256, (12, 14, 20, 3), "uint8")):
        path = folder / "photos" / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(pixels).numpy())

    f_alpha = tfold.prefold(base, penalty=tfold.AlphaPenalty(strength=100.0))
    f_alpha.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    f_alpha.fit(np.ones((8, 12, 12, 3), "float32"), np.zeros(8), epochs=3, verbose=0)
    f_alpha.save(folder / "alpha.keras")

    for name in ("Registered", "Plain", "Signalled", "Dice"):
        with_layer(getattr(my_layers, name)()).save(folder / f"{name.lower()}.keras")
    x = keras.Input((4,))
    flexible = my_layers.Flexible(name="special")(layers.Dense(4, name="dense")(x))
    keras.Model(x, flexible, name="flexible").save(folder / "flexible.keras")
    drifting = my_layers.Drifting(name="drifting")(layers.BatchNormalization()(layers.Dense(4)(x)))
    keras.Model(x, drifting, name="drifting").save(folder / "drifting.keras")
    subclassed = my_layers.Whole(name="whole")
    subclassed(np.ones((1, 3)))
    subclassed.save(folder / "subclassed.keras")

    trace = str(folder / "the-lambda-has-run")
    lambdas = with_layer(layers.Lambda(eval(f"lambda x: (open({trace!r}, 'a').close(), x * 2.0)[1]")))
    lambdas.save(folder / "lambda.keras")
    lambdas.save(folder / "lambda.h5")
    os.unlink(trace)

    # Rounding decides about the sine of a number this large: folded or converted, it is another one.
    x = inputs = keras.Input((64,))
    x = layers.BatchNormalization()(layers.Dense(64, kernel_initializer=keras.initializers.RandomNormal(stddev=1e6))(x))
    keras.Model(inputs, keras.ops.sin(x)).save(folder / "chaotic.keras")

    nan = with_layer(layers.ReLU(name="relu"))
    nan.layers[1].kernel.assign(np.full((4, 4), np.nan))
    nan.save(folder / "nan.keras")

    # What is no model.
    (folder / "empty.keras").write_bytes(b"")
    (folder / "text.keras").write_text("not a model\n")
    (folder / "picture.keras").write_bytes(b"\x89PNG\r\n\x1a\n" + rng.bytes(1000))
    (folder / "renamed.keras").write_bytes((folder / "small.h5").read_bytes())
    (folder / "cut.h5").write_bytes((folder / "small.h5").read_bytes()[:9000])
    (folder / "text.h5").write_text("not a model\n")
    (folder / "model.txt").write_text("not a model\n")
    (folder / "folder.keras").mkdir()
    with zipfile.ZipFile(folder / "archive.keras", "w") as archive:
        archive.writestr("holiday.jpg", rng.bytes(100))
    small_keras = folder / "small.keras"
    replace_in_zip(small_keras, folder / "garbage.keras", config=rng.bytes(500))
    bert = b'{"architectures": ["BertModel"], "hidden_size": 768}'
    replace_in_zip(small_keras, folder / "foreign.keras", config=bert)
    replace_in_zip(small_keras, folder / "number.keras", config=b"42")
    replace_in_zip(small_keras, folder / "unknown.keras", config=b'{"class_name": "Bert", "config": {}}')
    replace_in_zip(small_keras, folder / "weightless.keras", model=None)
    replace_in_zip(small_keras, folder / "bad-weights.keras", model=rng.bytes(500))
    with zipfile.ZipFile(folder / "nan.keras") as other:
        replace_in_zip(small_keras, folder / "other-weights.keras", model=other.read("model.weights.h5"))
    whole = (folder / "small.tflite").read_bytes()
    (folder / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    (folder / "text.tflite").write_text("not a model\n")


main(Path(sys.argv[1]))
