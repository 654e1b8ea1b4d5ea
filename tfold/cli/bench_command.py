"""`tfold bench A.tflite [B.tflite …]`"""
import os
from pathlib import Path

import click

from tfold.cli import common

WIDEST_NAME = 48


class ThreadCounts(click.ParamType):
    """1 or 1,2,4"""

    name = "N[,N…]"

    def convert(self, value, param, context):
        try:
            return [int(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"Whole numbers with commas between them. Received: {value!r}. Use 1 or 1,2,4.", param, context)


def _check_runtime(context, param, value):
    from tfold.measure.runtimes import RUNTIMES

    if value != "all" and value not in RUNTIMES:
        raise click.BadParameter(f"One of {', '.join(RUNTIMES)}, or all. Received: {value!r}.")
    return value


@click.command("bench")
@click.argument("models", type=click.Path(), nargs=-1, required=True)
@click.option("--runtime", default="litert", show_default=True, callback=_check_runtime,
              help="litert, tflite-runtime, or all that are found.")
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, help="How many; several as 1,2,4.")
@click.option("--blocks", default=20, show_default=True, help="Blocks of inferences for each model, taken in turns.")
@click.option("--runs", default=10, show_default=True, help="Least number of timed inferences in a block.")
@click.option("--min-time", default=0.05, show_default=True, help="Least duration of a block, seconds.")
@click.option("--warmup", default=0.05, show_default=True, help="Warm-up before each block, seconds.")
@click.option("--max-seconds", default=60.0, show_default=True, help="Limit for each runtime and number of threads.")
@common.json_option
@common.reported
def bench_command(models, runtime, threads, blocks, runs, min_time, warmup, max_seconds, as_json):
    """Measure .tflite files on this machine, in turns, each block in a fresh process. Writes nothing.

    Two models are also compared: the ratio of their latencies, second ÷ first, with its 95 % interval.
    """
    from tfold.cli.progress import bench_progress
    from tfold.measure import bench

    with bench_progress() as progress:
        result = bench(
            models, runtime, threads, blocks=blocks, runs=runs, min_time=min_time, warmup=warmup,
            max_seconds=max_seconds, progress=progress,
        )
    common.write_json("bench", result.to_json())
    models = [str(Path(model)) for model in models]  # as the result calls them
    names = _names(models)
    width = max(map(len, (*names.values(), "model")))
    common.say(f"{'model':<{width}}  {'runtime':<14} {'threads':>7} {'median':>10} {'p90':>10} {'spread':>7}", as_json)
    for m in result.measurements:
        common.say(
            f"{names[m.model]:<{width}}  {m.runtime:<14} {m.threads:>7} {_time(m.median_ms):>10} {_time(m.p90_ms):>10} "
            f"{m.spread:>7.1%}",
            as_json,
        )
    for name, why in result.unable.items():
        common.say(f"{name} is left out: {why}", as_json)
    for (name, count), ratio in result.ratios.items():
        shown = "" if ratio.differs else ", no difference shown"
        common.say(
            f"{names[models[1]]} ÷ {names[models[0]]} on {name}, {count} thread{'s' * (count > 1)}: "
            f"{ratio} at {ratio.confidence:.0%}{shown}",
            as_json,
        )
    way = "keep the numbers with --json > bench.json" if len(models) == 2 else "give two models to compare them"
    common.say(f"nothing written; next: {way}", as_json)


def _names(paths):
    """Path → what the table calls it: the file's name where that tells the files apart."""
    names = {path: os.path.basename(path) for path in paths}
    if len(set(names.values())) < len(names):
        names = {path: path for path in paths}
    shortened = {
        path: name if len(name) <= WIDEST_NAME else f"…{name[1 - WIDEST_NAME:]}" for path, name in names.items()
    }
    return shortened if len(set(shortened.values())) == len(shortened) else names


def _time(milliseconds):
    """Three or four digits, in the unit that people would choose."""
    if milliseconds < 0.1:
        return f"{1000 * milliseconds:.2f} µs"
    return f"{milliseconds:.3f} ms" if milliseconds < 10 else f"{milliseconds:.1f} ms"
