"""scikit-learn's 1,797 handwritten digits (8×8, UCI ML repository), enlarged to 32×32."""
from typing import NamedTuple

import keras
import numpy as np

from tfold.errors import TfoldError

SIZE = 32
CLASSES = 10


class Digits(NamedTuple):
    """x: float32 `(n, 32, 32, 1)`, −1…1. y: int, `(n,)`, 0…9."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load(seed=0):
    """Return the digits, two thirds to train on and one third to test on, each digit equally in both."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise TfoldError(
            "The demo's images come with scikit-learn. Received: no scikit-learn. "
            "Install it: pip install scikit-learn."
        ) from error
    images, labels = load_digits(return_X_y=True)
    images = enlarge(images.reshape(-1, 8, 8).astype("float32") / 8 - 1)
    x_train, x_test, y_train, y_test = train_test_split(
        images[..., None], labels, test_size=1 / 3, random_state=seed, stratify=labels
    )
    return Digits(x_train, y_train, x_test, y_test)


class ShiftedBatches(keras.utils.PyDataset):
    """The training images in another order each epoch, each moved by up to `pixels` pixels."""

    def __init__(self, data, batch=64, pixels=2, seed=0):
        super().__init__()
        self.padded = np.pad(data.x_train, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), constant_values=-1)
        self.labels, self.batch, self.pixels = data.y_train, batch, pixels
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.labels) // self.batch)

    def __getitem__(self, index):
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        images = np.stack([
            self.padded[i, down : down + SIZE, right : right + SIZE]
            for i, (down, right) in zip(chosen, self.offsets[chosen], strict=True)
        ])
        return images, self.labels[chosen]

    def on_epoch_end(self):
        self.order = self.rng.permutation(len(self.labels))
        self.offsets = self.rng.integers(0, 2 * self.pixels + 1, (len(self.labels), 2))


def enlarge(images):
    """Bilinear, 8×8 → 32×32, pixel centres aligned."""
    at = np.clip((np.arange(SIZE) + 0.5) * images.shape[1] / SIZE - 0.5, 0, images.shape[1] - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, images.shape[1] - 1)
    part = (at - low).astype("float32")
    rows = images[:, low] * (1 - part)[:, None] + images[:, high] * part[:, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, high] * part
