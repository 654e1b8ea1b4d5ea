"""What tensorflow-model-optimization (TFMOT) puts around a model's layers, recognised without importing it.

A network is pruned or clustered, stripped of that, folded, and made quantisation-aware at the end: what stands around a
layer on the way would hide it from all that follows.
"""
from tfold.errors import BadInputError
from tfold.graph.walls import parts

_PACKAGE = "tensorflow_model_optimization."
_PASSING = {"PruneLowMagnitude": "tfmot.sparsity.keras.strip_pruning(model)",
            "ClusterWeights": "tfmot.clustering.keras.strip_clustering(model)"}


def tfmot_classes(layer):
    """Names of the classes of TFMOT that a layer is an instance of."""
    return {kind.__name__ for kind in type(layer).__mro__ if kind.__module__.startswith(_PACKAGE)}


def is_quantize_aware(model):
    """Whether a model has layers that TFMOT has wrapped for quantisation-aware training."""
    return any("QuantizeWrapper" in tfmot_classes(layer) for layer in parts(model))


def check_unwrapped(model):
    """Raise `BadInputError` where TFMOT's wrappers stand around a model's layers."""
    for layer in parts(model):
        found = tfmot_classes(layer)
        for name in found & _PASSING.keys():
            raise BadInputError(
                f"A network is pruned or clustered first, and stripped of that then. Received: {layer.name!r} "
                f"({name}). Strip it: model = {_PASSING[name]}"
            )
        if found & {"QuantizeWrapper", "QuantizeAnnotate"}:
            raise BadInputError(
                f"A network is folded before it is made quantisation-aware. Received: {model.name!r}, whose "
                f"{layer.name!r} is wrapped already. Fold the network that it was made of, and wrap the folded one: "
                "tfold.quantize_aware(tfold.fold(network).model)."
            )
