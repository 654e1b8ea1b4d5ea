"""Every number format: what the file computes, what is in it, how it is called, and what it says of itself."""
import json

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.measure import run_tflite
from tfold.tflite.about import digest
from tfold.tflite.contents import read
from tfold.tflite.formats import FORMATS
from tfold.tflite.summary import quantization


def network():
    """A skip, a depthwise convolution, a convolution and its ReLU in two layers: as in MobileNetV2."""
    x = inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    x = before = layers.ReLU(name="stem_relu")(x)
    x = layers.Conv2D(192, 1, activation="relu", name="expand")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Add(name="add")([before, layers.Conv2D(8, 1, name="project")(x)])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="class")(x), name="net")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(120, 16, 16, 3)).astype("float32")


@pytest.fixture(scope="module")
def model(randomize):
    keras.utils.set_random_seed(0)
    return randomize(network())


@pytest.fixture(scope="module")
def exports(model, images, tmp_path_factory):
    """Format → `Export`."""
    folder = tmp_path_factory.mktemp("formats")
    return {name: tfold.export(model, folder / f"{name}.tflite", name, images if form.needs_samples else None)
            for name, form in FORMATS.items()}


def test_what_each_format_loses(exports):
    decibels = {name: done.comparison.worst.decibels for name, done in exports.items()}
    assert decibels["float32"] > 120 and decibels["float16"] > 60
    assert decibels["int16"] > decibels["int8"] > 20 and decibels["dynamic"] > 20
    assert exports["float32"].parity < 1e-6
    assert all(done.parity == done.comparison.worst.relative for done in exports.values())
    assert all(done.comparison.worst.top1 > 0.9 for done in exports.values())


def test_sizes(exports):
    sizes = {name: done.bytes for name, done in exports.items()}
    assert sizes["float32"] > max(sizes["float16"], sizes["dynamic"], sizes["int8"])
    assert all(done.bytes == done.path.stat().st_size for done in exports.values())


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_in_the_format_it_was_asked_in(exports, name):
    found = quantization(read(exports[name].path))
    assert found.format == name
    if FORMATS[name].is_quantized:
        assert found.per_channel == found.kernels["int8"] >= 3 and not found.float_ops
        assert name == "dynamic" or not found.float_kernels  # the converter leaves kernels below 1024 numbers


@pytest.mark.parametrize("name", FORMATS)
def test_people_find_their_layers(exports, name):
    """In every format under the same names, kernels and biases too."""
    contents = read(exports[name].path)
    names = [tensor.name for tensor in contents.tensors]
    assert len(set(names)) == len(names)
    made = {contents.tensors[op.outputs[0]].name for op in contents.ops}
    assert {"stem;stem_relu", "expand", "depthwise", "project", "add", "pool", "class"} <= made
    assert {"stem;stem_relu/kernel", "stem;stem_relu/bias", "project/kernel", "class/kernel"} <= set(names)
    assert not [each for each in names if "tfold." in each or "StatefulPartitionedCall" in each]


@pytest.mark.parametrize("name", FORMATS)
def test_the_signature_follows_keras(exports, name):
    (signature,) = read(exports[name].path).signatures
    assert (signature.key, list(signature.inputs), list(signature.outputs)) == ("serving_default", ["image"], ["class"])
    tensors = read(exports[name].path).tensors
    assert tensors[signature.inputs["image"]].name == "image" and tensors[signature.outputs["class"]].name == "class"


@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime"])
@pytest.mark.parametrize("name", FORMATS)
def test_both_runtimes_run_it(exports, images, model, name, runtime):
    if runtime == "tflite-runtime":
        pytest.importorskip("importlib.metadata").version("tflite-runtime")
    received = run_tflite(exports[name].path, images[:4], runtime)["class"]
    np.testing.assert_allclose(received, model(images[:4]), atol=0.1)


def test_weights_lie_where_they_can_be_used(exports):
    """At multiples of 16 bytes, as the schema asks: a runtime that maps the file reads them there."""
    for done in exports.values():
        data, contents = done.path.read_bytes(), read(done.path)
        for tensor in contents.tensors:
            if tensor.bytes >= 64:
                found = data.find(contents.array(tensor).tobytes())
                assert found % 16 == 0, (done.path, tensor.name)


@pytest.mark.parametrize("types", [("int8", "int8"), ("uint8", "uint8"), ("uint8", "float32"), ("float32", "int8")])
def test_integers_at_the_ends_of_an_int8_file(model, images, tmp_path, types):
    done = tfold.export(model, tmp_path / "m.tflite", "int8", images, input_type=types[0], output_type=types[1])
    contents = read(done.path)
    ends = tuple(contents.tensors[side[0]].dtype for side in (contents.inputs, contents.outputs))
    assert ends == types
    assert done.comparison.worst.decibels > 20


