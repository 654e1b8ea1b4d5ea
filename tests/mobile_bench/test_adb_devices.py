"""Which phone is meant, in what state it is, and where adb is."""

import shutil
import socket
import sys
import threading

import pytest

from mobile_bench import adb as adb_module
from mobile_bench.adb import Adb, connected, find_adb
from mobile_bench.device import Device, open_device
from mobile_bench.errors import (
    AdbNotFoundError,
    AdbServerError,
    DeviceGoneError,
    NoDeviceError,
    NoPermissionError,
    OfflineError,
    PhoneError,
    SeveralDevicesError,
    UnauthorizedError,
    WrongStateError,
)
from mobile_bench.states import Connected, check_state, parse_devices
from tfold.errors import BadInputError


def test_one_phone_needs_no_name(plug_in):
    phone = plug_in(model="Pixel_8")
    assert open_device().serial == phone.serial
    (entry,) = connected()
    assert (entry.serial, entry.state, entry.model, entry.product) == (phone.serial, "device", "Pixel_8", "mini")
    assert entry.transport.isdecimal()


def test_two_phones_need_a_name(plug_in, monkeypatch):
    one, two = plug_in(model="Pixel_8"), plug_in(model="Galaxy_S9")
    with pytest.raises(SeveralDevicesError) as caught:
        open_device()
    assert f"{one.serial} (Pixel_8)" in str(caught.value)
    assert f"{two.serial} (Galaxy_S9)" in str(caught.value)
    for phone in (one, two):
        assert open_device(phone.serial).shell("pwd").out == f"{phone.folder}\n"
    monkeypatch.setenv("ANDROID_SERIAL", two.serial)
    assert open_device().serial == two.serial
    assert open_device(one.serial).shell("pwd").out == f"{one.folder}\n"


def test_no_phone(adb_server):
    with pytest.raises(NoDeviceError, match="Received: none .*USB debugging"):
        open_device()
    with pytest.raises(NoDeviceError, match="Received: 'R58M123'. None is connected"):
        open_device("R58M123")


def test_another_phone_than_the_one_named(plug_in):
    phone = plug_in(model="Pixel_8")
    with pytest.raises(NoDeviceError, match=rf"Received: 'R58M123'. Connected: {phone.serial} \(Pixel_8\)"):
        open_device("R58M123")
    with pytest.raises(NoDeviceError):
        open_device("model:Pixel_8")  # adb itself would take it


@pytest.mark.parametrize("serial", ["", "-e", "a\nb", "a;b", "$(reboot)", "é", " a", 5])
def test_what_is_no_serial(plug_in, serial):
    with pytest.raises(BadInputError, match="named by its serial"):
        open_device(serial)


def test_a_phone_that_does_not_trust_this_computer(plug_in):
    phone = plug_in(login="refuse", state="unauthorized")
    with pytest.raises(UnauthorizedError, match=rf"Received: {phone.serial} in the state 'unauthorized'.*accept the"):
        open_device()


def test_a_phone_that_does_not_answer(plug_in):
    phone = plug_in(login="silent", state="offline")
    with pytest.raises(OfflineError, match=f"Received: {phone.serial} in the state 'offline'.*adb reconnect offline"):
        open_device()
    with pytest.raises(DeviceGoneError, match="while running echo: adb is offline"):
        Device(phone.serial, Adb()).shell("echo")


def test_what_adb_lists():
    text = (
        "* daemon not running; starting now at tcp:5037\n* daemon started successfully\nList of devices attached\n"
        "8A1X0123               device usb:1-2 product:shiba model:Pixel_8 device:shiba transport_id:4\n"
        "adb-8A1X-x1 (2)._adb-tls-connect._tcp device product:a model:B device:c transport_id:12\n"
        "????????????           no permissions (user in plugdev group; are your udev rules wrong?); see [http://a.b/c]\n"
        "192.168.0.17:5555      offline transport_id:7\r\n"
        "emulator-5554          unauthorized\n"
        "\n"
    )
    assert parse_devices(text) == [
        Connected("8A1X0123", "device", "Pixel_8", "shiba", "4"),
        Connected("adb-8A1X-x1 (2)._adb-tls-connect._tcp", "device", "B", "a", "12"),
        Connected("????????????", "no permissions"),
        Connected("192.168.0.17:5555", "offline", transport="7"),
        Connected("emulator-5554", "unauthorized"),
    ]
    assert parse_devices("List of devices attached\n\n") == []


