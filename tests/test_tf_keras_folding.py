"""fold() of tf_keras models: exact, verified, a tf_keras model again; tf_keras stays out where nobody asks for it."""
import os
import subprocess
import sys

import keras  # noqa: F401, before tfold's own modules: they register with it
import numpy as np
import pytest

import tfold
from tfold import reasons
from tfold.sampling import random_input

tf_keras = pytest.importorskip("tf_keras")
L = tf_keras.layers

MOBILE = {"MobileNet": {}, "MobileNetV2": {"alpha": 0.5}, "MobileNetV3Small": {},
          "MobileNetV3Large": {"minimalistic": True}}


@pytest.mark.parametrize("name", MOBILE)
def test_mobile_networks_lose_every_batch_norm(name, fold_checked):
    tf_keras.backend.clear_session()
    model = getattr(tf_keras.applications, name)(
        weights=None, classes=5, classifier_activation=None, input_shape=(32, 32, 3), **MOBILE[name])
    result = fold_checked(model)
    assert isinstance(result.model, tf_keras.Model)
    assert result.report.before.batch_norms > 20 and result.report.after.batch_norms == 0
    assert not any(isinstance(layer, L.BatchNormalization) for layer in result.model.layers)
    assert len(result.report.verification.compared) > 20
    assert result.report.verification.worst.relative <= 1e-5


def chain():
    x = tf_keras.Input((9, 9, 4))
    y = L.BatchNormalization(name="norm")(L.Conv2D(6, 1, name="a")(x / 2.0))
    return tf_keras.Model(x, L.ReLU(name="relu")(L.Conv2D(4, 3, padding="same", name="b")(y)))


def test_linear_layers_merge_with_a_border_map(fold_checked, relative_difference, tmp_path):
    model = chain()
    result = fold_checked(model, policy="always")
    assert result.report.after.depth == 1
    assert "with a border map" in str(result.report)
    x = random_input(model, batch=2)
    for extension in ("h5", "keras"):
        result.model.save(tmp_path / f"folded.{extension}")
        loaded = tf_keras.models.load_model(tmp_path / f"folded.{extension}")
        assert relative_difference(result.model, loaded, x) == 0
        assert tfold.fold(loaded, policy="always").report.after.depth == 1


@pytest.mark.parametrize("how", [tfold.fold_batch_norm, tfold.merge_linear, tfold.fold])
def test_each_way_of_folding(how, fold_checked):
    fold_checked(chain(), how=how)


def test_approximate_borders_are_reported(fold_checked):
    x = tf_keras.Input((9, 9, 4))
    y = L.Conv2D(4, 3, padding="same", name="b")(L.Conv2D(4, 3, padding="same", name="a")(x))
    model = tf_keras.Model(x, y)
    report = tfold.fold(model, policy="always", border="approximate").report
    assert report.after.depth == 1 and len(report.verification.approximate) == 1
    assert tfold.fold(model, policy="always").report.after.depth == 2


def read_by_two_batch_norms(activation):
    x = tf_keras.Input((8, 10, 3))
    y = L.Conv2D(4, 3, padding="same")(x)
    branches = [L.Conv2D(2, 1)(L.Activation(activation)(L.BatchNormalization(scale=False, name=name)(y)))
                for name in "ab"]
    return tf_keras.Model(x, L.Add()(branches))


@pytest.mark.parametrize("activation, policy, kind", [
    ("relu", "latency", "BatchNormalization"),  # an addition stays
    ("relu6", "always", "BatchNormalization"), ("relu6", "latency", "DepthwiseConv2D")])
def test_what_stays_of_a_batch_norm(activation, policy, kind, fold_checked, relative_difference, tmp_path):
    result = fold_checked(read_by_two_batch_norms(activation), policy=policy)
    [refused] = [each for each in result.report.refusals if each.rule == "fold_batch_norm"]
    assert (refused.nodes, refused.reason) == (("b",), reasons.COMPETES)
    assert type(result.model.get_layer("b")).__name__ == kind
    result.model.save(tmp_path / "folded.keras")
    loaded = tf_keras.models.load_model(tmp_path / "folded.keras")
    assert relative_difference(result.model, loaded, random_input(loaded, batch=2)) == 0


