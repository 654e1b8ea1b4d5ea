"""What one run of the tool has told: the numbers, and the circumstances in which they were taken."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mobile_bench.outputs.stats import Stats
from tfold.measure.block import MEAN, MEDIAN, Block


@dataclass(frozen=True)
class RunOutput:
    """One run of `benchmark_model`, `benchmark_litert_model` or the benchmark app; None where it does not tell.

    Attributes:
        inference: the measured inferences; of the app sometimes no more than `avg_us` is known.
        warmup: those before them.
        init_us: loading the model and preparing it, in microseconds.
        first_us: the very first inference, of the warm-up.
        memory_init_mb, memory_overall_mb: by how much the memory in use grew until the model was loaded, until the end.
        memory_peak_mb: the most memory in use, where the tool was asked to watch it.
        model_size_mb: of the file, in 10⁶ bytes.
        threads: how many the tool says it takes; None also where it leaves that to the runtime.
        graph: the path of the model.
        warnings: what the tool warned of, and errors in spite of which it went on, a line each.
        unconsumed_flags: flags that this build does not know and has ignored.
        delegation: (name, "complete", "partial" or "none", kernels or None) of each delegate that was asked for.
        created: delegates that were created, such as "XNNPACK", whatever part of the model they run.
        unsupported: accelerators that were asked for and that this build or platform lacks, such as "GPU".
    """

    inference: Stats
    warmup: Stats | None = None
    init_us: int | None = None
    first_us: int | None = None
    memory_init_mb: float | None = None
    memory_overall_mb: float | None = None
    memory_peak_mb: float | None = None
    model_size_mb: float | None = None
    threads: int | None = None
    graph: str | None = None
    warnings: tuple[str, ...] = ()
    unconsumed_flags: tuple[str, ...] = ()
    delegation: tuple[tuple[str, str, int | None], ...] = ()
    created: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()

    def block(self) -> Block:
        """The run as a block of a comparison, in milliseconds.

        The median stands for the block where the tool tells one, else the mean. `runs` is 0 where the tool does not
        tell how many inferences there were, as the app's log of one line does not.

        Examples:
            parse_run(stdout).block().value_ms      # 6.392
        """
        measured = self.inference
        return Block(
            value_ms=_ms(measured.avg_us if measured.median_us is None else measured.median_us),
            runs=measured.count or 0,
            statistic=MEAN if measured.median_us is None else MEDIAN,
            warmup_runs=(self.warmup.count or 0) if self.warmup else 0,
            mean_ms=_ms(measured.avg_us),
            std_ms=_ms(measured.std_us),
            min_ms=_ms(measured.min_us),
            max_ms=_ms(measured.max_us),
            p5_ms=_ms(measured.p5_us),
            p95_ms=_ms(measured.p95_us),
        )

    def to_json(self) -> dict:
        """What is told, ready for `json.dumps`."""
        told = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        told["inference"] = self.inference.to_json()
        if self.warmup is not None:
            told["warmup"] = self.warmup.to_json()
        return told


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1000
