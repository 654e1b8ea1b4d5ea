"""The adb program: where it is, one call of it, and what has become of a phone when a call fails.

    Device.shell("ls", "-l")
      │  quote, wrap                                            words.py
      ▼
    adb -s SERIAL shell 'echo …; ( 'ls' '-l' ); echo …'         a process; stdin is empty, the time is limited
      │
      ├─ the line with the exit code came back ──▶ Ended(code, out, err), whatever else was printed
      ├─ time is up, or Ctrl-C ──▶ end the adb process, and on the phone the command ──▶ CommandTimeoutError
      └─ neither ──▶ adb devices -l: in what state is SERIAL now? ──▶ DeviceGoneError, UnauthorizedError, …

So nothing that a command prints can pass for an error of adb: the phone's state is asked for, not guessed from words.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mobile_bench.errors import AdbNotFoundError, AdbServerError, CommandTimeoutError, DeviceGoneError, PhoneError
from mobile_bench.states import HEADER, Connected, check_state, parse_devices

STOP_POLL_S = 0.2
FIRST_WORDS_S = 2.0
SERVER_TIMEOUT_S = 20.0  # to start the server and ask it; it takes one second at most
GET_ADB = ("Install it: apt install adb, or Android's SDK Platform-Tools, or pip install adbutils; or name the program "
           "with the environment variable TFOLD_ADB.")


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit `code`, and what it wrote to its output `out` and to its errors `err`."""

    code: int
    out: str
    err: str


class Adb:
    """The adb program.

    Args:
        program: where it is; looked for if None, see `find_adb`.
        stop: when it is set, whatever runs ends as with Ctrl-C, which reaches the main thread alone.

    Raises:
        AdbNotFoundError: there is none.
    """

    def __init__(self, program: str | os.PathLike | None = None, stop: Event | None = None):
        self.program = find_adb(program)
        self.stop = stop

    def call(
        self, *words: str, timeout: float, doing: str, cut_short: Callable[[str], None] | None = None
    ) -> Ended:
        """Runs the program to its end, whatever that is.

        Args:
            words: its arguments.
            timeout: in seconds.
            doing: for messages: "while running ls -l".
            cut_short: called with what it has printed so far, where the time is up or Ctrl-C is pressed.

        Raises:
            AdbNotFoundError: it does not start.
            CommandTimeoutError: it did not end in time.
        """
        # Files, not pipes: nobody has to drain them, and a server that is started on the way cannot hold them open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    [self.program, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                    start_new_session=True,  # Ctrl-C reaches us alone; we end the process
                )
            except OSError as error:
                raise AdbNotFoundError(f"The adb program must start. Received: {self.program}: {error.strerror}. "
                                       f"{GET_ADB}") from None
            try:
                self._wait(process, timeout)
            except BaseException as error:
                if cut_short:
                    _await_words(process, out)
                process.kill()
                process.wait()
                if cut_short:
                    cut_short(_content(out))
                if isinstance(error, subprocess.TimeoutExpired):
                    raise CommandTimeoutError(f"adb has {timeout:g} s. Received: no end by then, {doing}. Allow it "
                                              "more with timeout=, or check the phone and its cable.") from None
                raise
            return Ended(process.returncode, _content(out), _content(err))

    def _wait(self, process: subprocess.Popen, timeout: float) -> None:
        if self.stop is None:
            process.wait(timeout)
            return
        until = time.monotonic() + timeout
        while True:
            try:
                process.wait(min(STOP_POLL_S, max(0.0, until - time.monotonic())))
                return
            except subprocess.TimeoutExpired:
                if self.stop.is_set():
                    raise KeyboardInterrupt from None
                if time.monotonic() >= until:
                    raise

    def devices(self) -> list[Connected]:
        """The phones that adb sees; starts its server where none runs. Raises: AdbServerError."""
        try:
            ended = self.call("devices", "-l", timeout=SERVER_TIMEOUT_S, doing="while listing the phones")
        except CommandTimeoutError:
            said = f"no answer within {SERVER_TIMEOUT_S:g} s"
        else:
            if ended.code == 0 and HEADER in ended.out:
                return parse_devices(ended.out)
            said = last_lines(ended.err or ended.out) or f"exit code {ended.code} and no word"
        raise AdbServerError(
            f"adb's server must answer. Received, of {self.program} devices: {said}. Start it anew: adb kill-server. "
            "If another program uses its port, 5037, choose one with ANDROID_ADB_SERVER_PORT."
        )

    def check_present(self, serial: str, doing: str) -> None:
        """Raises the fitting error unless the phone, which was there, still is.

        Raises:
            DeviceGoneError: it is offline, or no longer there.
            UnauthorizedError, NoPermissionError, WrongStateError: it is there in another state.
            AdbServerError: adb cannot say.
        """
        phone = next((phone for phone in self.devices() if phone.serial == serial), None)
        if phone is None or phone.state == "offline":
            raise gone(serial, doing, "is offline" if phone else "no longer lists it")
        check_state(phone)


