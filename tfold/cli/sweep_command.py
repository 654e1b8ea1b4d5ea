"""`tfold sweep BASE.keras --data DATA -o DIR`"""
import os
import re

import click

from tfold.cli import common
from tfold.cli.given import refuse

RUNTIMES = ("litert", "tflite-runtime", "none")


class Numbers(click.ParamType):
    """0.01,0.03,0.1"""

    name = "N,N,…"

    def convert(self, value, param, context):
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"Numbers with commas between them. Received: {value!r}. Use 0.01,0.1,1.", param, context)


def recipe_options(command):
    """How each trial is trained and folded: the fields of `tfold.recipe.settings.Recipe`."""
    for option in reversed((
        click.option("--alpha-epochs", type=click.IntRange(1), default=20, show_default=True,
                     help="Of pre-folding, in which α is trained with the weights."),
        click.option("--post-epochs", type=click.IntRange(0), default=20, show_default=True,
                     help="Of post-folding, without α."),
        click.option("--alpha-rate", type=click.FloatRange(0), default=0.01, show_default=True,
                     help="Learning rate of pre-folding."),
        click.option("--post-rate", type=click.FloatRange(0), default=0.01, show_default=True,
                     help="Learning rate of post-folding."),
        click.option("--batch", type=click.IntRange(1), default=128, show_default=True, help="Images at a time."),
        click.option("--weight-decay", type=click.FloatRange(0), default=0.0, show_default=True,
                     help="What every weight loses a step, times the rate."),
        click.option("--clip", type=click.FloatRange(0, min_open=True), help="Largest norm of each weight's gradient."),
        click.option("--post-clip", type=click.FloatRange(0, min_open=True),
                     help="The same, in post-folding.  [default: as --clip]"),
        click.option("--augment", type=click.Choice(["none", "shift", "shift+flip"]), default="none",
                     show_default=True, help="What is done to training images."),
        click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True,
                     help="What is computed in."),
        click.option("--p", type=click.FloatRange(1, min_open=True), default=2.0, show_default=True,
                     help="The penalty's exponent."),
        click.option("--warmup", type=click.IntRange(0), default=0, show_default=True,
                     help="Epochs without a penalty, at the start of pre-folding."),
        click.option("--ramp", type=click.IntRange(0), default=0, show_default=True,
                     help="Epochs in which λ_c rises to its value behind them."),
        click.option("--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9,
                     show_default=True, help="τ: activations whose α lies above it are removed."),
        click.option("--post", type=click.Choice(["settled", "folded"]), default="settled", show_default=True,
                     help="What post-folding trains: the network with its batch norms, or the folded one."),
        click.option("--policy", type=click.Choice(["latency", "macs", "always"]), default="latency",
                     show_default=True, help="Which linear layers are merged: as of tfold fold."),
        click.option("--border", type=click.Choice(["exact", "approximate"]), default="exact", show_default=True,
                     help="Whether to merge across zero padding where pixels near the border differ."),
        click.option("--padding", type=click.Choice(["keep", "forward"]), default="keep", show_default=True,
                     help="Where zero padding stands while α is trained: as of tfold.prefold."),
        click.option("--only", multiple=True, metavar="LAYER",
                     help="The one activation that may go. May be repeated.  [default: all]"),
        click.option("--skip", multiple=True, metavar="LAYER", help="An activation that stays. May be repeated."),
        click.option("--tie", multiple=True, metavar="LAYER,LAYER…",
                     help="Activations that share one α. May be repeated."),
        click.option("--distill", type=click.FloatRange(0, 1), default=0.0, show_default=True,
                     help="Weight of the base network's outputs in post-folding."),
        click.option("--temperature", type=click.FloatRange(0, min_open=True), default=4.0, show_default=True,
                     help="Of --distill: the higher, the more count unlikely classes."),
    )):
        command = option(command)
    return command


def data_options(command):
    """How the images are read."""
    for option in reversed((
        click.option("--data", required=True, help="mnist, fashion_mnist, cifar10, cifar100, a .npz with x_train, "
                                                   "y_train, x_test and y_test, or a folder of images."),
        click.option("--scale", type=common.Scale(), help="What pixels 0 and 255 become: --scale=-1,1."),
        click.option("--validation", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1,
                     show_default=True, help="Share of the training images that trials are judged by."),
        click.option("--limit", type=click.IntRange(2),
                     help="At most so many images to train on, and a fifth as many to judge and to test by."),
        click.option("--resize", type=click.Choice(["stretch", "crop"]), default="stretch", show_default=True,
                     help="How a folder's images get the input's size."),
    )):
        command = option(command)
    return command


