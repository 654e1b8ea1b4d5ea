"""The checkpoints of EfficientNet-lite: what is loaded from which file, and what is refused."""
import io
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest

from tfold import zoo
from tfold.errors import BadInputError, TfoldError
from tfold.zoo.archive import checkpoint_prefix
from tfold.zoo.checkpoint import load_checkpoint, variable_names
from tfold.zoo.download import download

KERNEL = "efficientnet-lite0/blocks_3/conv2d_1/kernel/ExponentialMovingAverage"


@pytest.fixture(scope="module")
def trained(randomize):
    """What stands for the authors' network: random weights and statistics."""
    return randomize(zoo.EfficientNetLite0(input_shape=(32, 32, 3)))


@pytest.fixture(scope="module")
def blank():
    """A network to load into, which nothing that is refused may change."""
    return zoo.EfficientNetLite0(input_shape=(32, 32, 3))


@pytest.fixture(scope="module")
def published(trained, as_published):
    return as_published(trained)


@pytest.fixture(scope="module")
def tensors(published):
    """The averages alone, which are what is read."""
    return {name: value for name, value in published.items() if name.endswith("/ExponentialMovingAverage")}


@pytest.fixture(scope="module")
def prefix(published, write_checkpoint, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("published") / "efficientnet-lite0" / "model.ckpt", published)


@pytest.fixture(scope="module")
def packed(prefix, pack, tmp_path_factory):
    return pack(tmp_path_factory.mktemp("packed") / "efficientnet-lite0.tar.gz", prefix)


def test_the_names_are_the_authors(blank, tensors):
    ours = {f"efficientnet-lite0/{name}/ExponentialMovingAverage" for name in variable_names(blank)}
    assert ours == set(tensors)
    assert len(ours) == len(blank.weights) == 247


def test_it_computes_what_the_published_network_computes(trained, packed, same_weights):
    loaded = zoo.EfficientNetLite0(weights=packed, input_shape=(32, 32, 3))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(loaded(pixels), trained(pixels))
    assert same_weights(loaded, trained)


@pytest.mark.parametrize("form", ["prefix", "index", "folder", "folder around it"])
def test_where_a_checkpoint_lies(form, prefix, trained, blank, same_weights):
    path = {"prefix": prefix, "index": f"{prefix}.index", "folder": prefix.parent,
            "folder around it": str(prefix.parent.parent)}[form]
    blank.set_weights([weight + 1 for weight in trained.get_weights()])
    load_checkpoint(blank, path)
    assert same_weights(blank, trained)


def test_without_averages_the_last_step_is_loaded(trained, blank, as_published, write_checkpoint, tmp_path,
                                                  same_weights):
    blank.set_weights([weight + 1 for weight in trained.get_weights()])
    load_checkpoint(blank, write_checkpoint(tmp_path / "model.ckpt", as_published(trained, averages=False)))
    assert same_weights(blank, trained)


def test_other_classes_keep_their_classifier(trained, prefix, tensors, write_checkpoint, tmp_path, same_weights):
    ten = zoo.EfficientNetLite0(weights=prefix, input_shape=(32, 32, 3), classes=10)
    assert same_weights(ten, trained, leave_out=["predictions"]) and ten.output_shape == (None, 10)
    assert np.std(ten.get_layer("predictions").kernel) > 0
    mine = {**tensors, **{
        f"efficientnet-lite0/head/dense/{name}/ExponentialMovingAverage": np.full(shape, 7, "float32")
        for name, shape in {"kernel": (1280, 10), "bias": (10,)}.items()}}
    load_checkpoint(ten, write_checkpoint(tmp_path / "model.ckpt", mine))
    assert (ten.get_layer("predictions").kernel.numpy() == 7).all()


