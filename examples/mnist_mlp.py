"""EDNL, the effective degree of non-linearity, of MNIST: MLPs of depth 2 to 10, folded with many λ_c.

    python examples/mnist_mlp.py                                      # MNIST by keras.datasets
    python examples/mnist_mlp.py --data mnist.npz -o out --depths 2 4 6 --seeds 3 --strengths 0.01 0.1 1
    python examples/mnist_mlp.py --quick

Each network (256 channels, ReLU) is trained, then folded with each λ_c and seed: α is trained, the activations with
α > 0.9 go, what is left is trained further, and linear layers in a row become one: for fully connected layers exactly,
so accuracy before and after the merge is the same, and the results say by how much it differs at most.

The knee of accuracy over the depth that is left, for each starting depth by itself, is the claim that is tested:
networks of any depth share it. Knees go by the validation images; the test images, in the table and the picture, only
judge. (Layer Folding, arXiv 2106.09309, sec. 4.)
"""
import common
from common import at_least, data_of, mean_and_spread, prepare, run, say, write_results

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def main():
    parser = common.parser(__doc__.splitlines()[0], "mnist", "mnist-runs", scale="0,1")
    parser.add_argument("--depths", type=at_least(2), nargs="+", default=list(range(2, 11)),
                        help="of the base networks")
    parser.add_argument("--width", type=at_least(1), default=256, help="channels of their hidden layers")
    parser.add_argument("--strengths", type=float, nargs="+", default=list(STRENGTHS), help="λ_c")
    parser.add_argument("--epochs", type=int, default=8, help="of each base network")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--alpha-epochs", type=int, default=4)
    parser.add_argument("--alpha-rate", type=float, default=0.02)
    parser.add_argument("--post-epochs", type=int, default=4)
    parser.add_argument("--post-rate", type=float, default=0.02)
    parser.add_argument("--tolerance", type=at_least(0, float), default=0.005,
                        help="of the knee: what counts as no loss")
    arguments = common.parse(parser, limit=1000, depths=[2, 4], strengths=[3.0], epochs=1, alpha_epochs=1,
                             post_epochs=1)
    plans = [plan(arguments, seed) for seed in range(arguments.seeds)]
    prepare(arguments.output)

    from tfold.recipe.base import train_base
    from tfold.recipe.layer_folding import layer_folding, measure
    from tfold.zoo import MnistMLP

    data = data_of(arguments, (28, 28, 1))
    shape, rows = data.x_train.shape[1:], []
    for seed, (training, recipes) in enumerate(plans):
        for depth in arguments.depths:
            folder = arguments.output / f"depth{depth}-seed{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            base, _ = train_base(
                lambda depth=depth: MnistMLP(depth, arguments.width, data.classes, shape), data, training,
                folder, quiet)
            validation, test = measure(base, data)
            say(f"depth {depth}, seed {seed}: base {test:.2%}")
            rows.append({"start": depth, "seed": seed, "strength": None, "depth": depth, "validation": validation,
                         "test": test})
            for recipe in recipes:
                outcome = layer_folding(base, data, recipe, folder / f"strength{recipe.strength:g}", quiet)
                rows.append(folded_row(depth, outcome))
                say(f"depth {depth}, seed {seed}, λ_c {recipe.strength:g}: depth {outcome.depth}, "
                    f"{rows[-1]['test']:.2%}")
    knees = {start: knee(rows, arguments.tolerance, start) for start in arguments.depths}
    knees["all"] = knee(rows, arguments.tolerance)
    shallowest = {start: shallowest_within(rows, arguments.tolerance, start) for start in arguments.depths}
    left = by_depth(rows)
    write_results(arguments.output, arguments, left, table_columns(left), trials=rows, knees=knees,
                  shallowest=shallowest)
    print("least depth whose mean validation accuracy is within "
          f"{100 * arguments.tolerance:g} points of the base networks': "
          + ", ".join(f"{'none' if depth is None else depth} from {start}" for start, depth in shallowest.items()))
    for start, found in knees.items():
        what = "all networks together" if start == "all" else f"from depth {start}"
        print(f"EDNL {what}: {found['depth'] if found['depth'] else 'none. ' + found['why_not']}  {found['how']}")
    folds = [row for row in rows if row["strength"] is not None]
    changed = max(abs(a - b) for row in folds for a, b in zip(row["before"], row["after"], strict=True))
    print(f"largest change of accuracy by the merge: {100 * changed:.3f} points over {len(folds)} networks")
    picture(rows, knees["all"], arguments.output / "accuracy-depth.png")


