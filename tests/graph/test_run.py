"""run(): its inputs, its walls, and the nodes that it cannot evaluate."""
import keras
import numpy as np
import pytest
from keras import layers, ops

import tfold
from tfold.algebra.linear_map import LinearMap
from tfold.graph.capture import capture
from tfold.graph.ir import Graph, Node, Ref
from tfold.graph.run import run


def two_inputs():
    graph = Graph()
    for name, shape in (("a", (None, 3)), ("b", (None, 1))):
        graph.add(Node(name, "input", (), {"dtype": "float32"}, (shape,)))
    graph.add(Node("product", "multiply", (Ref("a"), Ref("b")), {}, ((None, 3),)))
    graph.inputs, graph.outputs = ["b", "a"], [Ref("product")]
    graph.validate()
    return graph


def test_inputs_in_order_or_by_name():
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[10.0]])
    for inputs in ([b, a], (b, a), {"a": a, "b": b}, [[[10]], [[1, 2, 3]]]):
        np.testing.assert_array_equal(run(two_inputs(), inputs)[Ref("product")], [[10, 20, 30]])


def test_every_tensor_is_there():
    x = keras.Input((4,))
    graph = capture(keras.Model(x, layers.Dense(3, activation="relu")(layers.Dense(3)(x))))
    assert set(run(graph, [np.ones((2, 4))])) == {node.ref for node in graph}


@pytest.mark.parametrize("inputs, words", [
    ([np.ones((1, 3))], "as many arrays as it has inputs, 2. Received: 1"),
    ({"a": np.ones((1, 3))}, "inputs are b, a. Received: a"),
    ({"a": np.ones((1, 3)), "b": np.ones((1, 1)), "c": 0}, "Received: a, b, c"),
    ([np.ones((1, 1)), np.ones((1, 4))], r"Input a has the shape \(None, 3\). Received: \(1, 4\)"),
    ([np.ones((1, 1)), np.ones(3)], r"Input a has the shape \(None, 3\). Received: \(3,\)"),
])
def test_wrong_inputs_are_named(inputs, words):
    with pytest.raises(tfold.BadInputError, match=words):
        run(two_inputs(), inputs)


def keras_wall(node, arrays):
    """What the node's own layer computes."""
    args, kwargs = node.call
    arrays = iter([keras.ops.convert_to_tensor(array) for array in arrays])
    args, kwargs = keras.tree.map_structure(lambda part: next(arrays) if type(part).__name__ == "Slot" else part,
                                            (args, kwargs))
    return [np.asarray(tensor) for tensor in keras.tree.flatten(node.layer(*args, **kwargs))]


def test_walls_are_asked():
    x = keras.Input((6, 3))
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True, dtype="float64", name="lstm")(2 * x)
    model = keras.Model(x, [ops.sin(y), h, layers.Dense(2)(c)])
    numbers = np.random.default_rng(0).normal(size=(2, 6, 3))
    graph = capture(model)
    tensors = run(graph, [numbers], keras_wall)
    for ref, expected in zip(graph.outputs, model(numbers), strict=True):
        np.testing.assert_allclose(tensors[ref], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(tfold.TfoldError, match="Received: lstm, a LSTM. Give run"):
        run(graph, [numbers])


def test_a_wall_sees_integers_as_they_are():
    x = keras.Input((5,), dtype="int32")
    graph = capture(keras.Model(x, layers.Dense(2)(layers.Embedding(7, 3, name="lookup")(x))))
    seen = []

    def wall(node, arrays):
        seen.append((node.name, arrays[0].dtype))
        return keras_wall(node, arrays)

    assert run(graph, [np.array([[0, 1, 2, 3, 6]], "int32")], wall)[graph.outputs[0]].dtype == np.float64
    assert seen == [("lookup", np.int32)]


def wave(x):
    return ops.sin(x)


def test_functions_of_the_users_own_are_walls():
    x = keras.Input((3,))
    graph = capture(keras.Model(x, layers.Dense(2, activation=wave, name="wave")(x)))
    numbers = np.random.default_rng(0).normal(size=(2, 3))
    tensors = run(graph, [numbers], lambda node, arrays: [np.sin(arrays[0])])
    np.testing.assert_array_equal(tensors[graph.outputs[0]], np.sin(tensors[Ref("wave")]))
    with pytest.raises(tfold.TfoldError, match="Received: wave/custom, a function of its own"):
        run(graph, [numbers])


def test_a_wall_gives_back_all_that_its_node_makes():
    x = keras.Input((3,))
    graph = capture(keras.Model(x, ops.sin(x)))
    with pytest.raises(tfold.TfoldError, match="Received: 0 of 1 for sin"):
        run(graph, [np.ones((1, 3))], lambda node, arrays: [])


def test_alpha_activations(run_agrees):
    x = keras.Input((3,))
    graph = capture(keras.Model(x, tfold.AlphaActivation("relu")(x)))
    graph.nodes[graph.outputs[0].node].attrs["alpha"] = 0.25
    received = run(graph, [np.array([[-2.0, 0.0, 2.0]])])[graph.outputs[0]]
    np.testing.assert_array_equal(received, [[-0.5, 0.0, 2.0]])


@pytest.mark.parametrize("node, words", [
    (Node("up", "upsample", (Ref("x"),), {"factors": (2, 2), "interpolation": "bicubic"}), "Received: up with bicubic"),
    (Node("deconv", "linear", (Ref("x"),), {"map": LinearMap(
        np.ones((3, 3, 2, 2)), None, (2, 2), (1, 1), None, transposed=True)}, ((None, None, 8, 2),)),
     "Received: deconv, whose size is open"),
])
def test_what_cannot_be_evaluated_is_named(node, words):
    graph = Graph()
    graph.add(Node("x", "input", (), {"dtype": "float32"}, ((None, None, 4, 2),)))
    graph.add(node)
    graph.inputs, graph.outputs = ["x"], [node.ref]
    graph.validate()
    with pytest.raises(tfold.TfoldError, match=words):
        run(graph, [np.ones((1, 4, 4, 2))])
