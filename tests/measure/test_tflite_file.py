import contextlib
import io
import os
import re
import struct
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfold.errors import BadInputError
from tfold.measure import check_tflite
from tfold.measure import tflite_schema as schema
from tfold.measure.flatbuffer import Damaged, Walk


def is_whole(data) -> bool:
    try:
        Walk(data).root(schema.MODEL)
    except Damaged:
        return False
    return True


@pytest.mark.parametrize("name", ["conv", "int8", "fixed", "two", "anysize"])
def test_a_whole_file_passes(models, name):
    file = check_tflite(models / f"{name}.tflite")
    assert file.size == (models / f"{name}.tflite").stat().st_size
    assert file.custom_ops == ()


def test_ops_beyond_the_builtins_are_named(models):
    assert check_tflite(models / "flex.tflite").custom_ops == ("FlexMatrixInverse",)
    assert check_tflite(models / "custom.tflite").custom_ops == ("MatrixInverse",)


@pytest.mark.parametrize("name", ["conv", "int8", "two", "flex"])
def test_a_file_cut_anywhere_is_refused(models, tmp_path, name):
    data = (models / f"{name}.tflite").read_bytes()
    cut = tmp_path / "cut.tflite"
    for size in sorted({*range(0, len(data), 11), *range(len(data) - 64, len(data))}):
        cut.write_bytes(data[:size])
        with pytest.raises(BadInputError, match=re.escape(str(cut))):
            check_tflite(cut)


def test_the_error_says_what_is_missing(models, tmp_path):
    data = (models / "conv.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(data[:-100])
    with pytest.raises(BadInputError, match=f"cut short.* the file has {len(data) - 100}"):
        check_tflite(tmp_path / "cut.tflite")


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.integers(0, 2000), st.integers(0, 255), min_size=1, max_size=20))
def test_changed_bytes_never_crash_the_walk(models, changes):
    data = bytearray((models / "conv.tflite").read_bytes())
    for position, value in changes.items():
        data[position % len(data)] = value
    walk = Walk(data)
    with contextlib.suppress(Damaged):
        walk.root(schema.MODEL)
    assert walk.end <= len(data)


def test_weights_behind_the_flatbuffer_count():
    """Files above 2 GB keep weights after the flatbuffer, found by 64-bit offset and size."""
    def model(offset, size):
        # root ▸ model{4: buffers} ▸ [buffer{1: offset, 2: size}], laid out by hand
        vtable_model = struct.pack("<7H", 14, 8, 0, 0, 0, 0, 4)
        vtable_buffer = struct.pack("<5H", 10, 24, 0, 8, 16)
        head = struct.pack("<I4s", 24, b"TFL3") + vtable_model + b"\0\0"
        table_model = struct.pack("<iI", 24 - 8, 4)
        vector = struct.pack("<II", 1, 4 + len(vtable_buffer) + 2)
        table_buffer = struct.pack("<iiQQ", len(vtable_buffer) + 2, 0, offset, size)
        return head + table_model + vector + vtable_buffer + b"\0\0" + table_buffer

    end = len(model(0, 0))
    assert is_whole(model(end, 16) + bytes(16))
    assert not is_whole(model(end, 16) + bytes(15))


def metadata_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("labels.txt", "cat\ndog\nbird\n")
    return file.getvalue()


def test_appended_metadata_files_pass_and_are_refused_when_cut(models, tmp_path):
    data = (models / "conv.tflite").read_bytes() + metadata_zip()
    path = tmp_path / "labelled.tflite"
    path.write_bytes(data)
    assert check_tflite(path).size == len(data)
    path.write_bytes(data[:-30])
    with pytest.raises(BadInputError, match="appended"):
        check_tflite(path)


