"""Fetch a file whose sha256 is pinned into the user's cache, whole or not at all.

    URL + sha256 ──▶ ~/.cache/tfold/benchmark/<sha256> ──▶ checked again at every use
"""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from mobile_bench.tool_errors import DownloadError
from tfold.errors import BadInputError, one_line
from tfold.files import sha256_of, whole

TIMEOUT_S = 30.0  # for the server to say anything
PATIENCE_S = 900.0  # for all of it
LARGEST = 512 * 2**20  # bytes; the tool with TensorFlow's own ops has about 150 MiB
_CHUNK = 2**18


def fetch(url: str, sha256: str | None, timeout: float = TIMEOUT_S, patience: float = PATIENCE_S,
          largest: int = LARGEST) -> Path:
    """The file at `url`, in the user's cache; fetched if it is not there yet.

    Args:
        url: http, https or file.
        sha256: of the file, in hexadecimal.
        timeout: how long the server may be silent, in seconds.
        patience: how long all of it may take, in seconds.
        largest: how many bytes there may be.

    Raises:
        BadInputError: another kind of URL, or no sha256.
        DownloadError: it cannot be fetched, or has another sha256; nothing is left behind then.
    """
    _check(url, sha256)
    path = cache_folder() / sha256.lower()
    if path.is_file() and sha256_of(path) == sha256.lower():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as temporary:
            _download(url, temporary, timeout, time.monotonic() + patience, largest)
            received = sha256_of(temporary)
            if received != sha256.lower():
                raise DownloadError(
                    f"What is fetched has the sha256 that was pinned, {sha256.lower()}. Received: {received} from "
                    f"{url}. Another build lies there now: look at it, then pin its sha256, or name a file instead."
                )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(
            f"The benchmark binary must be fetched once. Received, from {url}: {_why(error)} Check the address and "
            "your connection (the settings http_proxy and https_proxy count), or fetch the file elsewhere and name it "
            "with --benchmark-binary."
        ) from None
    return path


def cache_folder() -> Path:
    """Where fetched files lie: `tfold/benchmark` in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):  # no $HOME, and a user whom the system has no name for, as in containers
        base = "/nonexistent/.cache"
    return Path(base) / "tfold" / "benchmark"


def _check(url: str, sha256: str | None) -> None:
    if not sha256:
        raise BadInputError(f"What is fetched to be run is pinned by its sha256. Received: {url} without one. "
                            "Fetch and look at it, then name what sha256sum says of it.")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise BadInputError(f"A sha256 has 64 hexadecimal digits. Received: {sha256!r}. Copy what sha256sum says.")
    try:
        scheme = urlsplit(url).scheme
    except ValueError:  # http://[
        scheme = None
    if scheme not in ("http", "https", "file"):
        raise BadInputError(f"A binary is fetched by http, https or file. Received: {url}. Use another address.")


def _download(url: str, path: Path, timeout: float, deadline: float, largest: int) -> None:
    with urllib.request.urlopen(url, timeout=timeout) as answer, path.open("wb") as file:
        promised = answer.headers.get("Content-Length")
        received = 0
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            received += len(chunk)
            if received > largest:
                raise ValueError(f"more than {largest // 2**20} MiB, which is no benchmark binary.")
            if time.monotonic() > deadline:
                raise ValueError(f"only {received} bytes in the time allowed.")
        if promised is not None and received < int(promised):
            raise ValueError(f"only {received} of {promised} bytes.")


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}, {error.reason}."
    if isinstance(error, urllib.error.URLError):
        return one_line(error.reason)
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in the middle."
    return one_line(error) if str(error) else f"{type(error).__name__}."
