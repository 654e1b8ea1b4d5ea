"""Networks whose activations have gone, as files: how many ops are left of them, and that they compute the same."""
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.measure import run_tflite

BN = layers.BatchNormalization


def ops_in(path):
    """Names of the ops of a file, in order, read in a process that has no TensorFlow in it."""
    code = (
        "import sys; from ai_edge_litert import interpreter as i\n"
        "kind = i.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES\n"
        "net = i.Interpreter(sys.argv[1], experimental_op_resolver_type=kind)\n"
        "print('OPS', *[op['op_name'] for op in net._get_ops_details()])"
    )
    out = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    return out.split("OPS ")[1].split()


def exported(model, tmp_path):
    path = tmp_path / f"{model.name}.tflite"
    tfold.export(model, path, force=True)
    return path


def settled_at_one(model, **options):
    """A pre-folded network, every α at 1."""
    f_alpha = tfold.prefold(model, **options)
    for layer in f_alpha.layers:
        if isinstance(layer, tfold.AlphaActivation):
            layer.alpha.assign(1.0)
    return f_alpha


def repvgg(x, filters, strides, operators):
    branches = [
        BN()(layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)),
        BN()(layers.Conv2D(filters, 1, strides, use_bias=False)(x)),
    ]
    if strides == 1:
        branches.append(BN()(x))
    return layers.ReLU()(sum(branches[1:], branches[0]) if operators else layers.Add()(branches))


@pytest.mark.parametrize("operators", [True, False])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("policy", ["latency", "macs", "always"])
def test_a_repvgg_block_becomes_one_op(strides, policy, operators, fold_checked, tmp_path):
    x = keras.Input((9, 9, 8))
    model = keras.Model(x, repvgg(x, 8, strides, operators), name="block")
    folded = fold_checked(model, policy=policy).model
    path = exported(folded, tmp_path)
    assert ops_in(path) == ["CONV_2D"]
    image = np.random.default_rng(0).normal(size=(1, 9, 9, 8)).astype("float32")
    [received] = run_tflite(path, image).values()
    np.testing.assert_allclose(received, model(image, training=False).numpy(), atol=1e-4, rtol=1e-4)


def test_a_mobilenet_without_activations_is_one_linear_op_a_block(fold_checked, tmp_path):
    model = keras.applications.MobileNetV2((64, 64, 3), 0.35, weights=None, classes=10, classifier_activation=None)
    result = fold_checked(settled_at_one(model, only=lambda layer: "block" in layer.name or "expanded" in layer.name),
                          policy="always")
    ops = ops_in(exported(result.model, tmp_path))
    linear = [op for op in ops if op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")]
    assert len(linear) <= 1 + 17 + 1 + 1  # stem, blocks, last convolution, classifier
    assert result.report.after.depth == len(linear)
    assert result.report.before.depth == 53
    assert set(ops) <= {"CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN", "PAD", "DEPTHWISE_CONV_2D"}


def test_an_mlp_without_activations_is_one_dense_layer(fold_checked, tmp_path):
    x = y = keras.Input((64,))
    for _ in range(9):
        y = layers.Dense(256, "relu")(y)
    model = keras.Model(x, layers.Dense(10)(y), name="mlp")
    result = fold_checked(settled_at_one(model), policy="macs")
    assert (result.report.before.depth, result.report.after.depth, result.report.after.macs) == (10, 1, 640)
    assert [type(layer).__name__ for layer in result.model.layers] == ["InputLayer", "Dense"]
    assert ops_in(exported(result.model, tmp_path)) == ["FULLY_CONNECTED"]


def test_an_mlp_as_wide_as_its_layers(fold_checked):
    x = y = keras.Input((256,))
    for _ in range(10):
        y = layers.Dense(256, "relu")(y)
    for policy in ("latency", "macs", "always"):
        f_alpha = settled_at_one(keras.Model(x, y), only=lambda layer: True)
        assert fold_checked(f_alpha, policy=policy).report.after.depth == 1
