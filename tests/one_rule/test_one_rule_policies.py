"""One-rule graphs of what merging costs under each policy, and of the names that layers and outputs keep."""
import keras
import pytest
from keras import layers as L

import tfold
from tfold import reasons
from tfold.folding import fold_plan

VECTOR, ODD, EVEN, OPEN = (6,), (9, 7, 4), (8, 10, 4), (None, None, 4)
BN = L.BatchNormalization
COSTS = reasons.COSTS_MORE


def dense(name=None, units=6, **settings):
    return L.Dense(units, name=name, **settings)


def conv(name=None, filters=4, window=3, **settings):
    return L.Conv2D(filters, window, name=name, **settings)


def neck():
    return [conv("a", 1, 1), conv("b", 24, 1)]


def skip(first, second):
    return lambda x: L.Add(name="s")([x, second(first(x))])


POLICY = {  # what each policy makes of it: "macs", "latency", "always"
    "wide, narrow, wide": (
        EVEN, lambda: [conv("a", 24, 1), conv("n", 1, 1), conv("b", 24, 1)],
        ("Conv2D Conv2D", (COSTS, "a+n b")), ("Conv2D",), ("Conv2D",)),
    "dense through a neck": (
        (512,), lambda: [dense("a", 2), dense("b", 512)],
        ("Dense Dense", (COSTS, "a b")), ("Dense Dense", (COSTS, "a b")), ("Dense",)),
    "dense through a wide layer": (VECTOR, lambda: [dense(None, 64), dense()], ("Dense",), ("Dense",), ("Dense",)),
    "3×3, 3×3 whose border shrinks the image": (
        EVEN, lambda: [conv("a"), conv("b")], ("Conv2D",), ("Conv2D",), ("Conv2D",)),
    "3×3 same, 3×3": (
        EVEN, lambda: [conv("a", padding="same"), conv("b")], ("Conv2D Conv2D", (COSTS, "a b")),
        ("Conv2D Conv2D", (COSTS, "a b")), ("ZeroPadding2D Conv2D", (reasons.PADDING_STAYS, "a+b"))),
    "depthwise, 1×1": (EVEN, lambda: [L.DepthwiseConv2D(3, name="a"), conv("b", 16, 1)],
                       ("DepthwiseConv2D Conv2D", (COSTS, "a b")), ("Conv2D",), ("Conv2D",)),
    "separable": (EVEN, lambda: [L.SeparableConv2D(16, 3, name="a")],
                  ("DepthwiseConv2D Conv2D", (COSTS, "a_depthwise a")), ("Conv2D",), ("Conv2D",)),
    "1×1, 3×3 same with a border map": (
        EVEN, lambda: [conv("a", 4, 1), conv("b", padding="same")],
        ("Conv2D Add",), ("Conv2D Add",), ("Conv2D Add",)),
    "average, 1×1": (
        EVEN, lambda: [L.AveragePooling2D(2, name="a"), conv("b", 4, 1)],
        ("AveragePooling2D Conv2D", (COSTS, "a b")), ("Conv2D",), ("Conv2D",)),
    "x + dense(dense(x)) through a neck": (
        (512,), lambda: skip(dense("a", 2), dense("b", 512)),
        ("Dense Dense Add", (COSTS, "a b"), (COSTS, "a b s")), ("Dense Dense Add", (COSTS, "a b"), (COSTS, "a b s")),
        ("Dense",)),
    "x + depthwise(x)": (
        EVEN, lambda: lambda x: L.Add()([x, L.DepthwiseConv2D(3, padding="same")(x)]),
        ("DepthwiseConv2D",), ("DepthwiseConv2D",), ("DepthwiseConv2D",)),
    "depthwise(x) + 1×1(x)": (
        EVEN, lambda: lambda x: L.Add(name="s")([
            L.DepthwiseConv2D(3, padding="same", name="a")(x), conv("b", 4, 1)(x)]),
        ("DepthwiseConv2D Conv2D Add", (COSTS, "a b s")), ("Conv2D",), ("Conv2D",)),
    "concat of 5×5 and 1×1": (
        EVEN, lambda: lambda x: L.Concatenate(name="s")(
            [conv("a", 4, 5, padding="same")(x), conv("b", 32, 1)(x)]),
        ("Conv2D Conv2D Concatenate", (COSTS, "a b s")), ("Conv2D Conv2D Concatenate", (COSTS, "a b s")), ("Conv2D",)),
    "conv, bn": (EVEN, lambda: [conv(), BN()], ("Conv2D",), ("Conv2D",), ("Conv2D",)),
    "bn, bn, relu": (EVEN, lambda: [BN(name="a"), BN(name="b"), L.ReLU()],
                     *[(f"{op} ReLU", (reasons.GRAPH_BOUNDARY, "a"))
                       for op in ("BatchNormalization", "DepthwiseConv2D", "BatchNormalization")]),
    "stride 2, 1×1 to many, of known size": (
        EVEN, lambda: [conv("a", 8, strides=2, padding="same"), conv("b", 32, 1)],
        ("Conv2D Conv2D", (COSTS, "a b")), ("Conv2D",), ("Conv2D",)),
}
CASES = {
    f"{name}, {policy}": (policy, shape, network, *outcome)
    for name, (shape, network, *outcomes) in POLICY.items()
    for policy, outcome in zip(("macs", "latency", "always"), outcomes, strict=True)
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_rule(case, one_rule):
    policy, shape, network, ops, *refusals = case
    result = one_rule(shape, network(), ops, *refusals, policy=policy)
    if policy == "macs":
        assert result.report.after.macs <= result.report.before.macs


def test_an_open_size_is_the_same_size_behind_a_stride(one_rule):
    network = [conv("a", 8, strides=2), conv("b", 32, 1)]
    one_rule(OPEN, network, "Conv2D Conv2D", (COSTS, "a b"), policy="macs")


def seen_by(policy):
    """A policy that remembers the operations that it was asked about."""
    def remembering(op):
        remembering.seen.append(op)
        return policy(op)

    remembering.seen = []
    return remembering


OWN = {  # a policy of the user's: (network, policy, ops, refusals)
    "depthwise is dear": (
        [L.DepthwiseConv2D(3, name="a"), conv("b", 4, 1)], lambda op: 100.0 if op.kind == "depthwise" else 1.0,
        "Conv2D"),
    "depthwise is free": (
        [L.DepthwiseConv2D(3, name="a"), conv("b", 4, 1)], lambda op: 0.0 if op.kind == "depthwise" else op.macs,
        "DepthwiseConv2D Conv2D", (COSTS, "a b")),
    "windows above 3 are forbidden": (
        [conv("a"), conv("b")], lambda op: 1e9 if max(op.window, default=1) > 3 else 1.0, "Conv2D Conv2D",
        (COSTS, "a b")),
    "windows above 5 are forbidden": (
        [conv("a"), conv("b"), conv("c")], lambda op: 1e9 if max(op.window, default=1) > 5 else 1.0, "Conv2D Conv2D",
        (COSTS, "a b+c")),
    "border maps are dear": (
        [conv("a", 4, 1), conv("b", padding="same")], lambda op: {"elementwise": 50.0}.get(op.kind, 1.0),
        "Conv2D Conv2D", (COSTS, "a b")),
    "padding layers are dear": (
        [conv("a", padding="same"), conv("b")], lambda op: {"pad": 50.0}.get(op.kind, 1.0), "Conv2D Conv2D",
        (COSTS, "a b")),
    "additions are free": (
        lambda x: L.Add(name="s")([conv("a", padding="same")(x), conv("b", 4, 1)(x)]),
        lambda op: op.macs + (op.kind != "elementwise"), "Conv2D"),
    "more than 8 channels are forbidden": (
        lambda x: L.Concatenate(name="s")([conv("a", 6)(x), conv("b", 6)(x)]),
        lambda op: 1e9 if op.outputs > 8 else 1.0, "Conv2D Conv2D Concatenate", (COSTS, "a b s")),
    "strided convolutions are dear": (
        [L.AveragePooling2D(2, name="a"), conv("b", 4, 1)],
        lambda op: 50.0 if op.kind == "full" and max(op.strides) > 1 else 1.0, "AveragePooling2D Conv2D",
        (COSTS, "a b")),
    "all costs the same": ([conv("a"), conv("b")], lambda op: 1.0, "Conv2D"),
    "all is free": ([conv("a"), conv("b")], lambda op: 0.0, "Conv2D"),
}


@pytest.mark.parametrize("case", OWN.values(), ids=OWN)
def test_a_policy_of_ones_own(case, one_rule):
    network, policy, *outcome = case
    policy = seen_by(policy)
    one_rule(EVEN, network, *outcome, policy=policy)
    assert {op.kind for op in policy.seen} <= {
        "full", "grouped", "depthwise", "transposed", "elementwise", "concat", "pool", "pad"}
    assert all(len(op.window) == len(op.strides) == len(op.size) for op in policy.seen if op.macs)


@pytest.mark.parametrize("policy", ["fast", lambda op: -1.0, lambda op: float("nan"), lambda op: "much", None])
def test_what_is_no_policy(policy):
    model = keras.Sequential([keras.Input(VECTOR), dense(), dense()])
    with pytest.raises(tfold.BadInputError, match="olicy"):
        tfold.fold(model, policy=policy)


NAMES = {  # (network, names of the folded layers, where the old ones live now)
    "chain": ([dense("a"), dense("b"), dense("c")], ["a-b-c"], {"a": "a-b-c", "b": "a-b-c", "c": "a-b-c"}),
    "bn": ([dense("a"), BN(name="b"), L.ReLU(name="c")], ["a", "c"], {"a": "a", "b": "a", "c": "c"}),
    "bn before": ([BN(name="a"), dense("b")], ["b"], {"a": "b", "b": "b"}),
    "dropout": ([dense("a"), L.Dropout(0.1, name="b"), dense("c")], ["a-c"], {"a": "a-c", "c": "a-c"}),
    "sum": (lambda x: L.Add(name="s")([dense("a")(x), dense("b")(x)]), ["a-b"], {"a": "a-b", "b": "a-b", "s": "a-b"}),
    "skip": (lambda x: L.Add(name="s")([dense("a")(x), x]), ["a"], {"a": "a", "s": "a"}),
    "concat": (lambda x: L.Concatenate(name="s")([dense("a")(x), dense("b")(x)]), ["a-b"],
               {"a": "a-b", "b": "a-b", "s": "a-b"}),
    "bn, bn": ([BN(name="a"), BN(name="b")], ["a"], {"a": "a", "b": "a"}),
    "own activation": ([dense("a"), dense("b", activation="relu")], ["a-b"], {"a": "a-b", "b": "a-b"}),
    "nested": ([keras.Sequential([keras.Input(VECTOR), dense("a"), dense("b")], name="n"), dense("c")],
               ["a-b-c"], {"a": "a-b-c", "b": "a-b-c", "c": "a-b-c"}),
    "two outputs": (
        lambda x: [dense("b")(dense("a")(x)), L.ReLU(name="d")(dense("c")(x))], ["b", "c", "d"],
        {"a": "b", "b": "b", "c": "c", "d": "d"}),
    "two outputs, one with an activation": (
        lambda x: [dense("b", activation="relu")(dense("a")(x)), L.Add(name="s")([dense("c")(x), x])], ["b", "s"],
        {"a": "b", "b": "b", "c": "s", "s": "s"}),
    "output behind a bn": (
        lambda x: [BN(name="p")(dense("a")(x)), BN(name="q")(dense("b")(x))], ["p", "q"],
        {"a": "p", "p": "p", "b": "q", "q": "q"}),
}


@pytest.mark.parametrize("case", NAMES.values(), ids=NAMES)
def test_names(case, made, fold_checked):
    network, names, homes = case
    model = made(VECTOR, network)
    result = fold_checked(model, policy="always")
    assert sorted(layer.name for layer in result.model.layers[1:]) == names
    assert result.report.homes == homes
    assert result.model.output_names == model.output_names or len(model.outputs) == 1
    assert result.model.layers[0].name == model.layers[0].name


def test_layers_of_one_name_have_a_home_each(made, fold_checked):
    one, two = (keras.Sequential([keras.Input(VECTOR), dense("a"), L.ReLU()], name=name) for name in ("one", "two"))
    result = fold_checked(made(VECTOR, [one, two]))
    weighted = {layer.name for layer in result.model.layers if layer.weights}
    assert weighted <= set(result.report.homes.values())


def test_a_shared_layer_that_makes_an_output_keeps_its_name(made, fold_checked):
    shared = dense("a")
    model = made(VECTOR, lambda x: [BN(name="bn")(shared(x)), shared(L.ReLU()(x))])
    assert fold_checked(model).model.output_names == model.output_names == ["bn", "a"]


def test_the_plan_tells_the_homes_that_layers_will_have(made, fold_checked):
    model = made(VECTOR, NAMES["two outputs"][0])
    assert fold_plan(model, policy="always").homes == fold_checked(model, policy="always").report.homes
