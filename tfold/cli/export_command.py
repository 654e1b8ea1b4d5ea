"""`tfold export M.keras -o M.tflite`"""
import click

from tfold.cli import common


@click.command("export")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Where the .tflite file goes.")
@common.model_options
@common.force_option
@common.json_option
@common.reported
def export_command(model, output, allow_unsafe, custom_objects, force, as_json):
    """Convert MODEL to a float32 .tflite file for one input at a time, and check it against Keras."""
    from tfold.files import check_output

    check_output(output, ".tflite", force, source=model)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold.tflite.convert import export

    done = export(source, output, force)
    common.write_json("export", {"input": model, **done.to_json()})
    common.say(f"{output}: {done.bytes:,} bytes; worst relative difference from Keras {done.parity:.1e}", as_json)
    next_step = common.command_line("tfold", "bench", common.path_word(output))
    common.say(f"wrote {output}; next: {next_step}", as_json)
