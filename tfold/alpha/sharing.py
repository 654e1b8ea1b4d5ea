"""One activation object at several places: each place becomes a layer, so that each can have an α of its own.

    relu = ReLU()                                 relu, relu_1, relu_2: three layers
    relu(conv_1(x)), relu(conv_2(y)), …     ⇒     relu(conv_1(x)), relu_1(conv_2(y)), …

Networks that come from PyTorch are often written so: with one α for all places, it would be all activations or none. An
activation inside a layer that is called several times (`activation=`), or in a model that is, keeps one α, because
those have one set of weights.
"""

import warnings

import keras

from tfold.alpha.sites import find_site
from tfold.graph.calls import read_calls
from tfold.graph.clone import clone_layer
from tfold.graph.rebuild import EachCall, in_keras_spelling, rebuild


def one_layer_a_place(model):
    """Returns a model with a layer for each place of an activation, and which layers stand for which.

    Args:
        model: A built Functional or Sequential model. It is not changed.

    Returns:
        (model, originals): the model itself if nothing is shared, else a copy; id of a layer of the copy → the shared
        layer of the model for which it stands.
    """
    model = in_keras_spelling(model)
    read = read_calls(model)
    names = {call.name for call in read.calls}
    shared = {id(call.op): call.op for call in read.calls
              if isinstance(call.op, keras.layers.Layer) and read.is_repeated(call.op) and _stands_alone(call.op)}
    if not shared:
        return model, {}
    originals, kept = {}, []

    def another(layer):
        name, number = layer.name, 0
        while name in names and (number or id(layer) in originals.values()):
            number += 1
            name = f"{layer.name}_{number}"
        names.add(name)
        made = clone_layer(layer, name=name)
        made.trainable = layer.trainable
        originals[id(made)] = id(layer)
        kept.append(made)  # so that no other layer gets its id
        return made

    copy = rebuild(model, lambda op: EachCall(lambda: another(op)) if id(op) in shared else None)
    return copy, {made: shared[layer] for made, layer in originals.items()}


def warn_of_one_for_several(topology, sites, name):
    """Warn of sites that keep one α although they stand at several places."""
    found = [site.op.name for site in sites if len(topology.calls_of(site.op)) > 1]
    if found:
        warnings.warn(
            f"prefold: one α stands for all places of {', '.join(map(repr, found))} in {name!r}: a layer that is "
            "called several times, or stands in a model that is, has one set of weights. For an α at each place, make "
            "the model with a layer for each.", stacklevel=3)


def _stands_alone(layer):
    """Whether a layer is an activation and nothing else."""
    site = find_site(layer)
    return site is not None and not site.fused and site.activation is not None
