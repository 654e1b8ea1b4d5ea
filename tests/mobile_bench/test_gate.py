"""Battery, heat and caps from the dumps of real Android versions, and what a gate makes of them."""

import re
import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.condition import Condition, CoreNow, parse_condition, read_condition
from mobile_bench.dumpsys import (
    Battery,
    Sensor,
    parse_battery,
    parse_power_save,
    parse_screen,
    parse_temperatures,
    parse_thermal_status,
)
from mobile_bench.gate import Gate, disturbed, not_told, wait_until_cool
from mobile_bench.tool_errors import PhoneNotReadyError, TooHotError
from tfold.errors import BadInputError

LocalDevice = runpy.run_path(str(Path(__file__).with_name("local_device.py")))["LocalDevice"]

ANDROID_14_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 3622000
  status: 2
  health: 2
  present: true
  level: 85
  scale: 100
  voltage: 4273
  temperature: 312
  technology: Li-ion
  Charging state: 0
  Charging policy: 0
"""
ANDROID_5_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  status: 3
  health: 2
  present: true
  level: 100
  scale: 200
  voltage: 3811
  temperature: -15
  technology: Li-poly
"""
MAKERS_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: true
  level: 60
  scale: 100
  temperature: 287
  mSecPlugTypeSummary: 1
  LED Charging: true
Battery history:
  level: 12
  temperature: 999
"""
ANDROID_12_THERMAL = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 4
\tkilled: false
\tbroadcasts count: -1
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
\tTemperature{mValue=61.0, mType=3, mName=SKIN, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=48.25, mType=0, mName=AP, mStatus=0}
\tTemperature{mValue=33.8, mType=3, mName=SKIN, mStatus=0}
\tTemperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
\tTemperature{mValue=-99.9, mType=5, mName=PA, mStatus=0}
\tTemperature{mValue=31200.0, mType=3, mName=raw, mStatus=0}
\tTemperature{mValue=40.0, mType=77, mName=new thing, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=TYPE_CPU}
Temperature static thresholds from HAL:
\tTemperatureThreshold{mType=3, mName=SKIN, mHotThrottlingThresholds=[NaN, 37.0, 39.0]}
"""
ANDROID_10_CACHED_ONLY = """Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=29.1, mType=3, mName=skin-therm, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 1.0 connected: yes
Current temperatures from HAL:
Current cooling devices from HAL:
"""
NO_SERVICE = "Can't find service: thermalservice\n"


def test_a_battery_of_today():
    assert parse_battery(ANDROID_14_BATTERY) == Battery(85.0, "usb", 31.2)
    assert parse_battery(ANDROID_14_BATTERY.replace("\n", "\r\n")) == Battery(85.0, "usb", 31.2)


def test_a_battery_of_old():
    assert parse_battery(ANDROID_5_BATTERY) == Battery(50.0, "none", -1.5)


def test_what_makers_add_below_does_not_count():
    assert parse_battery(MAKERS_BATTERY) == Battery(60.0, "ac+wireless", 28.7)


@pytest.mark.parametrize("celsius", ["-201", "1001", "0", "31.2", "hot", "3 12", ""])
def test_an_implausible_temperature_is_none(celsius):
    text = ANDROID_14_BATTERY.replace("temperature: 312", f"temperature: {celsius}")
    assert parse_battery(text) == Battery(85.0, "usb", None)


@pytest.mark.parametrize(("was", "now"), [("scale: 100", "scale: 0"), ("level: 85", "level: 101"),
                                          ("level: 85", "level: -1")])
def test_an_impossible_charge_is_none(was, now):
    assert parse_battery(ANDROID_14_BATTERY.replace(was, now)).percent is None


def test_a_battery_set_by_hand_is_not_the_phones():
    header = "Current Battery Service state:\n"
    text = ANDROID_14_BATTERY.replace(header, f"{header}  (UPDATES STOPPED -- use 'reset' to restart)\n")
    assert parse_battery(text) == Battery()


