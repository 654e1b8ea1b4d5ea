"""`tfold bench A.tflite [B.tflite …]`"""
import click

from tfold.cli import common


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
@click.option("--self-check/--no-self-check", default=True, show_default=True,
              help="Of two models, measure the first one twice a round: how small a difference shows here?")
@click.option("--record", type=click.Path(), help="Keep the raw blocks in this .jsonl; go on with it if it is there.")
@common.json_option
@common.reported
def bench_command(models, runtime, threads, blocks, runs, min_time, warmup, max_seconds, self_check, record, as_json):
    """Measure .tflite files on this machine, in turns, each block in a fresh process.

    Two models are also compared: the ratio of their latencies, second ÷ first, with its 95 % interval. Nothing is
    written but what --record asks for.
    """
    from tfold.cli.progress import bench_progress
    from tfold.measure import bench
    from tfold.measure.table import table

    with bench_progress() as progress:
        result = bench(
            models, runtime, threads, blocks=blocks, runs=runs, min_time=min_time, warmup=warmup,
            max_seconds=max_seconds, self_check=self_check, record=record, progress=progress,
        )
    common.write_json("bench", result.to_json())
    for line in table(result):
        common.say(line, as_json)
    written = f"raw blocks are in {record}" if record else "nothing written"
    way = "keep the numbers with --json > bench.json" if len(models) == 2 else "give two models to compare them"
    common.say(f"{written}; next: {way}", as_json)
