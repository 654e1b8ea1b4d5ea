"""A wrong fold is found, wherever it hides, and the error names the place."""
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold import folding, passes, verification
from tfold.comparison import difference
from tfold.graph.build import build_with_tensors
from tfold.graph.family import KERAS
from tfold.passes.report import Report
from tfold.sampling import random_input
from tfold.verification import Networks


def network():
    """Ends in a global average over a ReLU of large values, which hides a single wrong border pixel."""
    x = keras.Input((16, 16, 3), name="image")
    y = layers.BatchNormalization(name="norm_1")(layers.Conv2D(4, 3, padding="same", name="conv_1")(x))
    y = layers.Conv2D(4, 3, padding="same", name="conv_2")(layers.ReLU(name="relu")(y))
    y = layers.BatchNormalization(name="norm_2")(y)
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    return keras.Model(x, layers.Dense(3)(y), name="victim")


def sabotage(monkeypatch, spoil):
    """Let a pass that works right go wrong at the node that `spoil` picks."""

    def wrong(graph, report, options):
        passes.absorb(graph, report, options)
        passes.fold_batch_norm(graph, report, options)
        for node in graph:
            spoil(node)

    monkeypatch.setattr(passes, "ALL_PASSES", (wrong,))


def one_weight(node):
    if node.name == "norm_2":
        kernel = np.array(node.map.kernel)
        kernel[1, 1, 0, 0] += 1e-3
        node.attrs["map"] = replace(node.map, kernel=kernel)


def one_border_pixel(node):
    if node.name == "norm_1":
        bias = np.broadcast_to(node.map.bias_or_zeros(), (16, 16, 4)).copy()
        bias[0, 5, 0] += 3e-3
        node.attrs["map"] = replace(node.map, bias=bias)


def padding_on_the_other_side(node):
    if node.name == "norm_1":
        node.attrs["map"] = replace(node.map, padding=((2, 0), (1, 1)))


def nothing_but_numbers_lost(node):
    if node.name == "norm_1":
        node.attrs["map"] = replace(node.map, kernel=np.full_like(node.map.kernel, np.nan))


@pytest.mark.parametrize("spoil, place", [
    (one_weight, "norm_2"),
    (one_border_pixel, "norm_1"),
    (padding_on_the_other_side, "norm_1"),
    (nothing_but_numbers_lost, "norm_1"),
])
def test_sabotage_is_found_and_named(spoil, place, monkeypatch, randomize):
    sabotage(monkeypatch, spoil)
    with pytest.raises(tfold.ParityError, match=f"Received: {place}: relative difference"):
        tfold.fold(randomize(network()))


def test_an_error_in_the_border_is_said_to_be_there(monkeypatch, randomize):
    sabotage(monkeypatch, one_border_pixel)
    with pytest.raises(tfold.ParityError) as found:
        tfold.fold(randomize(network()))
    border, interior = str(found.value).split("border ")[1].split(")")[0].split(", interior ")
    assert float(border) > 1e-4 > 1e-6 > float(interior)


@pytest.mark.parametrize("nested", [True, False])
def test_sabotage_behind_a_settled_alpha_or_in_a_nested_model_is_found(nested, monkeypatch, randomize):
    inner = network()
    x = keras.Input((16, 16, 3))
    y = inner(x) if nested else tfold.AlphaActivation("relu", alpha_initializer=keras.initializers.Constant(0.95))(x)
    model = keras.Model(x, y if nested else inner(y))
    sabotage(monkeypatch, one_weight)
    with pytest.raises(tfold.ParityError, match="norm_2"):
        tfold.fold(randomize(model))


def test_a_network_that_was_read_wrongly_is_found(monkeypatch, randomize):
    """A mistake of capture is in the graph before any pass: only the caller's own model shows it."""

    def misread(model):
        graph = capture(model)
        graph["relu"].attrs.update(fn="tanh", params={})
        graph["relu"].intact = False
        return graph

    capture = folding.capture
    monkeypatch.setattr(folding, "capture", misread)
    with pytest.raises(tfold.ParityError, match="output dense"):
        tfold.fold(randomize(network()))


