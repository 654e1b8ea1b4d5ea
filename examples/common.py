"""What the examples share: their options, their lines of progress, and how their results are written."""
import argparse
import json
import logging
import math
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfold.errors import BadInputError, TfoldError  # noqa: E402
from tfold.files import held, scratch, whole  # noqa: E402
from tfold.importing import uncollected  # noqa: E402
from tfold.quiet import quiet  # noqa: E402
from tfold.recipe.data import load_data  # noqa: E402

START = time.monotonic()
SCALE = "what pixels 0 and 255 become: --scale=-1,1"  # without "=" the minus sign would begin an option


def parser(description, data, output, scale="-1,1"):
    """An `ArgumentParser` with the options of every example that trains."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--data", default=data, help="a data set of keras.datasets (downloaded), an .npz file with "
                      "x_train, y_train, x_test, y_test, or a folder of images, a subfolder a class")
    made.add_argument("--scale", type=pair, default=scale, metavar="LOW,HIGH", help=f"{SCALE}; none: as they are")
    made.add_argument("-o", "--output", type=Path, default=Path(output),
                      help="folder of checkpoints and results; the same command goes on where it was cut off")
    made.add_argument("--seeds", type=at_least(1), default=1, help="how many runs: seeds 0, 1, …")
    made.add_argument("--precision", choices=["float32", "bfloat16"], default="float32",
                      help="bfloat16 is faster where the processor has instructions for it")
    made.add_argument("--limit", type=at_least(1),
                      help="at most so many images to train on, and a fifth as many to test by")
    return made


def parse(parser, **quick):
    """The arguments of the command; with --quick, which this adds, those of `quick` whatever the command says."""
    names = ", ".join("--" + name.replace("_", "-") for name in quick)
    parser.add_argument("--quick", action="store_true",
                        help=f"a minute that shows the way, in a folder of its own unless -o names one; its figures "
                        f"mean nothing. It overrides {names}")
    arguments = parser.parse_args()
    if arguments.quick:
        vars(arguments).update(quick)
        if arguments.output == parser.get_default("output"):  # which is for the real run
            arguments.output = Path(f"{arguments.output}-quick")
    for name, value in vars(arguments).items():
        if isinstance(value, list):  # --strengths 1 1: a run that is read twice is not two runs
            setattr(arguments, name, list(dict.fromkeys(value)))
    return arguments


def at_least(least, kind=int):
    """A `type` of argparse: numbers from `least` on."""
    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(
                f"a {'whole ' if kind is int else ''}number from {least} on. Received: {text!r}. Leave the option out "
                "for its default.")
        return value

    return read


def pair(text):
    """A `type` of argparse: "-1,1" as two numbers, "none" as None."""
    if text == "none":
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise argparse.ArgumentTypeError(
            f"two numbers with a comma between them. Received: {text!r}. Write --scale=-1,1.")
    return low, high


def prepare(output, pictures=True):
    """Make the folder of the results; raise now, not after hours, where they could not be written or drawn."""
    if pictures:
        from tfold.report.drawing import check_matplotlib

        check_matplotlib()
    with held(output), scratch(output):  # only writing shows whether one may
        pass
    import_keras()


def import_keras():
    """Import Keras without what TensorFlow prints to programmers between the lines of progress."""
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with quiet(), uncollected():
        import keras  # noqa: F401


def check_bench(runtime, threads, blocks=20):
    """Raise now what `tfold.bench` would say of these after the training."""
    from tfold.measure.run import check_thread_counts
    from tfold.measure.runtimes import resolve
    from tfold.measure.schedule import Schedule

    resolve(runtime)
    check_thread_counts(threads)
    Schedule(blocks).check(models=2)


def data_of(arguments, size=None, least=0):
    """The `Data` that the options name: a folder's images resized to `size`, none with sides below `least` pixels."""
    data = load_data(arguments.data, arguments.scale, limit=arguments.limit, size=size)
    shape = data.x_train.shape[1:]
    if least and (len(shape) != 3 or min(shape[:2]) < least):
        raise BadInputError(
            f"Images are (height, width, channels), of {least}×{least} pixels at least. Received: --data "
            f"{arguments.data} with {shape}. Enlarge them.")
    return data


def run(main):
    """Run an example's `main`: what people can do something about becomes one sentence and exit code 1."""
    try:
        main()
    except TfoldError as error:
        raise SystemExit(str(error)) from error
    except MemoryError as error:
        raise SystemExit(f"The work must fit into memory. Received: {str(error) or 'too little'}. Close other programs."
                         ) from error
    except OSError as error:  # a full disk, no permission
        raise SystemExit(f"Files must be readable and writable. Received: {error}. Make room, or choose another place."
                         ) from error
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from here") from None


def say(text):
    """A line of progress, with the minutes since the start."""
    print(f"[{(time.monotonic() - START) / 60:6.1f} min] {text}", flush=True)


def write_results(folder, arguments, rows, columns, **more):
    """Write `results.json` and print the same as a table.

    Args:
        folder: of the results.
        arguments: of the command, for the file.
        rows: a dict each.
        columns: heading → function of a row that gives the text.
        **more: further entries of the file.
    """
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
    with whole(Path(folder) / "results.json") as temporary:
        temporary.write_text(json.dumps({"version": 1, "settings": settings, "rows": rows, **more}, indent=1) + "\n",
                             encoding="utf-8")
    print(table(rows, columns), flush=True)


