"""MobileNetV2 on 32×32 images: blocks folded by α, and what that is worth in a .tflite file.

    python examples/mobilenetv2_cifar10.py                            # CIFAR-10 by keras.datasets
    python examples/mobilenetv2_cifar10.py --data cifar10.npz --width 1.0 --strengths 0.1 0.3 1 -o out
    python examples/mobilenetv2_cifar10.py --quick

One activation of an inverted residual alone saves nothing, so those of a block share one α. For each λ_c: α is trained,
the blocks whose α goes to 1 become one 3×3 convolution each where that is cheaper, the network is trained further with
the base network as its teacher, folded, exported, and measured beside the base in turns.
"""
from dataclasses import replace

import common
from common import (
    COLUMNS,
    base_row,
    check_bench,
    data_of,
    draw_alphas,
    exported,
    folded_row,
    prepare,
    ratios,
    ratios_text,
    right_on_test,
    run,
    say,
    summary,
    summary_text,
    write_results,
)


def main():
    parser = common.parser(__doc__.splitlines()[0], "cifar10", "mobilenetv2-runs")
    parser.add_argument("--width", type=float, default=0.5, help="of the network")
    parser.add_argument("--epochs", type=int, default=40, help="of the base network")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--alpha-epochs", type=int, default=12)
    parser.add_argument("--alpha-rate", type=float, default=0.01)
    parser.add_argument("--post-epochs", type=int, default=20)
    parser.add_argument("--post-rate", type=float, default=0.02)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.25], help="λ_c, one folded network each")
    parser.add_argument("--distill", type=float, default=0.7, help="weight of the base network's outputs")
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the latency measurement")
    parser.add_argument("--runtime", default="all", help="litert, tflite-runtime or all that are installed")
    parser.add_argument("--rounds", type=int, default=20, help="blocks of inferences of each network")
    arguments = common.parse(  # a penalty so steep that blocks go within the few steps of --quick
        parser, width=0.1, limit=256, weight_decay=0.0, epochs=1, alpha_epochs=1, alpha_rate=0.1, post_epochs=0,
        threads=[1], strengths=[1e5], rounds=6)
    plans = [plan(arguments, seed) for seed in range(arguments.seeds)]
    check_bench(arguments.runtime, arguments.threads, arguments.rounds)
    prepare(arguments.output)

    from tfold.recipe.base import train_base
    from tfold.recipe.layer_folding import layer_folding
    from tfold.zoo import MobileNetV2
    from tfold.zoo.blocks import inverted_residual_activations

    data = data_of(arguments, (32, 32, 3), least=32)
    rows, name = [], f"mobilenetv2-{arguments.width:g}"
    for seed, (training, recipes) in enumerate(plans):
        folder = arguments.output / f"{name}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        base, history = train_base(
            lambda: MobileNetV2(arguments.width, data.x_train.shape[1:], data.classes, small_images=True,
                                classifier_activation=None), data, training, folder, say)
        rows.append(base_row(name, seed, base, data, history))
        base_right = right_on_test(base, data)
        say(f"base: {rows[-1]['test']:.2%} on the test images")
        exported(base, folder / "base.tflite")
        blocks = inverted_residual_activations(base)
        chosen = {"only": tuple(sum(blocks, [])), "tie": tuple(tuple(block) for block in blocks if len(block) > 1)}
        for recipe in (replace(recipe, **chosen) for recipe in recipes):
            strength = recipe.strength
            part = folder / f"strength{strength:g}"
            outcome = layer_folding(base, data, recipe, part, say)
            draw_alphas(outcome, arguments.output / f"{name}-{seed}-{strength:g}-alphas.png", name)
            exported(outcome.folded, part / "folded.tflite")
            gone = [i for i, block in enumerate(blocks) if outcome.alphas[block[0]] > recipe.threshold]
            rows.append({**folded_row(name, seed, f"λ_c {strength:g}", outcome, base_right, data), "blocks": gone,
                         "ratios": ratios(folder / "base.tflite", part / "folded.tflite", arguments.runtime,
                                          arguments.threads, blocks=arguments.rounds,
                                          record=part / f"latency-{arguments.rounds}.jsonl")})
            say(f"blocks {gone} folded")
    write_results(arguments.output, arguments, rows, {**COLUMNS, **LATENCY}, summary=summary(rows))
    print(summary_text(rows))


def plan(arguments, seed):
    """The `Training` of the base and a `Recipe` for each λ_c, made before the first training begins."""
    from tfold.recipe.settings import Recipe, Training

    alike = {"augment": "shift+flip", "precision": arguments.precision, "weight_decay": arguments.weight_decay}
    training = Training(arguments.epochs, arguments.rate, warmup=0.05, nesterov=True, seed=seed, **alike)
    recipe = Recipe(seed=seed, alpha_epochs=arguments.alpha_epochs, alpha_rate=arguments.alpha_rate,
                    post_epochs=arguments.post_epochs, post_rate=arguments.post_rate, distill=arguments.distill,
                    **alike)
    return training, [replace(recipe, strength=strength) for strength in arguments.strengths]


LATENCY = {
    "blocks": lambda row: " ".join(str(block) for block in row.get("blocks", ())),
    "latency ÷ base": lambda row: ratios_text(row.get("ratios", {})),
}


if __name__ == "__main__":
    run(main)
