"""What several of the networks are built of."""
import keras
from keras import layers


def channel_axis():
    """The axis of the channels: 1 or -1, as Keras is set up."""
    return 1 if keras.backend.image_data_format() == "channels_first" else -1


def divisible_by_8(channels):
    """A number of channels as a multiple of 8, never less than 90 % of what was asked for.

    Example:

    >>> divisible_by_8(16 * 0.75), divisible_by_8(11.2)
    (16, 16)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def pooled(x, pooling, average="avg_pool", maximum="max_pool"):
    """Return features as `pooling` wants them: averages, maxima, or all of them where it is None."""
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name=average)(x)
    return layers.GlobalMaxPooling2D(name=maximum)(x) if pooling == "max" else x
