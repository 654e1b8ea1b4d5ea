"""Batch norms as training might leave them: what every benchmark of networks without trained weights needs."""
import numpy as np


def with_statistics(model, signs="positive", shift=0.3, seed=0):
    """Give a model's batch norms, and adapted preprocessing, seeded random statistics.

    Args:
        model: a Keras model; it is changed, and returned.
        signs: "positive": γ in 0.5 to 1.5; "random": of either sign.
        shift: standard deviation of β.
        seed: of the numbers.
    """
    import keras  # where it is used: an environment of a peer has none

    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.moving_mean.shape[0]
            layer.moving_mean.assign(rng.normal(scale=0.1, size=n))
            layer.moving_variance.assign(rng.uniform(0.5, 2, n))
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, n) * (rng.choice([-1, 1], n) if signs == "random" else 1))
            if layer.center:
                layer.beta.assign(rng.normal(scale=shift, size=n))
        elif isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.adapt_mean.assign(rng.uniform(0.4, 0.5, layer.adapt_mean.shape))
            layer.adapt_variance.assign(rng.uniform(0.05, 0.08, layer.adapt_variance.shape))
            layer.finalize_state()
    return model
