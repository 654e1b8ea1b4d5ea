"""`python -m mobile_bench A.tflite [B.tflite …]`: phones alone, without the rest of tfold's command line.

    python -m mobile_bench --list
    python -m mobile_bench base.tflite folded.tflite --benchmark-binary tools/ --serial 8A1X0123 --json

`tfold bench --android` does the same, and aligns the ops of two models by layer.
"""

from __future__ import annotations

import json
import sys

import click

from mobile_bench.options import phone_options, settings_of


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", type=click.Path(), nargs=-1)
@click.option("--serial", multiple=True, help="A phone; may be given several times.  [default: the only one]")
@click.option("--all", "every", is_flag=True, help="All phones that are ready.")
@click.option("--list", "listed", is_flag=True, help="Say which phones are connected, and measure nothing.")
@click.option("--threads", default=1, show_default=True, help="How many.")
@click.option("--blocks", default=20, show_default=True, help="Blocks of inferences for each model, taken in turns.")
@click.option("--runs", default=50, show_default=True, help="Least number of timed inferences in a block.")
@click.option("--min-time", default=0.5, show_default=True, help="Least duration of a block, seconds.")
@click.option("--warmup", default=0.5, show_default=True, help="Warm-up before each block, seconds.")
@click.option("--max-seconds", default=900.0, show_default=True, help="Limit for each phone.")
@click.option("--self-check/--no-self-check", default=True, show_default=True,
              help="Of two models, measure the first one twice a round: how small a difference shows here?")
@click.option("--record", type=click.Path(), help="Keep the raw blocks in this .jsonl; go on with it if it is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, text on stderr.")
@phone_options
def main(models, serial, every, listed, threads, as_json, **given):
    """Measure .tflite files on Android phones, in turns. Exit code 1 if a phone has no result."""
    from mobile_bench.bench import ALL, bench_phones
    from tfold.errors import TfoldError
    from tfold.measure.display import display
    from tfold.measure.table import table

    if every and serial:
        raise click.UsageError("Name phones, or ask for all. Leave out --all or --serial.")
    try:
        if listed:
            document, lines, failed = _connected(given["adb"])
        elif not models:
            raise click.UsageError("Name at least one .tflite file, or --list the phones.")
        else:
            measuring = ("blocks", "runs", "min_time", "warmup", "max_seconds", "self_check", "record")
            with display() as show:
                result = bench_phones(
                    models, (ALL,) if every else serial, threads, settings=settings_of(given), progress=show,
                    **{name: given[name] for name in measuring},
                )
            document, lines, failed = result.to_json(), table(result), bool(result.failed)
    except (TfoldError, OSError, KeyboardInterrupt) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        click.echo(f"mobile_bench: {'stopped' if stopped else error}", err=True)
        sys.exit(130 if stopped else 1)
    for line in lines:
        click.echo(line, err=as_json)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    sys.exit(1 if failed else 0)


def _connected(adb):
    """The phones that adb lists, as document and as lines."""
    from mobile_bench.adb import connected

    phones = connected(adb)
    document = {"version": 1, "kind": "phones", "phones": [
        {"serial": phone.serial, "state": phone.state, "model": phone.model} for phone in phones]}
    lines = [f"{phone.serial:<24} {phone.state:<14} {phone.model or ''}".rstrip() for phone in phones]
    return document, lines or ["no phone is connected"], False


if __name__ == "__main__":
    main(prog_name="python -m mobile_bench")
