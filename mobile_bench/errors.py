"""What can go wrong between here and a phone, told apart so that callers can react."""

from tfold.errors import TfoldError


class PhoneError(TfoldError):
    """Base class: the phone cannot be reached, or does not do what it was asked to."""


class AdbNotFoundError(PhoneError):
    """There is no adb program here, or not where one is named, or it does not start."""


class AdbServerError(PhoneError):
    """adb's server does not start, is of another version, or something else answers on its port."""


class NoDeviceError(PhoneError):
    """No phone is connected, or not the one that was named."""


class SeveralDevicesError(PhoneError):
    """Several phones are connected, and none is named."""


class UnauthorizedError(PhoneError):
    """The phone has not been told to trust this computer."""


class OfflineError(PhoneError):
    """The phone is connected, and does not answer."""


class NoPermissionError(PhoneError):
    """This computer's user may not use the USB device that the phone is."""


class WrongStateError(PhoneError):
    """The phone runs no Android: recovery, sideload, bootloader; or it is still connecting."""


class DeviceGoneError(PhoneError):
    """The phone was there, and went away half-way."""


class CommandTimeoutError(PhoneError):
    """A command did not end in time and was ended."""


class CommandFailedError(PhoneError):
    """A command has ended with an exit code other than 0."""


class StorageFullError(PhoneError):
    """A file does not fit on the phone."""


class ReadOnlyError(PhoneError):
    """A place on the phone cannot be written to."""


class PushError(PhoneError):
    """A file did not arrive on the phone, or not as it was sent."""
