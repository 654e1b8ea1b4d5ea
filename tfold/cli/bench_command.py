"""`tfold bench A.tflite [B.tflite …] [--android [SERIAL …]]`"""
import click

from mobile_bench.options import NAMES as PHONE_OPTIONS
from mobile_bench.options import phone_options, settings_of
from tfold.cli import common
from tfold.cli.android_option import AndroidCommand
from tfold.cli.given import refuse
from tfold.errors import TfoldError

# What each place is measured by, unless an option says otherwise: starting the tool on a phone takes longer.
HOST_DEFAULTS = {"runs": 10, "min_time": 0.05, "warmup": 0.05, "max_seconds": 60.0}
PHONE_DEFAULTS = {"runs": 50, "min_time": 0.5, "warmup": 0.5, "max_seconds": 900.0}


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


def _default(name):
    return f"  [default: {HOST_DEFAULTS[name]:g}; on phones {PHONE_DEFAULTS[name]:g}]"


@click.command("bench", cls=AndroidCommand)
@click.argument("models", type=click.Path(), nargs=-1, required=True)
@click.option("--runtime", default="litert", show_default=True, callback=_check_runtime,
              help="litert, tflite-runtime, or all that are found.")
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, help="How many; several as 1,2,4.")
@click.option("--blocks", default=20, show_default=True, help="Blocks of inferences for each model, taken in turns.")
@click.option("--runs", type=int, help=f"Least number of timed inferences in a block.{_default('runs')}")
@click.option("--min-time", type=float, help=f"Least duration of a block, seconds.{_default('min_time')}")
@click.option("--warmup", type=float, help=f"Warm-up before each block, seconds.{_default('warmup')}")
@click.option("--max-seconds", type=float,
              help=f"Limit for each runtime, phone and number of threads.{_default('max_seconds')}")
@click.option("--self-check/--no-self-check", default=True, show_default=True,
              help="Of two models, measure the first one twice a round: how small a difference shows here?")
@click.option("--record", type=click.Path(), help="Keep the raw blocks in this .jsonl; go on with it if it is there.")
@click.option("--profile", is_flag=True, help="Also tell the time of every op; of two models, aligned by layer.")
@click.option("--android", metavar="[SERIAL …]",
              help="On phones over adb instead: the only one, those with these serials, or all.")
@phone_options
@common.json_option
@common.reported
def bench_command(models, runtime, threads, android, record, profile, as_json, **given):
    """Measure .tflite files on this machine or on phones, in turns, each block in a fresh process.

    Two models are also compared: the ratio of their latencies, second ÷ first, with its 95 % interval. Nothing is
    written but what --record asks for.
    """
    from tfold.measure.table import table

    defaults = HOST_DEFAULTS if android is None else PHONE_DEFAULTS
    how = {name: default if given[name] is None else given[name] for name, default in defaults.items()}
    how |= {"blocks": given["blocks"], "self_check": given["self_check"], "record": record}
    if android is None:
        refuse(PHONE_OPTIONS, "--android, which is not given")
        result = _on_host(models, runtime, threads, how)
    else:
        refuse(("runtime",), "this machine, not --android")
        serials, settings = [serial for serial in android.split(",") if serial], settings_of(given)
        if profile and settings.app:
            raise click.UsageError("--profile is for the tool, not for the app. Leave --profile out, or the app.")
        result = _on_phones(models, serials, threads, settings, how)
    for line in table(result):
        common.say(line, as_json)
    document = result.to_json()
    unprofiled = False
    if profile:
        from tfold.cli.op_profile import profile_host, profile_phones

        try:
            if android is None:
                told = profile_host(models, {m.runtime for m in result.measurements}, threads[0], as_json)
            else:
                told = profile_phones(models, list(result.devices), threads[0], settings, as_json)
        except TfoldError as error:  # what was measured before is worth having all the same
            told, unprofiled = {"error": str(error)}, True
            common.say(f"no times of ops: {error}", as_json)
        document["profile"] = told
    common.write_json("bench", document)
    written = f"raw blocks are in {record}" if record else "nothing written"
    way = "give two models to compare them" if len(models) != 2 else "look at ops with --profile" if as_json else \
        "keep the numbers with --json > bench.json"
    common.say(f"{written}; next: {way}", as_json)
    return common.FAILED if result.failed or unprofiled else 0


def _on_host(models, runtime, threads, how):
    from tfold.measure import bench
    from tfold.measure.display import display

    with display() as show:
        progress = show and (lambda done, total, what: show("host", done, total, what))
        return bench(models, runtime, threads, progress=progress, **how)


def _on_phones(models, serials, threads, settings, how):
    from mobile_bench.bench import bench_phones
    from tfold.measure.display import display

    with display() as show:
        return bench_phones(models, serials, threads, settings=settings, progress=show, **how)
