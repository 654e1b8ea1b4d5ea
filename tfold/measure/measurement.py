"""What was measured of one model: on this machine or a phone, by one runtime, with one number of threads."""

from __future__ import annotations

from dataclasses import dataclass

from tfold.measure import statistics
from tfold.measure.block import MEDIAN, Block

HOST = "host"


@dataclass(frozen=True)
class Measurement:
    """The latencies of one .tflite file.

    Attributes:
        model: the file, as it was given.
        runtime: what ran it: a key of `RUNTIMES`, or a phone's benchmark tool.
        runtime_version: its version.
        threads: how many threads it was given.
        blocks: in the order they were measured; each ran in a process of its own.
        device: `"host"`, or a phone's serial.
    """

    model: str
    runtime: str
    runtime_version: str
    threads: int
    blocks: tuple[Block, ...]
    device: str = HOST

    @property
    def values(self) -> tuple[tuple[float], ...]:
        """What stands for each block, in milliseconds, as `bootstrap_ratio` takes it."""
        return tuple((block.value_ms,) for block in self.blocks)

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """Every timed sample of every block, in milliseconds; empty where the tool tells only summaries."""
        return tuple(sample for block in self.blocks for sample in block.samples_ms)

    @property
    def median_ms(self) -> float:
        """The median of all samples, or of the blocks' values where samples are not told, in milliseconds."""
        return statistics.median(self.samples_ms or [block.value_ms for block in self.blocks])

    @property
    def p90_ms(self) -> float | None:
        """The 90th percentile of all samples, in milliseconds; None where samples are not told."""
        return statistics.p90(self.samples_ms) if self.samples_ms else None

    @property
    def spread(self) -> float:
        """The interquartile range ÷ the median, of all samples or of the blocks' values, without unit."""
        return statistics.spread(self.samples_ms or [block.value_ms for block in self.blocks])

    @property
    def runs(self) -> int:
        """How many inferences were timed."""
        return sum(block.runs for block in self.blocks)

    @property
    def statistic(self) -> str:
        """What stands for a block: `"median"`, or `"mean"` as soon as one block's tool tells no median."""
        return next((block.statistic for block in self.blocks if block.statistic != MEDIAN), MEDIAN)

    def to_json(self) -> dict:
        """Summary and blocks, ready for `json.dumps`; of a block its value and the number of inferences are kept."""
        return {
            "device": self.device,
            "model": self.model,
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "spread": self.spread,
            "runs": self.runs,
            "inferences_per_sample": max(block.inferences_per_sample for block in self.blocks),
            "warmup_runs": sum(block.warmup_runs for block in self.blocks),
            "blocks": [{f"{block.statistic}_ms": block.value_ms, "runs": block.runs} for block in self.blocks],
        }
