"""Layers with names that Keras 3 takes and TensorFlow does not: every step works, and people read their names."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold

NAMES = {
    "spaces": "{} 1", "unicode": "ü→層_{}", "colon": "{}:0", "plus": "{}+x", "dots": ".{}.", "percent": "%s{}{{}}",
    "long": "{}" + "x" * 300, "digit": "1{}", "brackets": "{}[0](a)", "quotes": "{}'\"", "underscore": "_{}",
}


def network(name):
    x = keras.Input((6, 6, 3), name=name("in"))
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name=name("conv"))(x)
    y = layers.ReLU(name=name("relu"))(layers.BatchNormalization(name=name("bn"))(y))
    y = layers.TimeDistributed(layers.Dense(4, name=name("inner")), name=name("td"))(y)
    y = layers.Add(name=name("sum"))([y, layers.Conv2D(4, 1, name=name("conv2"))(y)])
    heads = layers.Dense(2, name=name("head A"))(layers.Flatten(name=name("flat"))(y)), layers.Dense(
        3, name=name("head_A"))(layers.GlobalAveragePooling2D(name=name("pool"))(y))
    return keras.Model(x, heads, name="net")


@pytest.mark.parametrize("kind", NAMES)
def test_every_step_takes_every_name(kind, randomize, tmp_path):
    model = randomize(network(NAMES[kind].format))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == 0
    assert result.model.output_names == model.output_names
    result.model.save(tmp_path / "folded.keras")
    exported = tfold.export(keras.models.load_model(tmp_path / "folded.keras"), tmp_path / "m.tflite")
    assert exported.parity < 1e-5
    assert tfold.settle(tfold.prefold(model)).output_names == model.output_names


@pytest.mark.parametrize("kind", ["spaces", "unicode"])
def test_quantize_aware_writes_an_underscore_where_tensorflow_takes_no_other(kind, randomize, tfmot_is_there):
    model = tfold.fold(randomize(network(NAMES[kind].format))).model
    aware = tfold.quantize_aware(model)
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    assert len(set(aware.output_names)) == 2 and all(name.isascii() and " " not in name for name in aware.output_names)
    for expected, received in zip(model(x), aware(x), strict=True):
        np.testing.assert_allclose(received, expected, atol=0.1 * float(np.abs(expected).max()))