class Discreet(click.Command):
    """A command whose usage errors quote no word that may be a part of a --storage: one with a blank falls apart."""

    def parse_args(self, context, args):
        words = list(args)
        try:
            return super().parse_args(context, args)
        except click.UsageError as error:
            told = error.format_message()
            if "://" not in " ".join(words) and not re.search(r"\S:\S*@", " ".join(words)):
                raise
            known = {name for option in self.params for name in (*option.opts, *option.secondary_opts)}
            if any(word in told for word in _pieces(words) - known):
                raise click.UsageError(
                    "A sweep takes one BASE, and options. Received: words that are neither; they are not shown, as "
                    "they may be a part of an address with a password. Put the address into quotes: --storage "
                    "'postgresql://…'.", context) from None
            raise


def _refuse_addresses(**given):
    """Raise a usage error, which does not quote it, where an address with a password stands in another's place."""
    for option, value in given.items():
        if re.search(r":.*@", value, re.DOTALL) and not os.path.exists(value):
            raise click.UsageError(
                f"The address of a storage stands behind --storage. Received: one as {option}; it is not shown, as it "
                "may hold a password.")


def _pieces(words):
    """The words themselves, and what stands around = in them."""
    return {piece for word in words for piece in (word, *word.split("=", 1)) if len(piece) > 1}


@click.command("sweep", cls=Discreet)
@click.argument("base", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="Folder of the sweep.")
@data_options
@click.option("--strengths", type=Numbers(), help="λ_c of the trials, instead of --low, --high and --points.")
@click.option("--low", type=float, default=0.01, show_default=True, help="Least λ_c.")
@click.option("--high", type=float, default=3.0, show_default=True, help="Largest λ_c.")
@click.option("--points", type=click.IntRange(1), default=9, show_default=True, help="How many λ_c, at equal ratios.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each λ_c.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--storage", metavar="URL", help="An Optuna storage: of several machines, postgresql://…, mysql://… or "
                                               "journal:FILE; of one, sqlite:///FILE.  [default: sqlite:///DIR/sweep.db]")
@click.option("--name", default="sweep", show_default=True, help="Of the study in the storage.")
@click.option("--prune/--no-prune", default=True, show_default=True,
              help="End trials that a shallower network beats by more than --margin.")
@click.option("--margin", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="Of --prune.")
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              help="Loss of accuracy that counts as none where the knee is looked for.")
@click.option("--judge", type=click.Choice(["validation", "test"]), default="validation", show_default=True,
              help="Images whose accuracy the knee and the front are of.")
@click.option("--runtime", type=click.Choice(RUNTIMES), default="litert", show_default=True,
              help="What measures the folded networks at the end.")
@click.option("--blocks", type=click.IntRange(6), default=20, show_default=True,
              help="Blocks of inferences for each network, as of tfold bench.")
@click.option("--retry", is_flag=True, help="Also try again what has failed.")
@click.option("--report-only", is_flag=True, help="Only draw what is there; start nothing.")
@recipe_options
@common.model_options
@click.option("--force", is_flag=True, help="Throw away the sweep in the folder, and its study; begin anew.")
@common.json_option
@common.reported
def sweep_command(base, output, data, strengths, low, high, points, seeds, workers, storage, name, prune, margin,
                  tolerance, judge, runtime, blocks, retry, report_only, scale, validation, limit, resize, allow_unsafe,
                  custom_objects, force, as_json, **recipe):
    """Fold BASE with many λ_c: accuracy against depth and latency, the knee (EDNL) and the Pareto front.

    The same command goes on with a sweep that was stopped or killed, and draws one that is done; with a --storage in
    common, on several machines at once. Trials are judged by validation images, a part of the training images that
    they are not trained on, and BASE should not have been either.
    """
    from tfold.sweeps.plan import Plan, spread_strengths

    _refuse_addresses(BASE=base, **{"-o": output, "--data": data, "--name": name})
    if strengths is None:
        strengths = spread_strengths(low, high, points)
    else:
        refuse(("low", "high", "points"), "a range of λ_c, and --strengths is given")
    if not recipe["distill"]:
        refuse(("temperature",), "--distill, which is 0")
    if not prune:
        refuse(("margin",), "--prune, which is switched off")
    if runtime == "none":
        refuse(("blocks",), "measuring, and --runtime none measures nothing")
    if report_only:
        refuse(("force", "retry", "workers"), "running trials, and --report-only starts none")
    recipe["tie"] = tuple(tuple(each.split(",")) for each in recipe["tie"])
    plan = Plan(base, data, strengths, seeds, recipe,
                {"scale": scale, "validation": validation, "limit": limit, "resize": resize},
                margin if prune else None, {"allow_unsafe": allow_unsafe, "custom_objects": custom_objects})
    document = _run(plan, output, storage, name, workers, runtime, retry, report_only, force,
                    {"tolerance": tolerance, "judge": judge, "blocks": blocks})
    common.write_json("sweep", document)
    _tell(document, output, as_json)
    return common.FAILED if document["counts"].get("failed") or document["unmeasured"] else 0


