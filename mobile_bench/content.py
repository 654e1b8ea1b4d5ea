"""What a file holds, here and on a phone: two are the same if their hashes are.

The phone hashes its file itself, so that nothing has to be fetched back:

    Android 7 and later    sha256sum
    before                 md5sum
    neither                it is fetched back after all, and hashed here
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tfold.checks import check_path
from tfold.errors import BadInputError
from tfold.files import scratch

_HASH = """
[ -f "$1" ] || exit 3
{ sha256sum < "$1" || md5sum < "$1"; } 2>/dev/null
"""


@dataclass(frozen=True)
class Content:
    """What is in a file: its `size` in bytes, and its hashes in hexadecimal digits."""

    size: int
    sha256: str
    md5: str


def read_content(local: Path) -> Content:
    """What is in a file here. Raises: BadInputError."""
    check_path(local)
    size, sha256, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        if not Path(local).is_file():
            raise BadInputError(f"What is sent to a phone is a file. Received: {local}, which is none. Check the path.")
        with open(local, "rb") as file:
            while piece := file.read(1 << 20):
                size += len(piece)
                sha256.update(piece)
                md5.update(piece)
    except OSError as error:
        raise BadInputError(f"What is sent to a phone must be readable. Received: {local}: {error.strerror}. Check "
                            "the file.") from None
    return Content(size, sha256.hexdigest(), md5.hexdigest())


def holds(device, remote: str, content: Content, timeout: float) -> bool:
    """Whether a file on the phone is there and holds exactly this.

    Args:
        device: the phone.
        remote: the file's path there, from "/" on.
        content: what it should hold.
        timeout: in seconds.
    """
    ended = device.script(_HASH, remote, timeout=timeout)
    if ended.code == 3:
        return False
    digest = ended.out.partition(" ")[0]
    if len(digest) == 64:
        return digest == content.sha256
    if len(digest) == 32:
        return digest == content.md5
    with scratch() as folder:
        device.pull(remote, folder / "back", timeout)
        return read_content(folder / "back") == content
