"""prefold + fit + settle + fold + distill on the backend that KERAS_BACKEND names; prints one JSON document."""

import json

import keras
import numpy as np

import tfold
from tfold.alpha import AlphaPenalty, AlphaSchedule, AlphaSettled, alpha_layers, alphas, prefold, settle

keras.utils.set_random_seed(0)


class Steps(keras.callbacks.Callback):
    """Keeps the α after every epoch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(alphas(self.model))


def network():
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    y = keras.layers.BatchNormalization(name="bn")(y)
    y = keras.layers.ReLU(6.0, name="relu6")(y)
    y = keras.layers.DepthwiseConv2D(3, activation="swish", name="depthwise")(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, keras.layers.Dense(2, activation="softmax", name="predictions")(y))


rng = np.random.default_rng(0)
images = rng.normal(size=(32, 8, 8, 1)).astype("float32")
labels = (images.mean((1, 2, 3)) > 0).astype("int32")

model = network()
f_alpha = prefold(model, AlphaPenalty(strength=0.0))
same = float(np.abs(model.predict(images, verbose=0) - f_alpha.predict(images, verbose=0)).max())

# λ_c is 0 for two epochs, then large: the α move only if the compiled train step sees the change.
for layer in alpha_layers(f_alpha).values():
    layer.alpha.assign(0.25)
steps = Steps()
f_alpha.compile(keras.optimizers.SGD(0.02), "sparse_categorical_crossentropy")
history = f_alpha.fit(
    images,
    labels,
    batch_size=8,
    epochs=8,
    verbose=0,
    callbacks=[AlphaSchedule(5.0, warmup=2), steps, AlphaSettled(verbose=0)],
).history

settled = settle(f_alpha)
folded = tfold.fold(f_alpha, policy="always")


def log_softmax(probabilities, temperature):
    logits = np.log(probabilities) / temperature
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


p, q = model.predict(images, verbose=0), folded.model.predict(images, verbose=0)
log_p, log_q = log_softmax(p, 4), log_softmax(q, 4)
expected = 0.7 * -np.log(q[np.arange(32), labels]).mean() + 0.3 * 16 * (np.exp(log_p) * (log_p - log_q)).sum(-1).mean()
teacher_before = [weight.copy() for weight in model.get_weights()]
taught = tfold.distill(folded.model, model, weight=0.3, temperature=4)
taught.compile(keras.optimizers.SGD(0.02), "sparse_categorical_crossentropy")
[loss] = taught.fit(images, labels, batch_size=32, epochs=1, verbose=0).history["loss"]  # before its only step
moved = float(np.abs(folded.model.predict(images, verbose=0) - q).max())
teacher_kept = all(map(np.array_equal, teacher_before, model.get_weights()))


def rounding_network():
    """Sines behind sines: float32 drives the network and its fold apart, however right the fold."""
    x = y = keras.Input((16,))
    for _ in range(9):
        y = keras.layers.BatchNormalization()(keras.layers.Dense(16, kernel_initializer="orthogonal")(y))
        y = keras.ops.sin(4 * y)
    return keras.Model(x, y)


verified = tfold.fold(rounding_network()).report.verification

f_alpha.save("f_alpha.keras")
loaded = keras.models.load_model("f_alpha.keras")
print(
    json.dumps(
        {
            "backend": keras.backend.backend(),
            "difference": same,
            "alphas": alphas(f_alpha),
            "epochs": steps.values,
            "strength": history["alpha/strength"],
            "settled": float(np.abs(settled.predict(images, verbose=0) - f_alpha.predict(images, verbose=0)).max()),
            "folded": float(np.abs(q - settled.predict(images, verbose=0)).max()),
            "depth": [folded.report.before.depth, folded.report.after.depth],
            "loaded": alphas(loaded) == alphas(f_alpha),
            "left": len(alphas(settled)),
            "distilled": [float(loss), float(expected)],
            "moved": moved,
            "teacher_kept": teacher_kept,
            "float64": [verified.rounding, verified.worst.relative],
        }
    )
)
