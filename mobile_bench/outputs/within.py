"""Whether an output agrees with itself: the numbers that its end repeats.

    count=1 curr=6692 …             ──┬─────────────────────────┐
    count=50 … avg=6561.96 …        ──┼─────────────────────────┼───────────────────┐
    Initialized session in 12.025ms.  │                         │                   │
                             │        │                         │                   │
    … in us: Init: 12025, First inference: 6692, Warmup (avg): 6692, Inference (avg): 6561.96
"""

from __future__ import annotations

from collections.abc import Mapping

from mobile_bench.outputs.errors import OutputError
from mobile_bench.outputs.numbers import as_streamed, stream_rounding
from mobile_bench.outputs.stats import Stats
from mobile_bench.outputs.summary import Summary


def check_summary(summary: Summary, warmup: Stats | None, inference: Stats, facts: Mapping) -> None:
    """Raises `OutputError` where the last line tells other numbers than the lines before it.

    Args:
        summary: the last line.
        warmup, inference: the two series; `warmup` is None where only the last line is there.
        facts: see `collect_facts`.
    """
    if warmup is not None:
        # Without a warm-up the last line says 0, or nan, for what there is not.
        same("First inference", summary.first_us, warmup.first_us if warmup.count else 0)
        same("Warmup (avg)", summary.warmup_avg_us, _printed(warmup.avg_us if warmup.count else 0.0))
        same("Inference (avg)", summary.inference_avg_us, _printed(inference.avg_us))
    if "session_ms" in facts:
        same("Init (ms)", as_streamed(summary.init_us / 1000), facts["session_ms"])
    if summary.init_us == 0:
        raise OutputError("Loading a model takes some time. Received: Init: 0. The output is damaged: measure again.")
    if summary.memory_overall_mb is not None:
        same("overall memory", summary.memory_overall_mb, facts.get("memory_overall_mb"))


def check_litert(results: Mapping[str, float], warmup: Stats, inference: Stats, facts: Mapping) -> None:
    """Raises `OutputError` where LiteRT's block tells other numbers than the lines before it; see `check_summary`."""
    same("the number of warm-up runs", results["warmup_runs"], warmup.count)
    same("the number of runs", results["runs"], inference.count)
    close("Warmup (first)", results["first_ms"], warmup.first_us)
    close("Warmup (avg)", results["warmup_avg_ms"], warmup.avg_us)
    for name in ("avg", "min", "max", "std"):
        close(f"Inference ({name})", results.get(f"{name}_ms"), getattr(inference, f"{name}_us"))
    if "session_ms" in facts:
        close("Model initialization", results["init_ms"], facts["session_ms"] * 1000)


def same(what: str, told: float | None, elsewhere: float | None) -> None:
    """Raises `OutputError` unless both are the same number, or one of them is not told."""
    if None not in (told, elsewhere) and told != elsewhere:
        raise _disagree(what, told, elsewhere)


def close(what: str, told_ms: float | None, elsewhere_us: float | None) -> None:
    """Raises `OutputError` unless both may be the same: `told_ms` with two decimals, `elsewhere_us` with six digits."""
    if told_ms is None or elsewhere_us is None:
        return
    if abs(told_ms * 1000 - elsewhere_us) > 5 + stream_rounding(elsewhere_us) + 1e-6:
        raise _disagree(what, told_ms * 1000, elsewhere_us)


def _printed(average: float | None) -> float | None:
    return None if average is None else as_streamed(average)


def _disagree(what: str, told: float, elsewhere: float) -> OutputError:
    return OutputError(
        f"What an output tells twice must be the same. Received: {what} as {told:g} and as {elsewhere:g}. "
        "The output is damaged, or of several runs: measure again."
    )
