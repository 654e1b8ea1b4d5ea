"""Keras → .tflite: one input at a time, builtin ops alone, the same numbers, and a whole file or none."""
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.measure import run_tflite
from tfold.tflite import convert
from tfold.tflite.parity import compared


def network():
    x = keras.Input((8, 8, 3), name="image")
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(x))
    y = layers.Flatten()(layers.ReLU(6.0)(y))
    return keras.Model(x, layers.Dense(3, activation="softmax")(y), name="net")


def several():
    """Two inputs and three outputs in a dict, in another order than the alphabet's."""
    inputs = {"right": keras.Input((4,), name="right"), "left": keras.Input((3,), name="left")}
    y = layers.Dense(5, activation="relu")(layers.Concatenate()([inputs["left"], inputs["right"]]))
    outputs = {"wide": layers.Dense(6)(y), "mid": y, "narrow": layers.Dense(2)(y)}
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("factor, says", [(1, False), (1000, True)])
def test_a_softmax_that_is_certain_hides_differences(factor, says, tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(5, name="logits"), layers.Softmax(name="classes")])
    logits = model.get_layer("logits")
    logits.set_weights([factor * each for each in logits.get_weights()])
    warnings = tfold.export(model, tmp_path / "m.tflite").warnings
    assert [each.startswith("Output classes is a softmax that is certain") for each in warnings] == [True] * says


def test_large_numbers_are_no_softmax():
    large = np.full((2, 3), 5.0)
    assert not compared("logits", large, large).certain
    assert not compared("one", np.ones((2, 1)), np.ones((2, 1))).certain  # the only class


def list_outputs():
    a, b = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    return keras.Model([a, b], [layers.Dense(3)(a - b), layers.Dense(3)(a), b * 2.0])


@pytest.mark.parametrize("make", [network, several, list_outputs])
def test_the_file_computes_what_keras_computes(make, tmp_path, randomize):
    model = randomize(make())
    path = tmp_path / "model.tflite"
    done = tfold.export(model, path)
    assert (done.path, done.bytes) == (path, path.stat().st_size)
    assert done.parity <= 1e-4
    assert set(done.to_json()) == {"path", "bytes", "format", "parity", "comparison", "warnings"}
    x = {t.name: np.random.default_rng(3).normal(size=(1, *t.shape[1:])).astype("float32") for t in model.inputs}
    expected = model(keras.tree.map_structure(lambda t: x[t.name], model.input), training=False)
    expected = expected.values() if isinstance(expected, dict) else keras.tree.flatten(expected)
    received = run_tflite(path, x)
    assert len(received) == len(expected)
    for tensor in expected:
        alike = [found for found in received.values() if found.shape == tuple(tensor.shape)]
        assert min(np.abs(np.asarray(tensor) - found).max() for found in alike) <= 1e-4 * np.abs(tensor).max()


def test_a_folded_network_with_a_border_map(tmp_path, randomize):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(3, 3, padding="same")(layers.Conv2D(6, 1)(x))
    folded = tfold.fold(randomize(keras.Model(x, layers.Add()([x, y]))), policy="always").model
    assert tfold.export(folded, tmp_path / "model.tflite").parity <= 1e-4


def test_a_sequential_model(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)])
    assert tfold.export(model, tmp_path / "model.tflite").parity <= 1e-4


def test_the_batch_is_one_and_the_ops_are_builtins(tmp_path):
    path = tmp_path / "model.tflite"
    tfold.export(network(), path)
    shapes, ops = inside(path)
    assert shapes == "[[1, 8, 8, 3]]"
    assert {"CONV_2D", "FULLY_CONNECTED"} <= ops
    assert not [op for op in ops if "flex" in op.lower() or "custom" in op.lower()]
    assert not {"SHAPE", "STRIDED_SLICE", "PACK", "MUL", "ADD"} & ops  # no batch to ask for, no batch norm left