def test_without_the_top(trained, prefix, same_weights):
    before = keras.layers.Conv2D(3, 1, name="mine")(keras.Input((32, 32, 1)))  # of the caller, with weights of its own
    features = zoo.EfficientNetLite0(include_top=False, weights=prefix, input_tensor=before)
    assert same_weights(zoo.EfficientNetLite0(include_top=False, weights=prefix), trained)
    assert np.array_equal(features.get_layer("top_conv").kernel, trained.get_layer("top_conv").kernel)


def test_imagenet_is_downloaded_once(trained, packed, tmp_path, monkeypatch, same_weights):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", packed.parent.as_uri())
    assert same_weights(zoo.EfficientNetLite0(weights="imagenet", include_top=False), trained)
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", "http://127.0.0.1:9/")
    path = Path(download(packed.name, "http://127.0.0.1:9/"))
    assert path == tmp_path / "models" / packed.name and path.read_bytes() == packed.read_bytes()


def test_a_damaged_download_is_to_be_deleted(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", packed.parent.as_uri())
    path = Path(download(packed.name, packed.parent.as_uri()))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(BadInputError, match=f"delete {path}, and it is fetched again"):
        zoo.EfficientNetLite0(weights="imagenet")
    with pytest.raises(BadInputError) as found:
        zoo.EfficientNetLite0(weights=path)
    assert "fetched again" not in str(found.value)


def test_without_a_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("TFOLD_WEIGHTS_URL", "http://127.0.0.1:9/")
    address = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/lite/efficientnet-lite3.tar.gz"
    with pytest.raises(TfoldError, match=f"Received: .*127.0.0.1:9.*{address} by hand and pass weights=") as found:
        zoo.EfficientNetLite3(weights="imagenet", include_top=False)
    assert "\n" not in str(found.value) and not list((tmp_path / "models").iterdir())


def nan_in(tensors):
    value = tensors[KERNEL].copy()
    value[0, 0, 3, 3] = np.nan
    return {**tensors, KERNEL: value}


@pytest.mark.parametrize("damage, words", [
    (lambda t: {**t, KERNEL: t[KERNEL][:, :, :, :-1]},
     r"other shapes, blocks_3/conv2d_1/kernel of \(1, 1, 144, 39\) for \(1, 1, 144, 40\)"),
    (lambda t: {name: value for name, value in t.items() if name != KERNEL}, "it lacks blocks_3/conv2d_1/kernel. Pass"),
    (lambda t: {name: value for name, value in t.items() if "/head/dense/" not in name},
     "it lacks head/dense/kernel, head/dense/bias. Pass"),
    (lambda t: {**t, "efficientnet-lite0/blocks_16/conv2d/kernel/ExponentialMovingAverage": np.ones(3, "float32")},
     "it has besides blocks_16/conv2d/kernel. Pass"),
    (lambda t: {**t, "other/blocks_3/conv2d_1/kernel/ExponentialMovingAverage": np.ones(3, "float32")},
     "one network. Received: .*efficientnet-lite0/blocks_3/.* and other/blocks_3"),
    (lambda t: {"layer/kernel": np.ones(3, "float32")}, "stem/tpu_batch_normalization/gamma.* and 244 more; it has"),
    (nan_in, "finite numbers. .* in blocks_3/conv2d_1/kernel. Fetch"),
])
def test_what_does_not_fit_is_refused(damage, words, tensors, blank, write_checkpoint, tmp_path):
    refused(blank, write_checkpoint(tmp_path / "model.ckpt", damage(tensors)), words)


def refused(model, path, words):
    before = model.get_weights()
    with pytest.raises(BadInputError, match=words) as found:
        load_checkpoint(model, path)
    assert "\n" not in str(found.value) and f"Received: {path}" in str(found.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_damaged_checkpoint_is_refused(tensors, write_checkpoint, blank, tmp_path):
    path = write_checkpoint(tmp_path / "model.ckpt", tensors)
    for part in (".index", ".data-00000-of-00001"):
        file = tmp_path / f"model.ckpt{part}"
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        for content in (whole[:len(whole) // 2], changed, b""):
            file.write_bytes(content)
            refused(blank, path, "an index and its data, both whole. .* cannot be read: .* Fetch it again")
        file.write_bytes(whole)
    file.unlink()
    refused(blank, path, "cannot be read: .*No such file")
    (tmp_path / "model.ckpt.index").unlink()
    refused(blank, tmp_path, "holds one checkpoint. .* with no file \\*.index")


def test_a_cut_archive_is_refused(packed, blank, tmp_path):
    path = tmp_path / "cut.tar.gz"
    content = packed.read_bytes()
    for kept in (0, 100, len(content) // 2):
        path.write_bytes(content[:kept])
        refused(blank, path, "a whole .tar.gz. .* cannot be unpacked: .* Delete it")
    path.write_bytes(b"<html>404</html>" * 99)
    refused(blank, path, "a whole .tar.gz")


@pytest.mark.parametrize("name, kind, link", [
    ("../outside.index", tarfile.REGTYPE, ""),
    ("a/../../outside.index", tarfile.REGTYPE, ""),
    ("/tmp/outside.index", tarfile.REGTYPE, ""),
    ("model.ckpt.index", tarfile.SYMTYPE, "/etc/hostname"),
    ("model.ckpt.index", tarfile.LNKTYPE, "../../outside.index"),
])
def test_an_archive_that_points_outside_is_refused(name, kind, link, blank, tmp_path):
    (tmp_path / "deep").mkdir()
    path = archive(tmp_path / "deep" / "unsafe.tar.gz", name, kind, link)
    refused(blank, path, f"stays inside its folder. .* with '{link or name}'")
    assert [file.name for file in tmp_path.rglob("*")] == ["deep", "unsafe.tar.gz"]


def archive(path, *members):
    members = members if isinstance(members[0], tuple) else [members]
    with tarfile.open(path, "w:gz") as file:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, 0 if link else 4
            file.addfile(info, io.BytesIO(b"data"))
    return path


def test_what_is_no_file_is_not_unpacked(tmp_path):
    path = archive(tmp_path / "links.tar.gz", ("model.ckpt.index", tarfile.REGTYPE, ""),
                   ("b.index", tarfile.SYMTYPE, "a"), ("c.index", tarfile.FIFOTYPE, ""), ("run", tarfile.REGTYPE, ""))
    with checkpoint_prefix(path) as found:
        assert [file.name for file in Path(found).parent.glob("[!.]*")] == ["model.ckpt.index"]
        assert Path(f"{found}.index").read_bytes() == b"data"
    assert not Path(found).parent.exists()


def test_of_several_checkpoints_one_must_be_named(blank, tmp_path):
    both = [("a/model.ckpt.index", tarfile.REGTYPE, ""), ("a/archive/model.ckpt.index", tarfile.REGTYPE, "")]
    refused(blank, archive(tmp_path / "two.tar.gz", *both), "several files model.ckpt.index. Unpack it")
    for name in ("model.ckpt-1.index", "model.ckpt-2.index"):
        (tmp_path / name).write_bytes(b"")
    refused(blank, tmp_path, "with model.ckpt-1.index, model.ckpt-2.index. Pass the path of one")


def test_images_of_other_channels(prefix):
    with pytest.raises(BadInputError, match=r"stem/conv2d/kernel of \(3, 3, 3, 32\) for \(3, 3, 1, 32\)"):
        zoo.EfficientNetLite0(weights=prefix, input_shape=(32, 32, 1))
    for network in (zoo.EfficientNetLite0, zoo.MobileNetV2):  # before the download
        with pytest.raises(BadInputError, match="3 channels. Received: weights='imagenet' and 1 channels"):
            network(weights="imagenet", input_shape=(96, 96, 1))


def test_a_checkpoint_of_another_number(prefix):
    with pytest.raises(BadInputError, match="for 'efficientnet-lite1', which do not fit: it lacks blocks_16/"):
        zoo.EfficientNetLite1(weights=prefix, input_shape=(32, 32, 3))