def test_int16_at_the_ends_of_an_int16_file(model, images, tmp_path):
    done = tfold.export(model, tmp_path / "m.tflite", "int16", images, input_type="int16", output_type="int16")
    assert {read(done.path).tensors[i].dtype for i in (0, read(done.path).outputs[0])} == {"int16"}
    assert done.comparison.worst.decibels > 40


@pytest.mark.parametrize("quantize, types", [("float32", {"input_type": "int8"}), ("int8", {"output_type": "int16"}),
                                             ("dynamic", {"input_type": "uint8"}), ("int8", {"input_type": "float64"})])
def test_types_that_a_format_has_not(model, images, tmp_path, quantize, types):
    with pytest.raises(tfold.BadInputError, match=f"of a {quantize} file is one of .*Received: "):
        tfold.export(model, tmp_path / "m.tflite", quantize, images, **types)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_several_inputs_at_a_time(model, images, tmp_path, quantize):
    done = tfold.export(model, tmp_path / "m.tflite", quantize, images if quantize == "int8" else None, batch=4)
    contents = read(done.path)
    assert contents.tensors[contents.inputs[0]].shape == (4, 16, 16, 3)
    assert done.comparison.samples % 4 == 0 and done.comparison.worst.decibels > 20


def test_the_file_says_where_it_comes_from(images, tmp_path, randomize):
    result = tfold.fold(randomize(network()))
    done = tfold.export(result.model, tmp_path / "m.tflite", "int8", images, report=result.report)
    said = json.loads(read(done.path).metadata["tfold"])
    assert said["tfold"] == tfold.__version__ and said["format"] == "int8" and said["calibrated_on"] == 120
    assert said["fold"]["sha256"] == digest(result.report.to_json()) == digest(json.loads(json.dumps(
        result.report.to_json())))
    assert said["fold"]["depth"] == [result.report.before.depth, result.report.after.depth]


def test_merged_layers_bear_the_names_of_their_parts(tmp_path, randomize):
    x = keras.Input((8, 8, 4))
    y = layers.Conv2D(4, 1, name="second")(layers.Conv2D(16, 3, name="first")(x))
    y = layers.MaxPooling2D(name="pool")(layers.ReLU(name="relu")(y))
    result = tfold.fold(randomize(keras.Model(x, y)), policy="always")
    names = []
    for report in (None, result.report):
        done = tfold.export(result.model, tmp_path / "m.tflite", report=report, force=True)
        op = read(done.path).ops[0]
        names.append(read(done.path).tensors[op.inputs[1]].name)
    assert names == ["first-second;relu/kernel", "first+second;relu/kernel"]


def test_layers_whose_names_look_alike(tmp_path):
    """Keras' own scopes call the second call of relu what the layer relu_1 is called."""
    x = keras.Input((8,))
    dense, again = layers.Dense(8, name="dense"), layers.Dense(8, name="dense_1")
    y = layers.Activation("tanh", name="tanh_1")(again(layers.Activation("tanh", name="tanh")(dense(x))))
    done = tfold.export(keras.Model(x, layers.Activation("tanh", name="last")(dense(y))), tmp_path / "m.tflite")
    contents = read(done.path)
    made = [contents.tensors[op.outputs[0]].name for op in contents.ops]
    assert made == ["dense/FULLY_CONNECTED", "tanh", "dense_1", "tanh_1", "dense", "last"]


def plain_ops(model, form, images, path):
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    samples = [[image[None]] for image in images[:5]]
    FORMATS[form].configure(converter, "float32", "float32", lambda: iter(samples), False, False)
    path.write_bytes(converter.convert())
    return len(read(path).ops)


@pytest.mark.parametrize("name", FORMATS)
def test_no_more_ops_than_the_plain_converter_makes(exports, model, images, tmp_path, name):
    assert len(read(exports[name].path).ops) <= plain_ops(model, name, images, tmp_path / "plain.tflite")


def test_no_more_ops_than_keras_own_export_makes(exports, model, tmp_path):
    model.export(tmp_path / "keras.tflite", format="litert", verbose=False)
    assert len(read(exports["float32"].path).ops) <= len(read(tmp_path / "keras.tflite").ops)


def with_tensorflows_ops():
    class Cholesky(layers.Layer):
        def call(self, x):
            import tensorflow as tf

            return tf.linalg.cholesky(tf.matmul(x, x, transpose_b=True) + 9 * tf.eye(8))

    x = keras.Input((8, 8))
    return keras.Model(x, Cholesky(name="special")(layers.Dense(8, name="dense")(x)), name="flexible")


