"""The wire format of protocol buffers, as far as a flat record of numbers needs it.

    0d 94fbd140      field 1, 32 bits             (number << 3 | type), then the value
    08 bca802        field 1, varint 37948        seven bits a byte, the lowest first, the top bit says "more"
    12 32 …          field 2, 50 bytes            a message of its own, or a string
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from mobile_bench.outputs.errors import OutputError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_MOST_BYTES = 10  # of a varint: 64 bits


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a message, in order: number, type, and the value: an int for VARINT, bytes for all others.

    Raises:
        OutputError: the message is cut, or is none.

    Examples:
        list(fields(bytes.fromhex("1032")))     # [(2, VARINT, 50)]
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not 1 <= number < 2**29:
            raise _damaged(f"field number {number}")
        if kind == VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(data, at)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise _damaged(f"wire type {kind} in field {number}")
        if at + length > len(data):
            raise _damaged(f"field {number} of {length} bytes, of which {len(data) - at} are there")
        yield number, kind, data[at:at + length]
        at += length


def float32(raw: bytes) -> float:
    """The 32-bit float that four bytes hold."""
    return struct.unpack("<f", raw)[0]


def int64(unsigned: int) -> int:
    """The signed number that a varint stands for.

    Examples:
        int64(2**64 - 1)    # -1
    """
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_MOST_BYTES):
        if at + index >= len(data):
            raise _damaged("an end in the middle of a number")
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >= 2**64 or (byte == 0 and index):  # no writer adds empty bytes
                break
            return value, at + index + 1
    raise _damaged("a number of more than 64 bits, or with empty bytes")


def _damaged(what: str) -> OutputError:
    return OutputError(f"A result file must be a whole protocol buffer. Received: {what}. "
                       "The file is cut or damaged: copy it again, or measure again.")
