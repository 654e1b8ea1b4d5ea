"""MobileNetV2 at any width, and for small images too (Sandler et al., arXiv 1801.04381).

    Conv1 3×3/2, 32 ─ expanded_conv ─ block_1 … block_16 ─ Conv_1 1×1, 1280 ─ global average ─ predictions

    x ─┬─ expand 1×1 ─ bn ─ relu6 ─ depthwise 3×3 ─ bn ─ relu6 ─ project 1×1 ─ bn ─ + ─
       └────────────────────────────────────────────────────────────────────────────┘   where the shape stays

Layers, their order and their names are those of keras.applications.MobileNetV2, so that weights fit both ways. That one
has no argument for small images, and at 32×32 pixels would leave one. `small_images=True` takes the first two strides
of 2, in Conv1 and block_1, as 1, as is common on CIFAR (github.com/kuangliu/pytorch-cifar, models/mobilenetv2.py): the
last blocks see 4×4 pixels. Weights do not depend on that.
"""
import keras
from keras import Model, layers

from tfold.errors import BadInputError
from tfold.zoo.arguments import activation_function, check_classes, check_pooling, image_input
from tfold.zoo.download import download, of_a_download
from tfold.zoo.pieces import channel_axis, divisible_by_8, pooled
from tfold.zoo.weights import IMAGENET, check_channels, check_weights, classes_of, load_file

# channels, repeats, stride of the first, expansion
STAGES = ((16, 1, 1, 1), (24, 2, 2, 6), (32, 3, 2, 6), (64, 4, 2, 6), (96, 3, 1, 6), (160, 3, 2, 6), (320, 1, 1, 6))
FIRST, LAST = 32, 1280

URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
SIZES = (96, 128, 160, 192, 224)
PUBLISHED = {0.35: SIZES, 0.5: SIZES, 0.75: SIZES, 1.0: SIZES, 1.3: (224,), 1.4: (224,)}


def MobileNetV2(width=1.0, input_shape=None, classes=1000, weights=None, include_top=True, small_images=False,
                pooling=None, classifier_activation="softmax", input_tensor=None, name=None):
    """Return a MobileNetV2; it takes pixels ÷ 127.5 − 1, as keras.applications.mobilenet_v2.preprocess_input makes.

    Args:
        width: factor of the channels ("alpha" in keras.applications), any above 0.
        input_shape: `(224, 224, 3)` by default; `(None, None, 3)` without the top. At least 32 pixels.
        classes: number of outputs. Ignored without the top.
        weights: None for random ones; "imagenet" to download those of keras.applications, which are there for widths of
            0.35, 0.5, 0.75, 1.0, 1.3 and 1.4 (with other than 1000 classes the classifier stays random); or the path of
            a weights file of this network: what `model.save_weights` wrote, or an .h5 of keras.applications, of which
            the features are taken where its classes are not these.
        include_top: with the global average and the classifier.
        small_images: strides of 1 in the first convolution and in `block_1`, for images like those of CIFAR.
        pooling: of the features without the top: None, "avg" or "max". Ignored with it.
        classifier_activation: "softmax"; None for logits. Ignored without the top.
        input_tensor: a Keras tensor to put the network on.
        name: of the model; `mobilenetv2_1.00_224` and the like by default.

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        BadInputError: an argument is out of range, or the weights are missing or of another network.
        TfoldError: the weights could not be downloaded.

    Example:

    >>> MobileNetV2(0.5, (32, 32, 3), classes=10, small_images=True).get_layer("out_relu").output.shape
    (None, 4, 4, 1280)
    """
    if not isinstance(width, (int, float)) or isinstance(width, bool) or not 0 < width < float("inf"):
        raise BadInputError(f"width is a number above 0. Received: width={width!r}. The usual ones are 0.35 to 1.4.")
    check_classes(classes)
    check_pooling(pooling)
    check_weights(weights, (IMAGENET,))
    if weights == IMAGENET and width not in PUBLISHED:
        raise BadInputError(
            f"ImageNet weights exist for the widths {', '.join(map(str, PUBLISHED))}. Received: width={width!r}. Take "
            "one of these, or weights=None."
        )
    image = image_input(input_tensor, input_shape, 224, include_top)
    rows, columns = _sides(image)
    whole = include_top and classes == 1000
    check_channels(image, weights)
    published = _download(width, rows if rows == columns else 224, whole) if weights == IMAGENET else None
    x = features = _features(image, width, small_images)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
        activation = activation_function("classifier_activation", classifier_activation)
        x = layers.Dense(classes, activation=activation, name="predictions")(x)
    else:
        x = pooled(x, pooling, "global_average_pooling2d", "global_max_pooling2d")
    inputs = image if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    model = Model(inputs, x, name=name or f"mobilenetv2_{width:0.2f}_{rows or 224}")
    if published:
        with of_a_download(published):
            load_file(Model(image, x if whole else features, name=model.name), published)
    elif weights is not None:
        given, classes = classes_of(weights), classes if include_top else 0
        if given is None:
            load_file(model, weights)
        elif given == classes or classes == 1000:  # where all 1000 are wanted, none is to stay random
            load_file(Model(image, x, name=model.name), weights)  # `model` may begin with layers of the caller's
        else:
            load_file(Model(image, features, name=model.name), weights, by_name=True)
    return model


