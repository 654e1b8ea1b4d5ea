"""A phone: commands and files, over adb. The picture of a call is in `mobile_bench.adb`.

    with several phones connected          open_device("8A1X0123")
    a command, word by word                device.shell("ls", "-l", folder)
    a pipe or a pattern                    device.script('cat "$1"/*/temp', folder)
    a file, checked by what it holds       device.push(local, remote), device.pull(remote, local)
    a file that is needed again and again  device.keep(local, folder)
    what adb itself does                   device.adb("install", "-r", path)
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from threading import Event

from mobile_bench import store, transfer
from mobile_bench.adb import Adb, Ended, gone, last_lines, shown
from mobile_bench.errors import CommandFailedError, CommandTimeoutError, PhoneError
from mobile_bench.states import check_state, choose
from mobile_bench.words import check_words, new_marker, unwrapped, wrapped

KILL_TIMEOUT_S = 5.0

# How a line of adb's own complaints ends where it has lost the phone: a transfer has no exit code from the phone.
_LOST = re.compile(r"^(adb|error): .*(device '[^']*' not found|device offline|closed|couldn't read from device|EOF|"
                   r"connection reset by peer|protocol fault.*)$", re.MULTILINE | re.IGNORECASE)


def open_device(
    serial: str | None = None, adb: str | os.PathLike | None = None, stop: Event | None = None
) -> Device:
    """The phone, once it is certain that it is there and ready.

    Args:
        serial: which one; None for that of ANDROID_SERIAL, or else the only one.
        adb: the adb program; looked for if None.
        stop: when it is set, whatever runs on the phone ends as with Ctrl-C, which reaches the main thread alone.

    Raises:
        AdbNotFoundError, AdbServerError: there is no adb that works.
        NoDeviceError, SeveralDevicesError: it is not clear which phone, or it is not connected.
        UnauthorizedError, OfflineError, NoPermissionError, WrongStateError: it is not ready.
        BadInputError: that is no serial.

    Examples:
        open_device().shell("getprop", "ro.product.model", check=True).out      # "Pixel 8\\n"
    """
    program = Adb(adb, stop)
    phone = choose(program.devices(), serial if serial is not None else os.environ.get("ANDROID_SERIAL") or None)
    check_state(phone)
    return Device(phone.serial, program)


class Device:
    """A phone that is connected and ready. Get one from `open_device`.

    Every method raises DeviceGoneError, or the error of its new state, where the phone is lost half-way, and
    CommandTimeoutError where time is up: then the command on the phone is ended too, as far as it can be reached.

    Attributes:
        serial: what adb calls it.
    """

    def __init__(self, serial: str, adb: Adb):
        self.serial = serial
        self._adb = adb

    def shell(self, *words: str, timeout: float = 60.0, check: bool = False) -> Ended:
        """Runs a command on the phone.

        Args:
            words: the program and its arguments. Each arrives as one word, whatever it holds.
            timeout: in seconds.
            check: an exit code other than 0 is an error.

        Returns:
            Ended: the command's own exit code, 128 + n where signal n has ended it. Phones before Android 7 mix `err`
            into `out`.

        Raises:
            CommandFailedError: with `check`.
            BadInputError: no command can be made of these words.
        """
        return self._run(words, shown(words), timeout, check)

    def script(
        self, text: str, *arguments: str, timeout: float = 60.0, check: bool = False, name: str | None = None
    ) -> Ended:
        """Runs a script of the phone's shell.

        Args:
            text: a constant; whatever varies is an argument.
            arguments: what the script finds in "$1", "$2", …
            timeout, check: as of `shell`, and so are the result and the errors.
            name: what messages call it; None is the script itself.
        """
        return self._run(("sh", "-c", text, "sh", *arguments), name or f"the script {shown([text])}", timeout, check)

    def adb(self, *words: str, timeout: float = 60.0, check: bool = False) -> Ended:
        """Runs one of adb's own commands for this phone: `install`, `logcat`, …

        Args:
            words: as after `adb -s SERIAL`.
            timeout, check: as of `shell`.

        Raises:
            CommandFailedError: with `check`.
            BadInputError: no program can be given these words.
        """
        check_words(words)
        command = f"adb {shown(words)}"
        ended = self._call(*words, timeout=timeout, doing=f"while running {command}")
        if ended.code:
            self._adb.check_present(self.serial, f"while running {command}")
            lost = _LOST.search(f"{ended.err}\n{ended.out}")  # old clients say why a transfer has failed in `out`
            if lost:
                raise gone(self.serial, f"while running {command}", f"said: {lost[0]}")
        return self._checked(ended, command, check)

    def push(self, local: Path, remote: str, executable: bool = False, timeout: float | None = None) -> None:
        """Copies a file to the phone, where it appears whole or not at all: see `mobile_bench.transfer.push`."""
        transfer.push(self, local, remote, executable, timeout)

    def pull(self, remote: str, local: Path, timeout: float = 600.0) -> None:
        """Copies a file from the phone; it appears whole or not at all: see `mobile_bench.transfer.pull`."""
        transfer.pull(self, remote, local, timeout)

    def keep(self, local: Path, folder: str, executable: bool = False) -> str:
        """Sees to it that a folder on the phone holds this file, and returns where: see `mobile_bench.store.keep`."""
        return store.keep(self, local, folder, executable)

    def tidy(self, *words: str) -> None:
        """Runs a command that cleans up, even where the rest has been stopped; whether it could is not told."""
        with suppress(PhoneError, KeyboardInterrupt):
            Device(self.serial, Adb(self._adb.program)).shell(*words, timeout=KILL_TIMEOUT_S)

    def _run(self, words: tuple[str, ...], command: str, timeout: float, check: bool) -> Ended:
        marker, doing = new_marker(), f"while running {command}"
        ended = self._call("shell", wrapped(words, marker), timeout=timeout, doing=doing,
                           cut_short=lambda printed: self._kill(unwrapped(printed, marker).process))
        answer = unwrapped(ended.out, marker)
        if answer.code is None:
            self._adb.check_present(self.serial, doing)
            said = last_lines(ended.err)
            raise gone(self.serial, doing, f"said: {said}" if said else "lists it, but the command's end never came")
        return self._checked(Ended(answer.code, answer.out, ended.err), command, check)

    def _call(self, *words: str, timeout: float, doing: str, **how) -> Ended:
        try:
            return self._adb.call("-s", self.serial, *words, timeout=timeout, doing=doing, **how)
        except CommandTimeoutError:
            self._adb.check_present(self.serial, doing)  # says more than that time was up, if it is gone
            raise

    def _kill(self, process: int | None) -> None:
        """Ends a command on the phone, with all that it has started: adbd gives each a process group of its own."""
        if process is not None:
            with suppress(PhoneError):
                Adb(self._adb.program).call("-s", self.serial, "shell", f"kill -9 -{process} || kill -9 {process}",
                                            timeout=KILL_TIMEOUT_S, doing="while ending a command")

    def _checked(self, ended: Ended, command: str, check: bool) -> Ended:
        if check and ended.code:
            said = last_lines(ended.err) or last_lines(ended.out) or "nothing"
            raise CommandFailedError(f"A command on the phone must succeed. Received: exit code {ended.code} of "
                                     f"{command} on {self.serial}. It said: {said}. Try it by hand: "
                                     f"adb -s {self.serial} shell")
        return ended
