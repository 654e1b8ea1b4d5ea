"""The rules of the IR are executable: each one, broken, is found."""
import numpy as np
import pytest

from tfold.algebra.affine import Affine
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
    (lambda g: g.outputs.append(Ref("dense", 1)), "Received: dense:1"),
    (lambda g: setattr(g["dense"], "inputs", (Ref("x", 1),)), "reads x:1 before it is made"),
    (lambda g: g.inputs.append("dense"), r"lists its inputs, \['x'\]. Received: \['x', 'dense'\]"),
    (lambda g: g.inputs.clear(), r"Received: \[\]"),
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


def test_tensors_in_another_form_have_another_name():
    graph = small()
    graph.add(Node("twice", "add", (Ref("dense"), Ref("dense"))))
    graph.store({"dense": Affine(np.full(2, 2.0), np.ones(2))})
    graph.validate()
    assert list(graph.nodes) == ["x", "dense_scaled", "twice"]
    assert graph.outputs == [Ref("dense_scaled")] and graph["twice"].inputs == (Ref("dense_scaled"),) * 2
    graph.store({"dense_scaled": Affine(np.full(2, 3.0), np.zeros(2))})
    [(name, (original, form))] = graph.stored.items()
    assert (name, original, form(1.0).tolist()) == (graph.outputs[0].node, "dense", [9.0, 9.0])


def test_a_copy_is_rewritten_alone():
    graph = small()
    other = graph.copy()
    other["dense"].op, other["dense"].attrs["map"] = "identity", None
    other.outputs.append(Ref("x"))
    other.store({"dense": Affine(np.ones(2), np.ones(2))})
    assert (graph["dense"].op, len(graph.outputs), graph.stored) == ("linear", 1, {})
    assert graph["dense"].map is not None


def test_the_text_form_tells_what_each_node_does():
    graph = small()
    grouped = LinearMap(np.ones((3, 3, 1, 4)), np.ones((8, 6, 4)), (2, 1), (1, 2), None, 2)
    transposed = LinearMap(np.ones((2, 1, 4)), None, (2,), (1,), None, transposed=True)
    image = ((None, 8, 6, 2),)
    for name, op, attrs, shapes in (
        ("norm", "affine", {"kind": "batch_norm"}, image), ("relu", "activation", {"fn": "relu", "params": {}}, image),
        ("alpha", "alpha", {"fn": "relu", "params": {}, "alpha": 0.25}, image), ("join", "concat", {"axis": 3}, image),
        ("part", "slice", {"start": 1, "stop": 2}, image), ("turn", "permute", {"axes": (0, 2, 1)}, (None,)),
        ("halve", "pool", {"kind": "max", "window": (2, 3), "strides": (2, 3), "padding": ((0, 0), (0, 0))}, image),
        ("slide", "pool", {"kind": "max", "window": (3,), "strides": (1,), "padding": None}, image),
        ("mean", "pool", {"kind": "average", "window": None}, ((None, 2),)),
        ("zeros", "pad", {"padding": ((1, 0),), "value": 0.0}, image),
        ("edge", "pad", {"padding": ((1, 0),), "value": -1.5}, image),
        ("edges", "pad", {"padding": ((1, 0),), "value": np.ones(2)}, image),
        ("cut", "crop", {"cropping": ((1, 0),)}, image),
        ("grow", "upsample", {"factors": (2, 3), "interpolation": "nearest"}, image), ("wall", "opaque", {}, (None,)),
        ("conv", "linear", {"map": grouped}, image), ("up", "linear", {"map": transposed}, image),
    ):
        graph.add(Node(name, op, (Ref("x"),), attrs, shapes, label="old+new" if name == "norm" else ""))
    told = [" ".join(line.split()) for line in str(graph).splitlines()]
    assert told[:4] == [
        "graph small", "x input() → 3", "dense linear kernel 3×2(x) → 2", "norm [old+new] affine batch_norm(x) → 8×6×2"]
    assert told[4:] == [
        "relu activation relu(x) → 8×6×2", "alpha alpha relu α=0.250(x) → 8×6×2", "join concat axis 3(x) → 8×6×2",
        "part slice 1:2(x) → 8×6×2", "turn permute (0, 2, 1)(x) → ?", "halve pool max 2×3(x) → 8×6×2",
        "slide pool max 3 strides (1,) padding same(x) → 8×6×2", "mean pool global average(x) → 2",
        "zeros pad ((1, 0),)(x) → 8×6×2", "edge pad ((1, 0),) of -1.5(x) → 8×6×2",
        "edges pad ((1, 0),) of one value a channel(x) → 8×6×2", "cut crop ((1, 0),)(x) → 8×6×2",
        "grow upsample nearest 2×3(x) → 8×6×2", "wall opaque(x) → ?",
        "conv linear kernel 3×3×1×4 strides (2, 1) dilation (1, 2) padding same groups 2 bias map(x) → 8×6×2",
        "up linear kernel 2×1×4 strides (2,) transposed(x) → 8×6×2", "return dense"]
