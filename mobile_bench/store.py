"""Files on a phone that are needed again and again: each is sent once, and known by what it holds.

    model.tflite  ──sha256──▶  FOLDER/9f86d081….tflite     there, and holding just that?  nothing is sent
                                                           else it is pushed, under that name

The name says what the file should hold, and the phone hashes it anew each time: a file that was changed or cut short
there is sent again. Several processes may do so at once: each pushes to a name of its own, and renames.
"""

from __future__ import annotations

from pathlib import Path

from mobile_bench.content import holds, read_content
from mobile_bench.transfer import check_remote, patience, push


def keep(device, local: Path, folder: str, executable: bool = False) -> str:
    """Sees to it that a folder on the phone holds this file.

    Args:
        device: the phone.
        local: the file here.
        folder: the path there, from "/" on. It is made.
        executable: whether the file can be run there.

    Returns:
        str: where it is on the phone: in that folder, named after its content.

    Raises:
        Those of `mobile_bench.transfer.push`.

    Examples:
        keep(device, Path("model.tflite"), "/data/local/tmp/tfold")     # "/data/local/tmp/tfold/9f86d081….tflite"
    """
    content = read_content(local)
    remote = f"{folder.rstrip('/')}/{content.sha256}{Path(local).suffix}"
    check_remote(remote)
    if not holds(device, remote, content, patience(content.size)):
        push(device, local, remote, executable, content=content)
    elif executable:  # it may have been kept as a mere file
        device.shell("chmod", "755", remote, check=True)
    return remote
