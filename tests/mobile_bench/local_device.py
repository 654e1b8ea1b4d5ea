"""A device that is this machine: its words run in sh here, with a folder of stand-ins first on the PATH.

For tests of what is said and read; what adb does in between is tested over the real client.
"""
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from mobile_bench.adb import Ended


class LocalDevice:
    """Args: `bin`: a folder of commands that a phone has and this machine lacks; `path`: the rest of the PATH."""

    def __init__(self, bin: Path, serial: str = "local", path: str = os.environ["PATH"]):
        self.serial, self.bin, self.path = serial, bin, path
        self.calls = 0

    def command(self, name: str, text: str) -> None:
        """Puts a command on the phone: a script for sh."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def shell(self, *words, timeout=300.0, check=False):
        return self.script(shlex.join(map(str, words)), timeout=timeout, check=check)

    def script(self, text, *arguments, timeout=300.0, check=False, name=None):
        self.calls += 1
        environment = {**os.environ, "PATH": f"{self.bin}:{self.path}"}
        done = subprocess.run(["/bin/sh", "-c", text, "sh", *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout, env=environment)
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        assert not (check and code), done
        return Ended(code, done.stdout, done.stderr)

    def tidy(self, *words):
        self.shell(*words)

    def adb(self, *words, timeout=300.0, check=False):
        return self.shell("adb", "-s", self.serial, *words, timeout=timeout, check=check)

    def push(self, local, remote, executable=False):
        shutil.copyfile(local, remote)
        Path(remote).chmod(0o755 if executable else 0o644)

    def pull(self, remote, local):
        shutil.copyfile(remote, local)
