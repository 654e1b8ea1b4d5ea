"""The arguments that several networks take, checked in one place and with the same words.

    input_tensor or input_shape ─ image_input ─ features ─┬─ include_top: global average ─ (dropout) ─ classifier
                                                          └─ else: pooling "avg", "max" or none
"""
import keras

from tfold.errors import BadInputError
from tfold.zoo.pieces import channel_axis

SMALLEST = 32


def image_input(tensor, shape, size, include_top, name=None):
    """Return the network's input: the given tensor, or a new one of the given shape.

    Args:
        tensor: a Keras tensor or None.
        shape: the shape of one image, or None for the network's own.
        size: the network's own height and width.
        include_top: whether a classifier follows, which needs a fixed size.
        name: of the new tensor.

    Raises:
        BadInputError: it is no Keras tensor, or no shape of an image, or too small.
    """
    first = channel_axis() == 1
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
    return keras.Input(tuple(shape), name=name) if tensor is None else tensor


def check_whole(name, value, hint):
    """Raise `BadInputError` unless an argument is a whole number from 1 on."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadInputError(f"{name} is a whole number from 1 on. Received: {name}={value!r}. {hint}")


def check_classes(classes):
    """Raise `BadInputError` unless there is a whole number of classes."""
    check_whole("classes", classes, "ImageNet has 1000.")


def check_pooling(pooling):
    """Raise `BadInputError` unless it is a pooling that Keras' applications know."""
    if pooling not in (None, "avg", "max"):
        raise BadInputError(f'pooling is None, "avg" or "max". Received: pooling={pooling!r}. The default is None.')


def activation_function(name, activation):
    """Return a Keras activation; raise `BadInputError` where there is none of that name."""
    try:
        return keras.activations.get(activation)
    except (ValueError, TypeError) as error:
        raise BadInputError(
            f"{name} is an activation of Keras. Received: {name}={activation!r}. "
            'The usual ones are "softmax" and None, for logits.'
        ) from error
