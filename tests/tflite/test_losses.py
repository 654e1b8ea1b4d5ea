"""Where a quantised file loses accuracy, and files beside their models: measured on files of the real converter."""
import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.comparison import to_numpy
from tfold.loading import load_report, save_model
from tfold.measure import run_tflite
from tfold.tflite.parity import compared

IMAGES = np.random.default_rng(0).normal(size=(100, 8, 8, 3)).astype("float32")


def network():
    """Its third layer has one channel that is a thousand times the others: the others drown in its steps."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="fine")(x)
    x = layers.Conv2D(6, 1, name="coarse")(x)
    x = layers.Conv2D(4, 1, name="after")(layers.Activation("relu6", name="relu6")(x))
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x), name="uneven")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = network()
    model.get_layer("coarse").kernel.assign(model.get_layer("coarse").kernel * [[[[1e-3] * 5 + [1]]]])
    return model


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    return tfold.export(model, tmp_path_factory.mktemp("losses") / "int8.tflite", "int8", IMAGES, tolerance=9).path


def test_the_worst_layer_comes_first(model, file):
    found = tfold.layer_losses(model, file, IMAGES)
    assert [each.name for each in found.layers] == [
        "image/QUANTIZE", "fine", "coarse;relu6", "after", "pool/MEAN"]
    by_name = {each.name: each for each in found.layers}
    assert by_name["fine"].decibels > 30 and by_name["image/QUANTIZE"].decibels > 35
    assert found.worst[0].decibels == min(each.decibels for each in found.layers)
    assert by_name["fine"].lowest == 0 and by_name["fine"].step > 0
    assert by_name["fine"].lost == pytest.approx(by_name["image/QUANTIZE"].decibels - by_name["fine"].decibels)


def test_decibels_are_those_of_the_tensors(model, file):
    """The last tensor's, computed from outputs alone."""
    found = tfold.layer_losses(model, file, IMAGES)
    expected = to_numpy(model(IMAGES))
    error = next(iter(run_tflite(file, IMAGES).values())) - expected
    assert found.layers[-1].decibels == pytest.approx(10 * np.log10((expected**2).mean() / (error**2).mean()), abs=1.5)


def test_the_table_is_cut_where_asked(model, file):
    found = tfold.layer_losses(model, file, IMAGES, samples=20)
    assert found.samples == 20 and len(found.table(2).splitlines()) == 4
    assert found.table(2).endswith(f"… and {len(found.layers) - 2} more that lost less")
    assert found.table(2).splitlines()[1].startswith(found.worst[0].name)


def test_merged_layers_are_found_under_their_names(tmp_path):
    """The file calls them a+b, Keras a-b."""
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Conv2D(4, 1, name="b")(layers.Conv2D(8, 3, name="a")(x))
    y = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(y))
    result = tfold.fold(keras.Model(x, y), policy="always")
    path = tmp_path / "m.tflite"
    for report, name in ((None, "a-b;relu"), (result.report, "a+b;relu")):
        tfold.export(result.model, path, "int8", IMAGES, report=report, force=True)
        found = tfold.layer_losses(result.model, path, IMAGES, samples=10)
        assert [each.name for each in found.layers] == ["image/QUANTIZE", name, "pool/MEAN"]
        assert max(each.lost for each in found.layers[1:]) < 20


def test_dynamic_files_have_losses_too(model, tmp_path):
    wide = keras.Sequential([keras.Input((8,)), layers.Dense(256, "relu", name="a"), layers.Dense(64, name="b")])
    done = tfold.export(wide, tmp_path / "m.tflite", "dynamic")
    found = tfold.layer_losses(wide, done.path)
    assert {each.step for each in found.layers} == {0.0} and 20 < found.worst[0].decibels < 80


@pytest.mark.parametrize("change, words", [
    ("weights", "which was made of other weights"),
    ("foreign", "which does not say what it was made of"),
    ("float32", "a float32 file"),
])
def test_a_file_that_cannot_be_compared(model, file, tmp_path, change, words):
    path, other = file, model
    if change == "weights":
        other = keras.models.clone_model(model)
    elif change == "float32":
        path = tfold.export(model, tmp_path / "m.tflite").path
    else:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in IMAGES[:5])
        path = tmp_path / "foreign.tflite"
        path.write_bytes(converter.convert())
    with pytest.raises(tfold.BadInputError, match=words):
        tfold.layer_losses(other, path, IMAGES)


def test_quantised_files_beside_the_float_one(model, file, tmp_path):
    exact = tfold.export(model, tmp_path / "float32.tflite").path
    labels = to_numpy(model(IMAGES)).argmax(-1)
    found = tfold.compare(model, [exact, file], (IMAGES, labels), tolerance=9)
    assert found.float_file == exact and list(found.with_float) == [file] and not found.beyond
    assert found.with_keras[exact].accuracy == (1.0, 1.0)
    assert found.with_keras[file].worst.decibels == pytest.approx(found.with_float[file].worst.decibels, abs=0.1)
    strict = tfold.compare(model, [exact, file], IMAGES, tolerance=1e-4)
    assert strict.beyond == [file] and not strict.to_json()["passed"]


def test_a_file_of_tensorflows_own_converter_can_be_compared(tmp_path):
    """Its outputs are called output_0, output_1; its inputs may come in another order."""
    import tensorflow as tf

    a, b = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    model = keras.Model([a, b], [layers.Dense(3, name="x")(a - b), layers.Dense(2, name="y")(b)])
    path = tmp_path / "m.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    assert tfold.compare(model, [path]).with_keras[path].worst.relative < 1e-5


def test_a_file_of_another_model_is_no_partner(model, file):
    other = keras.Model(x := keras.Input((8, 8, 3)), layers.Dense(9)(layers.Flatten()(x)))
    with pytest.raises(tfold.ParityError, match="Is the file made of this model"):
        tfold.compare(other, [file])
    two = keras.Model(x, [layers.Flatten()(x), layers.GlobalAveragePooling2D()(x)])
    with pytest.raises(tfold.BadInputError, match="Is it made of this model"):
        tfold.compare(two, [file])


def test_the_numbers_of_a_comparison():
    exact = np.array([[1.0, 2.0, -4.0], [0.0, 1.0, 3.0]])
    found = compared("out", exact, exact + [[0.1, 0, 0], [0, 0, -3]])
    assert (found.largest, found.relative, found.top1) == (3.0, 0.75, 0.5)
    assert found.mean == pytest.approx(3.1 / 6)
    assert found.decibels == pytest.approx(10 * np.log10((exact**2).sum() / (9 + 0.01)))
    assert compared("out", exact, exact).decibels is None and "equal" in str(compared("out", exact, exact))


def test_the_report_travels_in_the_file(tmp_path, model):
    path = tmp_path / "m.keras"
    result = tfold.fold(model)
    save_model(result.model, path, report=result.report)
    assert load_report(path)["homes"] == result.report.homes
    assert keras.models.load_model(path).count_params() == result.model.count_params()  # Keras does not mind
    keras.models.load_model(path).save(tmp_path / "again.keras")
    assert load_report(tmp_path / "again.keras") is None
    (tmp_path / "text.json").write_text("{}")
    for name in ("text.json", "missing.json"):
        with pytest.raises(tfold.BadInputError, match="report of a fold|none that can be read"):
            load_report(tmp_path / name)
