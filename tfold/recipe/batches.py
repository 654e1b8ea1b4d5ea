"""Training images in an order, and with changes, that depend on the seed, the phase and the epoch alone.

So a training that goes on after a kill sees in its 8th epoch just what it would have seen without it; and one that
takes up a trained network does not show it the very images, shifted and mirrored alike, that it knows.
"""
import zlib

import keras
import numpy as np

from tfold.errors import BadInputError

AUGMENT = ("none", "shift", "shift+flip")


class Batches(keras.utils.PyDataset):
    """The training part of some `Data`, for `fit`, in another order each epoch.

    Args:
        data: a `Data`.
        batch: images at a time; what is left at the end of an epoch is left out.
        augment: "none"; "shift": moved by up to `pixels` in each direction, edges filled with zeros as stored;
            "shift+flip": also mirrored left to right every other time (He et al., arXiv 1512.03385, sec. 4.2).
        seed: of the order and the changes.
        pixels: of the shift.
        phase: a word for the training: phases of one seed have other orders and changes.

    Example:

    >>> batches = Batches(data, 128, "shift+flip", seed=0)
    >>> model.fit(batches.for_fit(), shuffle=False, epochs=3, callbacks=[batches.follow()])
    """

    def __init__(self, data, batch=128, augment="none", seed=0, pixels=4, phase=""):
        super().__init__()
        if augment not in AUGMENT:
            raise BadInputError(
                f"augment is one of {', '.join(AUGMENT)}. Received: augment={augment!r}. Images of digits and text are "
                "not mirrored."
            )
        if augment != "none" and data.x_train.ndim != 4:
            raise BadInputError(
                "Shifted images have (height, width, channels). Received: images of shape "
                f"{data.x_train.shape[1:]} and augment={augment!r}. Pass augment='none'."
            )
        if not isinstance(batch, int) or batch < 1:
            raise BadInputError(f"batch counts images, from 1 on. Received: batch={batch!r}. The papers use 128.")
        self.data, self.augment, self.pixels = data, augment, pixels
        self.seed = seed, zlib.crc32(phase.encode())
        self.batch = min(batch, len(data.x_train))
        self.epoch = None
        self.enter(0)

    def __len__(self):
        return len(self.data.x_train) // self.batch

    def __getitem__(self, index):
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        images = self.data.x_train[chosen]
        if self.augment != "none":
            images = self._changed(images, np.random.default_rng((*self.seed, self.epoch, 1 + index)))
        return self.data.inputs(images), self.data.y_train[chosen]

    def enter(self, epoch):
        """Take the order of an epoch, counted from 0."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = np.random.default_rng((*self.seed, epoch, 0)).permutation(len(self.data.x_train))

    def follow(self):
        """The callback that `fit` needs beside the batches: it tells them the epoch."""
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: self.enter(epoch))

    def for_fit(self):
        """What `fit` is given: on TensorFlow a tf.data.Dataset of these batches, elsewhere the batches themselves.

        The dataset that Keras would make of them tunes itself. At the end of an epoch TensorFlow waits for the thread
        that does so, which sleeps for up to a minute: seen with 2.21, in every third epoch of 50 s.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in self[0])
        dataset = tf.data.Dataset.from_generator(lambda: map(self.__getitem__, range(len(self))),
                                                 output_signature=signature)
        options = tf.data.Options()
        options.autotune.enabled = False
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2).with_options(options)

    def _changed(self, images, rng):
        count, height, width = images.shape[:3]
        margin = self.pixels
        padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
        down, right = rng.integers(0, 2 * margin + 1, (2, count))
        images = windows[np.arange(count), down, right].transpose(0, 2, 3, 1)
        if self.augment == "shift+flip":
            mirrored = rng.integers(0, 2, count).astype(bool)
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        return images