@pytest.mark.parametrize(("state", "error", "way_out"), [
    ("unauthorized", UnauthorizedError, "accept the dialog"),
    ("offline", OfflineError, "adb reconnect offline"),
    ("no permissions", NoPermissionError, "udev rules"),
    ("authorizing", WrongStateError, "Wait"),
    ("connecting", WrongStateError, "Wait"),
    ("recovery", WrongStateError, "adb -s R58 reboot"),
    ("sideload", WrongStateError, "adb -s R58 reboot"),
    ("bootloader", WrongStateError, "fastboot reboot"),
])
def test_every_state_has_its_way_out(state, error, way_out):
    (phone,) = parse_devices(f"List of devices attached\nR58   {state} usb:1-2\n")
    with pytest.raises(error, match=f"Received: R58 in the state '{state}'.*{way_out}"):
        check_state(phone)
    assert issubclass(error, PhoneError)


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No adb anywhere; returns a function that puts one somewhere."""
    for name in ("TFOLD_ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setitem(sys.modules, "adbutils", None)

    def put(*names):
        path = tmp_path.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    return put


def test_no_adb(nowhere):
    with pytest.raises(AdbNotFoundError, match="apt install adb.*Platform-Tools.*pip install adbutils.*TFOLD_ADB"):
        connected()


def test_where_adb_is_looked_for(nowhere, monkeypatch, tmp_path):
    """From the last place to the first: each goes before those that were there."""
    in_package = nowhere("site", "adbutils", "binaries", "adb")
    (tmp_path / "site" / "adbutils" / "__init__.py").write_text("raise RuntimeError('it is imported')")
    monkeypatch.delitem(sys.modules, "adbutils")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert find_adb() == in_package
    for variable, folder in (("ANDROID_SDK_ROOT", "sdk"), ("ANDROID_HOME", "home")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
        assert find_adb() != str(tmp_path / folder / "platform-tools" / "adb")  # there is none yet
        assert find_adb() != nowhere(folder, "platform-tools", "adb") == find_adb()
    on_path = nowhere("path", "adb")
    assert find_adb() == on_path
    monkeypatch.setenv("TFOLD_ADB", nowhere("mine", "adb-36"))
    assert find_adb() == str(tmp_path / "mine" / "adb-36")
    assert find_adb("adb") == on_path
    assert find_adb(tmp_path / "path" / "adb") == on_path


def test_a_named_adb_that_is_none_is_not_replaced_by_another(nowhere, monkeypatch, tmp_path):
    nowhere("path", "adb")
    with pytest.raises(AdbNotFoundError, match="Received: '/no/adb', which is no program"):
        find_adb("/no/adb")
    monkeypatch.setenv("TFOLD_ADB", str(tmp_path))
    with pytest.raises(AdbNotFoundError, match="TFOLD_ADB names the adb program"):
        find_adb()


def test_an_adb_that_does_not_start(nowhere, tmp_path):
    (tmp_path / "broken").write_bytes(b"\x7fELF nothing")
    (tmp_path / "broken").chmod(0o755)
    with pytest.raises(AdbNotFoundError, match="Received: .*/broken: Exec format error"):
        connected(tmp_path / "broken")


def test_a_program_that_is_not_adb():
    with pytest.raises(AdbServerError, match="Received, of .*true devices: exit code 0 and no word. .*kill-server"):
        connected(shutil.which("true"))


@pytest.mark.parametrize(("answers", "said"), [(False, "no answer within 0.3 s"), (True, "protocol fault")])
def test_something_else_on_the_servers_port(adb_server, monkeypatch, answers, said):
    monkeypatch.setattr(adb_module, "SERVER_TIMEOUT_S", 5.0 if answers else 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(listener.getsockname()[1]))
        if answers:
            threading.Thread(target=hang_up, args=(listener,), daemon=True).start()
        with pytest.raises(AdbServerError, match=f"{said}.*ANDROID_ADB_SERVER_PORT"):
            connected()


def hang_up(listener):
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return
