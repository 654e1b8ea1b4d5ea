"""Which cores of a phone to measure on, from the frequencies that it tells.

The cores of a phone come in clusters. A thread that wanders between them is measured on all of them at once, so the
tool is held on the fastest clusters that together have a core for every thread:

    core       0 1 2 3    4 5 6     7
    max GHz    1.8        2.8       3.2
               small      big       prime

    1 thread     7            mask 80
    2 to 4       4 5 6 7      mask f0
    5 to 8       all          mask ff

Nothing of this is a constant: other phones count from the big cores, or have two clusters, or one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tfold.errors import BadInputError


@dataclass(frozen=True)
class Core:
    """A core as the phone describes it; what it does not tell, or denies, is None. Frequencies in kHz."""

    number: int
    max_khz: int | None = None
    min_khz: int | None = None
    governor: str | None = None
    online: bool | None = None


@dataclass(frozen=True)
class CoreChoice:
    """The cores to run on, and why; no `numbers` is: wherever the phone likes."""

    numbers: tuple[int, ...]
    reason: str

    @property
    def mask(self) -> str | None:
        """What `taskset` takes, or None where the tool is not held anywhere."""
        return taskset_mask(self.numbers) if self.numbers else None


def big_cores(cores: Iterable[Core], count: int | None = None) -> CoreChoice:
    """The fastest clusters that together hold `count` cores.

    Args:
        cores: what `describe` has found; cores that are switched off are left out.
        count: of threads; None takes all clusters but the slowest.

    Returns:
        CoreChoice: without numbers where a core's frequency is not known, as then nothing is.

    Raises:
        BadInputError: a count below 1.

    Examples:
        phone = [Core(n, 1_800_000) for n in range(4)] + [Core(n, 2_800_000) for n in range(4, 8)]
        big_cores(phone, 4).mask        # "f0"
    """
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise BadInputError(f"A number of threads is at least 1. Received: {count!r}. Use 1 or more.")
    usable = [core for core in cores if core.online is not False]
    unknown = [core.number for core in usable if core.max_khz is None]
    if not usable or unknown:
        which = f"of core {', '.join(map(str, unknown))}" if unknown else "of any core"
        return CoreChoice((), f"the phone does not tell the highest frequency {which}, so that none are chosen")
    frequencies = sorted({core.max_khz for core in usable}, reverse=True)
    if count is None:
        taken = frequencies[: max(1, len(frequencies) - 1)]
    else:
        taken = frequencies
        for clusters in range(1, len(frequencies) + 1):
            if sum(core.max_khz >= frequencies[clusters - 1] for core in usable) >= count:
                taken = frequencies[:clusters]
                break
    numbers = tuple(sorted(core.number for core in usable if core.max_khz in taken))
    speeds = " and ".join(f"{khz / 1e6:.2f} GHz" for khz in taken)
    return CoreChoice(numbers, f"cores {', '.join(map(str, numbers))}: the fastest, {speeds}")


def taskset_mask(numbers: Sequence[int]) -> str:
    """The cores as the hexadecimal mask that `taskset` takes: bit n is core n.

    Raises:
        BadInputError: no core, or one below 0.

    Examples:
        taskset_mask([4, 5, 6, 7])      # "f0"
    """
    if not numbers or any(number < 0 for number in numbers):
        raise BadInputError(f"A mask is of at least one core, counted from 0. Received: {list(numbers)}. Name cores.")
    return f"{sum(1 << number for number in set(numbers)):x}"


def choose_cores(affinity: str, cores: Iterable[Core], threads: int) -> CoreChoice:
    """The cores that an option means.

    Args:
        affinity: "big" for `big_cores`, "none" for wherever the phone likes, or a mask like "f0".
        cores: what `describe` has found.
        threads: how many the tool will use.

    Raises:
        BadInputError: anything else, or a mask of cores that the phone does not have.
    """
    check_affinity(affinity)
    cores = list(cores)
    if affinity == "big":
        return big_cores(cores, threads)
    if affinity == "none":
        return CoreChoice((), "not held on any cores, as asked for")
    bits = int(affinity, 16)
    numbers = tuple(number for number in range(bits.bit_length()) if bits >> number & 1)
    there = {core.number for core in cores if core.online is not False}
    if cores and not set(numbers) <= there:
        raise BadInputError(
            f"A mask is of cores that the phone has switched on: {_listed(there)}. Received: {affinity}, which is "
            f"{_listed(numbers)}. Leave some out, or use big."
        )
    return CoreChoice(numbers, f"cores {_listed(numbers)}, as asked for")


def check_affinity(affinity: str) -> None:
    """Raises `BadInputError` for what is neither "big" nor "none" nor a mask."""
    is_mask = isinstance(affinity, str) and re.fullmatch(r"(0x)?[0-9a-fA-F]{1,64}", affinity) and int(affinity, 16)
    if affinity not in ("big", "none") and not is_mask:
        raise BadInputError(f"An affinity is big, none, or a hexadecimal mask of cores. Received: {affinity!r}. "
                            "Write f0 for cores 4 to 7.")


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
