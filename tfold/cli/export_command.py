"""`tfold export M.keras -o M.tflite`"""
import click

from tfold.cli import common


@click.command("export")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Where the .tflite file goes.")
@click.option("--quantize", type=click.Choice(["float32", "float16", "dynamic", "int8", "int16"]), default="float32",
              show_default=True, help="Number format. int8 and int16 need --representative.")
@common.data_options("--representative", "What the ranges of int8 and int16 are measured on")
@click.option("--input-type", type=click.Choice(["float32", "int8", "uint8", "int16"]), help="Of the file's inputs.")
@click.option("--output-type", type=click.Choice(["float32", "int8", "uint8", "int16"]), help="Of the file's outputs.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Inputs that the file takes at a time.")
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
    from tfold.files import check_output

    check_output(output, ".tflite", force, source=model)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.loading import load_report
    from tfold.tflite.convert import export

    done = export(source, output, quantize, representative, report=load_report(report or model), force=force, **choices)
    common.write_json("export", {"input": model, **done.to_json()})
    for warning in done.warnings:
        common.say(f"warning: {warning}", as_json)
    common.say(f"{output}: {done.format}, {done.bytes:,} bytes", as_json)
    if done.comparison:
        common.say(str(done.comparison), as_json)
        common.say(f"worst relative difference from Keras {done.parity:.1e}", as_json)
    next_step = common.command_line("tfold", "bench", common.path_word(output))
    common.say(f"wrote {output}; next: {next_step}", as_json)
