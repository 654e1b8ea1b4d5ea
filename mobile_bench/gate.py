"""Whether a phone is cool enough to be measured, and whether a block was disturbed while it was.

    wait ── until cool ──▶ before ── block ──▶ after ── wait ── block ──▶ after …
                              └── disturbed? ────┘                          │
                              └── disturbed? ───────────────────────────────┘     then the round is thrown away

A phone warms up while it is measured, and then clocks lower by itself: the later model of two would always look slower.
What a phone does not tell is never a reason; `not_told` names it, so that the result can.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mobile_bench.condition import Condition, read_condition
from mobile_bench.dumpsys import STATUS_NAMES
from mobile_bench.tool_errors import PhoneNotReadyError, TooHotError
from tfold.errors import BadInputError


@dataclass(frozen=True)
class Gate:
    """What a phone must be like to be measured.

    Args:
        max_status: highest thermal status, 0 (none) to 6 (shutdown).
        max_celsius: highest temperature of battery and skin before a block, in °C.
        margin_celsius: by how much a block may heat it above that.
        wait_s: how long to wait for it to cool, in seconds.
        poll_s: how often to look meanwhile, in seconds. Looking often keeps it warm.
        min_battery: least charge in percent: below about 15 phones clock lower.
    """

    max_status: int = 0
    max_celsius: float = 40.0
    margin_celsius: float = 3.0
    wait_s: float = 600.0
    poll_s: float = 10.0
    min_battery: float = 20.0

    def check(self) -> None:
        """Raises: BadInputError for numbers that cannot be meant."""
        numbers = (self.max_status, self.max_celsius, self.margin_celsius, self.wait_s, self.poll_s, self.min_battery)
        if not all(map(math.isfinite, numbers)) or self.max_celsius <= 0 or min(numbers) < 0 or self.poll_s <= 0 \
                or self.min_battery > 100 or self.max_status >= len(STATUS_NAMES):
            raise BadInputError(
                "A gate has a thermal status of 0 to 6, temperatures in °C, times above 0, and 0 to 100 % of battery. "
                f"Received: {self}. Leave them at their defaults."
            )


def wait_until_cool(
    device,
    gate: Gate,
    say: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    sysfs: str = "/sys",
) -> Condition:
    """Waits until the phone may be measured, and returns the state that it is in then.

    Args:
        device: the phone.
        gate: what it must be like.
        say: is told how warm it is, and how long it may still take, at every look but a last, good one.
        clock, sleep: the time, in seconds.
        sysfs: where its kernel tells of the cores.

    Raises:
        TooHotError: it was still too hot after `gate.wait_s`.
        PhoneNotReadyError: its battery is low, or it saves power: no waiting changes that.

    Examples:
        before = wait_until_cool(device, Gate(), say=print)
    """
    gate.check()
    began = clock()
    while True:
        condition = read_condition(device, sysfs)
        _check_ready(device, condition, gate)
        hot = too_hot(condition, gate.max_status, gate.max_celsius)
        waited = clock() - began
        if hot is None:
            return condition
        if waited >= gate.wait_s:
            raise TooHotError(
                f"A phone is measured at {gate.max_celsius:g} °C or less and thermal status {gate.max_status}. "
                f"Received: {device.serial} with {hot}, after {waited:.0f} s of waiting. Take it out of its case, "
                "off the charger and into a cool place, or allow more heat or more time (--max-celsius, --cool-wait)."
            )
        if say:
            say(f"{device.serial} cools down: {hot}; at most {gate.wait_s - waited:.0f} s more")
        sleep(min(gate.poll_s, gate.wait_s - waited))


def too_hot(condition: Condition, max_status: int, max_celsius: float, measured: bool = True) -> str | None:
    """What is too hot, in words, with the temperature or without; or None."""
    reasons = []
    if condition.thermal_status is not None and condition.thermal_status > max_status:
        name = STATUS_NAMES[condition.thermal_status]
        reasons.append(f"thermal status {condition.thermal_status} ({name}), above {max_status}")
    if condition.celsius is not None and condition.celsius > max_celsius:
        reasons.append(f"{f'{condition.celsius:.1f} °C, ' if measured else ''}above {max_celsius:g} °C")
    return " and ".join(reasons) or None


def disturbed(before: Condition, after: Condition, gate: Gate, cores: Sequence[int] = ()) -> str | None:
    """Why what was measured between these two moments must not count, in words without numbers that were measured.

    Args:
        before, after: the phone before the first block of a round, and at a later moment of that round.
        gate: what it must be like; after a block it may be warmer by `margin_celsius`.
        cores: those that the tool runs on; empty is any. What happens to others does not matter.

    Returns:
        str: the reason, or None if it counts.

    Examples:
        disturbed(before, after, Gate(), (7,))      # "core 7 may clock lower or higher than before"
    """
    hot = too_hot(after, gate.max_status, gate.max_celsius + gate.margin_celsius, measured=False)
    if hot:
        return f"the phone got too hot: {hot}"
    caps = {core.number: core.cap_khz for core in before.cores if not cores or core.number in cores}
    for core in after.cores:
        was = caps.get(core.number)
        if was is not None and core.cap_khz is not None and core.cap_khz != was:
            return f"core {core.number} may clock {'lower' if core.cap_khz < was else 'higher'} than before"
    if before.power_save is False and after.power_save:
        return "the phone began to save power"
    if None not in (before.plugged, after.plugged) and before.plugged != after.plugged:
        return f"the charger changed from {before.plugged} to {after.plugged}"
    return None


def not_told(condition: Condition) -> tuple[str, ...]:
    """What a gate would look at and this phone does not tell, in words."""
    known = {
        "battery temperature": condition.battery_celsius is not None,
        "battery charge": condition.battery_percent is not None,
        "charger": condition.plugged is not None,
        "thermal status": condition.thermal_status is not None,
        "skin temperature": any(sensor.kind == "skin" for sensor in condition.temperatures),
        "caps of its cores": any(core.cap_khz is not None for core in condition.cores),
        "power saving": condition.power_save is not None,
    }
    return tuple(name for name, told in known.items() if not told)


def _check_ready(device, condition: Condition, gate: Gate) -> None:
    if condition.power_save:
        raise PhoneNotReadyError(
            f"A phone that saves power clocks lower. Received: {device.serial} with battery saver on. Switch it off: "
            f"adb -s {device.serial} shell settings put global low_power 0"
        )
    if condition.battery_percent is not None and condition.battery_percent < gate.min_battery:
        raise PhoneNotReadyError(
            f"A phone is measured with {gate.min_battery:g} % of battery or more, as it clocks lower with little. "
            f"Received: {device.serial} with {condition.battery_percent:.0f} %. Charge it first, or allow less "
            "(--min-battery)."
        )