@settings(max_examples=60)
@given(st.integers(0, len(ANDROID_14_BATTERY)))
def test_a_cut_battery_dump_is_never_wrong(length):
    cut = parse_battery(ANDROID_14_BATTERY[:length])
    assert cut.percent in (None, 85.0) and cut.plugged in (None, "usb") and cut.celsius in (None, 31.2)


def test_thermal_status_and_the_temperatures_of_now():
    assert parse_thermal_status(ANDROID_12_THERMAL) == 2
    assert parse_temperatures(ANDROID_12_THERMAL) == (
        Sensor("AP", "cpu", 48.25), Sensor("SKIN", "skin", 33.8), Sensor("new thing", "other", 40.0))


def test_the_kinds_of_sensors():
    names = {-1: "other", 0: "cpu", 1: "gpu", 2: "battery", 3: "skin", 4: "usb port", 5: "power amplifier", 9: "npu"}
    text = "".join(f"Temperature{{mValue=30.0, mType={kind}, mName=s{kind}, mStatus=0}}\n" for kind in names)
    assert {sensor.name: sensor.kind for sensor in parse_temperatures(text)} == {
        f"s{kind}": name for kind, name in names.items()}


def test_cached_temperatures_only_where_there_are_no_others():
    assert parse_temperatures(ANDROID_10_CACHED_ONLY) == (Sensor("skin-therm", "skin", 29.1),)


@pytest.mark.parametrize("text", ["", NO_SERVICE, "Thermal Status: 7\n", "Thermal Status: -1\n", "Thermal Status: \n",
                                  "Thermal Status: 1", "Thermal Status: 0\nHAL Ready: false\n",
                                  "IsStatusOverride: true\nThermal Status: 0\n"])
def test_a_status_that_says_nothing(text):
    assert parse_thermal_status(text) is None
    assert parse_temperatures(text) == ()


@settings(max_examples=60)
@given(st.integers(0, len(ANDROID_12_THERMAL)))
def test_a_cut_thermal_dump_has_only_whole_temperatures(length):
    cut = ANDROID_12_THERMAL[:length]
    assert parse_thermal_status(cut) in (None, 2)
    told = parse_temperatures(ANDROID_12_THERMAL) + parse_temperatures(ANDROID_12_THERMAL.partition("HAL Ready")[0])
    assert set(parse_temperatures(cut)) <= set(told)


@pytest.mark.parametrize(("text", "saves"), [("1\n", True), ("0\n", False), ("null\n", False), ("", None), ("1", None),
                                             ("/system/bin/sh: settings: not found\n", None)])
def test_power_save(text, saves):
    assert parse_power_save(text) is saves


@pytest.mark.parametrize(("text", "on"), [("  mWakefulness=Awake\n", True), ("  mWakefulness=Asleep\n", False),
                                          ("mWakefulness=Dreaming\n", True),
                                          ("mWakefulness=Dozing\r\n", False), ("  mWakefulnessChanging=false\n", None),
                                          ("mWakefulness=Aw", None), ("mWakefulness=Sleepy\n", None), ("", None)])
def test_screen(text, on):
    assert parse_screen(text) is on


