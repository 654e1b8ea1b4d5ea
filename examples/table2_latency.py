"""Layer Folding's table 2 without ImageNet: multiply-accumulates and latency of networks whose blocks are folded.

    python examples/table2_latency.py                       # the authors' blocks of MobileNetV2; sets found here of
                                                            # EfficientNet-lite0 and -lite1
    python examples/table2_latency.py --networks mobilenetv2-1.0 --blocks 1 3 6 13
    python examples/table2_latency.py --quick

Latency does not depend on the weights, so they are random, and nothing is trained: the activations of the named blocks
go, each block becomes one 3×3 convolution, exactly, and both networks are exported and measured in turns, on each
runtime with each number of threads. The authors measured on a desktop GPU.

The authors do not say which blocks of EfficientNet-lite they folded. Here each block whose merged layer takes fewer
multiply-accumulates than its three is folded alone and measured; the set is those that save time for sure (95 %
interval below 1).

(Layer Folding, arXiv 2106.09309, table 2.)
"""
import argparse
from pathlib import Path

from common import run, say, write_results

# network → blocks (inverted residuals, from 0), the authors' change of latency (GPU) and of FLOPs
PAPER = {
    "mobilenetv2-0.75": ((2, 4), "−21 %", "−4 %"),
    "mobilenetv2-1.0": ((2, 4, 8, 9, 10), "−25 %", "−7 %"),
    "mobilenetv2-1.4": ((2, 4), "−19 %", "−3 %"),
    "efficientnet-lite0": (None, "−15 %", "−3 %"),
    "efficientnet-lite1": (None, "−13 %", "0 %"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(PAPER), default=list(PAPER))
    parser.add_argument("--blocks", type=int, nargs="+", help="of all networks, in place of the table's")
    parser.add_argument("--size", type=int, help="of the images; each network's own by default")
    parser.add_argument("--runtime", default="all", help="litert, tflite-runtime or all that are installed")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20, help="blocks of inferences of each network")
    parser.add_argument("-o", "--output", type=Path, default=Path("table2"))
    parser.add_argument("--quick", action="store_true", help="one network, small, one thread")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.networks, arguments.size, arguments.threads = ["mobilenetv2-0.75"], 64, [1]
        arguments.rounds, arguments.runtime = 6, "litert"

    import tfold

    rows = []
    for name in arguments.networks:
        folder = arguments.output / name
        folder.mkdir(parents=True, exist_ok=True)
        base = network(name, arguments.size)
        plain = tfold.fold_batch_norm(base).model
        tfold.export(plain, folder / "base.tflite", force=True)
        blocks, gpu, flops = PAPER[name]
        alone = {}
        if arguments.blocks:
            blocks = arguments.blocks
        elif blocks is None:
            alone = measure_alone(base, folder, arguments)
            blocks = [block for block, ratio in alone.items() if ratio[2] < 1]
            say(f"{name}: blocks {' '.join(map(str, blocks))} save time, each by itself")
        folded = without(base, blocks)
        tfold.export(folded, folder / "folded.tflite", force=True)
        rows.append({"network": name, "blocks": list(blocks), "alone": alone, "paper": [gpu, flops],
                     "macs": [macs(plain), macs(folded)], "depth": [tfold.effective_depth(plain),
                                                                    tfold.effective_depth(folded)],
                     "ratios": ratios(folder, "folded.tflite", arguments.runtime, arguments.threads, arguments.rounds)})
        say(f"{name}: {'; '.join(latency(row) for row in rows[-1:])}")
    write_results(arguments.output, arguments, rows, COLUMNS)


def network(name, size):
    """A network with random weights, at its own image size or at `size`."""
    import keras

    from tfold import zoo

    keras.utils.set_random_seed(0)
    if name.startswith("mobilenetv2"):
        return zoo.MobileNetV2(float(name.split("-")[1]), (size or 224, size or 224, 3))
    number = name[-1]
    shape = None if size is None else (size, size, 3)
    return getattr(zoo, f"EfficientNetLite{number}")(input_shape=shape)


def without(base, blocks):
    """The network with the activations of these blocks gone, folded."""
    import keras

    import tfold
    from tfold.alpha.reading import alpha_layers
    from tfold.zoo.blocks import inverted_residual_activations

    names = inverted_residual_activations(base)
    chosen = sum((names[block] for block in blocks), [])
    f_alpha = tfold.prefold(base, only=chosen)
    for layer in alpha_layers(f_alpha).values():
        layer.alpha.assign(keras.ops.ones(()))
    return tfold.fold(f_alpha, policy="macs").model


def measure_alone(base, folder, arguments):
    """block → [ratio, low, high] on one thread, for each block that takes fewer multiply-accumulates when merged."""
    import tfold
    from tfold.zoo.blocks import inverted_residual_activations

    found, before = {}, macs(tfold.fold_batch_norm(base).model)
    for block in range(1, len(inverted_residual_activations(base))):
        folded = without(base, [block])
        if macs(folded) >= before:
            continue
        tfold.export(folded, folder / f"block{block}.tflite", force=True)
        measured = ratios(folder, f"block{block}.tflite", "litert", [1], arguments.rounds)
        found[block] = next(iter(measured.values()))
        say(f"    block {block} alone: {found[block][0]:.3f} [{found[block][1]:.3f}, {found[block][2]:.3f}]")
    return found


def ratios(folder, name, runtime, threads, rounds):
    """folded ÷ base of each runtime and number of threads, with its 95 % interval."""
    import tfold

    found = tfold.bench([folder / "base.tflite", folder / name], runtime, threads, blocks=rounds)
    return {f"{where}, {count} thread{'s' * (count > 1)}": [r.value, r.low, r.high]
            for (where, count), r in found.ratios.items()}


def macs(model):
    from tfold.graph.capture import capture
    from tfold.passes.figures import figures

    return figures(capture(model)).macs


def latency(row):
    return "; ".join(f"{place} {value:.2f} [{low:.2f}, {high:.2f}]"
                     for place, (value, low, high) in row["ratios"].items())


COLUMNS = {
    "network": lambda row: row["network"],
    "blocks": lambda row: " ".join(map(str, row["blocks"])),
    "depth": lambda row: f"{row['depth'][0]} → {row['depth'][1]}",
    "MACs": lambda row: "{:.0f} M → {:.0f} M".format(*(count / 1e6 for count in row["macs"])),
    "change": lambda row: f"{row['macs'][1] / row['macs'][0] - 1:+.1%}",
    "latency ÷ base": latency,
    "authors: latency (GPU), FLOPs": lambda row: ", ".join(row["paper"]),
}


if __name__ == "__main__":
    run(main)
