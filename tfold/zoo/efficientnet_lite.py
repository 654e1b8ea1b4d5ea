"""EfficientNet-lite 0 to 4, with the arguments of keras.applications, which has none.

    stem 3×3/2, 32 ─ block 1 … block 7 (inverted residuals, ReLU6) ─ top 1×1, 1280 ─ global average ─ dense

    x ─┬─ expand 1×1 ─ bn ─ relu6 ─ depthwise k×k ─ bn ─ relu6 ─ project 1×1 ─ bn ─ drop ─ + ─
       └──────────────────────────────────────────────────────────────────────────────────┘   where the shape stays

It is EfficientNet without squeeze-and-excitation and with ReLU6 for swish; and what is scaled up is neither the stem
nor the top, nor how often the first and the last block are repeated. Layers are named as in
keras.applications.EfficientNetB0. Unlike there, convolutions of stride 2 have "same" padding, as in the original. The
authors' table has more MACs (407, 631, 899, 1440, 2640 M), for it counts what batch norms compute in training too.

Source: github.com/tensorflow/tpu, models/official/efficientnet/lite; Tan and Le, arXiv 1905.11946.
"""
import os
from math import ceil

import keras
from keras import layers

from tfold.errors import BadInputError, one_line

# channels, repeats, window, stride, expansion
BLOCKS = (
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
STEM, TOP = 32, 1280
DROP_CONNECT = 0.2
SMALLEST = 32


def _variant(number, width, depth, size, dropout, parameters, macs):
    def network(include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000,
                classifier_activation="softmax", include_preprocessing=True, name=f"efficientnet-lite{number}"):
        image = _image(input_tensor, input_shape, size, include_top)
        _check(weights, pooling, classes)
        x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(image) if include_preprocessing else image
        x = _features(x, width, depth)
        if include_top:
            x = _top(x, dropout, classes, classifier_activation)
        elif pooling:
            pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
            x = pool(name=f"{pooling}_pool")(x)
        inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
        return _with_weights(keras.Model(inputs, x, name=name), weights)

    network.__name__ = network.__qualname__ = f"EfficientNetLite{number}"
    network.__doc__ = _DOCUMENTATION.format(number=number, size=size, parameters=parameters, macs=macs)
    return network


_DOCUMENTATION = """Return an EfficientNet-lite{number}: {parameters} M parameters, {macs} MACs at {size}×{size} pixels.

    Args:
        include_top: with the global average, dropout and the classifier.
        weights: None for random ones, or the path of a weights file (`model.save_weights`) of this network. There are
            no "imagenet" weights to download for Keras.
        input_tensor: a Keras tensor to put the network on.
        input_shape: `({size}, {size}, 3)` by default; `(None, None, 3)` without the top. At least 32 pixels.
        pooling: of the features without the top: None, "avg" or "max". Ignored with it.
        classes: number of outputs. Ignored without the top.
        classifier_activation: "softmax"; None for logits. Ignored without the top.
        include_preprocessing: start with a Rescaling layer: the network takes pixels 0…255, as those of
            keras.applications do. False: it takes `(pixels - 127) / 128`, as the published .tflite files do.
        name: of the model.

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        BadInputError: an argument is out of range, or the weights are missing or of another network.

    Example:

    >>> model = EfficientNetLite{number}(classes=10, classifier_activation=None)
    >>> model.output_shape
    (None, 10)
    """


def _features(x, width, depth):
    repeats = [
        n if i in (0, len(BLOCKS) - 1) else ceil(depth * n) for i, (_, n, _, _, _) in enumerate(BLOCKS)
    ]
    x = _activated(_convolution(x, STEM, 3, 2, "stem_conv"), "stem_bn", "stem_activation")
    position = 0
    for i, (channels, _, window, strides, expansion) in enumerate(BLOCKS):
        for j in range(repeats[i]):
            drop = DROP_CONNECT * position / sum(repeats)
            name = f"block{i + 1}{chr(ord('a') + j)}_"
            x = _block(x, _scaled(channels, width), window, 1 if j else strides, expansion, drop, name)
            position += 1
    return _activated(_convolution(x, TOP, 1, 1, "top_conv"), "top_bn", "top_activation")


def _scaled(channels, width):
    """A multiple of 8, never less than 90 % of what was asked for."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def _block(x, channels, window, strides, expansion, drop, name):
    before, y = x.shape[_channel_axis()], x
    if expansion > 1:
        y = _convolution(y, before * expansion, 1, 1, f"{name}expand_conv")
        y = _activated(y, f"{name}expand_bn", f"{name}expand_activation")
    y = layers.DepthwiseConv2D(window, strides, padding="same", use_bias=False, depthwise_initializer=_normal(),
                               name=f"{name}dwconv")(y)
    y = _activated(y, f"{name}bn", f"{name}activation")
    y = _normalized(_convolution(y, channels, 1, 1, f"{name}project_conv"), f"{name}project_bn")
    if strides > 1 or before != channels:
        return y
    if drop:
        y = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(y)  # the whole branch or nothing
    return layers.Add(name=f"{name}add")([y, x])


def _top(x, dropout, classes, activation):
    x = layers.Dropout(dropout, name="top_dropout")(layers.GlobalAveragePooling2D(name="avg_pool")(x))
    try:
        activation = keras.activations.get(activation)
    except (ValueError, TypeError) as error:
        raise BadInputError(
            f"classifier_activation is an activation of Keras. Received: classifier_activation={activation!r}. "
            'The usual ones are "softmax" and None, for logits.'
        ) from error
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform")
    return layers.Dense(classes, activation=activation, kernel_initializer=uniform, name="predictions")(x)


def _convolution(x, channels, window, strides, name):
    return layers.Conv2D(channels, window, strides, padding="same", use_bias=False, kernel_initializer=_normal(),
                         name=name)(x)


def _activated(x, bn, activation):
    return layers.ReLU(6.0, name=activation)(_normalized(x, bn))


def _normalized(x, name):
    return layers.BatchNormalization(_channel_axis(), momentum=0.99, epsilon=1e-3, name=name)(x)


def _channel_axis():
    return 1 if keras.backend.image_data_format() == "channels_first" else -1


def _normal():
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def _image(tensor, shape, size, include_top):
    """The network's input: the given tensor, or a new one of the given shape."""
    first = _channel_axis() == 1
    if tensor is not None:
        if not keras.utils.is_keras_tensor(tensor):
            raise BadInputError(
                f"input_tensor is a Keras tensor. Received: input_tensor of type {type(tensor).__name__}. "
                "Make one with keras.Input, or call the model on it."
            )
        if shape is not None and tuple(shape) != tuple(tensor.shape[1:]):
            raise BadInputError(
                f"input_shape is that of input_tensor. Received: input_shape={shape} and a tensor of shape "
                f"{tuple(tensor.shape)}. Leave input_shape out."
            )
        shape = tensor.shape[1:]
    elif shape is None:
        side = size if include_top else None
        shape = (3, side, side) if first else (side, side, 3)
    order = "(channels, height, width)" if first else "(height, width, channels)"
    numbers = isinstance(shape, (tuple, list)) and all(n is None or (isinstance(n, int) and n > 0) for n in shape)
    if not numbers or len(shape) != 3 or shape[0 if first else 2] is None:
        raise BadInputError(
            f"input_shape is {order}. Received: input_shape={shape!r}. Leave it out for {size}×{size} pixels."
        )
    sides = tuple(shape[1:] if first else shape[:2])
    if any(side is not None and side < SMALLEST for side in sides):
        raise BadInputError(
            f"Images have {SMALLEST}×{SMALLEST} pixels at least. Received: input_shape={tuple(shape)}. Enlarge them."
        )
    if include_top and None in sides:
        raise BadInputError(
            f"With the top the input has a fixed size. Received: input_shape={tuple(shape)}. Give the size, or "
            "include_top=False."
        )
    return keras.Input(tuple(shape)) if tensor is None else tensor


def _check(weights, pooling, classes):
    if pooling not in (None, "avg", "max"):
        raise BadInputError(f'pooling is None, "avg" or "max". Received: pooling={pooling!r}. The default is None.')
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise BadInputError(f"classes is a whole number from 1 on. Received: classes={classes!r}. ImageNet has 1000.")
    if weights == "imagenet":
        raise BadInputError(
            "weights is None or a file: there are no ImageNet weights of EfficientNet-lite to download for Keras. "
            'Received: weights="imagenet". Train from weights=None, or pass a file that model.save_weights wrote.'
        )
    if weights is not None and (not isinstance(weights, (str, os.PathLike)) or not os.path.isfile(weights)):
        raise BadInputError(
            f"weights is None or a file that exists. Received: weights={weights!r}. Check the path."
        )


def _with_weights(model, path):
    if path is not None:
        try:
            model.load_weights(path)
        except Exception as error:  # Keras and h5py raise many kinds for what does not fit
            example = str(error).rpartition("Example error message for object ")[2]
            example = example.partition("List of objects")[0].partition("Target variable")[0]
            raise BadInputError(
                f"A weights file is of this very network. Received: {os.fspath(path)} for {model.name!r}, which does "
                f"not fit: {one_line(example)} Pass what model.save_weights wrote, with the same include_top and "
                "classes."
            ) from error
    return model


EfficientNetLite0 = _variant(0, 1.0, 1.0, 224, 0.2, "4.7", "385 M")
EfficientNetLite1 = _variant(1, 1.0, 1.1, 240, 0.2, "5.4", "600 M")
EfficientNetLite2 = _variant(2, 1.1, 1.2, 260, 0.3, "6.1", "860 M")
EfficientNetLite3 = _variant(3, 1.2, 1.4, 280, 0.3, "8.2", "1.38 G")
EfficientNetLite4 = _variant(4, 1.4, 1.8, 300, 0.3, "13.0", "2.55 G")
