"""`tfold inspect M.keras` and `tfold inspect M.tflite`"""
from pathlib import Path

import click

from tfold.cli import common
from tfold.cli.given import refuse

OF_KERAS = ("graph", "threshold", "policy", "border", "allow_unsafe", "custom_objects")
OF_TFLITE = ("runtime",)


def _check_runtime(context, param, value):
    from tfold.measure.runtimes import RUNTIMES

    if value not in RUNTIMES:
        raise click.BadParameter(f"One of {', '.join(RUNTIMES)}. Received: {value!r}.")
    return value


@click.command("inspect")
@click.argument("model", type=click.Path())
@click.option("--graph", is_flag=True, help="Also print the network, a layer a line.")
@common.fold_options
@common.model_options
@click.option("--runtime", default="litert", show_default=True, callback=_check_runtime,
              help="Of a .tflite file: whose use of XNNPACK to tell, litert or tflite-runtime.")
@common.json_option
@common.reported
def inspect_command(model, as_json, runtime, **options):
    """Say what is in MODEL. Writes nothing.

    Of a Keras model: what would fold, what would not and why. Of a .tflite file: ops, sizes, quantisation, which ops
    XNNPACK runs, and the arithmetic with constants that is left; the other options are for Keras models.
    """
    if _is_tflite(Path(model)):
        refuse(OF_KERAS, f"a Keras model; {model} is a .tflite file, whose layers are fixed")
        from tfold.cli.inspect_tflite import inspect_tflite

        inspect_tflite(model, runtime, as_json)
    else:
        refuse(OF_TFLITE, f"a .tflite file; {model} is none")
        _inspect_keras(model, as_json, **options)


def _inspect_keras(model, as_json, graph, allow_unsafe, custom_objects, **choices):
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold import folding
    from tfold.graph.capture import capture
    from tfold.passes.explain import fates

    captured = capture(source)
    report = folding.fold_plan(source, **choices)
    ops = {}
    for node in captured:
        ops[node.op] = ops.get(node.op, 0) + 1
    walls = sorted({type(node.layer).__name__ for node in captured if node.op == "opaque"})
    alphas = {node.label: node.attrs["alpha"] for node in captured if node.op == "alpha"}
    norms = fates(captured, report)
    document = {"input": model, "ops": ops, "unknown_layers": walls, "alphas": alphas, "batch_norms": [
        {"name": name, "goes": goes, "why": why} for name, goes, why in norms]}
    common.write_json("inspect", {**document, "report": report.to_json()})
    if graph:
        common.say(str(captured), as_json)
    common.say("ops          " + ", ".join(f"{op} {n}" for op, n in sorted(ops.items())), as_json)
    if walls:
        common.say("kept as is   " + ", ".join(walls), as_json)
    if alphas:
        common.say("α            " + ", ".join(f"{name} {alpha:.3f}" for name, alpha in alphas.items()), as_json)
    for name, goes, why in norms:
        common.say(f"batch norm   {name} {'goes' if goes else 'stays'}: {why}", as_json)
    common.say(str(report), as_json)
    next_step = common.fold_line(model, choices, common.model_words(allow_unsafe, custom_objects))
    common.say(f"nothing written; next: {next_step}", as_json)


def _is_tflite(path):
    """By the content, where there is one; a name alone is enough for the error to be about .tflite files."""
    if path.suffix == ".tflite" or not path.is_file():
        return path.suffix == ".tflite"
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    except OSError:  # whoever loads it explains it
        return False
