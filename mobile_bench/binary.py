"""Find the benchmark binary: nothing on the package registries ships it, and its builds change every night.

    1  what is named here                --benchmark-binary PATH, or a URL with the sha256 of what is there
    2  $TFOLD_BENCHMARK_BINARY           PATH
    3  $TFOLD_BENCHMARK_URL with $TFOLD_BENCHMARK_SHA256

A path is a file, or a folder with one file for each kind of phone:

    tools/android_aarch64_benchmark_model      as the TFLite nightly bucket names them
    tools/android_arm64/benchmark_model        as the LiteRT release bucket does

What is fetched lies in the user's cache, and its sha256 is checked whenever it is used. We cannot pin one ourselves, as
tonight's build is another: whoever has looked at a build pins that one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mobile_bench.download import fetch
from mobile_bench.elf import abi_of, check_abi
from mobile_bench.tool_errors import NoBinaryError, WrongBinaryError
from tfold.checks import check_path
from tfold.errors import BadInputError
from tfold.files import sha256_of

BINARY, URL, SHA256 = "TFOLD_BENCHMARK_BINARY", "TFOLD_BENCHMARK_URL", "TFOLD_BENCHMARK_SHA256"

BUCKET = ("https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest/"
          "android_aarch64_benchmark_model")
WHERE_FROM = (
    f"TFLite's nightly builds are at {BUCKET} (older phones: android_arm_benchmark_model; with TensorFlow ops: "
    "…_plus_flex); LiteRT's releases have android_arm64/benchmark_model. These builds change, so look at what you "
    f"fetched, then name the file (--benchmark-binary, or {BINARY}), or pin it: {URL} with {SHA256}."
)

TOOLS = ("benchmark_model", "benchmark_litert_model")
PREFIXES = {
    "arm64-v8a": ("android_aarch64", "android_arm64", "arm64-v8a", "aarch64", "arm64", "linux_aarch64", "linux_arm64"),
    "armeabi-v7a": ("android_arm", "armeabi-v7a", "arm", "linux_arm"),
    "x86_64": ("android_x86_64", "x86_64", "linux_x86-64", "linux_x86_64"),
    "x86": ("android_x86", "x86"),
    "riscv64": ("android_riscv64", "riscv64", "linux_riscv64"),
}


def find_binary(
    path=None, abi: str | Sequence[str] | None = None, url: str | None = None, sha256: str | None = None
) -> Path:
    """The benchmark binary for a phone, on this machine.

    Args:
        path: a file, or a folder with one for each kind of phone.
        abi: what the phone can run, the best first: `PhoneInfo.abis`. None: not known yet, nothing is checked.
        url: where to fetch it from (http, https or file), unless the user's cache has it already.
        sha256: of what is there, in hexadecimal.

    Raises:
        NoBinaryError: none is named, or there is none where it should be.
        WrongBinaryError: what is there is no program for this phone.
        DownloadError: it cannot be fetched, or is not what was pinned.
        BadInputError: a path together with a URL, or a URL without sha256.

    Examples:
        find_binary("tools/", abi=("arm64-v8a", "armeabi-v7a"))     # tools/android_aarch64_benchmark_model
    """
    abis = (abi,) if isinstance(abi, str) else tuple(abi or ())
    if path is not None and url is not None:
        raise BadInputError(f"A binary is named by a path or by a URL. Received: {path} and {url}. Leave one out.")
    if path is None and url is None:
        path = os.environ.get(BINARY) or None
        url = os.environ.get(URL) or None if path is None else None
        named = f" (from {BINARY})"
    else:
        named = ""
    if url is not None:
        found = fetch(url, sha256 or os.environ.get(SHA256))
    elif path is not None:
        check_path(path)
        found = _on_this_machine(Path(path), abis, named)
        if sha256 and sha256_of(found) != sha256.lower():
            raise WrongBinaryError(f"A pinned binary has the sha256 {sha256}. Received: {found}{named} with "
                                   f"{sha256_of(found)}. Look at it, then pin that, or name another file.")
    else:
        raise NoBinaryError(f"Measuring on a phone needs TFLite's benchmark tool. Received: none. {WHERE_FROM}")
    if abis:
        check_abi(found, abis)
    else:
        abi_of(found)
    return found


def _on_this_machine(path: Path, abis: tuple[str, ...], named: str) -> Path:
    path = path.expanduser()
    if path.is_dir():
        return _in_folder(path, abis, named)
    if not path.exists():
        raise NoBinaryError(f"A benchmark binary is a file. Received: {path}{named}, which is not there. {WHERE_FROM}")
    if not path.is_file():
        raise NoBinaryError(f"A benchmark binary is a file. Received: {path}{named}, a device or pipe. Name a file.")
    return path


def _in_folder(folder: Path, abis: tuple[str, ...], named: str) -> Path:
    wanted = abis or tuple(PREFIXES)
    names = [name for abi in wanted for prefix in PREFIXES.get(abi, ()) for tool in TOOLS
             for name in (f"{prefix}_{tool}", f"{prefix}/{tool}")]
    found = [folder / name for name in [*names, *TOOLS] if (folder / name).is_file()]
    if found and (abis or len(found) == 1):
        return found[0]
    if found:
        raise NoBinaryError(
            f"A folder has one benchmark binary for the phone. Received: {folder}{named} with "
            f"{', '.join(str(path.relative_to(folder)) for path in found)}, and no phone yet. Name one of these files."
        )
    raise NoBinaryError(
        f"A folder has a benchmark binary for the phone. Received: {folder}{named} with none for "
        f"{', '.join(wanted)}. Name it like {names[0] if names else TOOLS[0]}, or name the file itself. {WHERE_FROM}"
    )
