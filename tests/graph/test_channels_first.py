"""Channels first: batch norms over axis 1 fold into such layers; inside, the new network has its channels last."""
import keras
import numpy as np
import pytest

import tfold
from tfold.graph.family import family_named

FIRST = "channels_first"


def chain(*layers):
    def run(x):
        for layer in layers:
            x = layer(x)
        return x

    return run


def norm(L):
    return L.BatchNormalization(axis=1)


def residual(L):
    def run(x):
        y = chain(L.Conv2D(4, 3, padding="same", data_format=FIRST), norm(L), L.ReLU())(x)
        z = chain(L.DepthwiseConv2D(3, padding="same", data_format=FIRST), norm(L))(y)
        both = L.Concatenate(axis=1)([L.Add()([y, z]), chain(L.Conv2D(2, 1, data_format=FIRST), norm(L))(x)])
        gate = chain(L.GlobalAveragePooling2D(data_format=FIRST, keepdims=True),
                     L.Conv2D(6, 1, activation="sigmoid", data_format=FIRST))(both)
        return L.GlobalMaxPooling2D(data_format=FIRST)(L.Multiply()([both, gate]))

    return run


# Name → (shape of the input, function from layers to the network, batch norms that stay).
NETWORKS = {
    "chain": ((3, 8, 8), lambda L: chain(
        L.Conv2D(4, 3, strides=2, padding="same", data_format=FIRST, use_bias=False), norm(L), L.ReLU(),
        L.MaxPooling2D(2, data_format=FIRST), L.Conv2D(4, 1, data_format=FIRST), norm(L), L.Dropout(0.1),
        L.Flatten(data_format=FIRST), L.Dense(3)), 0),
    "residual": ((3, 8, 8), residual, 0),
    "one dimension": ((3, 9), lambda L: chain(
        L.Conv1D(4, 3, data_format=FIRST), norm(L), L.Activation("relu"), L.SeparableConv1D(4, 3, data_format=FIRST),
        norm(L), L.AveragePooling1D(2, data_format=FIRST), L.GlobalAveragePooling1D(data_format=FIRST)), 0),
    "three dimensions": ((2, 6, 6, 6), lambda L: chain(
        L.Conv3D(3, 3, data_format=FIRST), norm(L), L.ReLU(), L.ZeroPadding3D(1, data_format=FIRST),
        L.GlobalAveragePooling3D(data_format=FIRST)), 0),
    "up and down": ((3, 6, 6), lambda L: chain(
        L.ZeroPadding2D(((1, 0), (2, 1)), data_format=FIRST), L.SeparableConv2D(4, 3, data_format=FIRST), norm(L),
        L.UpSampling2D(2, data_format=FIRST), L.Cropping2D(((1, 0), (0, 2)), data_format=FIRST),
        L.Conv2DTranspose(3, 3, strides=2, data_format=FIRST), norm(L), L.ReLU(),
        L.Conv2D(2, 3, data_format=FIRST)), 0),
    "flattened as it is": ((3, 6, 5), lambda L: chain(
        L.Conv2D(4, 3, data_format=FIRST), norm(L), L.Flatten(data_format="channels_last"), L.Dense(3)), 0),
    "prelu": ((3, 6, 5), lambda L: chain(
        L.Conv2D(4, 3, data_format=FIRST), norm(L), L.PReLU(shared_axes=[2, 3]), L.Conv2D(4, 2, data_format=FIRST),
        norm(L)), 0),
    "a scale along the width": ((3, 6, 5), lambda L: chain(
        L.Conv2D(4, 3, data_format=FIRST), L.BatchNormalization(axis=-1), L.ReLU(), L.Conv2D(4, 2, data_format=FIRST)),
        1),
    "softmax along the width": ((3, 6, 5), lambda L: chain(
        L.Conv2D(4, 3, data_format=FIRST, activation="softmax"), L.Conv2D(4, 2, data_format=FIRST), norm(L)), 0),
}


def test_a_bias_that_keras_adds_along_the_width_stays_there(randomize):
    """As Keras 3.15 does on TensorFlow where the width is as long as there are filters."""
    L = keras.layers
    x = keras.Input((2, 6, 6))
    model = randomize(keras.Model(x, norm(L)(L.Conv2D(4, 3, data_format=FIRST)(x))))
    given = np.random.default_rng(0).normal(size=(2, 2, 6, 6)).astype("float32")
    np.testing.assert_allclose(tfold.fold(model).model(given), model(given), atol=1e-5)


@pytest.fixture(params=["channels_last", FIRST])
def default_form(request):
    families = [family_named(name).keras for name in ("keras", "tf_keras")]
    setters = [getattr(each, "config", None) or each.backend for each in families]
    before = [each.image_data_format() for each in setters]
    for each in setters:
        each.set_image_data_format(request.param)
    yield request.param
    for each, form in zip(setters, before, strict=True):
        each.set_image_data_format(form)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_folds(name, kind, default_form, randomize, tmp_path):
    family = family_named(name)
    shape, network, left = NETWORKS[kind]
    x = family.keras.Input(shape)
    model = randomize(family.keras.Model(x, network(family.layers)(x)))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == left
    assert [tuple(each.shape) for each in result.model.outputs] == [tuple(each.shape) for each in model.outputs]
    given = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    expected = np.asarray(model(given))
    np.testing.assert_allclose(result.model(given), expected, atol=1e-4 * np.abs(expected).max())
    result.model.save(tmp_path / "m.keras")
    again = family.keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(given), expected, atol=1e-4 * np.abs(expected).max())


def test_alphas_and_export(randomize, tmp_path):
    from tfold.tflite.contents import read

    L = keras.layers
    x = keras.Input((3, 8, 8))
    model = randomize(keras.Model(x, NETWORKS["chain"][1](L)(x)))
    f_alpha = tfold.prefold(model)
    (name,) = tfold.alphas(f_alpha)
    f_alpha.get_layer(name).alpha.assign(1.0)
    given = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    np.testing.assert_allclose(tfold.fold(f_alpha).model(given), f_alpha(given), atol=1e-4)
    tfold.export(tfold.fold(model).model, tmp_path / "m.tflite")
    assert [op.kind for op in read(tmp_path / "m.tflite").ops].count("TRANSPOSE") == 1


def test_what_the_processor_does_not_compute_with_channels_first():
    """Without oneDNN, TensorFlow convolves and pools so in compiled functions alone: the check compiles them then."""
    import subprocess
    import sys

    script = """if True:
        import tf_keras, tfold
        L, x = tf_keras.layers, tf_keras.Input((3, 8, 8))
        y = L.MaxPooling2D(2, data_format="channels_first")(L.BatchNormalization(axis=1)(
            L.Conv2D(4, 3, data_format="channels_first")(x)))
        print(tfold.fold(tf_keras.Model(x, L.Flatten()(y))).report.after.batch_norms)
        """
    import os

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"})
    assert done.stdout.strip().endswith("0"), done.stderr[-2000:]