def test_what_is_no_tflite_file_is_named(models, tmp_path):
    def refusal(path):
        with pytest.raises(BadInputError, match="Received: " + re.escape(str(path))) as caught:
            check_tflite(path)
        return str(caught.value)

    (tmp_path / "empty.tflite").touch()
    (tmp_path / "text.tflite").write_text("hello, I am no model")
    (tmp_path / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "not found" in refusal(tmp_path / "nowhere.tflite")
    assert "a directory" in refusal(tmp_path)
    assert "empty" in refusal(tmp_path / "empty.tflite")
    assert "another format" in refusal(tmp_path / "text.tflite")
    assert "HDF5" in refusal(tmp_path / "old.h5")
    assert "tfold export" in refusal(models / "conv.keras")
    assert "not found" in refusal("a\0b")
    with pytest.raises(BadInputError, match="UTF-8.*udcff"):
        check_tflite(tmp_path / "\udcff.tflite")


@pytest.mark.parametrize("link", [False, True])
def test_pipes_and_devices_are_refused_at_once(tmp_path, link):
    """Opening a pipe would wait for a writer that never comes."""
    path = tmp_path / "pipe.tflite"
    os.mkfifo(path)
    if link:
        path = tmp_path / "link.tflite"
        path.symlink_to("pipe.tflite")
    for each in (path, Path(os.devnull)):
        with pytest.raises(BadInputError, match=re.escape(f"Received: {each}, a device or pipe")):
            check_tflite(each)


# The schema here against the one that ai-edge-litert ships, read as text: importing it would load its library.

NAMES = {
    "Model": schema.MODEL, "OperatorCode": schema.OPERATOR_CODE, "SubGraph": schema.SUBGRAPH, "Tensor": schema.TENSOR,
    "Operator": schema.OPERATOR, "Buffer": schema.BUFFER, "Metadata": schema.METADATA, "TensorMap": schema.TENSOR_MAP,
    "SignatureDef": schema.SIGNATURE, "QuantizationParameters": schema.QUANTIZATION,
    "SparsityParameters": schema.SPARSITY, "DimensionMetadata": schema.DIMENSION, "VariantSubType": schema.VARIANT,
    "ExternalBufferGroup": schema.EXTERNAL_GROUP, "ExternalBuffer": schema.EXTERNAL_BUFFER,
}  # fmt: skip
UNIONS = {
    "BuiltinOptions": schema.BUILTIN_OPTIONS, "BuiltinOptions2": schema.BUILTIN_OPTIONS_2,
    "QuantizationDetails": schema.QUANTIZATION_DETAILS, "SparseIndexVector": schema.SPARSE_INDEX,
}  # fmt: skip


@pytest.fixture(scope="module")
def generated() -> str:
    package = find_spec("ai_edge_litert")
    return (Path(package.origin).parent / "schema_py_generated.py").read_text()


def pointers(generated: str, table: str) -> dict[int, int | None]:
    """Field number → element size if the field is a vector, for every field that holds an offset."""
    found = {}
    adder = rf"^def {table}Add(\w+)\(builder, \w+\):\n    builder\.PrependUOffsetTRelativeSlot\((\d+)"
    for name, number in re.findall(adder, generated, re.M):
        starter = rf"^def {table}Start{name}Vector\(.*\n    return builder\.StartVector\((\d+)"
        vector = re.search(starter, generated, re.M)
        found[int(number)] = int(vector[1]) if vector else None
    return found


def agree(table, expected: dict[int, int | None]):
    assert {*table.fields, *table.unions} == set(expected)
    for number, kind in table.fields.items():
        size = 4 if isinstance(kind, list) else kind if isinstance(kind, int) else None
        assert size == expected[number]


@pytest.mark.parametrize("name", NAMES)
def test_every_pointer_of_the_schema_is_followed(generated, name):
    agree(NAMES[name], pointers(generated, name))


@pytest.mark.parametrize("name", UNIONS)
def test_every_union_member_with_pointers_is_known(generated, name):
    members = re.search(rf"^class {name}\(object\):\n((?:    \w+ = \d+\n)+)", generated, re.M)[1]
    known = {int(number): pointers(generated, member) for member, number in re.findall(r"(\w+) = (\d+)", members)}
    with_pointers = {number: fields for number, fields in known.items() if fields}
    assert set(with_pointers) == set(UNIONS[name])
    for number, fields in with_pointers.items():
        agree(UNIONS[name][number], fields)
