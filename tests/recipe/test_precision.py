"""Another number type for the arithmetic, the same weights."""
import keras
import numpy as np
import pytest

import tfold
from tfold.errors import BadInputError
from tfold.recipe.precision import in_precision


def test_weights_stay_and_come_back(convolutional):
    f_alpha = tfold.prefold(convolutional())
    half = in_precision(f_alpha, "bfloat16")
    assert half.get_layer("conv_1").compute_dtype == "bfloat16"
    assert all(weight.dtype in ("float32", "int64", "uint32") for weight in half.weights)
    back = in_precision(half, "float32")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1)).astype("float32")
    assert np.array_equal(back.predict(x, verbose=0), in_precision(f_alpha, "float32").predict(x, verbose=0))
    assert 0 < np.abs(half.predict(x, verbose=0) - back.predict(x, verbose=0)).max() < 0.1


def test_nested_models_are_taken_along(convolutional):
    image = keras.Input((6, 6, 1))
    outer = keras.Model(image, keras.layers.Dense(2)(convolutional()(image)))
    assert in_precision(outer, "bfloat16").get_layer("small").get_layer("conv_1").compute_dtype == "bfloat16"


def test_operations_keep_the_type_that_they_name():
    image = keras.Input((4,), dtype="uint8")
    model = keras.Model(image, keras.layers.Dense(2)(keras.ops.cast(image, "float32")))
    assert in_precision(model, "bfloat16").layers[-1].compute_dtype == "bfloat16"


def test_other_words_are_refused(convolutional):
    with pytest.raises(BadInputError, match="precision is one of"):
        in_precision(convolutional(), "float16")
