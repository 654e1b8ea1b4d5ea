"""Nodes that are not intact become plain Keras layers, which compute the same and can be saved."""
import keras
import numpy as np
import pytest
from keras import layers, ops

from tfold.algebra.affine import Affine
from tfold.algebra.linear_map import LinearMap, identity
from tfold.graph.build import build
from tfold.graph.capture import capture
from tfold.graph.ir import Graph, GraphError, Node, Ref, Slot


def model_of(function, shape=(6, 5, 3)):
    x = keras.Input(shape)
    return keras.Model(x, function(x))


@pytest.mark.parametrize("function, kind", [
    (lambda x: 2 - x, layers.Rescaling), (layers.Rescaling([1.0, 2.0, 3.0], 1.0), layers.Rescaling),
    (layers.Normalization(mean=1.0, variance=4.0), layers.Rescaling),
    (layers.BatchNormalization(), layers.BatchNormalization),
    (layers.BatchNormalization(scale=False, center=False, trainable=False), layers.BatchNormalization),
    (layers.ZeroPadding2D(((1, 2), (0, 3))), layers.ZeroPadding2D),
    (lambda x: ops.pad(x, [[0, 0], [1, 0], [2, 1], [0, 0]]), layers.ZeroPadding2D),
    (lambda x: ops.pad(x, [[0, 0], [1, 0], [2, 1], [0, 0]], constant_values=-1.5), "Pad"),
    (layers.Cropping2D(((1, 2), (0, 3))), layers.Cropping2D), (lambda x: x[:, :, :, -2:], "GetItem"),
    (layers.MaxPooling2D((3, 2), (2, 1), "same"), layers.MaxPooling2D), (layers.AveragePooling2D(2),
                                                                       layers.AveragePooling2D),
    (layers.GlobalMaxPooling2D(), layers.GlobalMaxPooling2D),
    (layers.GlobalAveragePooling2D(keepdims=True), layers.GlobalAveragePooling2D),
    (lambda x: x + x, layers.Add), (lambda x: layers.Add()([x, x, x]), layers.Add), (lambda x: x * x, layers.Multiply),
    (lambda x: ops.concatenate([x, x], axis=1), layers.Concatenate),
    (layers.UpSampling2D((2, 3)), layers.UpSampling2D), (layers.UpSampling2D(interpolation="bilinear"),
                                                         layers.UpSampling2D),
    (layers.Flatten(), layers.Reshape), (lambda x: ops.reshape(x, (-1, 15, 6)), layers.Reshape),
    (lambda x: ops.transpose(x, (0, 3, 1, 2)), layers.Permute), (layers.Dropout(0.5), layers.Identity),
    (ops.silu, layers.Activation), (lambda x: ops.leaky_relu(x, 0.3), layers.ReLU),
])
def test_new_layers(function, kind, randomize, tmp_path):
    model = randomize(model_of(function))
    graph = capture(model)
    for node in graph:
        node.intact = node.op == "input"
        node.call = None  # it has no meaning here
    again = build(graph)
    made = again.operations[-1]
    assert type(made).__name__ == kind if isinstance(kind, str) else type(made) is kind
    assert made.name == model.operations[-1].name
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-6)
    again.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), again(x))


@pytest.mark.parametrize("function, shape", [
    (layers.ZeroPadding1D((1, 2)), (5, 3)), (layers.ZeroPadding3D(1), (3, 4, 5, 2)), (layers.Cropping1D(1), (5, 3)),
    (layers.Cropping3D(1), (3, 4, 5, 2)), (layers.MaxPooling1D(2), (6, 3)), (layers.GlobalAveragePooling1D(), (6, 3)),
    (layers.AveragePooling3D(2, 1, "same"), (3, 4, 5, 2)), (layers.UpSampling1D(2), (4, 3)),
    (layers.UpSampling3D(2), (2, 3, 2, 2)), (layers.AveragePooling2D(3, 2, "same"), (None, None, 2)),
    (layers.Flatten(), (None, 4)), (lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=3), (None, 4)),
])
def test_other_ranks_and_open_sizes(function, shape):
    model = model_of(function, shape)
    graph = capture(model)
    list(graph)[-1].intact = False
    x = np.random.default_rng(0).normal(size=(2, *(7 if n is None else n for n in shape)))
    np.testing.assert_allclose(build(graph)(x), model(x), rtol=1e-6, atol=1e-6)


def test_what_they_compute_in():
    model = model_of(lambda x: layers.Add(dtype="mixed_float16")([x, x])[..., 1:] * 2)
    for dtype, made in ((None, "float16"), ("float64", "float64")):
        graph = capture(model)
        for node in graph:
            node.intact = node.op == "input"
        again = build(graph, dtype)
        assert again.output.dtype == made
        if dtype is None:
            assert again.layers[1].dtype_policy.name == "mixed_float16"


def by_hand(op, attrs, shape, layer=None, **options):
    graph = Graph()
    graph.add(Node("x", "input", (), {"dtype": "float32"}, ((None, 6, 5, 3),)))
    graph.add(Node("made+up", op, (Ref("x"),), attrs, (shape,), layer, intact=False, **options))
    graph.inputs, graph.outputs, graph.output_names = ["x"], [Ref("made+up")], ["y"]
    graph.structure = Slot(0), Slot(0)
    graph.validate()
    return graph


def test_a_node_from_nothing_has_its_label_as_its_name():
    affine = Affine(np.array([1.0, 2.0, 3.0]), np.ones(3))
    for kind in ("arithmetic", "batch_norm"):
        model = build(by_hand("affine", {"affine": affine, "kind": kind}, (None, 6, 5, 3)))
        assert [layer.name for layer in model.layers] == ["x", "made-up"]
        x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
        np.testing.assert_allclose(model(x), affine(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("linear", [
    LinearMap(np.ones((3, 2)), np.ones(2)), LinearMap(np.ones((2, 3, 3, 2)), None, (1, 1), (1, 1), ((1, 0), (2, 2))),
    LinearMap(np.ones((1, 3)), np.ones(3), groups=3), identity(3, 0), identity(3, 2),
])
@pytest.mark.parametrize("layer", [None, layers.Add(), layers.Rescaling(2.0)])
def test_a_linear_node_where_there_was_no_linear_layer(linear, layer):
    size = (6, 5) if linear.rank == 0 else linear.output_size((6, 5))
    model = build(by_hand("linear", {"map": linear}, (None, *size, linear.outputs), layer))
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    np.testing.assert_allclose(model(x), linear.apply(x), rtol=1e-5, atol=1e-5)


def test_what_no_keras_layer_computes_is_refused():
    pool = {"kind": "max", "window": (2, 2), "strides": (2, 2), "padding": ((1, 1), (0, 1)), "keepdims": False}
    with pytest.raises(GraphError, match=r"Received: made\+up with padding \(\(1, 1\), \(0, 1\)\)"):
        build(by_hand("pool", pool, (None, 4, 3, 3)))
