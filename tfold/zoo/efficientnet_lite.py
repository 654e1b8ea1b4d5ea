"""EfficientNet-lite 0 to 4, with the arguments of keras.applications, which has none.

    stem 3×3/2, 32 ─ block 1 … block 7 (inverted residuals, ReLU6) ─ top 1×1, 1280 ─ global average ─ dense

    x ─┬─ expand 1×1 ─ bn ─ relu6 ─ depthwise k×k ─ bn ─ relu6 ─ project 1×1 ─ bn ─ drop ─ + ─
       └──────────────────────────────────────────────────────────────────────────────────┘   where the shape stays

It is EfficientNet without squeeze-and-excitation and with ReLU6 for swish; and what is scaled up is neither the stem
nor the top, nor how often the first and the last block are repeated. Layers are named as in
keras.applications.EfficientNetB0. Unlike there, convolutions of stride 2 have "same" padding, as in the original. The
authors' table has more MACs (407, 631, 899, 1440, 2640 M), for it counts what batch norms compute in training too:
three for each of their values.

Source: github.com/tensorflow/tpu, models/official/efficientnet/lite; Tan and Le, arXiv 1905.11946.
"""
from math import ceil

import keras
from keras import layers

from tfold.zoo.archive import is_checkpoint
from tfold.zoo.arguments import activation_function, check_classes, check_pooling, image_input
from tfold.zoo.checkpoint import load_checkpoint
from tfold.zoo.download import download, of_a_download
from tfold.zoo.pieces import channel_axis, divisible_by_8, pooled
from tfold.zoo.weights import IMAGENET, check_channels, check_weights, load_file

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
URL = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/lite/"


def _variant(number, width, depth, size, dropout, parameters, macs):
    def network(include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000,
                classifier_activation="softmax", include_preprocessing=True, name=f"efficientnet-lite{number}"):
        image = image_input(input_tensor, input_shape, size, include_top)
        check_pooling(pooling)
        check_classes(classes)
        check_weights(weights, (IMAGENET,), checkpoints=True)
        check_channels(image, weights)
        published = download(f"efficientnet-lite{number}.tar.gz", URL) if weights == IMAGENET else None
        weights = published or weights
        x = layers.Rescaling(1 / 128, -127 / 128, name="rescaling")(image) if include_preprocessing else image
        x = _features(x, width, depth)
        x = _top(x, dropout, classes, classifier_activation) if include_top else pooled(x, pooling)
        inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
        model = keras.Model(inputs, x, name=name)
        if weights is not None:
            with of_a_download(published):
                (load_checkpoint if is_checkpoint(weights) else load_file)(model, weights)
        return model

    network.__name__ = network.__qualname__ = f"EfficientNetLite{number}"
    network.__doc__ = _DOCUMENTATION.format(number=number, size=size, parameters=parameters, macs=macs)
    return network


_DOCUMENTATION = """Return an EfficientNet-lite{number}: {parameters} M parameters, {macs} MACs at {size}×{size} pixels.

    Args:
        include_top: with the global average, dropout and the classifier.
        weights: None for random ones; "imagenet" to download the authors' checkpoint; or a path: a weights file of this
            network (`model.save_weights`), or a checkpoint in the authors' format, by its prefix, its folder or its
            .tar.gz. With other than 1000 classes the classifier of an ImageNet checkpoint is left out.
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
        BadInputError: an argument is out of range, or the weights are missing, damaged or of another network.
        TfoldError: the weights could not be downloaded.

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
            x = _block(x, divisible_by_8(channels * width), window, 1 if j else strides, expansion, drop, name)
            position += 1
    return _activated(_convolution(x, TOP, 1, 1, "top_conv"), "top_bn", "top_activation")


def _block(x, channels, window, strides, expansion, drop, name):
    before, y = x.shape[channel_axis()], x
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
    x = layers.Dropout(dropout, name="top_dropout")(pooled(x, "avg"))
    activation = activation_function("classifier_activation", activation)
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform")
    return layers.Dense(classes, activation=activation, kernel_initializer=uniform, name="predictions")(x)


def _convolution(x, channels, window, strides, name):
    return layers.Conv2D(channels, window, strides, padding="same", use_bias=False, kernel_initializer=_normal(),
                         name=name)(x)


def _activated(x, bn, activation):
    return layers.ReLU(6.0, name=activation)(_normalized(x, bn))


def _normalized(x, name):
    return layers.BatchNormalization(channel_axis(), momentum=0.99, epsilon=1e-3, name=name)(x)


def _normal():
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


EfficientNetLite0 = _variant(0, 1.0, 1.0, 224, 0.2, "4.7", "385 M")
EfficientNetLite1 = _variant(1, 1.0, 1.1, 240, 0.2, "5.4", "600 M")
EfficientNetLite2 = _variant(2, 1.1, 1.2, 260, 0.3, "6.1", "860 M")
EfficientNetLite3 = _variant(3, 1.2, 1.4, 280, 0.3, "8.2", "1.38 G")
EfficientNetLite4 = _variant(4, 1.4, 1.8, 300, 0.3, "13.0", "2.55 G")