def test_without_verification_nothing_is_run(monkeypatch, randomize):
    sabotage(monkeypatch, one_weight)
    result = tfold.fold(randomize(network()), verify=False)
    assert result.report.verification is None


def test_a_network_without_reproducible_numbers_is_not_blamed_on_the_fold():
    class Noise(layers.Layer):
        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x))

    x = keras.Input((4,))
    model = keras.Model(x, Noise()(layers.BatchNormalization()(layers.Dense(3)(x))))
    with pytest.raises(tfold.BadInputError, match="other values each time.*verify=False"):
        tfold.fold(model)


def test_a_network_that_gives_no_numbers_on_random_input_asks_for_a_sample():
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.log(layers.BatchNormalization()(x)))
    with pytest.raises(tfold.BadInputError, match="NaN or infinity at output .*sample="):
        tfold.fold(model)
    assert tfold.fold(model, sample=np.ones((1, 4), "float32")).report.verification.worst.relative < 1e-5


def test_a_network_that_cannot_run_on_random_input_asks_for_a_sample():
    x = keras.Input((4,), dtype="int32")
    model = keras.Model(x, layers.Dense(2)(layers.Embedding(1, 3)(x)))
    try:
        result = tfold.fold(model)
    except tfold.BadInputError as error:
        assert "Pass sample=" in str(error) and "\n" not in str(error)
        result = tfold.fold(model, sample=np.zeros((1, 4), "int32"))
    assert result.report.verification.worst.relative < 1e-5


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("mixed_float16", 1e-5), ("float64", 1e-5)])
def test_the_tolerance_is_that_of_float32(dtype, tolerance, randomize):  # half precision is compared in float64
    x = keras.Input((6,))
    y = layers.BatchNormalization(dtype=dtype)(layers.Dense(4, dtype=dtype)(x))
    model = randomize(keras.Model(x, layers.Activation("linear", dtype="float32")(y)))
    assert tfold.fold(model).report.verification.tolerance == tolerance


def test_border_and_interior():
    a = np.ones((1, 5, 5, 1))
    b = a.copy()
    b[0, 0, 2] += 0.5
    b[0, 2, 2] += 0.25
    found = difference("here", a, b)
    assert (found.relative, found.border, found.interior) == (0.5, 0.5, 0.25)
    assert str(found) == "here: relative difference 5.0e-01 (border 5.0e-01, interior 2.5e-01)"
    assert difference("here", np.ones((2, 3)), np.ones((2, 3))).border is None
    with pytest.raises(tfold.ParityError, match="keep every shape"):
        difference("here", a, a[:, :4])


def test_one_wrong_value_in_a_batch_is_found(monkeypatch):
    x = keras.Input((16, 16, 3), name="image")
    y = layers.BatchNormalization(name="norm_2")(layers.Conv2D(4, 3, padding="same", name="conv_1")(x))
    model = keras.Model(x, layers.GlobalMaxPooling2D()(y))
    sample = np.zeros((3, 16, 16, 3), "float32")
    sample[2, 8, 8, 0] = 1
    assert tfold.fold(model, sample=sample).report.verification.worst.relative < 1e-5
    sabotage(monkeypatch, one_weight)
    assert tfold.fold(model, sample=sample[:2]).report.verification.worst.relative == 0
    with pytest.raises(tfold.ParityError, match="norm_2"):
        tfold.fold(model, sample=sample)


