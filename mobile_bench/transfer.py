"""Files to a phone and back, each whole or not at all.

    push    mkdir, df          is there a place for it?
            adb push           to a temporary name beside it: .tfold-1760000000-5e0c.part
            sha256sum          on the phone: is it what was sent?
            chmod, mv          only now it has its name

A phone that is unplugged half-way keeps the temporary file; the next push to that folder clears away what is a day old.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mobile_bench.adb import Ended, last_lines
from mobile_bench.content import Content, holds, read_content
from mobile_bench.errors import CommandFailedError, PhoneError, PushError, ReadOnlyError, StorageFullError
from tfold.checks import check_path
from tfold.errors import BadInputError
from tfold.files import whole

SLOWEST = 500_000  # bytes a second, over a bad Wi-Fi: how long a transfer may take
ABANDONED_S = 24 * 3600

_PREPARE = """
[ -d "$2" ] && exit 3
mkdir -p "$1" || exit 4
for part in "$1"/.tfold-*.part; do
  begun=${part##*/.tfold-}
  [ "${begun%%-*}" -lt "$3" ] 2>/dev/null && rm -f "$part"
done
df -k "$1" 2>/dev/null
exit 0
"""
_PLACE = 'chmod "$3" "$1" && mv -f "$1" "$2"'


@dataclass(frozen=True)
class Free:
    """How many `bytes` more a file system can hold, and how many it can hold in all."""

    bytes: int
    total: int


def push(device, local: Path, remote: str, executable: bool = False, timeout: float | None = None,
         content: Content | None = None) -> None:
    """Copies a file to the phone, where it appears whole or not at all, and replaces one of that name.

    Args:
        device: the phone.
        local: the file here.
        remote: its path there, from "/" on. Its folder is made.
        executable: whether it can be run there.
        timeout: in seconds; None is one minute and what a slow connection needs.
        content: what the file must hold; what it holds now if None.

    Raises:
        BadInputError: these are no such paths.
        StorageFullError, ReadOnlyError: it cannot be stored there.
        PushError: it does not arrive, or not as it is here.
    """
    check_remote(remote)
    content = content or read_content(local)
    timeout = timeout or patience(content.size)
    folder, now = str(PurePosixPath(remote).parent), int(time.time())
    _prepare(device, remote, folder, content.size, str(now - ABANDONED_S))
    temporary = f"{folder.rstrip('/')}/.tfold-{now}-{uuid.uuid4().hex}.part"
    try:
        sent = device.adb("push", os.path.realpath(local), temporary, timeout=timeout)
        _check_stored(sent, device, remote)
        if not holds(device, temporary, content, timeout):
            raise PushError(f"A file arrives on the phone as it was sent. Received: {remote} on {device.serial} with "
                            f"other content than {local}. Try again; if it stays so, try another cable.")
        _check_stored(device.script(_PLACE, temporary, remote, "755" if executable else "644"), device, remote)
    except BaseException:
        with suppress(PhoneError):  # the phone is gone: that is said by the error on its way
            device.shell("rm", "-f", temporary, timeout=5.0)
        raise


def pull(device, remote: str, local: Path, timeout: float = 600.0) -> None:
    """Copies a file from the phone; it appears whole or not at all, and replaces one of that name.

    Args:
        device: the phone.
        remote: the file's path there, from "/" on.
        local: its path here, in a folder that exists.
        timeout: in seconds.

    Raises:
        BadInputError: these are no such paths.
        CommandFailedError: there is no such file there, or it cannot be read.
    """
    check_remote(remote)
    check_path(local)
    if not Path(local).parent.is_dir() or Path(local).is_dir():
        raise BadInputError(f"A file is pulled to a path in a folder that exists. Received: {local}. Make its folder, "
                            "and name a file in it.")
    if device.shell("test", "-f", remote).code:
        raise CommandFailedError(f"What is pulled is a file on the phone. Received: {remote}, which is none on "
                                 f"{device.serial}. Look for it: adb -s {device.serial} shell ls")
    with whole(local) as temporary:
        device.adb("pull", remote, str(temporary), timeout=timeout, check=True)


def check_remote(remote: str) -> None:
    """Raises `BadInputError` unless this is the path of a file on a phone, from "/" on."""
    if not isinstance(remote, str) or not re.fullmatch(r"/.*[^/]", remote, re.DOTALL) or "\0" in remote:
        raise BadInputError(f"A file on a phone is named from / on. Received: {remote!r}. Name it like "
                            "/data/local/tmp/file.")


def patience(size: int) -> float:
    """How long a file of so many bytes may take, in seconds."""
    return 60.0 + size / SLOWEST


def read_df(text: str) -> Free | None:
    """What `df -k` says of one folder; None where it says something else, as it does before Android 6."""
    numbers = re.search(r"\s(\d+)\s+\d+\s+(\d+)\s+\d+%\s", text)
    return Free(int(numbers[2]) * 1024, int(numbers[1]) * 1024) if numbers else None


def _prepare(device, remote: str, folder: str, size: int, abandoned: str) -> None:
    ended = device.script(_PREPARE, folder, remote, abandoned)
    if ended.code == 3:
        raise BadInputError(f"A file is pushed to the path of a file. Received: {remote}, a folder on {device.serial}. "
                            "Name a file in it.")
    _check_stored(ended, device, remote)
    free = read_df(ended.out)
    if free and free.total and free.bytes < size:  # file systems of a kernel say 0 of 0
        raise _full(device, remote, f"{size} bytes where {free.bytes} are free")


def _check_stored(ended: Ended, device, remote: str) -> None:
    """Raises the error of a step of a push, if it has failed."""
    if ended.code == 0:
        return
    text = f"{ended.out}\n{ended.err}"
    said = last_lines(ended.err) or last_lines(ended.out)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        raise _full(device, remote, said)
    if re.search("Read-only file system|Permission denied|Operation not permitted", text, re.IGNORECASE):
        raise ReadOnlyError(f"A file is pushed to where the shell may write. Received: {remote} on {device.serial}: "
                            f"{said}. Choose a folder below /data/local/tmp.")
    raise PushError(f"A file must arrive on the phone. Received: {remote} on {device.serial} did not: {said}. Choose "
                    "another path, or try again.")


def _full(device, remote: str, how: str) -> StorageFullError:
    return StorageFullError(f"The phone must have room for the file. Received: {remote} on {device.serial}: {how}. "
                            f"Delete what is no longer needed there: adb -s {device.serial} shell ls -l "
                            f"{PurePosixPath(remote).parent}")
