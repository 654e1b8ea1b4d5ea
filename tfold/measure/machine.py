"""The machine a measurement was made on: latencies mean nothing without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe_machine() -> dict:
    """Processor, cores, operating system and Python, ready for `json.dumps`.

    Returns:
        dict: `cpu`; `cores`, those this process may use; `os`; `python`; `load`, the mean number of processes that
            wanted to run over the last minute: near or above `cores`, others were competing (None where unknown).
    """
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def throttled() -> int:
    """How often the processor has slowed down because it was hot, since it was started; 0 where it does not tell."""
    counters = Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count")
    count = 0
    for counter in counters:
        try:
            count += int(counter.read_text())
        except (OSError, ValueError):
            continue
    return count


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.split(":")[0].strip() in ("model name", "Model", "Hardware"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
