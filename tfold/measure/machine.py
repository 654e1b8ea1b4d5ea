"""The machine a measurement was made on: latencies mean nothing without it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path


def describe_machine() -> dict:
    """Processor, cores, operating system and Python, ready for `json.dumps`.

    Returns:
        dict: `cpu`; `cores`, those this process may use; `os`; `python`; `tells_throttling`, whether blocks in which
            the processor was too hot can be known (Linux on Intel's and some other processors, not in most virtual
            machines); `load`, the mean number of processes that
            wanted to run over the last minute: near or above `cores`, others were competing (None where unknown).
    """
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
        "tells_throttling": throttled() is not None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def throttled() -> int | None:
    """How often the processor has slowed down because it was hot, since it was started; None where it does not tell."""
    counts = []
    for counter in Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/*_throttle_count"):
        with suppress(OSError, ValueError):
            counts.append(int(counter.read_text()))
    return sum(counts) if counts else None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.split(":")[0].strip() in ("model name", "Model", "Hardware"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