def inside(path):
    """Input shapes and names of the ops of a file, read in a process that has no TensorFlow in it."""
    code = (
        "import sys; from ai_edge_litert.interpreter import Interpreter; "
        "i = Interpreter(sys.argv[1]); i.allocate_tensors(); "
        "print('SHAPES', [d['shape'].tolist() for d in i.get_input_details()], end=''); "
        "print('OPS', *[op['op_name'] for op in i._get_ops_details()])"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
    shapes, ops = out.split("SHAPES ")[1].split("OPS ")
    return shapes, set(ops.split()) - {"DELEGATE"}


def test_the_callers_model_is_as_it_was(tmp_path, randomize):
    model = randomize(network())
    weights, config = [w.copy() for w in model.get_weights()], str(model.get_config())
    tfold.export(model, tmp_path / "model.tflite")
    assert str(model.get_config()) == config
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_nothing_is_printed(tmp_path):
    """What the converter writes to the process' own stdout would spoil `--json`."""
    code = (
        "import sys, keras, tfold; x = keras.Input((4,)); "
        "tfold.export(keras.Model(x, keras.layers.Dense(2)(x)), sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.tflite")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b""


def with_alpha():
    x = keras.Input((4,))
    return keras.Model(x, tfold.AlphaActivation("relu", name="first_alpha")(layers.Dense(3)(x)), name="trained")


def with_an_op_that_tflite_lacks():
    x = keras.Input((8, 8))
    return keras.Model(x, keras.ops.erfinv(keras.ops.tanh(x)), name="special")


def of_unknown_size():
    x = keras.Input((None, None, 3), name="picture")
    return keras.Model(x, layers.Conv2D(2, 3)(x))


def for_a_batch_of_four():
    x = keras.Input((4,), batch_size=4)
    return keras.Model(x, keras.ops.reshape(x, (2, 8)), name="four")


def without_numbers():
    x = keras.Input((4,))
    return keras.Model(x, keras.ops.log(layers.ReLU()(x) - 1.0), name="log")


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("make, words", [
    (with_alpha, "Received: 'trained' with 1 of them .first_alpha.*tfold.fold"),
    (with_an_op_that_tflite_lacks, "builtin ops alone. Received: 'special', which needs .*Erfinv"),
    (for_a_batch_of_four, "one input at a time. Received: 'four', whose layer 'reshape.*' fails with batch 1"),
    (without_numbers, "Received: 'log', which gives NaN or infinity at output .*sample="),
    (of_unknown_size, r"fixed input size. Received: input 'picture' of shape \(None, None, None, 3\)"),
    (Subclassed, "a subclassed model"),
    (lambda: None, "Received: builtins.NoneType"),
])
@pytest.mark.parametrize("existing", [None, b"precious"])
def test_a_failure_leaves_nothing_and_takes_nothing(make, words, existing, tmp_path):
    path = tmp_path / "model.tflite"
    if existing:
        path.write_bytes(existing)
    with pytest.raises(tfold.BadInputError, match=words) as found:
        tfold.export(make(), path, force=True)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == ([path] if existing else [])
    assert not existing or path.read_bytes() == existing


def test_a_file_that_computes_something_else_does_not_appear(tmp_path, monkeypatch):
    def wrong(model, *arguments):
        other = keras.models.clone_model(model)
        other.set_weights([weight * 1.001 for weight in model.get_weights()])
        return right(other, *arguments)

    right = convert.parity
    monkeypatch.setattr(convert, "parity", wrong)
    with pytest.raises(tfold.ParityError, match=r"Received: output .*relative difference \d.*No file was written"):
        tfold.export(network(), tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")
    with pytest.raises(tfold.BadInputError, match="not overwritten"):
        tfold.export(network(), path)
    assert path.read_bytes() == b"precious"
    tfold.export(network(), path, force=True)
    assert path.read_bytes()[4:8] == b"TFL3"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name, words", [
    ("model.keras", "The output is a .tflite file"),
    ("no/such/folder/model.tflite", "folder must exist"),
])
def test_paths_that_cannot_be(name, words, tmp_path):
    with pytest.raises(tfold.BadInputError, match=words):
        tfold.export(network(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_sample_where_random_numbers_will_not_do(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.sqrt(layers.Dense(3, kernel_initializer="ones")(x)))
    done = tfold.export(model, tmp_path / "model.tflite", sample=np.ones((1, 4), "float32"))
    assert done.parity <= 1e-4


def test_a_sample_that_does_not_fit(tmp_path):
    with pytest.raises(tfold.BadInputError, match="Received: 'net', which fails.*sample="):
        tfold.export(network(), tmp_path / "model.tflite", sample=np.ones((1, 5), "float32"))
    assert list(tmp_path.iterdir()) == []


def test_an_alpha_inside_a_layer_that_stays_whole_is_found_too(tmp_path):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), tfold.AlphaActivation("relu")], name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, inner(x, training=True))
    with pytest.raises(tfold.BadInputError, match="where they can be seen. Received: 'inner'"):
        tfold.export(model, tmp_path / "model.tflite")


def test_nested_outputs(tmp_path):
    x = keras.Input((4,))
    first, second, third = (layers.Dense(n, name=f"out{n}")(x) for n in (2, 3, 5))
    model = keras.Model(x, {"a": [first, second], "b": third})
    assert tfold.export(model, tmp_path / "model.tflite").parity <= 1e-4


def test_a_network_of_mixed_precision_becomes_a_float32_file(tmp_path):
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, padding="same", dtype="mixed_float16", activation="relu")(x)
    y = layers.ZeroPadding2D(1, dtype="mixed_float16")(layers.BatchNormalization(dtype="mixed_float16")(y))
    y = layers.TimeDistributed(layers.Dense(3, dtype="mixed_float16"), dtype="mixed_float16")(y)
    model = keras.Model(x, layers.Activation("softmax", dtype="float32")(y))
    assert tfold.export(model, tmp_path / "model.tflite").parity <= 1e-4
    image = np.ones((1, 8, 8, 3), "float32")
    (output,) = run_tflite(tmp_path / "model.tflite", image).values()
    assert output.dtype == "float32"
    np.testing.assert_allclose(output, model(image), atol=1e-2)
