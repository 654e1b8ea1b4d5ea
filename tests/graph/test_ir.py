"""The rules of the IR are executable: each one, broken, is found."""
import numpy as np
import pytest

from tfold.algebra.linear_map import LinearMap
from tfold.graph.ir import Graph, GraphError, Node, Ref


def small():
    graph = Graph("small")
    graph.add(Node("x", "input", (), {"dtype": "float32"}, ((None, 3),)))
    graph.add(Node("dense", "linear", (Ref("x"),), {"map": LinearMap(np.ones((3, 2)), np.ones(2))}, ((None, 2),)))
    graph.inputs, graph.outputs = ["x"], [Ref("dense")]
    return graph


def test_a_right_graph_is_valid():
    small().validate()


@pytest.mark.parametrize("spoil, words", [
    (lambda g: setattr(g["dense"], "name", "other"), "filed under their names"),
    (lambda g: setattr(g["dense"], "op", "conv"), "Received: 'conv'"),
    (lambda g: g["dense"].attrs.clear(), "needs map"),
    (lambda g: setattr(g["dense"], "inputs", (Ref("nowhere"),)), "reads nowhere before it is made"),
    (lambda g: setattr(g["x"], "shapes", ((None, 4),)), "as its kernel has, 3. Received: dense"),
    (lambda g: g["dense"].attrs.update(map=LinearMap(np.ones((3, 2)), np.ones(5))), "A bias has one value a channel"),
    (lambda g: g.outputs.append(Ref("gone")), "Received: gone"),
])
def test_broken_rules_are_named(spoil, words):
    graph = small()
    spoil(graph)
    with pytest.raises(GraphError, match=words):
        graph.validate()


def test_names_are_unique():
    graph = small()
    assert graph.unique("new") == "new"
    assert graph.unique("x") == "x_1"
    with pytest.raises(GraphError, match="Received twice: x"):
        graph.add(Node("x", "identity", (Ref("dense"),)))


def test_consumers_count_every_reading_and_outputs():
    graph = small()
    twice = graph.add(Node("twice", "add", (Ref("dense"), Ref("dense"))))
    assert graph.consumers()[Ref("dense")] == [twice, twice, None]
    assert graph.consumers()[Ref("twice")] == []


def test_substitute_follows_chains_to_the_end():
    graph = small()
    graph.substitute({Ref("dense"): Ref("a"), Ref("a"): Ref("x")})
    assert graph.outputs == [Ref("x")]


def test_a_copy_is_rewritten_alone():
    graph = small()
    other = graph.copy()
    other["dense"].op, other["dense"].attrs["map"] = "identity", None
    other.outputs.append(Ref("x"))
    assert (graph["dense"].op, len(graph.outputs)) == ("linear", 1)
    assert graph["dense"].map is not None
