"""A model's batch norms restructured for training, and put back.

    conv ─ bn ─ ReLU ─ conv ─ bn ─ Add ─ ReLU           what a model is made of
    conv ─[bn ─ ReLU]─ conv ─[bn ─ Add ─ ReLU]          the same layers, one sweep over memory for what is in brackets

(Jung et al., Restructuring Batch Normalization to Accelerate CNN Training, MLSys 2019, sec. 4: fission and fusion.)
"""

import warnings

import keras

from tfold.errors import BadInputError
from tfold.graph.calls import check_graph_model
from tfold.graph.clone import constructor_arguments
from tfold.graph.rebuild import in_keras_spelling, rebuild
from tfold.stock import stock_class
from tfold.training import followers, recompute
from tfold.training.batch_norm import BatchNormalization
from tfold.training.engine import NO_TENSORFLOW, require_compiled
from tfold.training.places import answers_for_itself, find_places

MEMORY = ("normal", "low")
KERNELS = ("auto", "compiled", "python")

_STAND_INS = {keras.layers.BatchNormalization: BatchNormalization, **followers.BY_STOCK, **recompute.BY_STOCK}


def restructure_batch_norm(model, memory="normal", kernels="auto"):
    """Returns a new model that trains faster: the same network, with batch norm in fewer sweeps over memory.

    Weights, names, moving averages and what is computed are the same, to rounding. A ReLU, ReLU6, leaky ReLU or
    `AlphaActivation` that alone reads a batch norm is taken into its sweep, a sum in between too, and a concatenation
    that only batch norms read is never made. At inference, and for a frozen batch norm, the layers are Keras' own.

    The model is saved as the stock model that it stands for: it loads where tfold is not installed, as stock layers;
    restructure it again to go on training. `restore_batch_norm(model)` is the way back without a file. `prefold` and
    `keras.models.clone_model` make a new model too: what was chosen here does not hold for theirs.

    By TensorFlow's fused operation, which stock Keras never uses; by tfold's own compiled ones where they have been
    built (`tfold doctor --build-kernels`), for float32 and bfloat16 on CPUs. Batch norms that stay Keras' own are named
    in a warning with the reason: inputs of another rank than 4, another axis than the last, renorm, synchronized,
    float64, subclasses, those inside layers of another kind. So are, once and while training, masks, integers and
    jit_compile=True. On other backends than TensorFlow all of them stay.

    In a training step a layer that is taken into another's sweep has no output of its own that a gradient could be
    taken by, and compiled batch norms have no second derivatives: `restore_batch_norm(model)` for those.

    Examples:

    ```python
    fast = tfold.restructure_batch_norm(model)
    fast.compile("sgd", "sparse_categorical_crossentropy")
    fast.fit(x, y)
    stock = tfold.restore_batch_norm(fast)             # the trained weights in stock layers

    small = tfold.restructure_batch_norm(model, memory="low")
    ```

    Args:
        model: A built Functional or Sequential model. It is not changed.
        memory: "normal", or "low": a convolution behind such a batch norm makes its input again in the backward pass
            instead of keeping it: less memory for a little time.
        kernels: "auto": compiled operations where they are built; "compiled": the same, or an error if they are not;
            "python": without. float16 goes without in any case.

    Returns:
        An uncompiled model.

    Raises:
        ValueError: If the model is subclassed or not built, an argument is no such word, or kernels="compiled" and
            there are none.
    """
    for name, value, choices in (("memory", memory, MEMORY), ("kernels", kernels, KERNELS)):
        if value not in choices:
            raise BadInputError(
                f"{name} is one of {', '.join(choices)}. Received: {name}={value!r}. Pass {name}={choices[0]!r}."
            )
    if kernels == "compiled":
        require_compiled()
    model = in_keras_spelling(model)
    places = find_places(model)
    if keras.backend.backend() != "tensorflow":
        _warn(model, f"stays stock Keras: {NO_TENSORFLOW}")
        return restore_batch_norm(model)
    if not places.batch_norms and not places.refused:
        _warn(model, "has no batch norm: nothing changes")
    elif places.refused:
        named = "; ".join(f"'{path}': {reason}" for path, reason in places.refused.items())
        total = len(places.batch_norms) + len(places.refused)
        _warn(model, f"keeps {len(places.refused)} of {total} batch norms as stock Keras has them: {named}")
    return _rebuilt(model, places, memory == "low", kernels != "python")


def restore_batch_norm(model):
    """Returns a new model of stock Keras layers with the weights of one that `restructure_batch_norm` made.

    Args:
        model: A built Functional or Sequential model; one without restructured batch norms is copied.

    Returns:
        An uncompiled model.

    Raises:
        ValueError: If the model is subclassed or not built.

    Example:

    >>> tfold.restore_batch_norm(tfold.restructure_batch_norm(model))
    """
    check_graph_model(model)
    model = in_keras_spelling(model)
    return rebuild(model, lambda op: [_made(op, type(op), kernels=False)] if answers_for_itself(op) else None)


def in_fewer_sweeps(model):
    """`restructure_batch_norm(model)` where there is something to gain, else the model itself; without a warning."""
    if keras.backend.backend() != "tensorflow":
        return model
    places = find_places(model)
    return _rebuilt(model, places, False, True) if places.batch_norms else model


def _rebuilt(model, places, low, kernels):
    taken = places.batch_norms | places.followers | (places.recomputing if low else set())
    handing_on = places.handing_on["followers"] | (places.handing_on["recomputing"] if low else set())

    def replace(op):
        if answers_for_itself(op):  # it has an operation of its own where there is no sweep to take over
            return [_made(op, type(op), kernels, id(op) in handing_on)]
        return [_made(op, _STAND_INS[stock_class(op)], kernels, id(op) in handing_on)] if id(op) in taken else None

    return rebuild(model, replace)


def _made(op, kind, kernels, hands_on=False):
    """A layer of another class with the configuration of `op`."""
    layer = kind.from_config(constructor_arguments(op))
    layer.kernels = kernels
    layer.hands_on = hands_on
    return layer


def _warn(model, what):
    warnings.warn(f"restructure_batch_norm: {model.name!r} {what}.", RuntimeWarning, stacklevel=3)
