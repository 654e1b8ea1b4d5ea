"""Phones for the tests: the real adb client and server, and a small daemon of ours in place of a phone."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mobile_bench.adb import connected, find_adb
from mobile_bench.errors import AdbNotFoundError

DAEMON = Path(__file__).with_name("adb_daemon.py")


@dataclass
class Phone:
    """A phone that is plugged in.

    Attributes:
        serial: what adb calls it.
        folder: a folder on it, where its commands run too; it has the same path here and there.
        bin: programs in this folder come before the phone's own.
    """

    serial: str
    folder: Path
    bin: Path
    process: subprocess.Popen = field(repr=False)

    def fake(self, name, script):
        """Gives the phone a program: the text of a shell script."""
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def vanish(self):
        """Pulls the plug: its connections end, and nothing answers at its address any more."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait(60)


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory):
    """The adb program, with a server of its own that sees no other phones than those of the tests."""
    try:
        program = find_adb()
    except AdbNotFoundError as error:
        pytest.skip(str(error))
    home = tmp_path_factory.mktemp("adb_home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ADB_USB", "ADB_EMU", "ADB_LIBUSB", "ADB_MDNS"):
            patch.setenv(name, "0")  # it looks for no phones by itself
        for name in ("ANDROID_SERIAL", "ADB_VENDOR_KEYS", "ANDROID_USER_HOME", "ADB_SERVER_SOCKET"):
            patch.delenv(name, raising=False)
        # The server has its keys and its log in a home of its own; what is tested besides adb keeps ours.
        for _ in range(5):  # another worker may take the port in between
            patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
            theirs = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
            started = subprocess.run([program, "start-server"], stdin=subprocess.DEVNULL, capture_output=True,
                                     timeout=60, env=theirs)
            if started.returncode == 0:
                break
        assert started.returncode == 0, started.stderr
        yield program
        subprocess.run([program, "kill-server"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


@pytest.fixture
def plug_in(adb_server, tmp_path_factory):
    """A function that plugs in a phone: `plug_in(model="Pixel", features="cmd", fake={"getprop": "echo 14"})`.

    Further arguments are options of adb_daemon.py: `full_after=1000` is `--full-after 1000`. All phones are unplugged
    after the test.
    """
    with contextlib.ExitStack() as unplugging:

        def plug(fake=None, state="device", **options):
            top = tmp_path_factory.mktemp("phone")
            (top / "bin").mkdir()
            (top / "sdcard").mkdir()
            options |= {"bin": top / "bin", "unplug": top / "unplug"}
            words = [word for name, value in options.items() for word in _option(name, value)]
            process = subprocess.Popen([sys.executable, "-I", "-S", DAEMON, top / "sdcard", *words],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            serial = f"127.0.0.1:{int(process.stdout.readline())}"
            phone = Phone(serial, top / "sdcard", top / "bin", process)
            for name, script in (fake or {}).items():
                phone.fake(name, script)
            # In the background: for a phone that never answers, it waits long.
            connecting = subprocess.Popen([adb_server, "connect", serial], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            unplugging.callback(_unplug, adb_server, phone, connecting)
            _await_state(serial, state, process)
            return phone

        yield plug


@pytest.fixture
def phone(plug_in):
    """A phone like most."""
    return plug_in()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _option(name, value):
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def _await_state(serial, state, process):
    for _ in range(6000):
        if any(phone.serial == serial and phone.state == state for phone in connected()):
            return
        assert process.poll() is None
        time.sleep(0.01)
    raise AssertionError(f"{serial} is not in the state {state}: {connected()}")


def _unplug(program, phone, connecting):
    connecting.kill()
    connecting.wait()
    phone.vanish()
    phone.process.stdout.close()
    subprocess.run([program, "disconnect", phone.serial], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