@pytest.fixture
def phone(tmp_path):
    """A phone whose dumps and frequencies a test sets; `phone.sysfs` is where the latter are."""
    (tmp_path / "bin").mkdir()
    device = LocalDevice(tmp_path / "bin")
    device.sysfs = str(tmp_path / "sys")
    device.battery = tmp_path / "battery.txt"
    device.thermal = tmp_path / "thermal.txt"
    device.battery.write_text(ANDROID_14_BATTERY)
    device.thermal.write_text(ANDROID_12_THERMAL.replace("Status: 2", "Status: 0"))
    device.command("dumpsys", f'case $1 in battery) cat {device.battery};; thermalservice) cat {device.thermal};; '
                              'power) printf "  mWakefulnessRaw=\\n  mWakefulness=Awake\\n";; esac')
    device.command("settings", 'test "$*" = "get global low_power" && echo 0')
    for number, (now, cap, most) in enumerate([(300, 1800, 1800), (2000, 2000, 2800)]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{number}/cpufreq"
        folder.mkdir(parents=True)
        for name, value in (("scaling_cur_freq", now), ("scaling_max_freq", cap), ("cpuinfo_max_freq", most)):
            (folder / name).write_text(f"{value}000\n")
    return device


def test_a_condition_is_read_by_one_call(phone):
    condition = read_condition(phone, phone.sysfs, clock=lambda: 1700000000.5)
    assert phone.calls == 1
    assert condition == Condition(
        time=1700000000.5, battery_percent=85.0, battery_celsius=31.2, plugged="usb", thermal_status=0,
        temperatures=parse_temperatures(ANDROID_12_THERMAL), power_save=False, screen_on=True,
        cores=(CoreNow(0, 300_000, 1_800_000, 1_800_000), CoreNow(1, 2_000_000, 2_000_000, 2_800_000)),
    )
    assert condition.celsius == 33.8 and condition.capped_cores == (1,)
    assert condition.to_json()["temperatures"][1] == {"name": "SKIN", "kind": "skin", "celsius": 33.8}
    assert not_told(condition) == ()


def test_a_phone_that_tells_nothing_has_an_empty_condition(tmp_path):
    (tmp_path / "bin").mkdir()
    condition = read_condition(LocalDevice(tmp_path / "bin"), str(tmp_path / "none"), clock=lambda: 5.0)
    assert condition == Condition(5.0)
    assert condition.celsius is None
    assert not_told(condition) == ("battery temperature", "battery charge", "charger", "thermal status",
                                   "skin temperature", "caps of its cores", "power saving")


def test_a_frequency_of_zero_is_none_and_a_hot_chip_no_skin():
    text = "@thermal\nTemperature{mValue=90.0, mType=0, mName=AP, mStatus=0}\n@cores\n3 0 0 0\n"
    condition = parse_condition(text, 1.0)
    assert condition.cores == (CoreNow(3),) and condition.capped_cores == ()
    assert condition.celsius is None and "skin temperature" in not_told(condition)


@pytest.mark.parametrize("text", ["", "@battery", "@battery\n  temperature: 31", "@cores\n0 1 2\nx 1 2 3\n1 2 3 4",
                                  "@battery\n  temperature: 31@thermal\nThermal Status: 0"])
def test_a_cut_answer_is_an_empty_condition(text):
    assert parse_condition(text, 1.0) == Condition(1.0)


class Clock:
    """Time that passes only by sleeping; `then` says what happens meanwhile."""

    def __init__(self, then=lambda now: None):
        self.now, self.then = 0.0, then

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.then(self.now)


def heat(phone, tenths):
    phone.battery.write_text(ANDROID_14_BATTERY.replace("312", str(tenths)))


def test_a_cool_phone_is_measured_at_once(phone):
    clock, said = Clock(), []
    assert wait_until_cool(phone, Gate(), said.append, clock, clock.sleep, phone.sysfs).celsius == 33.8
    assert clock.now == 0 and said == []


def test_it_waits_until_the_phone_is_cool(phone):
    heat(phone, 425)
    clock, said = Clock(lambda now: heat(phone, int(425 - now))), []
    condition = wait_until_cool(phone, Gate(), said.append, clock, clock.sleep, phone.sysfs)
    assert clock.now == 30 and condition.battery_celsius == 39.5
    assert said[0] == "local cools down: 42.5 °C, above 40 °C; at most 600 s more"
    assert said[2] == "local cools down: 40.5 °C, above 40 °C; at most 580 s more"


def test_it_gives_up_in_time_and_says_how_hot_it_was(phone):
    heat(phone, 431)
    phone.thermal.write_text(ANDROID_12_THERMAL)
    clock = Clock()
    expected = r"Received: local with thermal status 2 \(moderate\), above 0 and 43.1 °C, above 40 °C, after 65 s"
    with pytest.raises(TooHotError, match=expected):
        wait_until_cool(phone, Gate(wait_s=65), None, clock, clock.sleep, phone.sysfs)
    assert clock.now == 65
    with pytest.raises(TooHotError, match="after 60 s"):  # one more look would still be in time
        wait_until_cool(phone, Gate(wait_s=60, poll_s=20), None, clock, clock.sleep, phone.sysfs)


def test_a_phone_that_saves_power_is_not_measured(phone):
    phone.command("settings", "echo 1")
    with pytest.raises(PhoneNotReadyError, match="battery saver on.*low_power 0"):
        wait_until_cool(phone, Gate(), sysfs=phone.sysfs)


def test_a_phone_with_an_empty_battery_is_not_measured(phone):
    phone.battery.write_text(ANDROID_14_BATTERY.replace("level: 85", "level: 19"))
    with pytest.raises(PhoneNotReadyError, match="20 % .* Received: local with 19 %"):
        wait_until_cool(phone, Gate(), sysfs=phone.sysfs)
    assert wait_until_cool(phone, Gate(min_battery=19), sysfs=phone.sysfs).battery_percent == 19


def test_gates_at_their_bounds():
    Gate(max_status=6, margin_celsius=0, wait_s=0, min_battery=100).check()
    Gate(max_celsius=0.5, poll_s=0.5, min_battery=0).check()


@pytest.mark.parametrize("gate", [Gate(max_status=7), Gate(max_status=-1), Gate(max_celsius=0), Gate(poll_s=0),
                                  Gate(wait_s=-1), Gate(min_battery=101), Gate(max_celsius=float("nan")),
                                  Gate(wait_s=float("inf"))])
def test_gates_that_cannot_be_meant(gate):
    with pytest.raises(BadInputError, match="Received: Gate"):
        wait_until_cool(None, gate)


COOL = Condition(0.0, 80.0, 35.0, "usb", 0, (Sensor("SKIN", "skin", 36.0), Sensor("AP", "cpu", 80.0)),
                 (CoreNow(4, 1, 2_000_000, 2_800_000), CoreNow(7, 1, 2_910_000, 2_910_000)), False, True)


@pytest.mark.parametrize(("change", "reason"), [
    ({}, None),
    ({"battery_celsius": 43.0}, None),
    ({"battery_celsius": 43.1}, "the phone got too hot: above 43 °C"),
    ({"temperatures": (Sensor("SKIN", "skin", 44.0),)}, "the phone got too hot: above 43 °C"),
    ({"thermal_status": 1}, r"the phone got too hot: thermal status 1 \(light\), above 0"),
    ({"cores": (CoreNow(7, 1, 2_050_000, 2_910_000),)}, "core 7 may clock lower than before"),
    ({"cores": (CoreNow(7, 1, 2_910_000, 2_910_000), CoreNow(4, 1, 2_800_000, 2_800_000))},
     "core 4 may clock higher than before"),
    ({"cores": ()}, None),
    ({"power_save": True}, "the phone began to save power"),
    ({"plugged": "none"}, "the charger changed from usb to none"),
    ({"battery_celsius": None, "plugged": None, "thermal_status": None, "temperatures": (), "cores": (),
      "power_save": None}, None),
    ({"battery_percent": 3.0, "screen_on": False}, None),
])
def test_what_disturbs_a_block(change, reason):
    after = Condition(**{**vars(COOL), **change})
    found = disturbed(COOL, after, Gate())
    assert found is None if reason is None else re.fullmatch(reason, found)


def test_only_the_cores_that_are_used_matter():
    after = Condition(**{**vars(COOL), "cores": (CoreNow(4, 1, 1_000_000, 2_800_000), COOL.cores[1])})
    assert disturbed(COOL, after, Gate(), (7,)) is None
    for used in ((4, 7), ()):
        assert disturbed(COOL, after, Gate(), used) == "core 4 may clock lower than before"


def test_what_was_not_known_before_is_no_change():
    after = Condition(1.0, plugged="usb", power_save=True, cores=COOL.cores)
    assert disturbed(Condition(0.0), after, Gate()) is None
