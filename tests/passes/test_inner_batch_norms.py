"""Batch norms inside layers that tfold does not read are counted, and it is said that they stay."""
import json

import pytest

import tfold
from tfold.folding import fold_plan
from tfold.graph.capture import capture
from tfold.passes.explain import fates


def block_of(family, hold):
    """A layer of the user's own; `hold` gives it layers with batch norms and returns what calls them."""

    class Block(family.layers.Layer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.run = hold(self, family)

        def call(self, x, training=None):
            return self.run(x)

    return Block


def _in_an_attribute(self, family):
    self.bn = family.layers.BatchNormalization()
    return lambda x: self.bn(x)


def _in_lists(self, family):
    L = family.layers
    self.stages = [[L.BatchNormalization(), L.ReLU()], [L.BatchNormalization()]]
    return lambda x: self.stages[1][0](self.stages[0][0](x))


def _in_dicts(self, family):
    self.stages = {"a": family.layers.BatchNormalization(), "b": {"c": (family.layers.BatchNormalization(),)}}
    return lambda x: self.stages["b"]["c"][0](self.stages["a"](x))


def _in_a_nested_model(self, family):
    self.inner = family.Sequential([family.layers.BatchNormalization(), family.layers.ReLU()])
    return lambda x: self.inner(x)


def _in_a_wrapper(self, family):
    self.each = family.layers.TimeDistributed(family.layers.BatchNormalization())
    return lambda x: self.each(x)


HOLD = {"an attribute": (1, _in_an_attribute), "lists": (2, _in_lists), "dicts": (2, _in_dicts),
        "a nested model": (1, _in_a_nested_model), "a wrapper": (1, _in_a_wrapper)}


@pytest.mark.parametrize("family", ["keras", "tf_keras"])
@pytest.mark.parametrize("place", HOLD)
def test_each_is_counted_and_named(place, family):
    family = pytest.importorskip(family)
    count, hold = HOLD[place]
    L, Block = family.layers, block_of(family, hold)
    x = family.Input((4, 6))
    y = L.BatchNormalization(name="goes")(L.Dense(3)(Block(name="first")(Block(name="second")(x))))
    model = family.Model(x, y)
    plan = fold_plan(model)
    assert (plan.before.batch_norms, plan.after.batch_norms) == (2 * count + 1, 2 * count)
    assert plan.largest_fold.largest == 1 and plan.largest_fold.total == 2 * count + 1
    found = {name: (goes, why) for name, goes, why in fates(capture(model), plan)}
    assert found["goes"][0] and not found["first"][0] and not found["second"][0]
    assert "inside first, a Block that is kept as it is" in found["first"][1]
    assert f"batch norms  {2 * count + 1:>14} → {2 * count}" in str(plan)
    assert json.loads(json.dumps(plan.to_json()))["after"]["batch_norms"] == 2 * count


def test_one_that_is_called_twice_counts_once_and_the_fold_keeps_it():
    keras = pytest.importorskip("keras")
    Block = block_of(keras, _in_an_attribute)
    Block.get_config = lambda self: {"name": self.name}
    x = keras.Input((4, 6))
    block = Block(name="block")
    model = keras.Model(x, keras.layers.Dense(3)(block(block(x))))
    result = tfold.fold(model)
    assert (result.report.before.batch_norms, result.report.after.batch_norms) == (1, 1)
    assert "it (batch_normalization" in str(result.report)
