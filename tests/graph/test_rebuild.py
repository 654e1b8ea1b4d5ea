"""Copies in which layers give way to others, and models whose layers stand in for stock ones."""

import keras
import numpy as np

from tfold.graph.capture import capture
from tfold.graph.rebuild import in_stock_layers, rebuild
from tfold.training import restructure_batch_norm

layers = keras.layers


def nested():
    stack = [layers.BatchNormalization(name="bn"), layers.ReLU(name="relu")]
    block = keras.Sequential([layers.Input((4, 4, 3)), *stack], name="block")
    x = keras.Input((4, 4, 3), name="x")
    return keras.Model(x, layers.Conv2D(2, 1, name="conv")(block(x)), name="nested")


def test_a_model_of_stock_layers_is_not_copied():
    model = nested()
    assert in_stock_layers(model) is model


def test_stand_ins_in_nested_models_are_found():
    fast = restructure_batch_norm(nested())
    plain = in_stock_layers(fast)
    assert plain is not fast
    assert type(plain.get_layer("block").get_layer("relu")) is layers.ReLU is not type(fast.layers[1].get_layer("relu"))
    for a, b in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_graph_names_stock_layers():
    graph, expected = (capture(model) for model in (restructure_batch_norm(nested(), memory="low"), nested()))
    assert str(graph) == str(expected)
    for node in graph:
        assert node.layer is None or type(node.layer) is getattr(layers, type(node.layer).__name__)


def test_replaced_by_two_by_one_and_by_none():
    stack = [layers.Dense(4, name="a"), layers.ReLU(name="b"), layers.Dense(2, name="c")]
    chain = keras.Sequential([keras.Input((4,)), *stack])
    for model in (chain, keras.Model(chain.inputs, chain.outputs)):
        model.get_layer("a").trainable = False
        before = {
            "a": lambda: [layers.Dense(4, name="a"), layers.Dropout(0.5, name="d")],
            "b": lambda: [],
        }
        copy = rebuild(model, lambda op, before=before: before.get(op.name, lambda: None)())
        names = [layer.name for layer in copy.layers if not isinstance(layer, layers.InputLayer)]
        assert names == ["a", "d", "c"] and type(copy) is type(model)
        assert [layer.name for layer in copy.layers if not layer.trainable] == ["a", "d"]
        for a, b in zip(model.get_weights(), copy.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
