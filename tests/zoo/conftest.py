"""Files in the formats of published weights, made here of random ones; each writer follows the format's own rules."""
import tarfile

import h5py
import numpy as np
import pytest

BLOCKS = ("1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a")  # of lite0
NORM = "tpu_batch_normalization"
FIRST = {"dwconv": "depthwise_conv2d", "bn": NORM, "project_conv": "conv2d", "project_bn": f"{NORM}_1"}
OTHER = {"expand_conv": "conv2d", "expand_bn": NORM, "dwconv": "depthwise_conv2d", "bn": f"{NORM}_1",
         "project_conv": "conv2d_1", "project_bn": f"{NORM}_2"}
AROUND = {"stem_conv": "stem/conv2d", "stem_bn": f"stem/{NORM}", "top_conv": "head/conv2d", "top_bn": f"head/{NORM}",
          "predictions": "head/dense"}
LAYERS = {**AROUND, **{f"block{block}_{layer}": f"blocks_{i}/{name}" for i, block in enumerate(BLOCKS)
                       for layer, name in (OTHER if i else FIRST).items()}}


@pytest.fixture(scope="session")
def same_weights():
    """A function: whether a model's layers have the weights of another's layers of the same names."""

    def same(model, other, leave_out=()):
        layers = [layer for layer in model.layers if layer.weights and layer.name not in leave_out]
        return bool(layers) and all(
            np.array_equal(a, b) for layer in layers
            for a, b in zip(layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True))

    return same


@pytest.fixture(scope="session")
def as_published():
    """A function: an EfficientNet-lite0 → name → value, all that is in the authors' checkpoint."""

    def tensors(model, averages=True):
        found = {"global_step": np.int64(109474)}
        for layer in model.layers:
            for weight in layer.weights:
                kind = "depthwise_kernel" if layer.name.endswith("dwconv") else weight.name
                name = f"efficientnet-lite0/{LAYERS[layer.name]}/{kind}"
                value = weight.numpy()
                found[name] = value + 1 if averages else value
                if averages:
                    found[f"{name}/ExponentialMovingAverage"] = value
                if value.ndim == 1:  # as of all others: but these are small
                    found[f"{name}/RMSProp"] = found[f"{name}/RMSProp_1"] = np.ones_like(value)
        return found

    return tensors


@pytest.fixture(scope="session")
def write_checkpoint():
    """A function that writes tensors by their names, as TensorFlow 1 did."""
    import tensorflow as tf

    def write(prefix, tensors):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
                          tensors=list(tensors.values()))
        return prefix

    return write


@pytest.fixture(scope="session")
def pack():
    """A function that packs a checkpoint as the authors do: in a folder, with other files beside it."""

    def packed(path, prefix):
        (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/somewhere/model.ckpt-109474"')
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            archive.add(prefix.parent, "efficientnet-lite0")
        return path

    return packed


@pytest.fixture(scope="session")
def write_legacy_h5():
    """A function that writes a model's weights as the .h5 files of keras.applications have them."""

    def write(path, model):
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
            file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.1.6"
            for layer in model.layers:
                group = file.create_group(layer.name)
                names = [f"{layer.name}/{_legacy_name(layer, weight)}:0" for weight in layer.weights]
                group.attrs["weight_names"] = [name.encode() for name in names]
                for name, weight in zip(names, layer.weights, strict=True):
                    group[name] = weight.numpy()
        return path

    return write


def _legacy_name(layer, weight):
    return "depthwise_kernel" if type(layer).__name__ == "DepthwiseConv2D" else weight.name
