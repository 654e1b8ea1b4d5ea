"""What each merge policy makes of a ResNet-20 with given α: depth, multiply-accumulates, latency and border error.

    python benchmarks/merge_policies.py [--pattern "10 01 11 | 11 01 01 | 01 00 01"] [--bench] [--json]

Each pair is (α1, α2) of a block, stages separated by "|": 1 removes the activation. Weights and batch norm statistics
are random (seed 0): what merges, and what it costs, does not depend on them. `forward` is
`prefold(padding="forward")`, whose function differs from the original's at the border from the start.
"""
import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

PATTERN = "10 01 11 | 11 01 01 | 01 00 01"


def network(pattern, padding):
    """A pre-folded ResNet-20 with its α set by the pattern."""
    import keras

    import tfold
    from tfold.zoo import CifarResNet

    keras.utils.set_random_seed(0)
    base = CifarResNet(20)
    rng = np.random.default_rng(0)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights([
                rng.uniform(0.5, 1.5, n), rng.normal(scale=0.1, size=n), rng.normal(scale=0.1, size=n),
                rng.uniform(0.5, 2, n)])
    f_alpha = tfold.prefold(base, skip="relu_0", padding=padding)
    for name, alpha in alphas(pattern).items():
        f_alpha.get_layer(name).alpha.assign(alpha)
    return f_alpha


def alphas(pattern):
    """Layer name → α."""
    stages = [stage.split() for stage in pattern.split("|")]
    return {
        f"stage{i}_block{j}_relu{k}": float(block[k - 1])
        for i, stage in enumerate(stages, 1) for j, block in enumerate(stage, 1) for k in (1, 2)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pattern", default=PATTERN)
    parser.add_argument("--bench", action="store_true", help="also measure the .tflite files in turns")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    import tfold

    rows = []
    for padding, border in (("keep", "exact"), ("keep", "approximate"), ("forward", "exact")):
        model = network(args.pattern, padding)
        for policy in ("latency", "macs", "always"):
            result = tfold.fold(model, policy=policy, border=border)
            report, checked = result.report, result.report.verification
            rows.append({
                "padding": padding, "border": border, "policy": policy, "depth": report.after.depth,
                "macs": report.after.macs, "worst": checked.worst.relative,
                "approximate": [[each.node, each.border, each.interior] for each in checked.approximate],
                "depth_before": report.before.depth, "macs_before": report.before.macs,
            })
            if args.bench:
                rows[-1]["latency"] = latency(tfold, model, result.model)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'padding':<8} {'border':<12} {'policy':<8} {'depth':>8} {'MACs':>22}  worst relative error; border errors")
    for row in rows:
        borders = ", ".join(f"{name} {border:.2f}" for name, border, _ in row["approximate"]) or "none"
        macs = f"{row['macs_before']:,} → {row['macs']:,}"
        print(f"{row['padding']:<8} {row['border']:<12} {row['policy']:<8} {row['depth_before']:>3} → {row['depth']:<3}"
              f"{macs:>24}  {row['worst']:.1e}; {borders}" + (f"; {row['latency']}" if "latency" in row else ""))


def latency(tfold, model, folded):
    """The ratio of the folded network's latency to that of the network with batch norms folded alone."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("norms.tflite", "folded.tflite")]
        tfold.export(tfold.fold_batch_norm(model).model, paths[0])
        tfold.export(folded, paths[1])
        return str(tfold.bench(paths).ratio)


if __name__ == "__main__":
    main()