def test_rounding_that_adds_up_is_told_from_a_wrong_layer(monkeypatch, randomize):
    """Ten layers that amplify, each exact; then the same with one of them a little wrong."""
    keras.utils.set_random_seed(1)
    x = y = keras.Input((24,))
    for i in range(10):
        y = layers.Dense(24, name=f"dense_{i}", kernel_initializer="orthogonal")(y)
        y = layers.BatchNormalization(name=f"norm_{i}")(y)
        y = keras.ops.sin(3 * y)
    model = randomize(keras.Model(x, y))
    found = tfold.fold(model).report.verification
    assert found.rounding > found.tolerance > found.worst.relative
    assert "each layer by itself" in str(found)

    def spoil(node):
        if node.label == "dense_5":
            node.attrs["map"] = replace(node.map, kernel=node.map.kernel * (1 + 1e-4))

    sabotage(monkeypatch, spoil)
    with pytest.raises(tfold.ParityError):
        tfold.fold(model)


@keras.saving.register_keras_serializable("tfold_tests")
class Float32Only(layers.Layer):
    """As a layer of somebody's own may be."""

    def call(self, x):
        if keras.backend.standardize_dtype(x.dtype) != "float32":
            raise TypeError("float32 alone")
        return keras.ops.sin(keras.ops.convert_to_tensor(np.float32(3.0)) * x)


@keras.saving.register_keras_serializable("tfold_tests")
def float32_only(x):
    assert keras.backend.standardize_dtype(x.dtype) == "float32"
    return keras.ops.sin(3 * x)


DEEP = 12
SINES = {
    "operations": lambda y: keras.ops.sin(3 * y),
    "a layer that takes float32 alone": lambda y: Float32Only()(y),
    "a function that takes float32 alone": lambda y: layers.Activation(float32_only)(y),
}


def amplifying(sine, images):
    """So deep, and such, that float32 keeps two digits; pixel by pixel, where images."""
    keras.utils.set_random_seed(1)
    x = y = keras.Input((5, 5, 12) if images else (24,))
    for i in range(DEEP):
        if images:
            y = layers.Conv2D(12, 3, padding="same", name=f"dense_{i}", kernel_initializer="he_normal")(y)
        else:
            y = layers.Dense(24, name=f"dense_{i}", kernel_initializer="orthogonal")(y)
        y = SINES[sine](layers.BatchNormalization(name=f"norm_{i}")(y))
    return keras.Model(x, y)


def a_bias(map):
    bias = np.array(map.bias)
    bias[3] += 1e-3
    return replace(map, bias=bias)


def two_channels_in_each_others_place(map):
    order = [1, 0, *range(2, map.outputs)]
    return replace(map, kernel=map.kernel[..., order], bias=map.bias[order])


def a_border_pixel(map):
    bias = np.broadcast_to(map.bias, (5, 5, map.outputs)).copy()
    bias[0, 2, 1] += 1e-3
    return replace(map, bias=bias)


@pytest.mark.parametrize("sine, images, spoil", [
    ("operations", False, two_channels_in_each_others_place), ("operations", True, a_border_pixel),
    ("a layer that takes float32 alone", False, a_bias), ("a function that takes float32 alone", False, a_bias)])
def test_rounding_far_behind_is_no_error_and_an_error_there_is_one(sine, images, spoil, monkeypatch, randomize):
    """Float32 drives the two networks apart by a thousandth, however right the fold: nothing hangs on how it rounds."""
    model = randomize(amplifying(sine, images))
    found = tfold.fold(model).report.verification
    assert found.rounding > 1e-4 and found.worst.relative < 1e-12 and "compared in float64" in str(found)
    assert 0.01 < found.rounding / found.rounding_of_original < 100
    assert found.to_json()["rounding_of_original"] == found.rounding_of_original

    def spoiled(node):
        if node.op == "linear" and node.label == f"dense_{DEEP - 1}":
            node.attrs["map"] = spoil(node.map)

    sabotage(monkeypatch, spoiled)
    with pytest.raises(tfold.ParityError, match="computes .tolerance 1e-05.* relative difference"):
        tfold.fold(model)


