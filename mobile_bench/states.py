"""Which phones adb sees, in what state, and which of them is meant.

    $ adb devices -l
    List of devices attached
    8A1X0123               device usb:1-2 product:shiba model:Pixel_8 device:shiba transport_id:4
    emulator-5554          offline transport_id:5
    0A1B2C                 no permissions (user in plugdev group; are your udev rules wrong?); see [http://…]
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobile_bench.errors import (
    NoDeviceError,
    NoPermissionError,
    OfflineError,
    SeveralDevicesError,
    UnauthorizedError,
    WrongStateError,
)
from tfold.errors import BadInputError

HEADER = "List of devices attached"

_STATES = ("device|offline|unauthorized|authorizing|connecting|recovery|rescue|sideload|bootloader|host|detached|"
           "unknown|no permissions")
# Serials of phones that were found by mDNS may hold a blank: adb-8A1X0123-x1y2z3 (2)._adb-tls-connect._tcp
_ENTRY = re.compile(rf"(?P<serial>\S.*?)\s+(?P<state>{_STATES})\b(?P<rest>.*)")
_SERIAL = re.compile(r"[\w?(][\w.:@%+/()\[\]? -]*", re.ASCII)


@dataclass(frozen=True)
class Connected:
    """A phone that adb sees.

    Attributes:
        serial: what adb calls it: a serial number, or host:port.
        state: "device" is a phone that is ready; else "offline", "unauthorized", "recovery", …
        model, product, transport: as far as it tells: "Pixel_8", "shiba", "4".
    """

    serial: str
    state: str
    model: str | None = None
    product: str | None = None
    transport: str | None = None

    def __str__(self) -> str:
        described = [self.model, None if self.state == "device" else self.state]
        known = ", ".join(filter(None, described))
        return f"{self.serial} ({known})" if known else self.serial


def parse_devices(text: str) -> list[Connected]:
    """The phones in the output of `adb devices -l`."""
    found = [_ENTRY.fullmatch(line.strip()) for line in text.splitlines()]
    return [_entry(match) for match in found if match]


def check_serial(serial: str) -> None:
    """Raises `BadInputError` unless this can be a serial: what begins with "-" adb would take for an option."""
    if not isinstance(serial, str) or not _SERIAL.fullmatch(serial):
        raise BadInputError(f"A phone is named by its serial, as `adb devices` lists it. Received: {serial!r}. Copy it "
                            "from there.")


def choose(phones: list[Connected], serial: str | None) -> Connected:
    """The phone that is meant.

    Args:
        phones: those that adb sees.
        serial: its name, or None where there is only one.

    Raises:
        NoDeviceError: none is connected, or not this one.
        SeveralDevicesError: none is named, and there are several.
    """
    listed = ", ".join(map(str, phones))
    if serial is not None:
        check_serial(serial)
        for phone in phones:
            if phone.serial == serial:
                return phone
        others = f"Connected: {listed}." if phones else "None is connected."
        raise NoDeviceError(f"The phone that is named must be connected. Received: {serial!r}. {others} Check its "
                            "cable, or for Wi-Fi: adb connect HOST:PORT")
    if not phones:
        raise NoDeviceError(
            "A phone must be connected. Received: none in `adb devices`. Plug it in with a cable that carries data, "
            "and switch on its Developer options > USB debugging; or for Wi-Fi: adb connect HOST:PORT"
        )
    if len(phones) > 1:
        raise SeveralDevicesError(f"Where several phones are connected, one is named. Received: no serial, and "
                                  f"{listed}. Name one of them, or set ANDROID_SERIAL.")
    return phones[0]


def check_state(phone: Connected) -> None:
    """Raises the error of the state that the phone is in, unless it is ready.

    Raises:
        UnauthorizedError, OfflineError, NoPermissionError, WrongStateError: as their names say.
    """
    if phone.state == "device":
        return
    received = f"Received: {phone.serial} in the state {phone.state!r}."
    if phone.state == "unauthorized":
        raise UnauthorizedError(
            f"The phone must trust this computer. {received} Unlock it and accept the dialog \"Allow USB debugging?\". "
            "If none appears, choose Developer options > Revoke USB debugging authorisations, and plug it in again."
        )
    if phone.state == "offline":
        raise OfflineError(f"The phone must answer. {received} Unplug it and plug it in again, or: adb reconnect "
                           "offline. For Wi-Fi: adb disconnect HOST:PORT, then adb connect HOST:PORT")
    if phone.state == "no permissions":
        raise NoPermissionError(
            f"This user must be allowed to use the phone's USB device. {received} On Linux install udev rules (apt "
            "install android-sdk-platform-tools-common, or Android's documentation on devices), join the group "
            "plugdev, log in again, and plug the phone in again."
        )
    if phone.state in ("authorizing", "connecting"):
        raise WrongStateError(f"The phone must be ready. {received} Wait a few seconds and try again; look for a "
                              "dialog on its screen.")
    raise WrongStateError(f"The phone must have started Android. {received} Start it: adb -s {phone.serial} reboot "
                          "(from the bootloader: fastboot reboot)")


def _entry(match: re.Match) -> Connected:
    told = dict(field.split(":", 1) for field in match["rest"].split() if ":" in field)
    return Connected(match["serial"], match["state"], told.get("model"), told.get("product"), told.get("transport_id"))
