"""benchmark_model's printing once more, from samples: what the readers must get back, whatever the numbers.

Follows tsl::Stat and tsl::StatsCalculator, integer divisions, 32-bit floats and six digits included.
"""

import math

import numpy as np

HEADS = {
    "text": ("[node type]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]", "[times called]", "[Name]"),
    "csv": ("node type", "first", "avg_ms", "%", "cdf%", "mem KB", "times called", "name"),
}
SUMMARY_HEADS = {
    "text": ("[Node type]", "[count]", "[avg ms]", "[avg %]", "[cdf %]", "[mem KB]", "[times called]"),
    "csv": ("node type", "count", "avg_ms", "avg %", "cdf %", "mem KB", "times called"),
}


def streamed(value):
    return f"{value:.6g}"


def deviation(samples):
    mean = sum(samples) / len(samples)
    return int(math.sqrt(max(0.0, sum(float(x) * x for x in samples) / len(samples) - mean * mean)))


def percentile(samples, q):
    return sorted(samples)[min(len(samples) - 1, int(q / 100 * len(samples)))]


def stats(samples, percentiles=True):
    """The line with count=."""
    if not samples:
        return "count=0"
    line = f"count={len(samples)}"
    if min(samples) == max(samples):
        line += f" curr={samples[-1]}" + ("(all same)" if len(samples) > 1 else "")
    else:
        line += (f" first={samples[0]} curr={samples[-1]} min={min(samples)} max={max(samples)} "
                 f"avg={streamed(sum(samples) / len(samples))} std={deviation(samples)}")
    if percentiles:
        line += "".join(f" {name}={percentile(samples, q)}" for name, q in (("p5", 5), ("median", 50), ("p95", 95)))
    return line


def announced(count):
    return (f"Running benchmark for at least {count} iterations and at least 0 seconds but terminate if exceeding "
            "150 seconds.")


def run(warmup, samples, init_us=12025, percentiles=True, prefix="INFO: "):
    """The log of a run with --min_secs=0 --warmup_min_secs=0."""
    average = [streamed(sum(series) / len(series)) if series else "0" for series in (warmup, samples)]
    lines = [
        "STARTING!", "Num threads: [4]", "Graph: [/data/local/tmp/m.tflite]", "Loaded model /data/local/tmp/m.tflite",
        f"Initialized session in {streamed(init_us / 1e3)}ms.",
        announced(len(warmup)), stats(warmup, percentiles) + "\n",
        announced(len(samples)), stats(samples, percentiles) + "\n",
        f"Inference timings in us: Init: {init_us}, First inference: {warmup[0] if warmup else 0}, "
        f"Warmup (avg): {average[0]}, Inference (avg): {average[1]}",
        "Memory footprint delta from the start of the tool (MB): init=37.0586 overall=38.5586",
    ]
    return "".join(f"{prefix}{line}\n" for line in lines)


def litert_results(warmup, samples, init_us=12025):
    """What benchmark_litert_model prints where benchmark_model prints "Inference timings in us"."""

    def row(title, value, after=" ms"):
        return f"INFO: [litert/tools/benchmark_litert_model.h:69] {title + ':':<21} {value / 1000:.2f}{after}\n"

    return (
        "INFO: [litert/tools/benchmark_litert_model.h:60] \n" + "=" * 10 + " BENCHMARK RESULTS " + "=" * 10 + "\n"
        + row("Model initialization", init_us) + row("Warmup (first)", warmup[0])
        + row("Warmup (avg)", sum(warmup) / len(warmup), f" ms ({len(warmup)} runs)")
        + row("Inference (avg)", sum(samples) / len(samples), f" ms ({len(samples)} runs)")
        + row("Inference (min)", min(samples)) + row("Inference (max)", max(samples))
        + row("Inference (std)", deviation(samples), "") + row("Throughput", 87507.2, " MB/s")
        + "INFO: [litert/tools/benchmark_litert_model.h:110] \nMemory Usage:\n"
        + row("Init footprint", 37058.6, " MB") + row("Overall footprint", 38558.6, " MB")
        + row("Peak memory", 44996.1, " MB")
        + "INFO: [litert/tools/benchmark_litert_model.h:128] " + "=" * 38 + "\n\n"
    )


def cells(values, form, name=None):
    """A row. Values are (number, is a share, is a count) or text."""
    shown = []
    for value in values:
        if isinstance(value, str):
            shown.append(value)
        elif isinstance(value, int):
            shown.append(str(value))
        else:
            number, share = value
            shown.append((f"{number:.3f}" if form == "text" else streamed(number)) + ("%" if share else ""))
    if name is not None:
        shown.append(name.replace(",", "\t") if form == "csv" else name)
    if form == "csv":
        return ", ".join(shown)
    return "".join(f"\t{cell:>9}" for cell in shown)


def report(ops, runs, form):
    """The tables of a graph.

    Args:
        ops: (kind, name, microseconds: a list for each run of one for each call, KB) of each op.
    """
    totals = [sum(sum(times[run]) for _, _, times, _ in ops) for run in range(runs)]
    whole = sum(totals)

    def table(title, chosen):
        lines, cumulated = [f"{'=' * 30} {title} {'=' * 30}", cells(HEADS[form], form)], 0
        for kind, name, times, memory in chosen:
            calls = [time for each in times for time in each]
            spent = sum(calls)
            cumulated += spent
            share_so_far = np.float32(np.float32(cumulated) * np.float32(100)) / np.float32(whole)
            lines.append(cells((
                kind, (calls[0] / 1000, False), (spent / len(calls) / 1000, False), (spent * 100 / whole, True),
                (float(share_so_far), True), (float(memory), False), len(calls) // runs), form, name))
        return [*lines, ""]

    by_time = sorted(ops, key=lambda op: -sum(map(sum, op[2])) / len([t for each in op[2] for t in each]))
    lines = table("Run Order", ops) + table("Top by Computation Time", by_time[:10])
    lines += [f"Number of nodes executed: {len(ops)}", f"{'=' * 30} Summary by node type {'=' * 30}",
              cells(SUMMARY_HEADS[form], form)]
    kinds = {}
    for kind, _, times, memory in ops:
        count, spent, kb, called = kinds.get(kind, (0, 0, 0, 0))
        calls = sum(map(len, times))
        kinds[kind] = count + 1, spent + sum(map(sum, times)) // runs, kb + memory, called + calls // runs
    accumulated, cumulated = sum(spent for _, spent, _, _ in kinds.values()), np.float32(0)
    for kind, (count, spent, kb, called) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        share = np.float32(spent) / np.float32(accumulated) * np.float32(100)
        cumulated = np.float32(cumulated + share)
        lines.append(cells((kind, count, (spent / 1000, False), (float(share), True), (float(cumulated), True),
                            (float(kb), False), called), form))
    lines += ["", f"Timings (microseconds): {stats(totals, percentiles=False)}", "Memory (bytes): count=0",
              f"{len(ops)} nodes observed", "", ""]
    return "\n".join(lines) + "\n"


def profile(ops, runs, form, prefix="INFO: "):
    return (f"{prefix}Profiling Info for Benchmark Initialization:\n"
            + report([("AllocateTensors", "AllocateTensors/0", [[108]], 64)], 1, form)
            + f"{prefix}Operator-wise Profiling Info for Regular Benchmark Runs:\n" + report(ops, runs, form))
