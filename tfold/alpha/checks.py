"""What α-training can and cannot take, in words."""

import keras

from tfold.alpha.topology import is_graph_model
from tfold.errors import BadInputError


def check_graph_model(model, caller):
    """Raises a ValueError unless `model` is a built Functional or Sequential model."""
    if not isinstance(model, keras.Model):
        raise BadInputError(
            f"{caller} needs a Keras model. Received: {type(model).__name__}. "
            "Load a saved one with keras.models.load_model."
        )
    if not is_graph_model(model):
        raise BadInputError(
            f"{caller} needs a Functional or Sequential model, because what a subclassed model computes cannot be read "
            f"from its layers. Received: '{model.name}' of class {type(model).__name__}, with a `call` of its own. "
            "Rebuild it as keras.Model(inputs, outputs) from the same layers."
        )
    if not model.built or not model.inputs:
        raise BadInputError(
            f"{caller} needs a built model, whose weights exist. Received: '{model.name}', not built. "
            "Start it with keras.Input, or call model.build(input_shape)."
        )
