"""`tfold losses M.keras Q.tflite`"""
import click

from tfold.cli import common


@click.command("losses")
@click.argument("model", type=click.Path())
@click.argument("file", type=click.Path())
@common.data_options("--data", "Inputs to compare on; random numbers if left out")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="How many layers to list.")
@click.option("--plot", type=click.Path(), help="Also draw it: a .png.")
@click.option("--overlay", type=click.Path(), help="Also write it for Model Explorer, with the time of each op: a .json.")
@common.model_options
@common.force_option
@common.json_option
@common.reported
def losses_command(model, file, data, samples, scale, resize, top, plot, overlay, allow_unsafe, custom_objects, force,
                   as_json):
    """Say where the quantised FILE loses its accuracy: each layer's signal ÷ noise beside the float MODEL, worst first.

    MODEL is the Keras model that tfold export made FILE of.
    """
    from tfold.files import check_output

    for path, suffix in ((plot, ".png"), (overlay, ".json")):
        if path:
            check_output(path, suffix, force)
    from tfold.measure import check_tflite

    check_tflite(file)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.report import drawing, losses_picture
    from tfold.tflite.losses import layer_losses

    if plot:
        drawing.check_matplotlib()
    found = layer_losses(source, file, data, samples, scale, resize)
    if plot:
        losses_picture.draw([(each.name, each.decibels, each.lost) for each in found.layers], plot)
    if overlay:
        from tfold.tflite.overlay import write

        write(overlay, file, {each.op: each.decibels for each in found.layers})
    common.write_json("losses", {"input": model, "file": file, **found.to_json()})
    for warning in found.warnings:
        common.say(f"warning: {warning}", as_json)
    common.say(found.table(top), as_json)
    written = " and ".join(path for path in (plot, overlay) if path)
    next_step = "quantisation-aware training (tfold.quantize_aware), or int16: tfold export --quantize int16"
    common.say(f"{f'wrote {written}' if written else 'nothing written'}; next: {next_step}", as_json)
