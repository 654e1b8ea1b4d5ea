"""One block: a run of inferences in a process of its own, and what is known of their latencies.

Some tools tell every latency, some only a summary of them, and old ones not even the median:

    host worker             samples 2.1 2.0 2.0 …      median of the samples
    benchmark_model, 2024+  median= p5= p95= avg= …    median
    benchmark_model, older  min= max= avg=             mean
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tfold.measure import statistics

MEDIAN, MEAN = "median", "mean"


@dataclass(frozen=True)
class Block:
    """One block; all latencies in milliseconds, of a single inference.

    Attributes:
        value_ms: what stands for the block in a comparison: the median, or the mean where no median is known.
        runs: how many inferences were timed.
        statistic: `"median"` or `"mean"`: which of them `value_ms` is.
        samples_ms: every timed sample, where the tool tells them; else empty.
        inferences_per_sample: of how many inferences in a row a sample is the mean.
        warmup_runs: inferences before the timed ones.
        mean_ms, std_ms, min_ms, max_ms, p5_ms, p95_ms: from the tool's summary, None where it tells none.
    """

    value_ms: float
    runs: int
    statistic: str = MEDIAN
    samples_ms: tuple[float, ...] = ()
    inferences_per_sample: int = 1
    warmup_runs: int = 0
    mean_ms: float | None = None
    std_ms: float | None = None
    min_ms: float | None = None
    max_ms: float | None = None
    p5_ms: float | None = None
    p95_ms: float | None = None

    @classmethod
    def of(cls, samples_ms: Sequence[float], inferences_per_sample: int = 1, warmup_runs: int = 0) -> Block:
        """A block whose every sample is known.

        Examples:
            Block.of([2.1, 2.0, 2.3]).value_ms      # 2.1
        """
        samples = tuple(map(float, samples_ms))
        return cls(
            value_ms=statistics.median(samples),
            runs=len(samples) * inferences_per_sample,
            samples_ms=samples,
            inferences_per_sample=inferences_per_sample,
            warmup_runs=warmup_runs,
        )

    def to_json(self) -> dict:
        """What is known, ready for `json.dumps`; `from_json` takes it back."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    @classmethod
    def from_json(cls, document: dict) -> Block:
        """The block that `to_json` has written."""
        return cls(**{**document, "samples_ms": tuple(document.get("samples_ms", ()))})
