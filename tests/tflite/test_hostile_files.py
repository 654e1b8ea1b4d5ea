"""Damaged, foreign and hostile data and model files: a sentence, no traceback, no memory made for what is not there."""
import io
import resource
import struct
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

import tfold
from tfold.tflite.arithmetic import leftovers
from tfold.tflite.compare_files import compare
from tfold.tflite.contents import read
from tfold.tflite.losses import layer_losses
from tfold.tflite.parity import check_ends
from tfold.tflite.representative import representative
from tfold.tflite.sample_files import PACKED
from tfold.tflite.schema import schema
from tfold.tflite.summary import quantization
from tfold.tflite.write import packed

INPUT = [("x", (4, 4, 3), "float32")]
X = np.random.default_rng(0).normal(size=(20, 4, 4, 3)).astype("float32")


def npy(header, data=b"", version=1):
    text = header.encode("latin1")
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def header(shape, dtype="'<f4'"):
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}"


def archive(path, content, method=zipfile.ZIP_DEFLATED, name="x.npy"):
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(name, content)
    return path


def whole():
    content = io.BytesIO()
    np.save(content, X)
    return content.getvalue()


HEADERS = {
    "more than there is": header("(99999999999, 4, 4, 3)"),
    "more than a number can say": header(f"({'9' * 40}, 4, 4, 3)"),
    "nested parentheses": header("(" * 3000 + ")" * 3000),
    "nested signs": header(f"({'-' * 9000}1,)"),
    "nested lists": "[" * 9000,
    "a long sum": header("+".join("1" * 3000)),
    "code": "__import__('os').abort()",
    "Python objects": header("(20, 4, 4, 3)", "'|O'"),
    "fields": header("(20, 4, 4, 3)", "[('a', '<f4')]"),
    "an endless field": header("(1,)", "[('a', '<f4', (100000, 100000))]"),
    "nothing in each": header("(20, 4, 4, 3)", "'|V0'"),
    "a negative size": header("(20, 4, 4, -3)"),
    "no type": header("(20, 4, 4, 3)", "'<f3'"),
    "nothing": "",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("version", [1, 2])
def test_headers_that_lie(name, version, tmp_path):
    content = npy(HEADERS[name], X.tobytes(), version)
    for path in (archive(tmp_path / "data.npz", content), tmp_path / "data.npy"):
        if path.suffix == ".npy":
            path.write_bytes(content)
        with pytest.raises(tfold.BadInputError) as found:
            representative(path, INPUT)
        assert "\n" not in str(found.value) and len(str(found.value)) < 700


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_way_of_packing_that_zip_has(method, tmp_path):
    assert representative(archive(tmp_path / "data.npz", whole(), method), INPUT).count == 20


def patched(path, offset, value):
    """The archive with other numbers in its directory and before its member: `offset` behind the signature."""
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", offset), (b"PK\x01\x02", offset + 2)):
        at = content.index(signature) + place
        content[at : at + 2] = struct.pack("<H", value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("offset, value, words", [
    (6, 1, "which is encrypted. Unpack it"), (8, 99, "packed by method 99"), (8, 93, "packed by method 93")])
def test_ways_of_packing_that_nobody_can_read(offset, value, words, tmp_path):
    with pytest.raises(tfold.BadInputError, match=words):
        representative(patched(archive(tmp_path / "data.npz", whole()), offset, value), INPUT)


def test_a_file_that_unpacks_to_hundreds_of_megabytes_is_not_unpacked(tmp_path):
    """A megabyte that holds 320 of zeros; nothing of that size is made."""
    count, zeros = 320 * 2**20 // X[0].nbytes, bytes(2**24)
    packing = zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packing as file, file.open("x.npy", "w") as member:
        member.write(npy(header(f"({count}, 4, 4, 3)")))
        left = count * X[0].nbytes
        while left:
            left -= member.write(zeros[: min(left, len(zeros))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tfold.BadInputError, match=f"packed to a {PACKED}th at best. Received: .* that unpack to 335,5"):
        representative(tmp_path / "bomb.npz", INPUT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_pickles_are_not_opened_whatever_they_are_called(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, 1], object))
    with pytest.raises(tfold.BadInputError, match="numbers, not code"):
        representative(tmp_path / "a.npz", INPUT)


def test_a_picture_of_a_gigapixel_is_not_decoded(tmp_path):
    ihdr = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + ihdr + bytes(100))
    with pytest.raises(tfold.BadInputError, match="Received: .*a.png of 60000 × 60000"):
        representative(tmp_path, INPUT, scale=(0, 1), calibrates=False)


# Files of models that agree with the format, and with nothing else


@pytest.fixture(scope="module")
def model():
    x = keras.Input((4, 4, 3), name="x")
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def content(model, tmp_path_factory):
    return tfold.export(model, tmp_path_factory.mktemp("m") / "m.tflite", "int8", X).path.read_bytes()


def _deep_metadata(model):
    model.buffers[model.metadata[-1].buffer].data = np.frombuffer(b"[" * 100_000, np.uint8)


def _end(side, **changes):
    def change(model):
        tensor = model.subgraphs[0].tensors[getattr(model.subgraphs[0], side)[0]]
        for name, value in changes.items():
            setattr(tensor, name, value)
    return change


CHANGES = {
    "no inputs": lambda model: setattr(model.subgraphs[0], "inputs", []),
    "no outputs": lambda model: setattr(model.subgraphs[0], "outputs", []),
    "an input of no size": _end("inputs", shape=[], shapeSignature=None),
    "an input of a batch of none": _end("inputs", shape=[0, 4, 4, 3], shapeSignature=None),
    "an input of resources": _end("inputs", type=schema().TensorType.RESOURCE),
    "an output of text": _end("outputs", type=schema().TensorType.STRING),
    "an op that reads nothing": lambda model: setattr(model.subgraphs[0].operators[-1], "inputs", []),
    "metadata nested deep": _deep_metadata,
}


@pytest.mark.parametrize("name", CHANGES)
def test_files_that_contradict_themselves(name, model, content, tmp_path):
    changed = schema().ModelT.InitFromPackedBuf(content, 0)
    CHANGES[name](changed)
    path = tmp_path / "m.tflite"
    path.write_bytes(packed(changed))
    read(path)
    if name != "metadata nested deep":
        with pytest.raises(tfold.TfoldError) as found:
            compare(model, [path], X)
        assert "\n" not in str(found.value)
    with pytest.raises(tfold.TfoldError):
        layer_losses(model, path, X)


def test_bytes_changed_at_random(content, tmp_path):
    """What cannot be is refused with a sentence, and the rest can be described."""
    rng, outcomes = np.random.default_rng(0), {"read": 0, "refused": 0}
    path = tmp_path / "m.tflite"
    for _ in range(200):
        changed = bytearray(content)
        for place in rng.integers(0, len(changed), 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            contents = read(path)
            assert str(quantization(contents)) and leftovers(contents) is not None
            check_ends(contents)
            outcomes["read"] += 1
        except tfold.BadInputError as error:
            outcomes["refused"] += 1
            assert len(str(error)) < 700 and "\n" not in str(error)
    assert min(outcomes.values()) > 20
