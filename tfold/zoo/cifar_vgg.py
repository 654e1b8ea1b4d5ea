"""VGG with batch norm for CIFAR: VGG-11, -13, -16 and -19, with one dense layer for the original's three.

    5 blocks of 64, 128, 256, 512, 512 channels ─ average ─ logits            VGG-16: 2, 2, 3, 3, 3 convolutions

    (conv 3×3 ─ bn ─ relu) × n ─ max pool 2×2                                 32 → 16 → 8 → 4 → 2 → 1 pixels

The number in the name is the original's, which counts its three dense layers: VGG-16 has 13 convolutions, and so 14
linear layers here. This is how VGG is commonly trained on CIFAR: at 32×32 pixels the last block leaves one pixel of 512
channels, from which one dense layer reads the classes. VGG-16 has 14.7 M parameters so, instead of 138 M.

Source: Simonyan and Zisserman, arXiv 1409.1556, table 1 (A, B, D, E); for CIFAR, github.com/kuangliu/pytorch-cifar,
models/vgg.py. The convolutions there have biases (14,728,266 trainable parameters), which batch norm takes off again;
here they have none (14,724,042).
"""
from keras import Model, layers

from tfold.errors import BadInputError
from tfold.zoo.arguments import check_classes, image_input
from tfold.zoo.pieces import channel_axis

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def CifarVGG(depth=16, classes=10, input_shape=(32, 32, 3), name=None):
    """Return a VGG network with batch norm for small images.

    Layers are called `block1_conv1`, `block1_bn1`, `block1_relu1`, …, `block1_pool`, and at the end `average` and
    `logits`. Convolutions have no bias and "same" padding.

    Args:
        depth: 11, 13, 16 or 19: the number of convolutions and three, as the original counts.
        classes: number of outputs (logits).
        input_shape: `(height, width, channels)`, at least 32 pixels.
        name: of the model; `vgg<depth>` by default.

    Returns:
        An uncompiled `keras.Model` with random weights.

    Raises:
        BadInputError: there is no VGG of this depth, or another argument is out of range.

    Example:

    >>> CifarVGG(16).count_params()
    14732490
    """
    if not isinstance(depth, int) or depth not in CONVOLUTIONS:
        raise BadInputError(f"depth is 11, 13, 16 or 19. Received: depth={depth!r}. The default is 16.")
    check_classes(classes)
    x = y = image_input(None, input_shape, 32, include_top=True, name="image")
    for block, (filters, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), start=1):
        for i in range(1, convolutions + 1):
            y = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal",
                              name=f"block{block}_conv{i}")(y)
            y = layers.BatchNormalization(channel_axis(), name=f"block{block}_bn{i}")(y)
            y = layers.ReLU(name=f"block{block}_relu{i}")(y)
        y = layers.MaxPooling2D(2, name=f"block{block}_pool")(y)
    y = layers.GlobalAveragePooling2D(name="average")(y)  # of one pixel, at 32×32
    return Model(x, layers.Dense(classes, name="logits")(y), name=name or f"vgg{depth}")