def _run(plan, output, storage, name, workers, runtime, retry, report_only, force, judging):
    from tfold.measure.display import display
    from tfold.sweeps import latency
    from tfold.sweeps.knee import check_tolerance
    from tfold.sweeps.study import report, run_trials

    def say(line):
        click.echo(line, err=True)

    latency.check(runtime)
    check_tolerance(judging["tolerance"])
    with display() as show:
        if not report_only:
            try:
                run_trials(plan, output, storage, name, workers, again=retry, force=force,
                           judge=judging["judge"], say=say)
            except KeyboardInterrupt:
                say("what is done is kept: the same command goes on behind the last whole epoch")
                raise
        if runtime != "none":
            common.import_keras()  # to export with, and not before: workers may use a GPU, which this hides
        progress = show and (lambda done, total, what: show("host", done, total, what))
        return report(plan, output, storage, name, runtime, **judging, say=say, progress=progress)


def _tell(document, output, as_json):
    from rich.console import Console

    Console(stderr=as_json).print(_table(document))
    knee, counts = document["knee"], document["counts"]
    for warning in document["warnings"]:
        common.say(f"warning: {warning}", as_json)
    common.say(f"knee: EDNL {knee['depth']}. {knee['how']}" if knee["depth"] is not None
               else f"no knee: {knee['why_not']}", as_json)
    for trial in document["trials"]:
        if trial["state"] == "failed":
            common.say(f"{trial['name']} failed: {trial['why']}", as_json)
    if counts.get("failed"):
        common.say("once what made them fail is mended: the same command with --retry", as_json)
    said = ", ".join(f"{number} {state}" for state, number in counts.items())
    best = _best(document)
    way = "the same command goes on" if not document["finished"] else common.command_line(
        "tfold", "inspect", common.path_word(best["folded"])) if best and best["folded"] else "look at the pictures"
    common.say(f"{said}; wrote {', '.join(document['files'])} into {output}; next: {way}", as_json)


def _best(document):
    """The network to go on with: the best one at the knee, or else the most accurate."""
    done = [trial for trial in document["trials"] if trial["state"] == "complete"]
    there = [trial for trial in done if trial["depth"] == document["knee"]["depth"]] or done
    return max(there, key=lambda trial: trial["score"], default=None)


def _table(document):
    """A row for the base and each λ_c."""
    from rich.table import Table

    from tfold.sweeps.results import by_strength, mean_and_spread

    table = Table(title="sweep over λ_c: mean ± spread over the seeds",
                  caption="latency: of the most accurate network of each depth" if document["latency"] else None)
    for heading in ("λ_c", "trials", "depth", "validation %", "test %", "latency ÷ base", ""):
        table.add_column(heading, justify="right")
    if base := document["base"]:
        check = (document["latency"] or {}).get("base", {}).get("itself")
        table.add_row("base", "", str(base["depth"]), mean_and_spread([base["accuracy"]["validation"]]),
                      mean_and_spread([base["accuracy"]["test"]]), _ratio(check and {**check, "ratio": check["value"]}))
    front = {*document["pareto"]["depth"], *(document["pareto"]["latency"] or ())}
    for strength, trials in by_strength(document["trials"]).items():
        done = [trial for trial in trials if trial["state"] == "complete"]
        depths = sorted(trial["depth"] for trial in done)
        marks = ["front"] * any(trial["name"] in front for trial in done) + \
            ["knee"] * (document["knee"]["depth"] in depths)
        table.add_row(f"{strength:g}", f"{len(done)} of {len(trials)}", ", ".join(map(str, dict.fromkeys(depths))),
                      *(mean_and_spread([each["accuracy"][part] for each in done]) for part in ("validation", "test")),
                      "; ".join(_ratio(trial["latency"]) for trial in done if trial["latency"]), ", ".join(marks))
    return table


def _ratio(found):
    return "" if not found else f"{found['ratio']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
