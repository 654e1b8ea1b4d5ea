"""What a comparison found, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfold.measure.measurement import Measurement
from tfold.measure.statistics import Ratio


@dataclass(frozen=True)
class BenchResult:
    """What `bench` found.

    Attributes:
        measurements: one for each runtime, number of threads and model, in this order.
        ratios: for exactly two models, the second ÷ the first by (runtime, threads); empty otherwise.
        machine: where it was measured, see `describe_machine`.
        unable: asked for all runtimes, those that cannot run the models, and why.
    """

    measurements: tuple[Measurement, ...]
    ratios: dict[tuple[str, int], Ratio]
    machine: dict
    unable: dict = field(default_factory=dict)

    @property
    def ratio(self) -> Ratio | None:
        """The ratio on the first runtime with the first number of threads; None unless there are two models."""
        return next(iter(self.ratios.values()), None)

    def to_json(self) -> dict:
        """Everything, ready for `json.dumps`.

        `ratio` has one entry for each runtime, at the first number of threads; `ratios` lists every combination.
        """
        ratios = [{"runtime": r, "threads": t, **ratio.to_json()} for (r, t), ratio in self.ratios.items()]
        document = {
            "version": 1,
            "kind": "bench",
            "machine": self.machine,
            "results": [measurement.to_json() for measurement in self.measurements],
        }
        if self.unable:
            document["unable"] = self.unable
        if ratios:
            document["ratio"] = {ratio["runtime"]: ratio for ratio in reversed(ratios)}
            document["ratios"] = ratios
        return document
