"""For which processor a program is made, read from the first bytes of its file.

    byte  0  7f 45 4c 46    "\\x7fELF"
          4  02             1: 32 bits, 2: 64 bits
          5  01             1: little-endian
         16  03 00          2 or 3: a program (3 also: a library)
         18  b7 00          183: AArch64

Android names the same things otherwise: `arm64-v8a`. A script has no processor: people wrap the tool in one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from mobile_bench.tool_errors import WrongBinaryError

ABIS = {(2, 183): "arm64-v8a", (1, 40): "armeabi-v7a", (2, 62): "x86_64", (1, 3): "x86", (2, 243): "riscv64"}
_HEADERS = {1: "<16sHHIIIIIHHHHHH", 2: "<16sHHIQQQIHHHHHH"}  # of the file
_SEGMENTS = {1: "<IIIIIIII", 2: "<IIQQQQQQ"}  # of each part that is loaded
_OFFSET, _SIZE = {1: 1, 2: 2}, {1: 4, 2: 5}  # where in it stand its offset and size in the file
_NEITHER = "Name the program itself: the file benchmark_model, not an APK or an archive."


def abi_of(path) -> str | None:
    """The ABI that a program is made for, as Android names it, or None for a script.

    Args:
        path: the file.

    Raises:
        WrongBinaryError: it is no program, or only the first part of one, or for a processor that no phone has.

    Examples:
        abi_of("android_aarch64_benchmark_model")       # "arm64-v8a"
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(65536)
        size = path.stat().st_size
    except OSError as error:
        raise WrongBinaryError(f"A benchmark binary is a file that can be read. Received: {path}: {error.strerror}. "
                               "Name another, or mend its permissions.") from None
    if head.startswith(b"#!"):
        return None
    if not head.startswith(b"\x7fELF"):
        what = "an APK or zip archive" if head.startswith(b"PK") else "an empty file" if not head else "something else"
        raise WrongBinaryError(f"A benchmark binary is an ELF program, or a script. Received: {path}, {what}. "
                               f"{_NEITHER}")
    bits = head[4] if len(head) > 4 else 0
    layout = _HEADERS.get(bits)
    if layout is None or len(head) < struct.calcsize(layout):
        raise _cut(path, size)
    _, kind, machine, _, _, segments_at, sections_at, _, _, segment_size, segments, section_size, sections, _ = \
        struct.unpack_from(layout, head)
    abi = ABIS.get((bits, machine)) if head[5] == 1 else None
    if abi is None:
        raise WrongBinaryError(
            f"A benchmark binary is made for one of {', '.join(ABIS.values())}. Received: {path}, for ELF machine "
            f"{machine} with {32 * bits} bits. Fetch the one for your phone."
        )
    if kind not in (2, 3):
        raise WrongBinaryError(f"A benchmark binary is a program. Received: {path}, an ELF file of type {kind}, not "
                               f"linked yet or a memory dump. {_NEITHER}")
    end = max(segments_at + segments * segment_size, sections_at + sections * section_size)
    for number in range(segments):
        at = segments_at + number * segment_size
        if at + struct.calcsize(_SEGMENTS[bits]) <= len(head):
            segment = struct.unpack_from(_SEGMENTS[bits], head, at)
            end = max(end, segment[_OFFSET[bits]] + segment[_SIZE[bits]])
    if end > size:
        raise _cut(path, size)
    return abi


def check_abi(path, device_abis: Iterable[str]) -> None:
    """Raises `WrongBinaryError` for a program that a phone with these ABIs cannot run; scripts pass.

    Args:
        path: the file.
        device_abis: `PhoneInfo.abis`; where the phone tells none, every ABI passes.
    """
    abi, known = abi_of(path), tuple(device_abis)
    if abi is not None and known and abi not in known:
        raise WrongBinaryError(
            f"A benchmark binary is made for the phone it runs on. Received: {path}, for {abi}, and a phone for "
            f"{', '.join(known)}. Fetch the one for {known[0]}."
        )


def _cut(path: Path, size: int) -> WrongBinaryError:
    return WrongBinaryError(f"A benchmark binary is a whole ELF file. Received: {path}, of which only the first {size} "
                            "bytes are there. Fetch it again.")