def _features(x, width, small_images):
    x = layers.Conv2D(divisible_by_8(FIRST * width), 3, 1 if small_images else 2, padding="same", use_bias=False,
                      name="Conv1")(x)
    x = _activated(x, "bn_Conv1", "Conv1_relu")
    number = 0
    for stage, (channels, repeats, strides, expansion) in enumerate(STAGES):
        if stage == 1 and small_images:
            strides = 1
        for i in range(repeats):
            prefix = f"block_{number}_" if number else "expanded_conv_"
            x = _block(x, divisible_by_8(int(channels * width)), 1 if i else strides, expansion, prefix)
            number += 1
    x = layers.Conv2D(divisible_by_8(LAST * max(width, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    return _activated(x, "Conv_1_bn", "out_relu")


def _block(x, channels, strides, expansion, prefix):
    before, y = x.shape[channel_axis()], x
    if expansion > 1:
        y = layers.Conv2D(expansion * before, 1, padding="same", use_bias=False, name=f"{prefix}expand")(y)
        y = _activated(y, f"{prefix}expand_BN", f"{prefix}expand_relu")
    if strides == 2:
        y = layers.ZeroPadding2D(_padding(y), name=f"{prefix}pad")(y)
    y = layers.DepthwiseConv2D(3, strides, padding="same" if strides == 1 else "valid", use_bias=False,
                               name=f"{prefix}depthwise")(y)
    y = _activated(y, f"{prefix}depthwise_BN", f"{prefix}depthwise_relu")
    y = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{prefix}project")(y)
    y = _normalized(y, f"{prefix}project_BN")
    if strides == 2 or before != channels:
        return y
    return layers.Add(name=f"{prefix}add")([x, y])


def _padding(x):
    """One pixel after the image, and one before it where its size is odd: what "same" padding comes to at stride 2.

    A size that is not known yet counts as even, as in keras.applications.
    """
    return tuple((0 if side is None else side % 2, 1) for side in _sides(x))


def _activated(x, bn, activation):
    return layers.ReLU(6.0, name=activation)(_normalized(x, bn))


def _normalized(x, name):
    return layers.BatchNormalization(channel_axis(), momentum=0.999, epsilon=1e-3, name=name)(x)


def _sides(x):
    return x.shape[2:] if channel_axis() == 1 else x.shape[1:3]


def _download(width, size, whole):
    """The path of the file that keras.applications would load; where there is none of the image's size, that of 224."""
    size = size if size in PUBLISHED[width] else 224
    top = "" if whole else "_no_top"
    return download(f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(width)}_{size}{top}.h5", URL)
