"""EfficientNet-lite's checkpoints, as their authors trained them in TensorFlow 1, read into the Keras model.

    stem_conv              stem/conv2d/kernel
    stem_bn                stem/tpu_batch_normalization/gamma, beta, moving_mean, moving_variance
    block2a_expand_conv    blocks_1/conv2d/kernel
    block2a_expand_bn      blocks_1/tpu_batch_normalization/…
    block2a_dwconv         blocks_1/depthwise_conv2d/depthwise_kernel
    block2a_bn             blocks_1/tpu_batch_normalization_1/…
    block2a_project_conv   blocks_1/conv2d_1/kernel
    block2a_project_bn     blocks_1/tpu_batch_normalization_2/…
    top_conv, top_bn       head/conv2d/kernel, head/tpu_batch_normalization/…
    predictions            head/dense/kernel, bias

TensorFlow 1 numbers the layers of a kind in the order of their calls, and the authors number the blocks from 0 through
all stages. Before each name stands the network's (`efficientnet-lite0/`), and behind it, once more, the moving average
over the training, which is what the authors evaluate:

    efficientnet-lite0/stem/conv2d/kernel     efficientnet-lite0/stem/conv2d/kernel/ExponentialMovingAverage

Source: github.com/tensorflow/tpu, models/official/efficientnet: efficientnet_model.py, utils.py.
"""
import re

import numpy as np

from tfold.errors import BadInputError, one_line
from tfold.zoo.archive import checkpoint_prefix
from tfold.zoo.fit import check_finite, check_fit

AVERAGE = "/ExponentialMovingAverage"
CLASSIFIER = "head/dense/"
IMAGENET_CLASSES = 1000

_LAYER = re.compile(r"(?P<scope>stem|top|block\d+[a-z])_.*|predictions")
_KINDS = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d", "BatchNormalization": "tpu_batch_normalization",
          "Dense": "dense"}
# What training left there besides: the optimizer's slots and counters
_TRAINING = re.compile(r".*/(RMSProp|Momentum|Adam)(_\d+)?|(.*/)?(global_step|beta[12]_power)")
_SCOPE = re.compile(r"(.*/)?(?P<name>(stem|blocks_\d+|head)/.*)")


def load_checkpoint(model, path):
    """Give a model the weights of a checkpoint; all of them are read and checked before the first one is set.

    A network of other than 1000 classes keeps its random classifier where the checkpoint's has the 1000 of ImageNet.

    Args:
        model: a model of `tfold.zoo.EfficientNetLite0` to 4.
        path: the prefix of the checkpoint, its folder, or its .tar.gz.

    Raises:
        BadInputError: it is damaged, of another network, or holds values that are not finite.
    """
    variables = variable_names(model)
    with checkpoint_prefix(path) as prefix:
        try:
            values = _read(prefix, variables, f"{path} for {model.name!r}")
        except BadInputError:
            raise
        except Exception as error:  # TensorFlow raises many kinds for what is damaged
            raise BadInputError(
                f"A checkpoint is an index and its data, both whole. Received: {path}, which cannot be read: "
                f"{one_line(error)} Fetch it again."
            ) from error
    for name, value in values.items():
        variables[name].assign(value)


def variable_names(model):
    """Return name in the checkpoint → variable of the model, for all variables of the network.

    Example:

    >>> list(variable_names(EfficientNetLite0()))[:3]
    ['stem/conv2d/kernel', 'stem/tpu_batch_normalization/gamma', 'stem/tpu_batch_normalization/beta']
    """
    found, scopes, counts = {}, {"stem": "stem", "top": "head", None: "head"}, {}
    for layer in model.layers:
        match = _LAYER.fullmatch(layer.name)
        kind = _KINDS.get(type(layer).__name__)
        if not match or not kind:  # what a caller put before the network has other names
            continue
        scope = scopes.setdefault(match["scope"], f"blocks_{len(scopes) - 3}")
        number = counts[scope, kind] = counts.get((scope, kind), -1) + 1
        for variable in layer.weights:
            name = "depthwise_kernel" if kind == "depthwise_conv2d" else variable.name
            found[f"{scope}/{kind}{f'_{number}' if number else ''}/{name}"] = variable
    return found


def _read(prefix, variables, received):
    """Name of a variable → its value in the checkpoint, for those of the model that it is to set."""
    import tensorflow as tf  # only this needs it, whatever Keras' backend is

    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    stored = _stored_names(shapes, received)
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    given = {name: tuple(shapes[theirs]) for name, theirs in stored.items()}
    classes = given.get(f"{CLASSIFIER}kernel", (0,))[-1]
    if f"{CLASSIFIER}kernel" not in wanted or classes == IMAGENET_CLASSES != wanted[f"{CLASSIFIER}kernel"][-1]:
        wanted, given = _without_classifier(wanted), _without_classifier(given)
    check_fit(wanted, given, received)
    values = {name: np.asarray(reader.get_tensor(stored[name]), "float32") for name in wanted}
    check_finite(values.items(), received)
    return values


def _stored_names(shapes, received):
    """Name of a variable → the name in the checkpoint of what is to be loaded for it."""
    names = [name for name in shapes if not _TRAINING.fullmatch(name)]
    if any(name.endswith(AVERAGE) for name in names):  # then the others are what the last step of training left
        names = [name for name in names if name.endswith(AVERAGE)]
    stored = {}
    for name in sorted(names):
        match = _SCOPE.fullmatch(name.removesuffix(AVERAGE))
        ours = match["name"] if match else name
        if ours in stored:
            raise BadInputError(
                f"A checkpoint has one network. Received: {received} with {stored[ours]} and {name}. Save one of them "
                "by itself."
            )
        stored[ours] = name
    return stored


def _without_classifier(shapes):
    return {name: shape for name, shape in shapes.items() if not name.startswith(CLASSIFIER)}
