"""What a phone is, from one call: getprop and sysfs as real phones have them, complete, denied and missing."""

import json
import runpy
from pathlib import Path

import pytest

from mobile_bench.cores import Core
from mobile_bench.phone_info import PhoneInfo, describe, parse_description

LocalDevice = runpy.run_path(str(Path(__file__).with_name("local_device.py")))["LocalDevice"]

PIXEL = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.hardware.chipname": "zuma",
    "ro.board.platform": "zuma",
    "ro.hardware": "shiba",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "google/shiba/shiba:14/UQ1A.240105.004/11206848:user/release-keys",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a",
    "ro.product.cpu.abi": "arm64-v8a",
}


@pytest.fixture
def device(tmp_path):
    (tmp_path / "bin").mkdir()
    return LocalDevice(tmp_path / "bin")


def set_properties(device, properties):
    cases = "\n".join(f'{key}) echo "{value}";;' for key, value in properties.items())
    device.command("getprop", f'case "$1" in\n{cases}\n*) echo;;\nesac')


def make_cores(sysfs, khz, online=None):
    cpus = sysfs / "devices/system/cpu"
    for number, maximum in enumerate(khz):
        folder = cpus / f"cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        for name, value in (("cpuinfo_max_freq", maximum), ("cpuinfo_min_freq", 300000), ("scaling_governor", "walt")):
            (folder / name).write_text(f"{value}\n")
    (cpus / "cpufreq").mkdir(parents=True, exist_ok=True)  # is no core
    if online:
        (cpus / "online").write_text(f"{online}\n")
    return sysfs


def test_a_phone_is_described_by_one_call(device, tmp_path):
    set_properties(device, PIXEL)
    sysfs = make_cores(tmp_path / "sys", [1704000] * 4 + [2367000] * 4 + [2914000], online="0-7")
    info = describe(device, sysfs=str(sysfs))
    assert device.calls == 1
    assert (info.serial, info.manufacturer, info.model, info.soc) == ("local", "Google", "Pixel 8", "Google Tensor G3")
    assert (info.android, info.sdk, info.abis) == ("14", 34, ("arm64-v8a", "armeabi-v7a"))
    assert info.fingerprint == PIXEL["ro.build.fingerprint"]
    assert len(info.cores) == 9
    assert info.cores[4] == Core(4, 2367000, 300000, "walt", True)
    assert info.cores[8].online is False
    assert info.label == "Google Pixel 8 (Google Tensor G3, Android 14)"
    assert json.loads(json.dumps(info.to_json()))["cores"][8]["max_khz"] == 2914000


def test_an_old_phone_has_other_properties(device, tmp_path):
    old = {"ro.soc.manufacturer": "QTI", "ro.board.platform": "msm8974", "ro.hardware": "hammerhead",
           "ro.product.cpu.abi": "armeabi-v7a",
           "ro.build.version.release": "4.4.4"}
    set_properties(device, old)
    info = describe(device, sysfs=str(make_cores(tmp_path / "sys", [2265600], online="garbled")))
    assert (info.soc, info.abis, info.sdk, info.manufacturer) == ("msm8974", ("armeabi-v7a",), None, None)
    assert info.cores == (Core(0, 2265600, 300000, "walt", None),)
    assert info.label == "local (msm8974, Android 4.4.4)"


def test_a_phone_that_tells_nothing_is_known_by_its_serial(device, tmp_path):
    info = describe(device, sysfs=str(tmp_path / "none"))  # no getprop, no sysfs
    assert info == PhoneInfo("local", rooted=info.rooted)
    assert info.label == "local"


def test_what_cannot_be_read_is_unknown(device, tmp_path):
    sysfs = make_cores(tmp_path / "sys", [2000000])
    file = sysfs / "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
    file.unlink()
    file.mkdir()  # reading fails, to root too
    assert describe(device, sysfs=str(sysfs)).cores == (Core(0, None, 300000, "walt", None),)


def test_a_core_without_its_files_is_still_a_core(device, tmp_path):
    sysfs = make_cores(tmp_path / "sys", [2000000, 2000000], online="0")
    for file in (sysfs / "devices/system/cpu/cpu1/cpufreq").iterdir():
        file.unlink()  # as of a core that is switched off
    assert describe(device, sysfs=str(sysfs)).cores[1] == Core(1, online=False)


@pytest.mark.parametrize(("line", "rooted"), [("root 0 no", True), ("root 2000 yes", True), ("root 2000 no", False),
                                              ("root  no", False), ("", None)])
def test_rooted(line, rooted):
    assert parse_description("x", line).rooted is rooted


@pytest.mark.parametrize("text", ["core 1\ncore x - - -\ncore 2 - -\ncore", "prop\nprop x", "\x00\ufffd", "online 3-",
                                  "prop ro.build.version.sdk many"])
def test_garbled_lines_are_left_out(text):
    assert parse_description("x", text) == PhoneInfo("x")