def connected(adb: str | os.PathLike | None = None) -> list[Connected]:
    """The phones that adb sees, in whatever state.

    Args:
        adb: the adb program; looked for if None, see `find_adb`.

    Raises:
        AdbNotFoundError: there is none.
        AdbServerError: its server does not answer.

    Examples:
        [phone.serial for phone in connected() if phone.state == "device"]
    """
    return Adb(adb).devices()


def find_adb(adb: str | os.PathLike | None = None) -> str:
    """The adb program: the one named, TFOLD_ADB, that on the PATH, in Android's SDK, or in the package adbutils.

    Raises:
        AdbNotFoundError: there is none, or none where one is named.
    """
    for named, how in ((adb, "adb"), (os.environ.get("TFOLD_ADB"), "TFOLD_ADB")):
        if named:
            program = shutil.which(os.path.expanduser(named))
            if program is None:
                raise AdbNotFoundError(f"{how} names the adb program. Received: {os.fspath(named)!r}, which is no "
                                       f"program. {GET_ADB}")
            return os.path.abspath(program)
    sdks = filter(None, [os.environ.get("ANDROID_HOME"), os.environ.get("ANDROID_SDK_ROOT")])
    folders = [None, *(Path(sdk, "platform-tools") for sdk in sdks), *_in_adbutils()]  # None: the PATH
    program = next(filter(None, (shutil.which("adb", path=folder) for folder in folders)), None)
    if program is None:
        raise AdbNotFoundError(f"Phones are reached with the program adb. Received: none on the PATH, in ANDROID_HOME, "
                               f"in ANDROID_SDK_ROOT, or in the package adbutils. {GET_ADB}")
    return os.path.abspath(program)


def gone(serial: str, doing: str, how: str) -> PhoneError:
    """The error of a phone that went away half-way."""
    return DeviceGoneError(f"The phone stays connected while it is used. Received: {serial} went away {doing}: adb "
                           f"{how}. Check its cable or Wi-Fi, and start again.")


def last_lines(text: str) -> str:
    """What a program said last: the last three lines, as one."""
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-3:])


def shown(words) -> str:
    """A command for people: on one line, and not endless."""
    text = " ".join(" ".join(map(str, words)).split()).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 120 else f"{text[:117]}..."


def _await_words(process: subprocess.Popen, out) -> None:
    """Waits a moment until a command that was just begun has said who it is: else it could not be ended there."""
    until = time.monotonic() + FIRST_WORDS_S
    while process.poll() is None and not os.fstat(out.fileno()).st_size and time.monotonic() < until:
        time.sleep(0.02)


def _in_adbutils() -> list[Path]:
    package = importlib.util.find_spec("adbutils")  # found, not imported: it brings a lot along
    return [Path(folder, "binaries") for folder in package.submodule_search_locations or ()] if package else []


def _content(file) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
