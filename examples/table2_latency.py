"""Layer Folding's table 2 without ImageNet: multiply-accumulates and latency of networks whose blocks are folded.

    python examples/table2_latency.py                       # the authors' blocks of MobileNetV2; sets found here of
                                                            # EfficientNet-lite0 and -lite1
    python examples/table2_latency.py --networks mobilenetv2-1.0 --blocks 1 3 6 13
    python examples/table2_latency.py --quick

Latency does not depend on the weights, so they are random, and nothing is trained: the activations of the named blocks
go, each block becomes one 3×3 convolution, exactly, and both networks are exported and measured in turns, on each
runtime with each number of threads. The authors measured on a desktop GPU.

The authors do not say which blocks of EfficientNet-lite they folded. Here each block whose merged layer takes fewer
multiply-accumulates than its three is folded alone and measured, on LiteRT with one thread; then the best two, the best
three, … together, since times do not add up. The fastest of these sets is taken, if it saves time for sure (95 %
interval below 1), and measured afresh: the fastest of many has been lucky, too.

A file's path says what it holds (network, image size, blocks), and the raw latencies lie beside it (.jsonl), so the
same command goes on where it was cut off:

    table2/mobilenetv2-0.75-224/base.tflite    folded-2-4.tflite    folded-2-4.jsonl    (folded-2-4.choice.jsonl)

(Layer Folding, arXiv 2106.09309, table 2.)
"""
import argparse
from pathlib import Path

import common
from common import at_least, check_bench, exported, prepare, ratios, ratios_text, run, say, write_results

# network → blocks (inverted residuals, from 0), the authors' change of latency (GPU) and of FLOPs
PAPER = {
    "mobilenetv2-0.75": ((2, 4), "−21 %", "−4 %"),
    "mobilenetv2-1.0": ((2, 4, 8, 9, 10), "−25 %", "−7 %"),
    "mobilenetv2-1.4": ((2, 4), "−19 %", "−3 %"),
    "efficientnet-lite0": (None, "−15 %", "−3 %"),
    "efficientnet-lite1": (None, "−13 %", "0 %"),
}
SEARCH = "litert", [1]  # runtime and numbers of threads that sets of blocks are tried with


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(PAPER), default=list(PAPER))
    parser.add_argument("--blocks", type=at_least(0), nargs="+",
                        help="inverted residuals, from 0, of all networks, in place of the table's")
    parser.add_argument("--size", type=at_least(1), help="of the images; each network's own by default")
    parser.add_argument("--runtime", default="all", help="litert, tflite-runtime or all that are installed")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20, help="blocks of inferences of each network")
    parser.add_argument("-o", "--output", type=Path, default=Path("table2"), help="folder of the files and results")
    arguments = common.parse(parser, networks=["mobilenetv2-0.75"], size=64, threads=[1], rounds=6, runtime="litert")
    check_bench(arguments.runtime, arguments.threads, arguments.rounds)
    if not arguments.blocks and any(PAPER[name][0] is None for name in arguments.networks):
        check_bench(*SEARCH, arguments.rounds)

    import tfold

    bases = {name: network(name, arguments.size) for name in dict.fromkeys(arguments.networks)}
    for name, base in bases.items():
        check_blocks(name, base, arguments.blocks or ())
    prepare(arguments.output, pictures=False)
    rows = []
    for name, base in bases.items():
        folder = arguments.output / f"{name}-{base.input_shape[1]}"
        folder.mkdir(exist_ok=True)
        plain = tfold.fold_batch_norm(base).model
        exported(plain, folder / "base.tflite")
        blocks, gpu, flops = PAPER[name]
        tried = {}
        if arguments.blocks:
            blocks = sorted(set(arguments.blocks))
        elif blocks is None:
            tried = try_sets(base, folder, arguments.rounds)
            blocks = fastest(tried)
            say(f"{name}: {named(blocks) if blocks else 'no blocks'}")
        folded = without(base, blocks) if blocks else plain
        rows.append({"network": name, "blocks": list(blocks),
                     "tried": {named(each): ratio for each, ratio in tried.items()}, "paper": [gpu, flops],
                     "macs": [macs(plain), macs(folded)], "depth": [tfold.effective_depth(plain),
                                                                    tfold.effective_depth(folded)],
                     "ratios": against_base(folded, folder, blocks, arguments.runtime, arguments.threads,
                                            arguments.rounds) if blocks else {}})
        say(f"{name}: {ratios_text(rows[-1]['ratios'])}")
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


