"""What Android's dumps say of battery, heat and power: text in, values out, and None for what is not told.

    dumpsys battery            level: 85    scale: 100    temperature: 312    USB powered: true
    dumpsys thermalservice     Thermal Status: 0
                               Current temperatures from HAL:
                                   Temperature{mValue=31.8, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
    dumpsys power              mWakefulness=Awake
    settings get global low_power

Makers add lines and leave some out, a dump may be cut, and sensors that are not there say 0 or -99.9. A value counts
only in a line that is whole, and only where it can be true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COLDEST, HOTTEST = -20.0, 100.0  # °C: beyond these it is no temperature of a phone that works
CHARGERS = {"AC": "ac", "USB": "usb", "Wireless": "wireless", "Dock": "dock"}
SENSOR_KINDS = {0: "cpu", 1: "gpu", 2: "battery", 3: "skin", 4: "usb port", 5: "power amplifier", 9: "npu"}
STATUS_NAMES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

_SENSOR = re.compile(r"Temperature\{mValue=(-?\d+(?:\.\d+)?), mType=(-?\d+), mName=([^{}]*), mStatus=\d+\}")


@dataclass(frozen=True)
class Battery:
    """The battery: `percent`, temperature in °C, and by what it is `plugged`: "ac", "usb", … or "none"."""

    percent: float | None = None
    plugged: str | None = None
    celsius: float | None = None


@dataclass(frozen=True)
class Sensor:
    """A temperature: the sensor's `name`, of what `kind` of part, and what it shows in °C."""

    name: str
    kind: str
    celsius: float


def parse_battery(text: str) -> Battery:
    """The battery from `dumpsys battery`.

    Values that somebody has set by hand (`dumpsys battery set …`) are not the phone's: nothing is known then.

    Examples:
        parse_battery("  level: 85\\n  scale: 100\\n  temperature: 312\\n")     # Battery(85.0, None, 31.2)
    """
    lines = _whole_lines(text)
    if any("UPDATES STOPPED" in line for line in lines):
        return Battery()
    level, scale, tenths = (_number(lines, name) for name in ("level", "scale", "temperature"))
    percent = 100 * level / scale if level is not None and scale else None
    powered = {name: _value(lines, f"{name} powered") for name in CHARGERS}
    on = [CHARGERS[name] for name, value in powered.items() if value == "true"]
    off = all(powered[name] == "false" for name in ("AC", "USB", "Wireless"))
    return Battery(
        percent=percent if percent is not None and 0 <= percent <= 100 else None,
        plugged="+".join(on) if on else "none" if off else None,
        celsius=plausible(tenths / 10) if tenths is not None else None,
    )


def parse_thermal_status(text: str) -> int | None:
    """How hard the phone throttles, 0 to 6, from `dumpsys thermalservice` (Android 10 and later); see `STATUS_NAMES`.

    A phone whose thermal HAL is not there always says 0, and one whose status was set by hand says that: both are None.
    """
    lines = _whole_lines(text)
    if "HAL Ready: false" in lines or "IsStatusOverride: true" in lines:
        return None
    status = _number(lines, "Thermal Status")
    return status if status is not None and 0 <= status < len(STATUS_NAMES) else None


def parse_temperatures(text: str) -> tuple[Sensor, ...]:
    """The temperatures that `dumpsys thermalservice` has from the phone's sensors.

    It lists them twice: as they are now, and as they were at the last event. The latter, which may be hours old, only
    count where the phone does not tell the former.
    """
    now = text.partition("Current temperatures from HAL:")[2].partition("Current cooling devices")[0]
    sensors = {}
    for value, kind, name in _SENSOR.findall(now) or _SENSOR.findall(text):
        celsius = plausible(float(value))
        if celsius is not None:
            sensors[name] = Sensor(name, SENSOR_KINDS.get(int(kind), "other"), celsius)
    return tuple(sensors.values())


def parse_power_save(text: str) -> bool | None:
    """Whether the phone saves power, from `settings get global low_power`: "null" there is never set, and so off."""
    return {"1": True, "0": False, "null": False}.get("".join(_whole_lines(text)))


def parse_screen(text: str) -> bool | None:
    """Whether the screen is on, from the line `mWakefulness=` of `dumpsys power`."""
    found = [line for line in _whole_lines(text) if re.fullmatch(r"mWakefulness=\w+", line)]
    states = {"Awake": True, "Dreaming": True, "Asleep": False, "Dozing": False}
    return states.get(found[0].partition("=")[2]) if found else None


def plausible(celsius: float) -> float | None:
    """The temperature, or None for one that no working phone has; exactly 0 is said by sensors that are not there."""
    return celsius if COLDEST <= celsius <= HOTTEST and celsius != 0 else None


def _whole_lines(text: str) -> list[str]:
    """The lines that are complete: what stands behind the last line end was cut."""
    return [line.strip() for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _value(lines: list[str], name: str) -> str | None:
    """What the first line `name: …` says; makers repeat some names further down."""
    return next((line[len(name) + 2:].strip() for line in lines if line.startswith(f"{name}: ")), None)


def _number(lines: list[str], name: str) -> int | None:
    value = _value(lines, name)
    return int(value) if value is not None and re.fullmatch(r"-?\d+", value) else None
