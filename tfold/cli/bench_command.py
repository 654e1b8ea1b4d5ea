"""`tfold bench A.tflite [B.tflite …]`"""
import click

from tfold.cli import common


@click.command("bench")
@click.argument("models", type=click.Path(), nargs=-1, required=True)
@click.option("--runtime", default="litert", show_default=True, help="litert, tflite-runtime, or all that are found.")
@click.option("--threads", default="1", show_default=True, help="How many threads; several as 1,2,4.")
@click.option("--blocks", default=20, show_default=True, help="Blocks of inferences for each model, taken in turns.")
@click.option("--runs", default=10, show_default=True, help="Least number of timed inferences in a block.")
@click.option("--min-time", default=0.05, show_default=True, help="Least duration of a block, seconds.")
@click.option("--warmup", default=0.05, show_default=True, help="Warm-up before each block, seconds.")
@click.option("--max-seconds", default=60.0, show_default=True, help="Limit for each runtime and number of threads.")
@common.json_option
@common.reported
def bench_command(models, runtime, threads, blocks, runs, min_time, warmup, max_seconds, as_json):
    """Measure .tflite files on this machine, in turns, each block in a fresh process.

    For two models the last line is the ratio of their latencies, second ÷ first, with a 95 % interval.
    """
    from tfold.cli.progress import bench_progress
    from tfold.measure import bench

    counts = _numbers(threads)
    with bench_progress() as progress:
        result = bench(
            models, runtime, counts, blocks=blocks, runs=runs, min_time=min_time, warmup=warmup,
            max_seconds=max_seconds, progress=progress,
        )
    if as_json:
        common.write_json("bench", result.to_json())
    common.say(f"{'model':<32} {'runtime':<16} {'threads':>7} {'median':>10} {'p90':>10} {'spread':>7}", as_json)
    for m in result.measurements:
        common.say(
            f"{m.model:<32} {m.runtime:<16} {m.threads:>7} {_ms(m.median_ms):>10} {_ms(m.p90_ms):>10} {m.spread:>7.1%}",
            as_json,
        )
    for (name, count), ratio in result.ratios.items():
        common.say(f"{models[1]} ÷ {models[0]} on {name}, {count} thread(s): {ratio}", as_json)
    if not result.ratios:
        common.say("nothing written; next: give two models to compare them", as_json)


def _numbers(text):
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"whole numbers with commas between them. Received: {text!r}", param_hint="--threads") \
            from None


def _ms(value):
    return f"{value:.3f} ms" if value < 10 else f"{value:.1f} ms"
