"""Networks of the papers, as Keras models."""
from tfold.zoo.cifar_resnet import CifarResNet
from tfold.zoo.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    EfficientNetLite3,
    EfficientNetLite4,
)

__all__ = ["CifarResNet", "EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2", "EfficientNetLite3",
           "EfficientNetLite4"]