def test_ops_that_would_need_flex_are_listed_with_their_layers(tmp_path):
    with pytest.raises(tfold.BadInputError, match=r"'flexible', which needs Cholesky \(layer special\).*select_tf_ops"):
        tfold.export(with_tensorflows_ops(), tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


def test_flex_ops_only_when_asked_for(tmp_path):
    done = tfold.export(with_tensorflows_ops(), tmp_path / "m.tflite", select_tf_ops=True)
    assert [op.kind for op in read(done.path).ops if op.is_custom] == ["FlexCholesky"]
    assert done.comparison is done.parity is None  # no runtime of this host has the delegate
    assert done.warnings == (
        "The file was not compared with Keras: it has FlexCholesky, and no runtime on this machine has the Flex "
        "delegate.",)
    assert done.to_json()["comparison"] is None


def test_a_file_that_needs_none_is_compared_whatever_was_allowed(model, tmp_path):
    assert tfold.export(model, tmp_path / "m.tflite", select_tf_ops=True).parity < 1e-5


def recurrent():
    x = keras.Input((6, 3))
    return keras.Model(x, layers.GRU(4, name="gru")(x), name="over_time")


def test_a_loop_is_exported_in_floats_and_refused_in_integers(tmp_path):
    assert tfold.export(recurrent(), tmp_path / "m.tflite").parity < 1e-5
    with pytest.raises(tfold.BadInputError, match="without loops. Received: 'over_time', in which gru .*unroll=True"):
        tfold.export(recurrent(), tmp_path / "q.tflite", "int8", np.random.default_rng(0).normal(size=(100, 6, 3)))


def with_an_op_without_integers():
    x = keras.Input((16, 16, 3))
    y = keras.ops.sin(layers.Conv2D(4, 3, name="conv")(x))
    return keras.Model(x, layers.Dense(2, name="end")(y), name="wavy")


@pytest.mark.parametrize("quantize", ["int8", "int16"])
def test_an_op_that_has_no_integer_form(images, tmp_path, quantize):
    with pytest.raises(tfold.BadInputError, match="(computes in integers. Received: 'wavy'.*float_fallback)"):
        tfold.export(with_an_op_without_integers(), tmp_path / "m.tflite", quantize, images)
    assert not list(tmp_path.iterdir())
    done = tfold.export(with_an_op_without_integers(), tmp_path / "m.tflite", quantize, images, float_fallback=True)
    assert done.warnings[-1].startswith("These ops compute in floats: SIN (")
    assert done.comparison.worst.decibels > 20


def test_ranges_are_of_the_tensor_itself(tmp_path):
    """Where a small branch meets a large skip, TensorFlow's calibration takes the sum's range for the branch's."""
    x = keras.Input((8, 8, 3))
    large = layers.Conv2D(4, 1, name="large", kernel_initializer=keras.initializers.Constant(30.0))(x)
    y = layers.Add(name="sum")([layers.Conv2D(4, 1, name="small", kernel_initializer="ones")(x), large])
    images = np.random.default_rng(0).uniform(0, 1, (100, 8, 8, 3)).astype("float32")
    model = keras.Model(x, layers.GlobalAveragePooling2D()(layers.ReLU()(y)))
    contents = read(tfold.export(model, tmp_path / "m.tflite", "int8", images).path)
    (small,) = [tensor for tensor in contents.tensors if tensor.name == "small"]
    assert small.scales[0] == pytest.approx(3 / 255, rel=0.05)  # 0 … 3, not 0 … 93


@pytest.mark.parametrize("options, words", [
    ({"quantize": "int4"}, "quantize is one of float32, float16, dynamic, int8, int16. Received: 'int4'"),
    ({"quantize": "int8"}, "measured on real inputs. Received: no representative data"),
    ({"batch": 0}, "batch is a whole number from 1 on. Received: batch=0"),
    ({"batch": True}, "batch is a whole number"),
])
def test_options_that_cannot_be(model, tmp_path, options, words):
    with pytest.raises(tfold.BadInputError, match=words):
        tfold.export(model, tmp_path / "m.tflite", **options)


def test_a_file_beyond_the_tolerance_does_not_appear(model, images, tmp_path):
    with pytest.raises(tfold.ParityError, match=r"tolerance 0.0001 .*Received: output class: relative difference"):
        tfold.export(model, tmp_path / "m.tflite", "int8", images, tolerance=1e-4)
    assert not list(tmp_path.iterdir())


def test_numbers_too_small_for_the_output_are_said(images, tmp_path):
    x = keras.Input((16, 16, 3))
    y = layers.Dense(1000, activation="softmax", name="many", kernel_initializer="zeros")(layers.Flatten()(x))
    done = tfold.export(keras.Model(x, y), tmp_path / "m.tflite", "int8", images)
    assert "Output many has steps of 3.9e-03, and no number as large" in done.warnings[-1]