def test_a_processor_that_rounds_ten_times_as_coarsely_decides_alike(monkeypatch, randomize):
    """Other kernels, other orders of summation: here as noise of 1e-6 in whatever a layer computes in float32."""
    rng, execute = np.random.default_rng(0), verification.execute

    def coarse(calls, values, again=(), family=KERAS):
        def noisy(function):
            def run(tensors):
                made = family.flatten(function(tensors))
                return [each * (1 + 1e-6 * rng.normal(size=each.shape).astype("float32"))
                        if keras.backend.standardize_dtype(each.dtype) == "float32" else each for each in made]
            return run

        return execute([(reads, makes, noisy(function)) for reads, makes, function in calls], values, again, family)

    monkeypatch.setattr(verification, "execute", coarse)
    model = randomize(network())
    found = tfold.fold(model).report.verification
    assert found.worst.relative < 1e-12 or found.rounding is None
    deep = tfold.fold(randomize(amplifying("operations", False))).report.verification
    assert deep.worst.relative < 1e-12
    sabotage(monkeypatch, one_weight)
    with pytest.raises(tfold.ParityError, match="norm_2"):
        tfold.fold(model)


def test_random_input_has_the_models_shapes_and_types():
    kinds = {"image": {"shape": (None, 8, 3)}, "words": {"shape": (5,), "dtype": "int32"},
             "mask": {"shape": (5,), "dtype": "bool"}, "fixed": {"shape": (2,), "batch_size": 3}}
    inputs = {name: keras.Input(**kind, name=name) for name, kind in kinds.items()}
    x = random_input(keras.Model(inputs, inputs["image"]))
    assert {key: (value.shape, str(value.dtype)) for key, value in x.items()} == {
        "image": ((1, 64, 8, 3), "float32"), "words": ((1, 5), "int32"), "mask": ((1, 5), "bool"),
        "fixed": ((3, 2), "float32")}
    pixels, text = keras.Input((8, 8), dtype="uint8"), keras.Input((1,), dtype="string", name="text")
    assert random_input(keras.Model(pixels, pixels)).max() > 200  # scaled to 0…1, ones would be as good as nothing
    with pytest.raises(tfold.BadInputError, match="input 'text' takes text"):
        random_input(keras.Model(text, text))


def test_rounding_is_told_from_a_wrong_fold():
    """Means a thousand times the deviation: float32 loses three digits, with and without the batch norm."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(x)))
    model.get_layer("conv").set_weights([np.random.default_rng(0).normal(size=(3, 3, 3, 4)), np.full(4, 3e4)])
    model.get_layer("bn").set_weights([np.ones(4), np.zeros(4), np.full(4, 3e4), np.ones(4)])
    found = tfold.fold(model).report.verification
    assert found.rounding > found.tolerance == 1e-5 and found.worst.relative < 1e-9
    assert "compared in float64" in str(found)


def test_too_much_rounding_is_refused():
    """Exact in float64, but in float32 hardly a digit of what the batch norm makes is left."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv")(x)))
    model.get_layer("conv").set_weights([np.random.default_rng(0).normal(size=(3, 3, 3, 4)), np.full(4, 3e6)])
    model.get_layer("bn").set_weights([np.ones(4), np.zeros(4), np.full(4, 3e6), np.ones(4)])
    with pytest.raises(tfold.ParityError, match="verify=False"):
        tfold.fold(model)


