"""`tfold export M.keras -o M.tflite`"""

import click

from tfold.cli import common

FORMATS = ("float32", "float16", "dynamic", "int8", "int16")
TYPES = ("float32", "int8", "uint8", "int16")


@click.command("export")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Where the .tflite file goes.")
@click.option("--quantize", type=click.Choice(FORMATS), default="float32", show_default=True,
              help="Number format. int8 and int16 need --representative.")
@common.data_options("--representative", "What the ranges of int8 and int16 are measured on")
@click.option("--input-type", type=click.Choice(TYPES), help="Number type of the inputs.  [default: float32]")
@click.option("--output-type", type=click.Choice(TYPES), help="Number type of the outputs.  [default: float32]")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True,
              help="How many inputs the file takes at a time.")
@click.option("--float-fallback", is_flag=True, help="Let ops that have no integer form compute in floats.")
@click.option("--select-tf-ops", is_flag=True, help="Allow TensorFlow's own ops, which need the Flex delegate.")
@click.option("--report", type=click.Path(), help="The fold's report (tfold fold --json), where MODEL has none in it.")
@common.tolerance_option
@common.model_options
@common.force_option
@common.json_option
@common.reported
def export_command(model, output, quantize, representative, report, allow_unsafe, custom_objects, force, as_json,
                   **choices):
    """Convert MODEL to a .tflite file, and check it against Keras."""
    from tfold.cli.given import refuse
    from tfold.files import check_output

    if not representative:
        refuse(("samples", "scale", "resize"), "--representative, which is not given")
    if quantize not in ("int8", "int16"):
        refuse(("float_fallback",), f"int8 and int16, not {quantize}")
    check_output(output, ".tflite", force, source=model)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.tflite.convert import export

    told = _fold_report(model, report)
    done = export(source, output, quantize, representative, report=told, force=force, **choices)
    common.write_json("export", {"input": model, **done.to_json()})
    for warning in done.warnings:
        common.say(f"warning: {warning}", as_json)
    common.say(f"{output}: {done.format}, {done.bytes:,} bytes", as_json)
    if done.comparison:
        common.say(str(done.comparison), as_json)
    runnable = done.comparison is not None  # by the runtimes of this machine
    next_step = common.command_line("tfold", "bench" if runnable else "inspect", common.path_word(output))
    common.say(f"wrote {output}; next: {next_step}", as_json)


def _fold_report(model, report):
    """The report that was named, or the one in the model's archive, if there is one; an HDF5 file has none."""
    from tfold.errors import BadInputError
    from tfold.loading import load_report

    if report is None:
        return load_report(model)
    found = load_report(report)
    if found is None:
        raise BadInputError(
            f"--report names a fold's report. Received: {report}, in which there is none. Leave it out, or name what "
            "tfold fold wrote."
        )
    return found