def table(rows, columns):
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(text(row) for text in columns.values()) + " |" for row in rows])


def mean_and_spread(values, form="{:.2f}"):
    """ "83.10 ± 0.21 (3)": mean, standard deviation, how many; one value is given as it is."""
    values = list(values)
    mean = form.format(statistics.fmean(values))
    spread = form.replace("+", "")  # has no sign
    return mean if len(values) == 1 else f"{mean} ± {spread.format(statistics.stdev(values))} ({len(values)})"


def base_row(name, seed, base, data, history):
    """A base network as a row of the results."""
    import tfold
    from tfold.graph.capture import capture
    from tfold.passes.figures import figures
    from tfold.recipe.layer_folding import measure

    cost = figures(capture(base))
    validation, test = measure(base, data)
    return {"network": name, "seed": seed, "what": "base", "depth": tfold.nonlinear_depth(base), "layers": cost.depth,
            "macs": cost.macs, "validation": validation, "test": test, "history": history}


def folded_row(name, seed, post, outcome, base_right, data):
    """A folded network as a row of the results; `base_right` as `against` takes it."""
    alphas = list(outcome.alphas.values())
    return {"network": name, "seed": seed, "what": post, "depth": outcome.depth, "layers": outcome.layers,
            "macs": outcome.macs, "validation": outcome.accuracy["validation"], "test": outcome.accuracy["test"],
            "prefolded": outcome.accuracy["prefolded"], "fold": outcome.accuracy["fold"], "alphas": outcome.alphas,
            "bimodal": sum(min(a, 1 - a) <= 0.05 for a in alphas) / len(alphas), "history": outcome.history,
            "against": against(base_right, outcome.folded, data)}


def right_on_test(network, data):
    """Whether a network gets a test image right, for each of them."""
    from tfold.recipe.fitting import right

    return right(network, data.x_test, data.y_test, data)


def against(base_right, network, data):
    """How a network fares against its base on the same test images.

    Args:
        base_right: `right_on_test` of the base, with which several are compared.

    Returns:
        dict: points, its accuracy minus the base's in percent; error, the standard error of that, for the images that
        there happen to be; differing, the share of images that one of the two alone gets right.
    """
    right = right_on_test(network, data)
    change = 100.0 * right - 100.0 * base_right
    return {"points": float(change.mean()), "error": float(change.std() / len(change) ** 0.5),
            "differing": float((right != base_right).mean())}


def draw_alphas(outcome, path, name):
    """Each α over the epochs of pre-folding, as a PNG."""
    from tfold.report import alphas_picture

    history = [{"epoch": -1, "alphas": dict.fromkeys(outcome.alphas, 0.0)}]
    for epoch, logs in enumerate(outcome.history["alpha"]):
        history.append({"epoch": epoch, "alphas": {layer: logs[f"alpha/{layer}"] for layer in outcome.alphas}})
    title = f"{name}, λ_c {outcome.strength:g}: non-linear depth → {outcome.depth}"
    alphas_picture.draw(history, path, title)


def exported(model, path):
    """Export a model unless an earlier run has: a record goes on with the very files it was begun with."""
    import tfold

    if not path.exists():
        tfold.export(model, path)


def ratios(base, folded, runtime, threads, **options):
    """folded ÷ base of each runtime and number of threads, with its 95 % interval; `options` of `tfold.bench`."""
    import tfold

    found = tfold.bench([base, folded], runtime, threads, **options)
    return {f"{where}, {count} thread{'s' * (count > 1)}": [r.value, r.low, r.high]
            for (where, count), r in found.ratios.items()}


def ratios_text(found):
    """The same on one line."""
    return "; ".join(f"{place} {value:.2f} [{low:.2f}, {high:.2f}]" for place, (value, low, high) in found.items())


# heading → text of a row of `base_row` or `folded_row`
COLUMNS = {
    "network": lambda row: row["network"],
    "seed": lambda row: str(row["seed"]),
    "": lambda row: row["what"],
    "non-linear depth": lambda row: str(row["depth"]),
    "layers": lambda row: str(row["layers"]),
    "MACs": lambda row: f"{row['macs'] / 1e6:.1f} M",
    "test accuracy": lambda row: f"{row['test']:.2%}",
    "against the base, ± standard error": lambda row: "{points:+.2f} ± {error:.2f}".format(**row["against"])
                                                      if "against" in row else "",
    "validation": lambda row: f"{row['validation']:.2%}",
    "α within 0.05 of 0 or 1": lambda row: f"{row['bimodal']:.0%}" if "bimodal" in row else "",
}


def summary(rows):
    """What each way of post-folding costs in accuracy against the base of the same seed, in points."""
    base = {row["seed"]: row["test"] for row in rows if row["what"] == "base"}
    found = {}
    for row in rows:
        found.setdefault(row["what"], []).append(100 * (row["test"] - base[row["seed"]]))
    return {what: {"points": points, "mean": sum(points) / len(points)} for what, points in found.items()}


def summary_text(rows):
    """The same as lines."""
    lines = [f"  {what:<20} {mean_and_spread(found['points'], '{:+.2f}')} points"
             for what, found in summary(rows).items() if what != "base"]
    return "\n".join(["test accuracy against the base network of the same seed:", *lines])