def test_batch_norms_go_through_pools_padding_and_shared_layers(fold_checked, relative_difference, tmp_path):
    conv, norm, x = L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), tf_keras.Input((8, 10, 3))
    y = L.Subtract()([L.ReLU()(norm(conv(t))) for t in (x, L.Conv2D(3, 1)(x))])
    z = L.BatchNormalization()(L.ZeroPadding2D()(L.AveragePooling2D(2)(L.Conv2D(4, 3)(y))))
    result = fold_checked(tf_keras.Model(x, L.ReLU()(L.BatchNormalization(scale=False)(L.MaxPooling2D()(z)))))
    assert (result.report.before.batch_norms, result.report.after.batch_norms) == (3, 0)
    result.model.save(tmp_path / "folded.keras")
    loaded = tf_keras.models.load_model(tmp_path / "folded.keras")
    assert relative_difference(result.model, loaded, random_input(loaded, batch=2)) == 0


def test_a_loaded_model_folds_with_its_nested_parts(fold_checked, tmp_path):
    backbone = tf_keras.Sequential([
        tf_keras.Input((16, 16, 3)), L.ZeroPadding2D(), L.Conv2D(8, 3, 2, use_bias=False), L.BatchNormalization(),
        L.ReLU(6.0), L.SeparableConv2D(8, 3), L.BatchNormalization()])
    model = tf_keras.Sequential([tf_keras.Input((16, 16, 3)), backbone, L.GlobalAveragePooling2D(), L.Dense(3)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.h5")
    result = fold_checked(tf_keras.models.load_model(tmp_path / "model.h5"))
    assert result.report.after.batch_norms == 0
    result.model.compile("sgd", "mse")
    result.model.fit(np.zeros((4, 16, 16, 3), "float32"), np.zeros((4, 3), "float32"), verbose=0)


def test_half_precision_is_compared_with_its_own_tolerance(fold_checked):
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = chain()
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    result = fold_checked(model, tolerance=1e-2)
    assert {layer.compute_dtype for layer in result.model.layers if layer.weights} == {"float16"}


def test_what_trains_in_a_way_of_its_own_stays(fold_checked):
    x = tf_keras.Input((8, 8, 3))
    y = L.BatchNormalization(renorm=True, name="re")(L.Conv2D(4, 3, name="conv")(x))
    z = L.experimental.SyncBatchNormalization(name="sync")(L.Conv2D(4, 3)(x))
    report = fold_checked(tf_keras.Model(x, [y, z])).report
    assert (report.before.batch_norms, report.after.batch_norms) == (2, 1)
    assert [each.reason for each in report.entries if each.nodes[-1] == "re"] == [reasons.UNKNOWN_LAYER]


def test_verification_takes_a_sample_and_says_if_it_does_not_fit():
    assert tfold.fold(chain(), sample=np.ones((2, 9, 9, 4))).report.verification.worst.relative <= 1e-5
    with pytest.raises(tfold.BadInputError, match="Pass sample=, an input it accepts"):
        tfold.fold(chain(), sample=np.zeros((1, 9, 9, 3), "float32"))


def test_export(tmp_path):
    inputs = {"b": tf_keras.Input((4,), name="b"), "a": tf_keras.Input((3,), name="a")}
    outputs = {"z": L.Dense(2, name="q")(inputs["a"]), "y": L.Concatenate()([inputs["a"], inputs["b"]])}
    for i, model in enumerate((chain(), tfold.fold(chain()).model, tf_keras.Model(inputs, outputs))):
        assert tfold.export(model, tmp_path / f"{i}.tflite").parity <= 1e-5


def test_alpha_is_for_keras_3():
    for function in (tfold.prefold, tfold.settle):
        with pytest.raises(tfold.BadInputError, match="reads Keras 3 models here. Received: tf_keras"):
            function(chain())


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_tf_keras_is_not_imported_for_keras_3():
    code = """
import sys, keras, tfold
x = keras.Input((8, 8, 3))
y = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(x))
tfold.settle(tfold.prefold(tfold.fold(keras.Model(x, keras.layers.Conv2D(4, 3)(y))).model))
print("tf_keras" in sys.modules)
"""
    assert run(code) == "False"


def test_without_tf_keras_people_are_told_what_to_install(monkeypatch):
    from tfold.graph import family

    monkeypatch.delitem(family._loaded, "tf_keras", raising=False)
    monkeypatch.setattr(family, "find_spec", lambda name: None)
    with pytest.raises(tfold.BadInputError, match="pip install tf_keras"):
        family.family_named("tf_keras")