def test_running_changes_neither_network():
    x = keras.Input((5, 3), batch_size=1)
    y = layers.BatchNormalization(name="bn")(layers.Dense(3)(layers.Dense(3)(x)), training=True)
    model = keras.Model(x, layers.LSTM(4, stateful=True)(y))
    before = [w.copy() for w in model.get_weights()]
    folded = tfold.fold(model).model
    norm = folded.get_layer("bn")
    assert np.array_equal(norm.moving_mean, np.zeros(3)) and np.array_equal(norm.moving_variance, np.ones(3))
    assert not any(np.any(state) for network in (model, folded) for state in network.layers[-1].states)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_an_approximate_merge_must_be_right_inside(monkeypatch, randomize):
    x = keras.Input((12, 12, 3))
    y = layers.Conv2D(4, 3, padding="same", name="b")(layers.Conv2D(4, 3, padding="same", name="a")(x))
    model = randomize(keras.Model(x, layers.GlobalAveragePooling2D()(layers.ReLU()(y))))
    found = tfold.fold(model, policy="always", border="approximate").report.verification
    [there] = found.approximate
    assert there.border > 1e-3 and there.interior < 1e-5
    assert "approximate at the border, exact inside (1)" in str(found) and "add up to" in found.how
    merge = passes.merge_linear

    def wrong(graph, report, options):
        merge(graph, report, options)
        for node in graph:
            if node.op == "linear" and node.map.window == (5, 5):
                node.attrs["map"] = replace(node.map, kernel=node.map.kernel * 1.001)

    monkeypatch.setattr(passes, "ALL_PASSES", (wrong,))
    with pytest.raises(tfold.ParityError, match=r"b \(inside\)"):
        tfold.fold(model, policy="always", border="approximate")


def test_a_sample_by_name(randomize):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = randomize(keras.Model([a, b], layers.BatchNormalization()(layers.Dense(3)(a - 2 * b))))
    x = {"b": np.ones((2, 4), "float32"), "a": np.zeros((2, 4), "float32")}
    assert tfold.fold(model, sample=x).report.verification.worst.relative < 1e-5
    assert tfold.fold(model, sample=[x["a"], x["b"]]).report.verification.worst.relative < 1e-5


def residual():
    """The first tensor is read by a batch norm and by a sum, so that folding stores it in another form."""
    x = keras.Input((16, 16, 3), name="image")
    y = layers.Conv2D(4, 3, padding="same", name="first")(x)
    z = layers.ReLU()(layers.BatchNormalization(name="norm", gamma_initializer=keras.initializers.Constant(1.5))(y))
    y = layers.Add(name="sum")([y, layers.Conv2D(4, 3, padding="same", name="second")(z)])
    y = layers.Conv2D(3, 1, name="third")(y)
    return keras.Model(x, layers.GlobalAveragePooling2D()(layers.ReLU()(y)), name="victim")


@pytest.mark.parametrize("place, spoil", [
    ("first_scaled", lambda map: replace(map, bias=map.bias + np.array([0, 1e-3, 0, 0]))),
    ("second_scaled", lambda map: replace(map, kernel=map.kernel * 1.001)),
    ("second_scaled", lambda map: replace(map, padding=((2, 0), (1, 1)))),
])
def test_sabotage_at_a_tensor_that_is_stored_in_another_form_is_found(place, spoil, monkeypatch):
    def spoiled(node):
        if node.name == place:
            node.attrs["map"] = spoil(node.map)

    model = residual()
    rng = np.random.default_rng(0)
    model.get_layer("norm").set_weights([rng.uniform(0.5, 2, 4) for _ in range(4)])
    assert tfold.fold(model).report.after.batch_norms == 0
    sabotage(monkeypatch, spoiled)
    with pytest.raises(tfold.ParityError, match=f"Received: {place}: relative difference"):
        tfold.fold(model)


def test_such_a_tensor_is_compared_in_float64_too():
    model = residual()
    graph = folding.capture(model)
    folded = graph.copy()
    passes.run(passes.BATCH_NORM_PASSES, folded, Report(), passes.Options())
    both = Networks(model, False, graph, folded, build_with_tensors(folded), random_input(model))
    for found in (both.in_float64(), both.layer_by_layer(), both.end_to_end()):
        assert {"first_scaled", "second_scaled"} <= {each.node for each in found.compared}
        assert found.parting is None
    assert both.in_float64().worst.relative < 1e-12
