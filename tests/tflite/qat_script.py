"""Quantisation-aware training in a process that imports TensorFlow first; prints one JSON document."""
import json
import os
import subprocess
import sys
import time
import warnings

import tensorflow as tf  # isort: skip  (`tf.keras` is settled when it is first used, and that is not yet)

start = time.monotonic()
import keras  # noqa: E402
import numpy as np  # noqa: E402

import tfold  # noqa: E402
from tfold.tflite.contents import read  # noqa: E402
from tfold.tflite.quantize_aware import (  # noqa: E402
    is_quantize_aware,
    load_quantize_aware,
    not_quantized,
    quantize_aware,
)

L = keras.layers
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8, 8, 3)).astype("float32")


def block(y, channels, activation):
    y = L.Conv2D(channels, 3, padding="same", use_bias=False)(y)
    return activation(L.BatchNormalization()(y))


def folding(image):
    """What folding leaves: a border map, ReLU6 inside convolutions, a merged depthwise kernel of uneven channels."""
    y = L.Conv2D(3, 3, padding="same", name="second")(L.Conv2D(12, 1, name="first")(image))
    y = L.ReLU(6.0)(L.Add(name="sum")([image, y]))
    y = L.ReLU(6.0, name="relu6")(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", name="depthwise")(y)))
    y = L.Concatenate()([y, L.MaxPooling2D(3, 1, "same")(y), block(y, 4, L.ReLU())])
    return L.GlobalAveragePooling2D(name="pool")(y)


def mobile(image):
    """Squeeze and excite, hard swish, ELU, batch norms alone and behind a dense layer, padding with a number."""
    y = L.Rescaling(0.5, -0.1)(image)
    y = block(y, 8, L.Activation("hard_silu", name="swish"))
    gate = L.Conv2D(8, 1, activation="hard_sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))
    y = L.ELU(name="elu")(L.Multiply(name="excite")([y, gate]))
    y = L.BatchNormalization(name="alone")(y)
    y = L.MaxPooling2D(2)(keras.ops.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=2.0) * 0.5)
    y = L.ReLU()(L.BatchNormalization()(L.Dense(6, name="mixed")(L.Flatten()(y))))
    return L.Dense(6, activation="tanh")(y) * L.Dense(6, activation="swish")(y)


def network(body):
    """A network of two outputs, with random batch norms."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    y = body(image)
    outputs = {"size": L.Dense(1, name="size")(y), "digit": L.Dense(4, activation="softmax", name="digit")(y)}
    model = keras.Model(image, outputs, name="net")
    for layer in model.layers:
        if getattr(layer, "use_bias", False):
            layer.bias.assign(rng.normal(size=layer.bias.shape))
        if hasattr(layer, "moving_mean"):
            n = layer.moving_mean.shape[0]
            layer.set_weights([rng.uniform(0.2, 3, n), rng.normal(size=n), rng.normal(size=n), rng.uniform(0.5, 2, n)])
    return model


def outputs(model):
    return {name: np.asarray(tensor) for name, tensor in model(x, training=False).items()}


def relative(model, other):
    a, b = outputs(model), outputs(other)
    return {name: float(np.abs(a[name] - b[name]).max() / np.abs(a[name]).max()) for name in a}


def fit(model, targets, rate=1e-4, eager=True):
    import tf_keras

    optimizer = tf_keras.optimizers.Adam(rate)
    model.compile(optimizer, {"size": "mse", "digit": "categorical_crossentropy"}, run_eagerly=eager)
    return model.fit(x, targets, batch_size=16, epochs=2, verbose=0).history["loss"]


def exported(model, kind="float32"):
    """The file's contents, and how far its outputs lie from the model's, in steps of int8."""
    made = tfold.export(model, "model.tflite", quantize="int8", sample=x, input_type=kind, output_type=kind,
                        float_fallback=True, force=True)
    return read("model.tflite"), {output.name: output.largest / output.step for output in made.comparison.outputs}


def kinds(contents):
    return [op.kind for op in contents.ops]


def scales(contents, kind):
    """For each op of a kind, how many scales its weights have."""
    return [len(contents.tensors[op.inputs[1]].scales) for op in contents.ops if op.kind == kind]


def ends(contents):
    """Number types of inputs and outputs, and of all that lies between."""
    outer = {*contents.inputs, *contents.outputs}
    inner = {contents.tensors[index].dtype for op in contents.ops for index in (*op.inputs, *op.outputs)} - {"int32"}
    return [sorted({contents.tensors[index].dtype for index in outer}), sorted(inner)]


def done(name, **facts):
    document[name] = {**facts, "seconds": round(time.monotonic() - start, 1)}


document = {}
base = network(folding)
folded = tfold.fold(base, policy="always").model
environment = dict(os.environ)
model = quantize_aware(folded)
done("keras", switch=os.environ.get("TF_USE_LEGACY_KERAS"), environment=dict(os.environ) == environment,
     version=tf.keras.__version__, layers=tf.keras.layers.Dense is keras.layers.Dense,
     child=subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('TF_USE_LEGACY_KERAS'))"],
                          capture_output=True, text=True).stdout.strip())

targets = outputs(folded)
untrained = ""
try:
    exported(model)
except tfold.BadInputError as error:
    untrained = str(error)
done("made", family=type(model).__module__.split(".")[0], outputs=list(model.output_names), inputs=model.input_names,
     structure=sorted(model.output), names=[layer.name for layer in model.layers], before=relative(folded, model),
     untrained=untrained, aware=[is_quantize_aware(each) for each in (folded, model)], floats=not_quantized(model),
     trainable=[len(model.trainable_weights), len(folded.trainable_weights)])
loss = fit(model, targets, eager=False)
contents, steps = exported(model)
done("file", loss=loss, kinds=kinds(contents), steps=steps, after=relative(folded, model),
     conv=scales(contents, "CONV_2D"), depthwise=scales(contents, "DEPTHWISE_CONV_2D"))
done("ends", uint8=ends(exported(model, "uint8")[0]))

saved = {}
for path in ("model.keras", "model.h5"):
    model.save(path)
    loaded = load_quantize_aware(path)
    saved[path] = [max(relative(model, loaded).values()), is_quantize_aware(loaded)]
saved["again"] = fit(loaded, targets)
done("saved", **saved)

frozen = quantize_aware(folded)
frozen.trainable = False
weights = [w.copy() for w in frozen.get_layer("size").layer.get_weights()]
fit(frozen, targets, 0.1)
done("frozen", trainable=len(frozen.trainable_weights), same=all(
    np.array_equal(a, b) for a, b in zip(weights, frozen.get_layer("size").layer.get_weights(), strict=True)))

plain = network(mobile)
targets = outputs(plain)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    model = quantize_aware(plain)
done("plain", warned=[str(each.message) for each in warned if "floats" in str(each.message)],
     before=relative(plain, model), floats=not_quantized(model), names=[layer.name for layer in model.layers])
fit(model, targets)
contents, steps = exported(model)
done("plain_file", kinds=kinds(contents), steps=steps, after=relative(plain, model))
print(json.dumps(document))