def plan(arguments, seed):
    """The `Training` of the bases and a `Recipe` for each λ_c, made before the first training begins."""
    from tfold.recipe.settings import Recipe, Training

    return (Training(arguments.epochs, arguments.rate, precision=arguments.precision, seed=seed),
            [Recipe(strength=strength, seed=seed, alpha_epochs=arguments.alpha_epochs, alpha_rate=arguments.alpha_rate,
                    post_epochs=arguments.post_epochs, post_rate=arguments.post_rate, precision=arguments.precision,
                    clip=1.0) for strength in arguments.strengths])


def quiet(text):
    """No line an epoch: there are hundreds of short trainings."""


def folded_row(start, outcome):
    fold = outcome.accuracy["fold"]
    return {"start": start, "seed": outcome.seed, "strength": outcome.strength, "depth": outcome.depth,
            "layers": outcome.layers, "validation": outcome.accuracy["validation"], "test": outcome.accuracy["test"],
            "before": fold["before"], "after": fold["after"], "alphas": outcome.alphas}


def knee(rows, tolerance, start=None):
    """EDNL, by validation accuracy, of the networks that began with depth `start`; of all if None."""
    from tfold.sweeps.knee import find_knee

    chosen = [row for row in rows if start in (None, row["start"])]
    return find_knee([row["depth"] for row in chosen], [row["validation"] for row in chosen], tolerance).to_json()


def shallowest_within(rows, tolerance, start):
    """The least depth whose mean validation accuracy is at most `tolerance` below that of the base networks, or None.

    None: networks that kept their depth but lost accuracy can draw even that depth's mean down.
    """
    def mean(chosen):
        return sum(row["validation"] for row in chosen) / len(chosen)

    mine = [row for row in rows if row["start"] == start]
    base = mean([row for row in mine if row["strength"] is None])
    depths = sorted({row["depth"] for row in mine})
    within = (d for d in depths if mean([row for row in mine if row["depth"] == d]) >= base - tolerance)
    return next(within, None)


def by_depth(rows):
    """For each starting depth, the test accuracies at each depth that is left."""
    starts = sorted({row["start"] for row in rows})
    depths = sorted({row["depth"] for row in rows})

    def at(start, depth):
        return [row["test"] for row in rows if (row["start"], row["depth"]) == (start, depth)]

    return [{"depth": depth, **{str(start): at(start, depth) for start in starts}} for depth in depths]


def table_columns(rows):
    starts = [key for key in rows[0] if key != "depth"]

    def cell(start):
        return lambda row: mean_and_spread([100 * accuracy for accuracy in row[start]]) if row[start] else ""

    return {"depth left": lambda row: str(row["depth"]), **{f"from {start}": cell(start) for start in starts}}


def picture(rows, found, path):
    """Test accuracy over the depth that is left, a colour for each starting depth."""
    import matplotlib
    from matplotlib.figure import Figure

    from tfold.files import whole

    starts = sorted({row["start"] for row in rows})
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"].resampled(len(starts)).colors
    for offset, (start, colour) in enumerate(zip(starts, colours, strict=True)):
        mine = [row for row in rows if row["start"] == start]
        shift = 0.5 * (offset / max(1, len(starts) - 1) - 0.5)  # side by side, for they lie on whole numbers

        def plot(chosen, shift=shift, colour=colour, **style):
            axes.plot([row["depth"] + shift for row in chosen], [100 * row["test"] for row in chosen], "o",
                      color=colour, **style)

        plot([row for row in mine if row["strength"] is not None], markersize=4, alpha=0.8,
             label=f"from depth {start}")
        plot([row for row in mine if row["strength"] is None], markersize=7, fillstyle="none")
    if found["depth"]:
        axes.axvline(found["depth"], color="grey", linestyle="--", linewidth=1)
        axes.annotate(f"EDNL {found['depth']}", (found["depth"], axes.get_ylim()[0]), (5, 5),
                      textcoords="offset points", color="grey")
    axes.set(xlabel="depth that is left (linear layers); networks of one depth stand side by side",
             ylabel="test accuracy, %", title="MLPs folded with many λ_c (○: the base networks)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8)
    with whole(path) as temporary:
        figure.savefig(temporary, dpi=120)


if __name__ == "__main__":
    run(main)
