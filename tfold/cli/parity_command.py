"""`tfold parity M.keras A.tflite [B.tflite …]`"""
import click

from tfold.cli import common


@click.command("parity")
@click.argument("model", type=click.Path())
@click.argument("files", type=click.Path(), nargs=-1, required=True)
@common.data_options("--data", "What both are run on (random numbers if left out)", default="all")
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), default="litert", show_default=True,
              help="What runs the files.")
@common.tolerance_option
@common.model_options
@common.json_option
@common.reported
def parity_command(model, files, data, runtime, tolerance, allow_unsafe, custom_objects, as_json, **reading):
    """Compare .tflite FILES with the Keras MODEL they are made of, output by output. Writes nothing.

    Quantised files are also compared with the first float32 file among FILES. Labels in the data (y beside x in a .npz,
    a folder of images for each class) tell how often each is right. Exit code 3 if an output lies further from Keras'
    than allowed.
    """
    from tfold.cli.given import refuse
    from tfold.measure import check_tflite

    if not data:
        refuse(reading, "--data, which is not given")
    for file in files:
        check_tflite(file)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.loading import load_report
    from tfold.tflite.compare_files import compare

    found = compare(
        source, files, data, **reading, tolerance=tolerance, runtime=runtime, report=load_report(model))
    common.write_json("parity", {"input": model, **found.to_json()})
    common.say(str(found), as_json)
    if found.beyond:
        click.echo(
            f"tfold: A file computes what Keras computes, within a tolerance. Received: {', '.join(found.beyond)}, "
            "further away than that, see above. To allow more: --tolerance.", err=True)
        return common.PARITY
    if data:
        words = common.data_words("--data", data, **reading)
        next_step = _next(model, files, [*words, *common.model_words(allow_unsafe, custom_objects)])
    else:
        next_step = "give it real inputs: --data test.npz"
    common.say(f"nothing written; next: {next_step}", as_json)


def _next(model, files, options):
    """Of what quantisation costs, layer by layer; how fast float files are."""
    from tfold.tflite.contents import read
    from tfold.tflite.formats import FORMATS
    from tfold.tflite.summary import quantization

    formats = {path: FORMATS.get(quantization(read(path)).format) for path in files}
    quantized = [path for path, each in formats.items() if each and each.is_quantized]
    if not quantized:
        return common.command_line("tfold", "bench", *map(common.path_word, files))
    return common.command_line("tfold", "losses", common.path_word(model), common.path_word(quantized[0]), *options)
