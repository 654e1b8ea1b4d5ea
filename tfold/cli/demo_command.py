"""`tfold demo [-o DIR]`"""
import time
from pathlib import Path

import click

from tfold.cli import common


@click.command("demo")
@click.option("-o", "--output", type=click.Path(), default="tfold-demo", show_default=True, help="Folder of the files.")
@click.option("--seed", default=0, show_default=True, help="Of the split, the weights and the order of the images.")
@click.option("--quick", is_flag=True, help="Train for a few epochs only: shows the way, its figures mean nothing.")
@common.force_option
@common.json_option
@common.reported
def demo_command(output, seed, quick, force, as_json):
    """The whole way once: train a small MobileNetV2 on handwritten digits, train α, fold, export, measure.

    Takes about two minutes on two cores and downloads nothing.
    """
    from tfold.errors import BadInputError

    folder = Path(output)
    if folder.is_file():
        raise BadInputError(f"The output is a folder. Received: {folder}, a file. Choose another name.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise BadInputError(f"Existing files are not overwritten. Received: {folder}, not empty. Use --force.")
    common.import_keras()
    from tfold.demo.run import EPOCHS, QUICK_EPOCHS, run

    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    outcome = run(folder, lambda text: click.echo(text, err=True), seed, QUICK_EPOCHS if quick else EPOCHS)
    common.write_json("demo", outcome.to_json())
    _table(outcome, as_json)
    for name, path in outcome.files.items():
        common.say(f"  {path:<32} {CONTENTS[name]}", as_json)
    seconds = time.monotonic() - start
    common.say(f"wrote {folder} in {seconds:.0f} s; next: tfold inspect YOUR_MODEL.keras", as_json)


CONTENTS = {
    "base.keras": "the network as it was trained",
    "folded.keras": "the folded network, fine-tuned",
    "base.tflite": "the two as they run on a phone,",
    "folded.tflite": "float32",
    "alphas.png": "α over the epochs",
    "report.txt": "what was folded, what was refused and why",
}


def _table(outcome, as_json):
    from rich.console import Console
    from rich.table import Table

    table = Table(title="handwritten digits, test set")
    for heading in ("", "base", "folded", "folded ÷ base"):
        table.add_column(heading, justify="left" if not heading else "right")
    base, folded = outcome.base, outcome.folded
    table.add_row("accuracy (.tflite)", f"{base.accuracy:.1%}", f"{folded.accuracy:.1%}",
                  f"{100 * (folded.accuracy - base.accuracy):+.1f} points")
    for title, name in (("depth", "depth"), ("parameters", "parameters"), ("MACs", "macs"), (".tflite bytes", "bytes")):
        a, b = getattr(base, name), getattr(folded, name)
        table.add_row(title, f"{a:,}", f"{b:,}", f"{b / a:.2f}")
    for runtime, ratio in outcome.ratio.items():
        table.add_row(f"{runtime}, 1 thread", *(f"{1000 * side.latency_ms[runtime]:.0f} µs" for side in (base, folded)),
                      f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    Console(stderr=as_json).print(table)
