"""Refuses what is no whole .tflite file before a runtime sees it.

Some runtimes check nothing: cut short, a file crashes tflite-runtime 2.14 (SIGSEGV, SIGBUS) or, worse, runs and
computes other numbers. LiteRT 2 checks, but cannot say what the file is instead.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from tfold.errors import BadInputError
from tfold.measure import tflite_schema as schema
from tfold.measure.flatbuffer import Damaged, Walk

IDENTIFIER = b"TFL3"
_EXPORT = "Make one with: tfold export MODEL.keras -o MODEL.tflite"
_ALIGNMENT = 4  # every flatbuffer's length is a multiple of at least this
_PADDING = 64  # more than any builder leaves behind the last object
_ZIP_START, _ZIP_END, _ZIP_END_SIZE = b"PK\x03\x04", b"PK\x05\x06", 65_557
_OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive, as .keras files are; convert it first: tfold export MODEL.keras -o MODEL.tflite"),
    (b"\x89HDF", "an HDF5 file, as .h5 models are; load it with keras.models.load_model and convert it: tfold export"),
)


@dataclass(frozen=True)
class TFLiteFile:
    """A file that is whole: `path`, `size` in bytes, and `custom_ops`, the names of ops beyond the builtins."""

    path: Path
    size: int
    custom_ops: tuple[str, ...]


def check_tflite(path: str | os.PathLike) -> TFLiteFile:
    """Checks that `path` is a whole .tflite file: every table, vector, string and weight lies inside it.

    Bytes changed in place, without any missing, cannot be seen: the format has no checksum.

    Args:
        path: the file.

    Returns:
        TFLiteFile: what the walk learnt.

    Raises:
        BadInputError: no such file, a directory or pipe, an empty file, another format, or a file cut short.

    Examples:
        check_tflite("model.tflite").custom_ops     # () — builtins only
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BadInputError(f"Runtimes open paths that are UTF-8. Received: {str(path)!r}. Rename the file.") from None
    try:
        if path.is_dir():
            raise BadInputError(f"A model to run is one .tflite file. Received: {path}, a directory. {_EXPORT}")
        if not path.exists():
            raise BadInputError(f"A model to run must exist. Received: {path}, not found. Check the path. {_EXPORT}")
        if not path.is_file():  # opening a pipe would wait until somebody writes to it
            raise BadInputError(
                f"A model to run is one .tflite file. Received: {path}, a device or pipe. Save it to a file first.")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise BadInputError(f"A model to run must hold a network. Received: {path}, an empty file. {_EXPORT}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return TFLiteFile(path, size, _walk(path, data))
    except OSError as error:
        raise BadInputError(
            f"A model to run must be readable. Received: {path}: {error.strerror}. Check its permissions.") from None


def _walk(path: Path, data: mmap.mmap) -> tuple[str, ...]:
    if data[4:8] != IDENTIFIER:
        kind = next((text for magic, text in _OTHER_KINDS if data[: len(magic)] == magic), f"another format. {_EXPORT}")
        raise BadInputError(f"A .tflite file has the identifier TFL3 in its bytes 4 to 8. Received: {path}: {kind}")
    walk = Walk(data)
    try:
        root = walk.root(schema.MODEL)
        version = walk.scalar(root, schema.VERSION, "<I")
        codes = walk.tables(root, schema.OPERATOR_CODES)
        subgraphs = walk.tables(root, schema.SUBGRAPHS)
        _check_tail(data, walk.end)
    except Damaged as damage:
        raise BadInputError(
            f"A .tflite file must be whole. Received: {path}, cut short or damaged ({damage}). "
            "Copy it again and compare the sizes, or export it again."
        ) from None
    if version != 3 or not subgraphs:
        raise BadInputError(
            f"A .tflite file has schema version 3 and at least one subgraph. Received: {path}: version {version}, "
            f"{len(subgraphs)} subgraphs. {_EXPORT}"
        )
    return tuple(sorted({name for code in codes if (name := walk.string(code, schema.CUSTOM_CODE))}))


def _check_tail(data: mmap.mmap, end: int) -> None:
    """What follows the last byte reached: nothing, padding, or a zip of metadata files (labels, descriptions)."""
    zipped = data.find(_ZIP_START, end, end + _PADDING)
    if zipped >= 0:
        if data.rfind(_ZIP_END, max(zipped, len(data) - _ZIP_END_SIZE)) < 0:
            raise Damaged(f"the metadata files appended at byte {zipped} have no end")
    elif len(data) - end < _PADDING and len(data) % _ALIGNMENT:
        raise Damaged(f"the length, {len(data)} bytes, is not a multiple of {_ALIGNMENT}")
