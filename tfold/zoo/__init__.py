"""Networks of the papers, as Keras models."""
from tfold.zoo.blocks import inverted_residual_activations
from tfold.zoo.cifar_resnet import CifarResNet
from tfold.zoo.cifar_vgg import CifarVGG
from tfold.zoo.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    EfficientNetLite3,
    EfficientNetLite4,
)
from tfold.zoo.mlp import MnistMLP
from tfold.zoo.mobilenet_v2 import MobileNetV2

__all__ = ["CifarResNet", "CifarVGG", "EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2",
           "EfficientNetLite3", "EfficientNetLite4", "MnistMLP", "MobileNetV2", "inverted_residual_activations"]
