"""`tfold losses M.keras Q.tflite`"""
from pathlib import Path

import click

from tfold.cli import common


@click.command("losses")
@click.argument("model", type=click.Path())
@click.argument("file", type=click.Path())
@common.data_options("--data", "Inputs to compare on (random numbers if left out)")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many layers to list.")
@click.option("--plot", type=click.Path(), help="Also draw it: a .png.")
@click.option("--overlay", type=click.Path(),
              help="Also write it for Model Explorer: X.json, and X.time.json with the time of each op.")
@common.model_options
@common.force_option
@common.json_option
@common.reported
def losses_command(model, file, data, top, plot, overlay, allow_unsafe, custom_objects, force, as_json, **reading):
    """Say where the quantised FILE loses its accuracy: each layer's signal ÷ noise beside the float MODEL, worst first.

    MODEL is the Keras model that tfold export made FILE of.
    """
    from tfold.cli.given import refuse
    from tfold.files import check_output

    if not data:
        refuse(reading, "--data, which is not given")
    if plot is not None:
        check_output(plot, ".png", force)
    if overlay is not None:
        check_output(overlay, ".json", force)
    timed = None if overlay is None else str(Path(overlay).with_suffix(".time.json"))
    if timed:
        check_output(timed, ".json", force)
    outputs = [path for path in (plot, overlay, timed) if path]
    from tfold.measure import check_tflite

    check_tflite(file)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.loading import load_report
    from tfold.report import drawing, losses_picture
    from tfold.tflite.losses import layer_losses

    if plot:
        drawing.check_matplotlib()
    found = layer_losses(source, file, data, **reading, report=load_report(model))
    lines, times = _overlays(file, found, overlay, timed, force) if overlay else ((), None)
    if plot:
        losses_picture.draw([(each.name, each.decibels, each.lost) for each in found.layers], plot)
    common.write_json("losses", {"input": model, "file": file, **found.to_json(), "plot": plot, "overlay": overlay,
                                 "time_overlay": timed, "op_times": times})
    for warning in found.warnings:
        common.say(f"warning: {warning}", as_json)
    common.say(f"signal ÷ noise on {found.counted}", as_json)
    common.say(found.table(top), as_json)
    for line in lines:
        common.say(line, as_json)
    next_step = _next(model, data, reading, common.model_words(allow_unsafe, custom_objects))
    common.say(f"{f'wrote {_listed(outputs)}' if outputs else 'nothing written'}; next: {next_step}", as_json)


def _overlays(file, found, overlay, timed, force):
    """Measure and write both overlays: how noisy each op's output is, and how long it takes. Returns lines and JSON."""
    from tfold.tflite.contents import read
    from tfold.tflite.op_times import op_times
    from tfold.tflite.overlay import SIGNAL_TO_NOISE, TIME, write

    contents, times = read(file), op_times(file)
    write(overlay, contents, {each.op: each.decibels for each in found.layers}, SIGNAL_TO_NOISE, force)
    write(timed, contents, times.microseconds, TIME, force)
    viewer = common.command_line("model-explorer", common.path_word(file), "--node_data_paths", f"{overlay},{timed}")
    return [*_timing(times, contents.subgraphs[0]), f"to see both: {viewer}"], times.to_json()


def _timing(times, main):
    """Lines about the times of a subgraph's ops; how far they may be trusted, the sum beside the whole tells."""
    yield (f"time of the ops: {times.sum:,.1f} µs one by one, {times.whole:,.1f} µs in one piece ({times.runtime} "
           f"{times.version}, {times.threads} thread{'s' * (times.threads != 1)})")
    for index, why in times.missing.items():
        op = main.ops[index]
        yield f"not timed: {op.kind} ({main.name_of(op)}): {why}"


def _listed(paths):
    """ "a, b and c" """
    return " and ".join(filter(None, [", ".join(paths[:-1]), paths[-1]]))


def _next(model, data, reading, needed):
    """What costs nothing when the network runs comes first; training (tfold.quantize_aware) comes after it."""
    if not data:
        return "give it real inputs: --data test.npz"
    output = Path(model).with_name(f"{Path(model).stem}-equalized.keras")
    return common.command_line("tfold", "equalize", common.path_word(model), "-o", common.path_word(output),
                               *common.data_words("--representative", data, **reading), *needed)
