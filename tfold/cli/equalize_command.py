"""`tfold equalize M.keras -o E.keras`"""
from pathlib import Path

import click

from tfold.cli import common


@click.command("equalize")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", type=click.Path(), required=True, help="Where the new .keras file goes.")
@common.data_options("--representative", "Real inputs that the channels' ranges are measured on", required=True)
@common.model_options
@common.force_option
@common.json_option
@common.reported
def equalize_command(model, output, representative, allow_unsafe, custom_objects, force, as_json, **reading):
    """Even out the ranges of MODEL's channels before int8, without changing what it computes.

    Quantisation rounds a tensor in steps whose size its widest channel decides. Scales that ReLU, additions and pooling
    let pass are chosen so that the noise of 8 bits is least. Do it after folding, before tfold export --quantize int8.
    """
    from tfold.files import check_output

    check_output(output, ".keras", force, source=model)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold import equalizing, loading
    from tfold.tflite.model_samples import representative_samples

    report = loading.load_report(model)
    data = representative_samples(source, representative, **reading, report=report)
    done = equalizing.equalize_channels(source, data.as_model_takes_them(source))
    loading.save_model(done.model, output, force, report)
    common.write_json("equalize", {"input": model, "output": output, "samples": data.count, "available": data.available,
                                   "warnings": list(data.warnings), **done.to_json()})
    for warning in data.warnings:
        common.say(f"warning: {warning}", as_json)
    common.say(f"ranges measured on {data.counted} of {data.source}", as_json)
    common.say(str(done), as_json)
    needed = common.model_words(allow_unsafe, custom_objects)
    exported = common.path_word(Path(output).with_suffix(".tflite"))
    data_words = common.data_words("--representative", representative, **reading)
    next_step = common.command_line(
        "tfold", "export", common.path_word(output), "-o", exported, "--quantize", "int8", *data_words, *needed)
    common.say(f"wrote {output}; next: {next_step}", as_json)
