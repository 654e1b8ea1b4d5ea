"""Learn which activations a network can do without.

Every activation σ becomes σ_α(x) = α·x + (1 − α)·σ(x), with one trainable α a layer that starts at 0, where nothing
has changed. A penalty λ_c · Σ c_l·(1 − α_l^p) in the loss pulls each α towards 1, where the activation is the identity,
unless the task's loss holds it back. Plain `compile` and `fit` do the training, on any Keras backend:

    f_alpha = prefold(model, AlphaPenalty(strength=0.25))
    f_alpha.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss="sparse_categorical_crossentropy")
    f_alpha.fit(x, y, epochs=20, callbacks=[AlphaSchedule(0.25, warmup=1), AlphaLogger(), AlphaSettled()])
    alphas(f_alpha)                    # {"block_1_relu": 1.0, "block_2_relu": 0.003, …}
    settled = settle(f_alpha)          # stock Keras: what has learned to be linear is gone

(Layer Folding, arXiv 2106.09309.)
"""

from importlib import import_module

# First of all, for what comes with it: the registration of this package's layers, before any module of it is half-made.
import keras  # noqa: F401

_HOME = {
    "AlphaActivation": "activation",
    "AlphaLogger": "callbacks",
    "AlphaPenalty": "penalty",
    "AlphaSchedule": "callbacks",
    "AlphaSettled": "callbacks",
    "alpha_layers": "reading",
    "alphas": "reading",
    "prefold": "surgery",
    "set_strength": "reading",
    "settle": "settling",
}

__all__ = [*_HOME]


def __getattr__(name):
    # Registration imports the layers while Keras is being imported, by whichever module of tfold: the rest must wait.
    if name not in _HOME:
        raise AttributeError(f"module 'tfold.alpha' has no attribute {name!r}")
    return getattr(import_module(f"tfold.alpha.{_HOME[name]}"), name)
