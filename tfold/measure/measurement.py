"""What was measured of one model on one runtime."""

from __future__ import annotations

from dataclasses import dataclass

from tfold.measure import statistics


@dataclass(frozen=True)
class Measurement:
    """The latencies of one .tflite file.

    Attributes:
        model: the file, as it was given.
        runtime: which runtime ran it, a key of `RUNTIMES`.
        runtime_version: its version.
        threads: how many threads it was given.
        blocks: the samples in milliseconds, one tuple a block, in the order they were measured; each block ran in a
            process of its own.
        inferences_per_sample: 1, or more where single inferences are so short (below 50 µs) that reading the clock
            around each would show in the result; a sample is then the mean of that many inferences in a row.
        warmup_runs: inferences before the timed ones, thrown away, over all blocks.
    """

    model: str
    runtime: str
    runtime_version: str
    threads: int
    blocks: tuple[tuple[float, ...], ...]
    inferences_per_sample: int = 1
    warmup_runs: int = 0

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """Every timed sample of every block, in milliseconds."""
        return tuple(sample for block in self.blocks for sample in block)

    @property
    def median_ms(self) -> float:
        """The median of all samples, in milliseconds."""
        return statistics.median(self.samples_ms)

    @property
    def p90_ms(self) -> float:
        """The 90th percentile of all samples, in milliseconds."""
        return statistics.p90(self.samples_ms)

    @property
    def spread(self) -> float:
        """The interquartile range of all samples ÷ their median, without unit."""
        return statistics.spread(self.samples_ms)

    @property
    def runs(self) -> int:
        """How many inferences were timed."""
        return len(self.samples_ms) * self.inferences_per_sample

    def to_json(self) -> dict:
        """Summary and blocks, ready for `json.dumps`; of a block the median and the number of samples are kept."""
        return {
            "model": self.model,
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "spread": self.spread,
            "runs": self.runs,
            "inferences_per_sample": self.inferences_per_sample,
            "warmup_runs": self.warmup_runs,
            "blocks": [{"median_ms": statistics.median(block), "samples": len(block)} for block in self.blocks],
        }
