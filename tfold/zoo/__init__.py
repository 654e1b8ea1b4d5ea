"""Networks of the papers, as Keras models."""
from tfold.zoo.cifar_resnet import CifarResNet

__all__ = ["CifarResNet"]
