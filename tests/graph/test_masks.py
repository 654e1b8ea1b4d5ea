"""Masks: a batch norm takes no notice of one at inference, so it folds; what reads the mask behind it still gets it."""
import keras
import numpy as np
import pytest

import tfold
from tfold.folding import fold_plan
from tfold.graph.family import family_named

TOKENS = np.array([[3, 5, 2, 0, 0, 0], [1, 0, 4, 6, 0, 0], [7, 7, 7, 7, 7, 7]])
READERS = {
    "lstm": lambda L: L.LSTM(3),
    "bidirectional": lambda L: L.Bidirectional(L.GRU(3)),
    "time distributed": lambda L: lambda x: L.GRU(3)(L.TimeDistributed(L.Dense(4))(x)),
    "pooling": lambda L: L.GlobalAveragePooling1D(),
    "attention": lambda L: lambda x: L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(x, x)),
}


def network(family, reader, first):
    L = family.layers
    x = family.keras.Input((6,), dtype="int32")
    y = first(L)(x)
    y = L.BatchNormalization()(L.Dense(4, use_bias=False)(y))
    y = L.BatchNormalization()(L.Dense(4)(L.Dropout(0.1)(L.ReLU()(y))))
    return family.keras.Model(x, L.Dense(2)(READERS[reader](L)(y)))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_batch_norms_behind_a_mask_fold_and_the_mask_arrives(name, reader, randomize, tmp_path):
    family = family_named(name)
    model = randomize(network(family, reader, lambda L: L.Embedding(9, 5, mask_zero=True)))
    model.layers[1].set_weights([np.random.default_rng(1).normal(0, 3, (9, 5))])
    result = tfold.fold(model, sample=TOKENS.astype("int32"))
    assert result.report.after.batch_norms == 0
    expected = np.asarray(model(TOKENS))
    np.testing.assert_allclose(result.model(TOKENS), expected, atol=1e-5)
    result.model.save(tmp_path / "m.keras")
    again = family.keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(TOKENS), expected, atol=1e-5)
    # The mask matters: the same tokens without one give something else.
    without = network(family, reader, lambda L: L.Embedding(9, 5))
    without.set_weights(model.get_weights())
    assert np.abs(np.asarray(without(TOKENS)) - expected)[:2].max() > 1e-4


def test_masking_layer_and_a_mask_that_is_given():
    L = keras.layers
    x, mask = keras.Input((6, 3)), keras.Input((6,), dtype="bool")
    y = L.BatchNormalization()(L.Dense(4)(L.Masking()(x)))
    y = L.BatchNormalization()(L.Dense(4)(y), mask=mask)
    model = keras.Model([x, mask], L.GRU(3)(y))
    result = tfold.fold(model)
    assert result.report.after.batch_norms == 0
    given = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    given[:, 3:] = 0
    seen = np.array([[True] * 4 + [False] * 2] * 2)
    np.testing.assert_allclose(result.model([given, seen]), model([given, seen]), atol=1e-5)


def test_the_reason_of_a_batch_norm_that_stays_names_its_cause():
    x = keras.Input((6, 3))
    y = keras.layers.BatchNormalization()(keras.layers.Dense(4)(x), training=True)
    model = keras.Model(x, keras.layers.Dense(2)(y))
    (refusal,) = [each for each in fold_plan(model).refusals if "batch_normalization" in str(each)][:1]
    assert "training=True" in str(refusal) and "mask" not in str(refusal)
