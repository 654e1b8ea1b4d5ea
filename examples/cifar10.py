"""Layer Folding's table 1: the residual networks and VGG on CIFAR-10, base and folded, trained alike.

    python examples/cifar10.py --network resnet20                     # CIFAR-10 by keras.datasets
    python examples/cifar10.py --network resnet20 --data cifar10.npz -o out --seeds 3
    python examples/cifar10.py --quick

For each seed: the base network from random weights; α trained with each λ_c (none on the first activation of a ResNet);
then, from the same α, post-folding in each way of `--post`:

    settled              the network without those activations, batch norms and all; folded exactly at the end
    settled+distill      the same, learning from the base network too
    merged               as the authors do: everything is merged first, across zero padding too, and trained then
    merged+distill

and, to compare with, `--post base`: the base network trained on for as many epochs as α- and post-training have
together, in one go, at the learning rate of post-folding.

(Layer Folding, arXiv 2106.09309, table 1.)
"""
from dataclasses import replace

import common
from common import (
    COLUMNS,
    against,
    base_row,
    data_of,
    draw_alphas,
    folded_row,
    prepare,
    right_on_test,
    run,
    say,
    summary,
    summary_text,
    write_results,
)

POST = ("settled", "settled+distill", "merged", "merged+distill", "base")
NETWORKS = ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56", "vgg16", "vgg19")


def main():
    parser = common.parser(__doc__.splitlines()[0], "cifar10", "cifar10-runs")
    parser.add_argument("--network", choices=NETWORKS, default="resnet20")
    parser.add_argument("--epochs", type=int, default=60, help="of the base network")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate of the base network")
    parser.add_argument("--alpha-epochs", type=int, default=20, help="of pre-folding")
    parser.add_argument("--alpha-rate", type=float, default=0.01)
    parser.add_argument("--post-epochs", type=int, default=30, help="of post-folding")
    parser.add_argument("--post-rate", type=float, default=0.02)
    parser.add_argument("--merged-rate", type=float, default=0.002, help="where no batch norm is left")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.25], help="λ_c")
    parser.add_argument("--post", nargs="*", choices=POST, default=list(POST[:4]))
    parser.add_argument("--distill", type=float, default=0.7, help="weight of the base network's outputs")
    parser.add_argument("--temperature", type=float, default=4.0)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    arguments = common.parse(parser, network="resnet8", limit=640, weight_decay=0.0, epochs=1, alpha_epochs=1,
                             post_epochs=1)
    plans = [plan(arguments, seed) for seed in range(arguments.seeds)]
    prepare(arguments.output)

    from tfold.recipe.base import train_base

    data, rows = data_of(arguments, (32, 32, 3), least=32), []
    for seed, (training, longer, recipes) in enumerate(plans):
        folder = arguments.output / f"{arguments.network}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        base, history = train_base(lambda: network(arguments.network, data), data, training, folder, say)
        rows.append(base_row(arguments.network, seed, base, data, history))
        base_right = right_on_test(base, data)
        say(f"base: {rows[-1]['test']:.2%} on the test images")
        for strength, ways in recipes.items():
            rows += folded(base, base_right, data, ways, folder / f"strength{strength:g}", arguments)
        if longer is not None:
            rows.append(trained_on(base, base_right, data, longer, folder, arguments.network))
    write_results(arguments.output, arguments, rows, COLUMNS, summary=summary(rows))
    print(summary_text(rows))


def plan(arguments, seed):
    """All trainings of a seed, made before the first begins: a setting that cannot be shows now, not after hours.

    Returns:
        (`Training` of the base; that of the base trained on, or None; λ_c → way of post-folding → `Recipe`)
    """
    from tfold.recipe.settings import Recipe, Training

    alike = {"augment": "shift+flip", "precision": arguments.precision, "weight_decay": arguments.weight_decay}
    training = Training(arguments.epochs, arguments.rate, warmup=0.05, nesterov=True, seed=seed, **alike)
    recipe = Recipe(
        seed=seed, alpha_epochs=arguments.alpha_epochs, alpha_rate=arguments.alpha_rate,
        post_epochs=arguments.post_epochs, post_rate=arguments.post_rate, temperature=arguments.temperature, **alike,
        skip=("relu_0",) if arguments.network.startswith("resnet") else ())
    merged = {"post": "folded", "policy": "always", "border": "approximate", "post_rate": arguments.merged_rate,
              "post_clip": 1.0}
    recipes = {
        strength: {
            post: replace(recipe, strength=strength, distill=arguments.distill if "distill" in post else 0.0,
                          **(merged if post.startswith("merged") else {}))
            for post in arguments.post if post != "base"}
        for strength in arguments.strengths}
    longer = replace(recipe.alpha_training(), epochs=recipe.alpha_epochs + recipe.post_epochs, rate=recipe.post_rate)
    return training, longer if "base" in arguments.post else None, recipes


def folded(base, base_right, data, recipes, folder, arguments):
    """Pre-folding with one λ_c, and each way of post-folding behind it, as rows of the results."""
    from tfold.recipe.layer_folding import layer_folding

    rows = []
    for post, recipe in recipes.items():
        outcome = layer_folding(base, data, recipe, folder / post, say, prefolded_in=folder)
        what = f"λ_c {recipe.strength:g}, {post}"
        rows.append(folded_row(arguments.network, recipe.seed, what, outcome, base_right, data))
        name = f"{arguments.network}-{recipe.seed}-{recipe.strength:g}-alphas.png"
        draw_alphas(outcome, arguments.output / name, arguments.network)
    return rows


def network(name, data):
    """An untrained network."""
    from tfold.zoo import CifarResNet

    if name.startswith("resnet"):
        return CifarResNet(int(name.removeprefix("resnet")), data.classes, data.x_train.shape[1:])
    from tfold.zoo import CifarVGG

    return CifarVGG(int(name.removeprefix("vgg")), data.classes, data.x_train.shape[1:])


def trained_on(base, base_right, data, training, folder, name):
    """The base network with as many epochs more as the folded one had: what training longer alone brings."""
    from tfold.recipe.fitting import fit
    from tfold.recipe.identity import digest
    from tfold.recipe.precision import in_precision
    from tfold.training.restructure import in_fewer_sweeps

    model = in_fewer_sweeps(in_precision(base, training.precision))
    history = fit(model, data, training, folder, "trained_on", {"base": digest(base)}, say, f"{name}, trained on")
    model = in_precision(model, "float32")
    return {**base_row(name, training.seed, model, data, history), "what": "base, trained on",
            "against": against(base_right, model, data)}


if __name__ == "__main__":
    run(main)
