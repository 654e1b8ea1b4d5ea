"""What a comparison found, on this machine or on phones, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfold.measure.measurement import HOST, Measurement
from tfold.measure.statistics import Ratio


@dataclass(frozen=True)
class Comparison:
    """Models measured in turns on one device, by one runtime, with one number of threads.

    Attributes:
        measurements: one for each model.
        ratio: for exactly two models, the second ÷ the first; else None.
        self_check: the first model measured twice, in the same turns; None where it was not asked for.
        discarded: reason → how many blocks were thrown away for it.
        notes: what people should know about this device's numbers, one sentence each.
    """

    measurements: tuple[Measurement, ...]
    ratio: Ratio | None = None
    self_check: Ratio | None = None
    discarded: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        return self.measurements[0].device

    @property
    def runtime(self) -> str:
        return self.measurements[0].runtime

    @property
    def threads(self) -> int:
        return self.measurements[0].threads

    @property
    def verdict(self) -> str | None:
        """`"faster"` or `"slower"` (the second model), `"no difference shown"`, `"disturbed"`; None without ratio.

        Disturbed: the machine has told a model from itself, so that it may have told two models apart as wrongly.
        Only where the whole interval is beyond what the self-check shows, the difference stands all the same.
        """
        if self.ratio is None:
            return None
        if not self.ratio.differs:
            return "no difference shown"
        if self.self_check and self.self_check.differs:
            reach, nearest = 1 + self.self_check.resolution, max(self.ratio.low, 1 / self.ratio.high)
            if nearest <= reach:
                return "disturbed"
        return "faster" if self.ratio.value < 1 else "slower"

    def to_json(self) -> dict | None:
        """The ratio with all that belongs to it; None without one."""
        if self.ratio is None:
            return None
        return {
            "device": self.device,
            "runtime": self.runtime,
            "threads": self.threads,
            **self.ratio.to_json(),
            "verdict": self.verdict,
            "self_check": self.self_check and {**self.self_check.to_json(), "resolution": self.self_check.resolution},
            "discarded": self.discarded,
        }


@dataclass(frozen=True)
class BenchResult:
    """What a benchmark found.

    Attributes:
        comparisons: one for each device, runtime and number of threads, in this order.
        machine: the computer that it ran on or from, see `describe_machine`.
        unable: asked for all runtimes, those that cannot run the models, and why.
        devices: phone's serial → what it is and in which state it was measured; empty on the host.
        failed: phone's serial → why it has no result, where others have one.
    """

    comparisons: tuple[Comparison, ...]
    machine: dict
    unable: dict = field(default_factory=dict)
    devices: dict[str, dict] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """One for each device, runtime, number of threads and model, in this order."""
        return tuple(measurement for comparison in self.comparisons for measurement in comparison.measurements)

    @property
    def ratios(self) -> dict[tuple[str, int], Ratio]:
        """For exactly two models, the second ÷ the first by (runtime or phone's serial, threads); empty otherwise."""
        return {(_place(each), each.threads): each.ratio for each in self.comparisons if each.ratio}

    @property
    def ratio(self) -> Ratio | None:
        """The ratio of the first comparison; None unless there are two models."""
        return next(iter(self.ratios.values()), None)

    def to_json(self) -> dict:
        """Everything, ready for `json.dumps`.

        `ratio` has one entry for each runtime (on phones: for each serial), at the first number of threads; `ratios`
        lists every comparison.
        """
        document = {
            "version": 1,
            "kind": "bench",
            "machine": self.machine,
            "results": [measurement.to_json() for measurement in self.measurements],
        }
        document |= {name: value for name in ("unable", "devices", "failed") if (value := getattr(self, name))}
        if self.ratios:
            compared = [each for each in self.comparisons if each.ratio]
            document["ratio"] = {_place(each): each.to_json() for each in reversed(compared)}
            document["ratios"] = [each.to_json() for each in compared]
        discarded = sum(sum(each.discarded.values()) for each in self.comparisons)
        return {**document, "discarded_blocks": discarded}


def _place(comparison: Comparison) -> str:
    return comparison.runtime if comparison.device == HOST else comparison.device