def check_blocks(name, base, blocks):
    """Raise `BadInputError` unless the network has all these blocks."""
    from tfold.errors import BadInputError
    from tfold.zoo.blocks import inverted_residual_activations

    count = len(inverted_residual_activations(base))
    missing = [block for block in blocks if block >= count]
    if missing:
        raise BadInputError(f"{name} has {count} blocks, counted from 0. Received: --blocks "
                            f"{' '.join(map(str, missing))}. Give numbers up to {count - 1}.")


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


def try_sets(base, folder, rounds):
    """Tuple of blocks → [ratio, low, high] on LiteRT and one thread, of what is worth trying.

    Blocks alone that take fewer multiply-accumulates when merged; then the best of them together, one more each time.
    """
    import tfold
    from tfold.zoo.blocks import inverted_residual_activations

    tried, before = {}, macs(tfold.fold_batch_norm(base).model)

    def measure(blocks, folded):
        [ratio] = against_base(folded, folder, blocks, *SEARCH, rounds, "choice").values()
        say(f"    {named(blocks)}: {ratio[0]:.3f} [{ratio[1]:.3f}, {ratio[2]:.3f}]")
        tried[blocks] = ratio

    for block in range(1, len(inverted_residual_activations(base))):
        folded = without(base, [block])
        if macs(folded) < before:
            measure((block,), folded)
    for blocks in nested(tried):
        measure(blocks, without(base, blocks))
    return tried


def nested(alone):
    """The best two, the best three, … of blocks that were tried alone.

    Example:

    >>> nested({(1,): [0.98, 0.97, 0.99], (2,): [1.01, 1.0, 1.02], (7,): [0.99, 0.98, 1.0]})
    [(1, 7), (1, 2, 7)]
    """
    order = [block for (block,), _ in sorted(alone.items(), key=lambda item: item[1][0])]
    return [tuple(sorted(order[:count])) for count in range(2, len(order) + 1)]


def fastest(tried):
    """The set of blocks that takes least, if that is less than the base for sure; or else none."""
    best = min(tried, key=lambda blocks: tried[blocks][0], default=())
    return best if best and tried[best][2] < 1 else ()


def named(blocks):
    return f"block{'s' * (len(blocks) > 1)} {' '.join(map(str, blocks))}"


def against_base(folded, folder, blocks, runtime, threads, rounds, record="latency"):
    """The latency of a folded network over that of `base.tflite` in the folder, measured or, if it was, read again."""
    path = folder / f"folded-{'-'.join(map(str, blocks))}.tflite"
    exported(folded, path)
    return ratios(folder / "base.tflite", path, runtime, threads, blocks=rounds,
                  record=path.with_suffix(f".{record}-{rounds}.jsonl"))


def macs(model):
    from tfold.graph.capture import capture
    from tfold.passes.figures import figures

    return figures(capture(model)).macs


COLUMNS = {
    "network": lambda row: row["network"],
    "blocks": lambda row: " ".join(map(str, row["blocks"])),
    "depth": lambda row: f"{row['depth'][0]} → {row['depth'][1]}",
    "MACs": lambda row: "{:.0f} M → {:.0f} M".format(*(count / 1e6 for count in row["macs"])),
    "change": lambda row: f"{row['macs'][1] / row['macs'][0] - 1:+.1%}",
    "latency ÷ base": lambda row: ratios_text(row["ratios"]),
    "authors: latency (GPU), FLOPs": lambda row: ", ".join(row["paper"]),
}


if __name__ == "__main__":
    run(main)
