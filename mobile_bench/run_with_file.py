"""A program on the phone and the file that it writes, in one call: every call takes a phone a while, and wakes it.

    program … > …            its output and exit code, as always
    @file-3f1c…              behind the output, only if there is a file
    CgVtb2RlbBIg…            what it holds, in base64
"""

from __future__ import annotations

import base64
import binascii
import uuid
from dataclasses import replace

from mobile_bench.adb import Ended, shown

SCRIPT = """
file=$1 mark=$2
shift 2
"$@"
code=$?
if [ -s "$file" ]; then
  echo
  echo "$mark"
  base64 "$file"
fi
rm -f "$file"
exit $code
"""


def run_with_file(device, file: str, *words: str, timeout: float) -> tuple[Ended, bytes | None]:
    """Runs a program and brings back what it has written into a file, which is removed.

    Args:
        device: the phone.
        file: where the program writes to, on the phone.
        words: the program and its arguments.
        timeout: in seconds.

    Returns:
        (Ended, bytes): of the program alone, and the file's content; None where there is none, or an empty one;
        nothing (b"") where the phone has no base64.

    Examples:
        ended, content = run_with_file(device, "/data/local/tmp/r.pb", tool, "--result_file_path=/data/local/tmp/r.pb",
                                       timeout=60)
    """
    mark = f"@file-{uuid.uuid4().hex}"
    try:
        ended = device.script(SCRIPT, file, mark, *words, timeout=timeout, check=False, name=shown(words))
    except BaseException:
        device.tidy("rm", "-f", file)
        raise
    out, found, content = ended.out.partition(f"\n{mark}\n")
    return replace(ended, out=out), _decoded(content) if found else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:  # an error of the shell, which has no such command
        return b""
