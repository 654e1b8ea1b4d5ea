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

from tfold.alpha.activation import AlphaActivation
from tfold.alpha.callbacks import AlphaLogger, AlphaSchedule, AlphaSettled
from tfold.alpha.penalty import AlphaPenalty
from tfold.alpha.reading import alpha_layers, alphas, set_strength
from tfold.alpha.settling import settle
from tfold.alpha.surgery import prefold

__all__ = [
    "AlphaActivation",
    "AlphaLogger",
    "AlphaPenalty",
    "AlphaSchedule",
    "AlphaSettled",
    "alpha_layers",
    "alphas",
    "prefold",
    "set_strength",
    "settle",
]
