"""Small data and networks that train in a moment."""
import keras
import numpy as np
import pytest

from tfold.recipe.data import load_data

layers = keras.layers


@pytest.fixture(scope="session")
def blobs(tmp_path_factory):
    """Three classes of 6×6 images that differ in where they are bright: 240 to train on, 60 to test by."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    images = rng.integers(0, 100, (300, 6, 6, 1)).astype("uint8")
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 120
    path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
    np.savez(path, x_train=images[:240], y_train=labels[:240, None], x_test=images[240:], y_test=labels[240:])
    return path


@pytest.fixture(scope="session")
def data(blobs):
    return load_data(blobs, scale=(-1, 1))


@pytest.fixture(scope="session")
def convolutional():
    """Builds conv ─ bn ─ relu ─ conv ─ bn ─ relu ─ average ─ dense."""

    def build():
        image = keras.Input((6, 6, 1))
        x = image
        for i in (1, 2):
            x = layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"conv_{i}")(x)
            x = layers.BatchNormalization(momentum=0.8, name=f"bn_{i}")(x)
            x = layers.ReLU(name=f"relu_{i}")(x)
        x = layers.Flatten()(x)
        return keras.Model(image, layers.Dense(3, name="logits")(x), name="small")

    return build


@pytest.fixture(scope="session")
def mlp():
    """Builds dense ─ relu ─ dense ─ relu ─ dense, with logits or, `softmax=True`, probabilities."""

    def build(softmax=False, seed=1):
        keras.utils.set_random_seed(seed)
        image = keras.Input((6, 6, 1))
        x = layers.Flatten()(image)
        for i in (1, 2):
            x = layers.ReLU(name=f"relu_{i}")(layers.Dense(16, name=f"dense_{i}")(x))
        x = layers.Dense(3, activation="softmax" if softmax else None, name="scores")(x)
        return keras.Model(image, x, name="mlp")

    return build

