"""`tfold fold M.keras -o F.keras`"""
from pathlib import Path

import click

from tfold.cli import common


@click.command("fold")
@click.argument("model", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Where the folded .keras file goes.")
@click.option("--dry-run", is_flag=True, help="Only say what would be folded.")
@click.option("--no-verify", is_flag=True, help="Do not compare the folded network with the original.")
@common.fold_options
@common.model_options
@common.force_option
@common.json_option
@common.reported
def fold_command(model, output, dry_run, no_verify, allow_unsafe, custom_objects, force, as_json, **choices):
    """Make MODEL shallower without changing what it computes.

    Activations with α above the threshold go, batch norms go into the layers beside them, linear layers that are
    neighbours become one. The result is compared with the original, border pixels included.
    """
    if (output is not None) == dry_run:
        raise click.UsageError("Give either -o OUTPUT or --dry-run.")
    if not dry_run:
        from tfold.files import check_output

        check_output(output, ".keras", force, source=model)
    source = common.load(model, allow_unsafe, custom_objects)
    from tfold import folding, loading

    if dry_run:
        report = folding.fold_plan(source, **choices)
    else:
        result = folding.fold(source, **choices, verify=not no_verify)
        report = result.report
        loading.save_model(result.model, output, force, report)
    common.write_json("fold", {"input": model, "output": output, "report": report.to_json()})
    common.say(str(report), as_json)
    needed = common.model_words(allow_unsafe, custom_objects)
    if dry_run:
        common.say(f"nothing written; next: {common.fold_line(model, choices, needed)}", as_json)
    else:
        exported = common.path_word(Path(output).with_suffix(".tflite"))
        next_step = common.command_line("tfold", "export", common.path_word(output), "-o", exported, *needed)
        common.say(f"wrote {output}; next: {next_step}", as_json)
