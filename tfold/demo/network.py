"""A small MobileNetV2: a stem, inverted residuals with ReLU6 and batch norm, a head.

Source: Sandler et al., MobileNetV2 (arXiv 1801.04381), table 2, made for 32×32 images.
"""
import keras

from tfold.demo.digits import CLASSES, SIZE

L = keras.layers
EXPANSION = 6
# (channels, stride) of each inverted residual.
BLOCKS = ((16, 1), (16, 1), (24, 2), (24, 1), (32, 2), (32, 1))


def mobilenet(name="digits_mobilenet"):
    """Return the network, untrained: input `(32, 32, 1)`, output `(10,)` probabilities."""
    x = image = keras.Input((SIZE, SIZE, 1), name="image")
    x = L.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = _normalized(x, "stem", "relu")
    for number, (channels, stride) in enumerate(BLOCKS):
        x = inverted_residual(x, channels, stride, f"block_{number}")
    x = L.Conv2D(64, 1, use_bias=False, name="head")(x)
    x = _normalized(x, "head", "relu")
    x = L.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, L.Dense(CLASSES, activation="softmax", name="digit")(x), name=name)


def inverted_residual(x, channels, stride, name):
    """1×1 expand → 3×3 depthwise → 1×1 project, with a skip where the shape stays."""
    inputs = x
    x = L.Conv2D(EXPANSION * x.shape[-1], 1, use_bias=False, name=f"{name}_expand")(x)
    x = _normalized(x, f"{name}_expand", "relu")
    x = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalized(x, f"{name}_depthwise", "relu")
    x = L.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(x)
    x = _normalized(x, f"{name}_project")
    return L.Add(name=f"{name}_add")([inputs, x]) if inputs.shape == x.shape else x


def _normalized(x, name, activation=None):
    # The epochs of the demo are short: Keras' momentum of 0.99 would leave the statistics far behind.
    x = L.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return L.ReLU(max_value=6, name=f"{name}_{activation}")(x) if activation else x
