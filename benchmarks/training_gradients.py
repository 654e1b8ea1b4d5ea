"""How far are the gradients of a whole network from float64, with batch norm restructured and with stock Keras?

    python benchmarks/training_gradients.py

One training step's gradients, of every trainable weight, against the same network in float64: |g − g64| ÷ |g64| of all
of them as one vector, and the median of the layers'. Biases in front of a batch norm are left out: their gradient is 0.
"""
import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from training_step import NETWORKS, describe, images, network_of

import tfold
from tfold.graph.clone import clone_layer
from tfold.graph.rebuild import rebuild

MODES = {
    "stock": tfold.restore_batch_norm,
    "python": lambda network: tfold.restructure_batch_norm(network, kernels="python"),
    "compiled": lambda network: tfold.restructure_batch_norm(network, kernels="compiled"),
    "compiled, low": lambda network: tfold.restructure_batch_norm(network, memory="low", kernels="compiled"),
}


def in_float64(network):
    copy = rebuild(network, lambda op: [clone_layer(op, "float64")] if isinstance(op, keras.layers.Layer) else None)
    copy.set_weights(network.get_weights())
    return copy


def gradients(model, x, y):
    """The gradient of each trainable weight, by the weight's path, in float64."""
    x = tf.cast(x, model.inputs[0].dtype)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=True)))
        return tape.gradient(loss, model.trainable_variables)

    found = {v.path: g.numpy().astype("float64") for v, g in zip(model.trainable_variables, run(), strict=True)}
    return {path: g for path, g in found.items() if not ("conv" in path and path.endswith("/bias"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    print(describe())
    for name in chosen.networks:
        network = network_of(name, chosen.size)
        rows = {mode: [] for mode in MODES}
        for seed in range(chosen.seeds):
            x, y = images(chosen.batch, chosen.size, seed)
            exact = gradients(in_float64(network), x, y)
            for mode, make in MODES.items():
                found = gradients(make(network), x, y)
                apart = {path: np.linalg.norm(found[path] - g) for path, g in exact.items()}
                whole = np.sqrt(sum(d**2 for d in apart.values()) / sum(np.sum(g**2) for g in exact.values()))
                layers = np.median([apart[path] / np.linalg.norm(g) for path, g in exact.items()])
                rows[mode].append((whole, layers))
        for mode, found in rows.items():
            whole, layers = np.array(found).T
            print(f"{name:<14} {mode:<14} whole {np.median(whole):.2e} [{whole.min():.2e}, {whole.max():.2e}]   "
                  f"median layer {np.median(layers):.2e}", flush=True)


if __name__ == "__main__":
    main()
