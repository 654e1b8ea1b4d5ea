"""tfold takes a trained Keras network and gives back a shallower one that runs faster on a phone, and proves it.

    import keras, tfold

    f_alpha = tfold.prefold(base)                       # every activation gets a trainable α
    f_alpha.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    f_alpha.fit(x, y, callbacks=[tfold.callbacks.AlphaLogger()])
    result = tfold.fold(f_alpha)                        # α near 1: the activation goes, its neighbours merge
    tfold.export(result.model, "folded.tflite")

`import tfold` imports neither TensorFlow nor Keras: each name is loaded when it is first used.
"""
from importlib import import_module

from tfold.registration import register_with_keras
from tfold.version import __version__

_HOME = {
    "AlphaActivation": "tfold.alpha.activation",
    "AlphaPenalty": "tfold.alpha.penalty",
    "alphas": "tfold.alpha.reading",
    "callbacks": "tfold.alpha.callbacks",
    "prefold": "tfold.alpha.surgery",
    "settle": "tfold.alpha.settling",
    "fold": "tfold.folding",
    "fold_batch_norm": "tfold.folding",
    "merge_linear": "tfold.folding",
    "effective_depth": "tfold.folding",
    "nonlinear_depth": "tfold.folding",
    "equalize_channels": "tfold.equalizing",
    "FoldResult": "tfold.folding",
    "export": "tfold.tflite.convert",
    "compare": "tfold.tflite.compare_files",
    "layer_losses": "tfold.tflite.losses",
    "representative_samples": "tfold.tflite.model_samples",
    "quantize_aware": "tfold.tflite.quantize_aware",
    "not_quantized": "tfold.tflite.quantize_aware",
    "load_quantize_aware": "tfold.tflite.quantize_aware",
    "distill": "tfold.recipe.distillation",
    "restructure_batch_norm": "tfold.training.restructure",
    "restore_batch_norm": "tfold.training.restructure",
    "bench": "tfold.measure.compare",
    "TfoldError": "tfold.errors",
    "BadInputError": "tfold.errors",
    "ParityError": "tfold.errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'tfold' has no attribute {name!r}")
    module = import_module(_HOME[name])
    value = getattr(module, name, module)  # `callbacks` is a module
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)



# After this, keras.models.load_model() knows AlphaActivation without custom_objects.
register_with_keras()
