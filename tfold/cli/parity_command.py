"""`tfold parity M.keras A.tflite [B.tflite …]`"""
import click

from tfold.cli import common


@click.command("parity")
@click.argument("model", type=click.Path())
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@common.data_options("--data", "What both are run on; random numbers if left out")
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), default="litert", show_default=True,
              help="What runs the files.")
@common.tolerance_option
@common.model_options
@common.json_option
@common.reported
def parity_command(model, files, data, samples, scale, resize, runtime, tolerance, allow_unsafe, custom_objects, as_json):
    """Compare .tflite FILES with the Keras MODEL they are made of, output by output. Writes nothing.

    Quantised files are also compared with the first float32 file among FILES. Labels in the data (y beside x in a .npz,
    a folder of images for each class) tell how often each is right. Exit code 3 if an output lies further from Keras'
    than allowed.
    """
    from tfold.measure import check_tflite

    for file in files:
        check_tflite(file)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.tflite.compare_files import compare

    found = compare(source, files, data, samples, scale, resize, tolerance, runtime)
    common.write_json("parity", {"input": model, **found.to_json()})
    common.say(str(found), as_json)
    if found.beyond:
        click.echo(f"tfold: {', '.join(found.beyond)}: further from Keras than allowed; nothing written", err=True)
        return common.PARITY
    common.say(f"nothing written; next: {_next(files, found, model, data)}", as_json)


def _next(files, found, model, data):
    if not data:
        return "give it real inputs: --data test.npz"
    quantized = [path for path in files if path in found.with_float] or files
    return common.command_line(
        "tfold", "losses", common.path_word(model), common.path_word(quantized[0]), "--data", common.path_word(data))
