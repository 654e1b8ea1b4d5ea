"""The state a phone is in at one moment: how warm, how charged, how far its cores may clock.

It is read before and after every block, as a phone throttles by itself: `gate` says whether a block counts.

    battery   31.2 °C, 85 %, usb          dumpsys battery
    thermal   status 0, skin 31.8 °C      dumpsys thermalservice
    core 7    now 2.91, cap 2.91 of 2.91  /sys/devices/system/cpu/cpu7/cpufreq
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass

from mobile_bench.dumpsys import (
    Sensor,
    parse_battery,
    parse_power_save,
    parse_screen,
    parse_temperatures,
    parse_thermal_status,
)

SCRIPT = """
show() {
  value=
  { read -r value < "$1"; } 2>/dev/null
  echo "${value:--}"
}
echo @battery
dumpsys battery 2>/dev/null
echo @thermal
dumpsys thermalservice 2>/dev/null
echo @power_save
settings get global low_power 2>/dev/null
echo @screen
dumpsys power 2>/dev/null | grep mWakefulness=
echo @cores
for folder in "$1"/devices/system/cpu/cpu[0-9]*; do
  echo "${folder##*/cpu}" "$(show "$folder/cpufreq/scaling_cur_freq")" \
"$(show "$folder/cpufreq/scaling_max_freq")" "$(show "$folder/cpufreq/cpuinfo_max_freq")"
done
echo @end
"""


@dataclass(frozen=True)
class CoreNow:
    """A core at one moment: its frequency, the highest that it may take now, and the highest that it can. In kHz."""

    number: int
    now_khz: int | None = None
    cap_khz: int | None = None
    max_khz: int | None = None

    @property
    def capped(self) -> bool:
        """Whether it may not go as high as it could."""
        return self.cap_khz is not None and self.max_khz is not None and self.cap_khz < self.max_khz


@dataclass(frozen=True)
class Condition:
    """A phone at one moment; what it does not tell is None, or empty.

    Attributes:
        time: when it was read, in seconds since 1970, by this machine's clock.
        battery_percent, battery_celsius: of the battery.
        plugged: "ac", "usb", "wireless", "dock", two of them with a plus, or "none".
        thermal_status: 0 to 6: none, light, moderate, severe, critical, emergency, shutdown. From Android 10 on.
        temperatures: what its sensors show; `kind` says of what part.
        cores: how far each may clock.
        power_save: whether it saves power.
        screen_on: whether the screen is on.
    """

    time: float
    battery_percent: float | None = None
    battery_celsius: float | None = None
    plugged: str | None = None
    thermal_status: int | None = None
    temperatures: tuple[Sensor, ...] = ()
    cores: tuple[CoreNow, ...] = ()
    power_save: bool | None = None
    screen_on: bool | None = None

    @property
    def celsius(self) -> float | None:
        """What a gate looks at: the hottest of battery and skin. A chip is hot within seconds, and says little."""
        skin = [sensor.celsius for sensor in self.temperatures if sensor.kind == "skin"]
        known = skin + ([self.battery_celsius] if self.battery_celsius is not None else [])
        return max(known, default=None)

    @property
    def capped_cores(self) -> tuple[int, ...]:
        """The cores that may not go as high as they could. Some makers cap theirs for ever."""
        return tuple(core.number for core in self.cores if core.capped)

    def to_json(self) -> dict:
        """Everything, ready for `json.dumps`."""
        return asdict(self)


def read_condition(device, sysfs: str = "/sys", clock=time.time) -> Condition:
    """The state of the phone now, by one call.

    Args:
        device: the phone.
        sysfs: where its kernel tells of the cores.
        clock: tells the time, in seconds since 1970.

    Raises:
        PhoneError: the phone does not answer; but what it denies or lacks is None.

    Examples:
        read_condition(device).battery_celsius      # 31.2
    """
    return parse_condition(device.script(SCRIPT, sysfs).out, clock())


def parse_condition(text: str, moment: float) -> Condition:
    """The `Condition` from what the script prints: Android's dumps, each behind a line that begins with "@"."""
    parts = re.split(r"^@(\w+)\r?\n", text, flags=re.MULTILINE)
    dumps = dict(zip(parts[1::2], parts[2::2], strict=True))
    battery = parse_battery(dumps.get("battery", ""))
    thermal = dumps.get("thermal", "")
    return Condition(
        time=moment,
        battery_percent=battery.percent,
        battery_celsius=battery.celsius,
        plugged=battery.plugged,
        thermal_status=parse_thermal_status(thermal),
        temperatures=parse_temperatures(thermal),
        cores=_cores(dumps.get("cores", "")),
        power_save=parse_power_save(dumps.get("power_save", "")),
        screen_on=parse_screen(dumps.get("screen", "")),
    )


def _cores(text: str) -> tuple[CoreNow, ...]:
    fields = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    cores = [CoreNow(int(each[0]), *map(_khz, each[1:])) for each in fields if len(each) == 4 and each[0].isdecimal()]
    return tuple(sorted(cores, key=lambda core: core.number))


def _khz(field: str) -> int | None:
    return int(field) if field.isdecimal() and int(field) else None
