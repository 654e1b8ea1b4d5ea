"""The residual networks for CIFAR: ResNet-20, -32, -44, -56… (He et al., arXiv 1512.03385, section 4.2).

    conv 3×3, 16 ─ bn ─ relu ─ 3 stages of n blocks with 16, 32, 64 channels ─ global average ─ dense      depth 6·n + 2

    x ─┬─ conv 3×3 ─ bn ─ relu1 ─ conv 3×3 ─ bn ─ + ─ relu2        padding of one pixel on every side
       └──────────────── (conv 1×1 ─ bn) ─────────┘                the shortcut's convolution where the stage changes
"""
import keras
from keras import layers

from tfold.errors import BadInputError
from tfold.zoo.arguments import check_classes, check_whole, image_input
from tfold.zoo.pieces import channel_axis


def CifarResNet(depth=20, classes=10, input_shape=(32, 32, 3), name=None):
    """Return a residual network for small images.

    Its activations are called `relu_0` (the first, which Layer Folding leaves alone) and `stage<i>_block<j>_relu1`,
    `…_relu2`. Convolutions have no bias; padding is explicit, one pixel on each side, also at stride 2. Where the
    paper's shortcuts drop pixels and add channels of zeros (its option A), these have a convolution (option B): 2,752
    parameters more than in its table 6, at every depth.

    Args:
        depth: 6·n + 2: 20, 32, 44, 56, 110.
        classes: number of outputs (logits).
        input_shape: `(height, width, channels)`, at least 32 pixels.
        name: of the model; `resnet<depth>` by default.

    Returns:
        An uncompiled `keras.Model` with random weights.

    Raises:
        BadInputError: no n gives this depth, or another argument is out of range.

    Example:

    >>> CifarResNet(20).count_params()
    274042
    """
    check_whole("depth", depth, "The paper has 20, 32, 44, 56, 110.")
    check_classes(classes)
    if depth < 8 or (depth - 2) % 6:
        raise BadInputError(f"depth is 6·n + 2: 20, 32, 44, 56, 110. Received: depth={depth!r}")
    x = image_input(None, input_shape, 32, include_top=True, name="image")
    y = layers.ReLU(name="relu_0")(_convolution(x, 16, 3, 1, "conv_0"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            y = _block(y, filters, strides, f"stage{stage}_block{block}")
    y = layers.GlobalAveragePooling2D(name="average")(y)
    return keras.Model(x, layers.Dense(classes, name="logits")(y), name=name or f"resnet{depth}")


def _block(x, filters, strides, name):
    y = layers.ReLU(name=f"{name}_relu1")(_convolution(x, filters, 3, strides, f"{name}_conv1"))
    y = _convolution(y, filters, 3, 1, f"{name}_conv2")
    if strides > 1:
        x = _convolution(x, filters, 1, strides, f"{name}_shortcut")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))


def _convolution(x, filters, window, strides, name):
    if window > 1:
        x = layers.ZeroPadding2D(window // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(filters, window, strides, use_bias=False, kernel_initializer="he_normal", name=name)(x)
    return layers.BatchNormalization(channel_axis(), name=f"{name}_bn")(x)
