"""The rules of each op: each one, broken, is refused with its name."""
import numpy as np
import pytest

from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import LinearMap
from tfold.graph import shapes
from tfold.graph.ir import Graph, GraphError, Node, Ref, Slot

IMAGE = (None, 8, 6, 4)
CONV = LinearMap(np.ones((3, 3, 4, 2)), np.ones(2), (1, 1), (1, 1), ((1, 1), (1, 1)))
POOL = {"kind": "max", "window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0)), "keepdims": False}
GLOBAL = {"kind": "average", "window": None, "strides": None, "padding": None, "keepdims": True}
FOUR = Affine(np.ones(4), np.zeros(4))

# op: attributes, and the shape that it makes of IMAGE.
RIGHT = {
    "linear": ({"map": CONV}, (None, 8, 6, 2)),
    "affine": ({"affine": FOUR, "kind": "arithmetic"}, IMAGE),
    "activation": ({"fn": "relu", "params": {}}, IMAGE),
    "alpha": ({"fn": "relu", "params": {}, "alpha": 0.5}, IMAGE),
    "add": ({}, IMAGE),
    "multiply": ({}, IMAGE),
    "concat": ({"axis": 3}, (None, 8, 6, 8)),
    "slice": ({"start": 1, "stop": 3}, (None, 8, 6, 2)),
    "pool": (POOL, (None, 4, 3, 4)),
    "pad": ({"padding": ((1, 0), (0, 2)), "value": 0.0}, (None, 9, 8, 4)),
    "crop": ({"cropping": ((1, 0), (0, 2))}, (None, 7, 4, 4)),
    "upsample": ({"factors": (2, 3), "interpolation": "nearest"}, (None, 16, 18, 4)),
    "reshape": ({"shape": (None, 4)}, (None, 48, 4)),
    "permute": ({"axes": (0, 2, 1, 3)}, (None, 6, 8, 4)),
    "identity": ({}, IMAGE),
}


def graph_of(op, attrs=None, shape="right", inputs=None, **options):
    right, made = RIGHT[op]
    inputs = inputs if inputs is not None else 2 if op in ("add", "multiply", "concat") else 1
    graph = Graph()
    graph.add(Node("x", "input", (), {"dtype": "float32"}, (IMAGE,)))
    graph.add(Node("node", op, (Ref("x"),) * inputs, {**right, **(attrs or {})},
                   (made if shape == "right" else shape,), **options))
    graph.inputs, graph.outputs = ["x"], [Ref("node")]
    return graph


def refused(graph, words):
    with pytest.raises(GraphError, match=words):
        graph.validate()


@pytest.mark.parametrize("op", RIGHT)
def test_right_nodes_are_valid(op):
    graph = graph_of(op)
    graph.validate()
    assert shapes.agree(shapes.infer(op, graph["node"].attrs, [IMAGE] * len(graph["node"].inputs)), RIGHT[op][1])
    graph_of(op, shape=None).validate()  # a shape that nobody knows contradicts nothing


@pytest.mark.parametrize("op", RIGHT)
def test_another_shape_than_the_op_makes(op):
    shape = list(RIGHT[op][1])
    shape[1] += 1
    if op != "reshape":
        refused(graph_of(op, shape=tuple(shape)), f"{op} makes .*Received: node with")
    refused(graph_of(op, shape=(*RIGHT[op][1], 1)), f"{op} makes .*Received: node with")


@pytest.mark.parametrize("op", RIGHT)
def test_attributes_and_tensors_are_counted(op):
    for attr in RIGHT[op][0]:
        graph = graph_of(op)
        del graph["node"].attrs[attr]
        refused(graph, f"Op {op} needs {attr}. Received: node node")
    refused(graph_of(op, inputs=0), f"Op {op} reads .*, which reads 0")
    graph = graph_of(op)
    graph["node"].shapes = graph["node"].shapes * 2
    refused(graph, f"Op {op} makes one tensor.*makes 2")


@pytest.mark.parametrize("op, attrs, words", [
    ("linear", {"map": LinearMap(np.ones((3, 3, 5, 2)), None, (1, 1), (1, 1), ((0, 0), (0, 0)))}, "as many channels"),
    ("linear", {"map": LinearMap(np.ones((3, 4, 2)), None, (1,), (1,), ((0, 0),))}, "the spatial axes of what"),
    ("linear", {"map": LinearMap(np.ones((1, 1, 1, 6)), None, (1, 1), (1, 1), ((0, 0),) * 2, 4)}, "Groups, 4"),
    ("linear", {"map": LinearMap(np.ones((4, 2)), np.ones(3))}, "A bias has one value a channel"),
    ("linear", {"map": LinearMap(np.ones((4, 2)), np.ones((8, 2)))}, "A bias map has the spatial axes"),
    ("linear", {"map": LinearMap(np.ones((3, 3, 4, 2)), None, (1, 1), (1, 1), ((0, 0),))}, "Padding is"),
    ("linear", {"map": LinearMap(np.ones((3, 3, 4, 2)), None, (1, 1), (1, 1), ((0, 0), (0, -1)))}, "Padding is"),
    ("affine", {"kind": "layer_norm"}, "of kind batch_norm or arithmetic"),
    ("affine", {"affine": Affine(np.ones(4), np.zeros(3))}, "one scale and one shift a channel"),
    ("affine", {"affine": Affine(np.ones((1, 4)), np.zeros((1, 4)))}, "one scale and one shift a channel"),
    ("affine", {"affine": Affine(np.ones(3), np.zeros(3))}, "as many channels as it has, 3"),
    ("activation", {"fn": abs}, "A function is a name"), ("alpha", {"params": None}, "A function is a name"),
    ("concat", {"axis": 0}, "behind the batch"), ("concat", {"axis": -1}, "behind the batch"),
    ("concat", {"axis": 4}, "behind the batch"), ("concat", {"axis": None}, "behind the batch"),
    ("slice", {"start": -1}, "A slice is"), ("slice", {"stop": 1}, "A slice is"), ("slice", {"stop": 5}, "A slice is"),
    ("pool", {"kind": "mean"}, "of kind max or average"), ("pool", {"keepdims": True}, "keepdims is for global pools"),
    ("pool", {"window": None}, "no strides and no padding"), ("pool", {"strides": (2,)}, "a window and a stride"),
    ("pool", {"window": (2,), "strides": (2,)}, "a window and a stride"), ("pool", {"strides": (0, 1)}, "1 or more"),
    ("pool", {"padding": ((0, 0),)}, "Padding is"),
    ("pad", {"value": np.inf}, "a finite number"), ("pad", {"value": np.ones(3)}, "or one a channel"),
    ("pad", {"value": np.array([0, 1, np.nan, 0])}, "a finite number"), ("pad", {"value": np.ones((1, 4))}, "or one a"),
    ("pad", {"padding": ((0, 0),)}, "Padding is"),
    ("pad", {"padding": ((0, 0), (-1, 1))}, "Padding is"), ("pad", {"padding": ((0, 0), (1,))}, "Padding is"),
    ("crop", {"cropping": ((0, 0), (-1, 0))}, "Cropping is"), ("crop", {"cropping": ((4, 4), (0, 0))}, "leaves some"),
    ("upsample", {"factors": (2,)}, "a factor of 1"), ("upsample", {"factors": (0, 2)}, "a factor of 1"),
    ("reshape", {"shape": (None, None)}, "at most one open axis"), ("reshape", {"shape": [48, 4]}, "at most one"),
    ("permute", {"axes": (1, 0, 2, 3)}, "the batch first"), ("permute", {"axes": (0, 1, 1, 3)}, "each axis once"),
    ("permute", {"axes": (0, 2, 1)}, "each axis once"),
])
def test_broken_rules_are_named(op, attrs, words):
    refused(graph_of(op, attrs, shape=None), f"{words}.*Received: node, {op} with")


@pytest.mark.parametrize("op, other", [
    ("add", (None, 8, 6, 3)), ("add", (None, 1, 1, 4)), ("multiply", (None, 8, 5, 4)), ("multiply", (None, 4)),
    ("concat", (None, 8, 5, 4)), ("concat", (None, 8, 4)),
])
def test_tensors_that_do_not_go_together(op, other):
    graph = graph_of(op)
    graph.add(Node("y", "input", (), {"dtype": "float32"}, (other,)))
    graph.nodes["node"] = graph.nodes.pop("node")
    graph["node"].inputs, graph.inputs = (Ref("x"), Ref("y")), ["x", "y"]
    refused(graph, "The shapes that a node reads go together: .*Received: node")


def test_global_pools():
    graph_of("pool", GLOBAL, (None, 1, 1, 4)).validate()
    graph_of("pool", {**GLOBAL, "keepdims": False}, (None, 4)).validate()
    refused(graph_of("pool", GLOBAL, (None, 4)), "pool makes")


def test_padding_with_a_number_for_each_channel():
    graph_of("pad", {"value": np.arange(4.0)}).validate()


def test_a_factor_may_be_open_or_one():
    assert shapes.infer("multiply", {}, [(None, 8, None, 4), (None, 1, 6, 4)]) == (None, 8, 6, 4)
    assert shapes.infer("multiply", {}, [(None, 1, None), (None, 1, 1)]) == (None, 1, None)
    assert shapes.infer("pool", {**POOL, "padding": None}, [(None, 7, None, 4)]) == (None, 4, None, 4)


@pytest.mark.parametrize("call, right", [
    (((Slot(0), Slot(1)), {}), True), ((([Slot(1), Slot(0)],), {}), True), (((Slot(0),), {"y": Slot(1)}), True),
    (((Slot(0),), {}), False), (((Slot(0), Slot(0)), {}), False), (((Slot(0), Slot(1), Slot(2)), {}), False),
])
def test_an_intact_node_repeats_its_call_on_what_it_reads(call, right):
    graph = graph_of("add", layer=object(), call=call)
    if right:
        graph.validate()
    else:
        refused(graph, "repeats its call.*Received: node")
    graph["node"].intact = False
    graph.validate()
