"""What a phone is: the things that do not change while it is measured, and that a result is worth nothing without.

One script asks for all of it, as every single call takes a phone long; its answer is lines that begin with a word:

    prop ro.product.model Pixel 8           getprop
    core 7 2914000 500000 sched_pixel       /sys/devices/system/cpu/cpu7/cpufreq, "-" where it is denied or absent
    online 0-8                              /sys/devices/system/cpu/online
    root 2000 no                            the shell's user id; whether there is a su
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from mobile_bench.cores import Core

SCRIPT = """
for key in $2; do
  echo "prop $key $(getprop "$key" 2>/dev/null)"
done
show() {
  value=
  { read -r value < "$1"; } 2>/dev/null
  echo "${value:--}"
}
for folder in "$1"/devices/system/cpu/cpu[0-9]*; do
  echo "core ${folder##*/cpu}" "$(show "$folder/cpufreq/cpuinfo_max_freq")" \
"$(show "$folder/cpufreq/cpuinfo_min_freq")" "$(show "$folder/cpufreq/scaling_governor")"
done
echo "online $(show "$1/devices/system/cpu/online")"
su=no
command -v su >/dev/null 2>&1 && su=yes
echo "root $(id -u 2>/dev/null) $su"
"""

# The first that is told counts: the exact name of the chip where Android 12 and later know it, else a code name.
SOC_PROPERTIES = ("ro.soc.model", "ro.hardware.chipname", "ro.board.platform", "ro.hardware")
ABI_PROPERTIES = ("ro.product.cpu.abilist", "ro.product.cpu.abi")
HARDWARE_PROPERTIES = ("ro.serialno", "ro.boot.serialno")
PROPERTIES = ("ro.product.manufacturer", "ro.product.model", "ro.soc.manufacturer", *SOC_PROPERTIES,
              "ro.build.version.release", "ro.build.version.sdk", "ro.build.fingerprint", *ABI_PROPERTIES,
              *HARDWARE_PROPERTIES)


@dataclass(frozen=True)
class PhoneInfo:
    """A phone, as far as it tells; what it does not tell is None, or empty.

    Attributes:
        serial: what adb calls it.
        manufacturer, model, soc: "Google", "Pixel 8", "Google Tensor G3".
        android, sdk: "14" and 34.
        fingerprint: of its build: which system exactly.
        abis: what programs it can run, the best first: ("arm64-v8a", "armeabi-v7a").
        cores: one `Core` each, by number.
        rooted: whether the shell is root's, or there is a su.
        hardware: its own serial number, the same over USB and Wi-Fi.
    """

    serial: str
    manufacturer: str | None = None
    model: str | None = None
    soc: str | None = None
    android: str | None = None
    sdk: int | None = None
    fingerprint: str | None = None
    abis: tuple[str, ...] = ()
    cores: tuple[Core, ...] = ()
    rooted: bool | None = None
    hardware: str | None = None

    @property
    def label(self) -> str:
        """The phone for people: "Google Pixel 8 (Google Tensor G3, Android 14)"."""
        name = " ".join(filter(None, [self.manufacturer, self.model])) or self.serial
        details = [self.soc, f"Android {self.android}" if self.android else None]
        described = ", ".join(filter(None, details))
        return f"{name} ({described})" if described else name

    def to_json(self) -> dict:
        """Everything, ready for `json.dumps`."""
        return asdict(self)


def describe(device, sysfs: str = "/sys") -> PhoneInfo:
    """What the phone is, by one call.

    Args:
        device: the phone.
        sysfs: where its kernel tells of the cores.

    Raises:
        PhoneError: the phone does not answer; but what it denies or lacks is None.

    Examples:
        describe(device).label          # "Google Pixel 8 (Google Tensor G3, Android 14)"
    """
    return parse_description(device.serial, device.script(SCRIPT, sysfs, " ".join(PROPERTIES)).out)


def parse_description(serial: str, text: str) -> PhoneInfo:
    """The `PhoneInfo` from the lines of the script; lines that are garbled or missing leave their fields unknown."""
    lines = [line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2]
    properties = dict((line.split(None, 1) + [""])[:2] for word, line in lines if word == "prop")
    properties = {key: value.strip() for key, value in properties.items() if value.strip()}
    told = [line for word, line in lines if word == "online"]
    online = _numbers(told[0]) if told else None
    cores = [core for word, line in lines if word == "core" and (core := _core(line, online))]
    user = [line.split() for word, line in lines if word == "root"]
    soc = next((properties[key] for key in SOC_PROPERTIES if key in properties), None)
    maker = properties.get("ro.soc.manufacturer")
    sdk = properties.get("ro.build.version.sdk", "")
    abis = next((properties[key] for key in ABI_PROPERTIES if key in properties), "")
    return PhoneInfo(
        serial=serial,
        manufacturer=properties.get("ro.product.manufacturer"),
        model=properties.get("ro.product.model"),
        soc=f"{maker} {soc}" if maker and "ro.soc.model" in properties else soc,
        android=properties.get("ro.build.version.release"),
        sdk=int(sdk) if sdk.isdecimal() else None,
        fingerprint=properties.get("ro.build.fingerprint"),
        abis=tuple(abi.strip() for abi in abis.split(",") if abi.strip()),
        cores=tuple(sorted(cores, key=lambda core: core.number)),
        rooted=user[0][0] == "0" or user[0][-1] == "yes" if user else None,
        hardware=next((properties[key] for key in HARDWARE_PROPERTIES if key in properties), None),
    )


def _core(line: str, online: set[int] | None) -> Core | None:
    fields = line.split()
    if len(fields) != 4 or not fields[0].isdecimal():  # the pattern itself, where there is no such folder
        return None
    number, maximum, minimum, governor = int(fields[0]), *fields[1:]
    return Core(
        number,
        max_khz=int(maximum) if maximum.isdecimal() and int(maximum) else None,
        min_khz=int(minimum) if minimum.isdecimal() and int(minimum) else None,
        governor=None if governor == "-" else governor,
        online=None if online is None else number in online,
    )


def _numbers(ranges: str) -> set[int] | None:
    """{0, 1, 2, 3, 6} of "0-3,6"; None of anything else."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", ranges.strip()):
        return None
    ends = [[int(end) for end in part.split("-")] for part in ranges.strip().split(",")]
    return {number for end in ends for number in range(end[0], end[-1] + 1)}
