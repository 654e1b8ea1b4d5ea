"""`tfold inspect M.keras`"""
import click

from tfold.cli import common


@click.command("inspect")
@click.argument("model", type=click.Path())
@click.option("--graph", is_flag=True, help="Also print the network, a layer a line.")
@common.fold_options
@common.model_options
@common.json_option
@common.reported
def inspect_command(model, graph, allow_unsafe, custom_objects, as_json, **choices):
    """Say what is in MODEL, what would fold, what would not and why. Writes nothing."""
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
