"""How often does the 95 % interval hold the truth? Blocks in turns beside A-then-B, on simulated machines.

    python benchmarks/interval_coverage.py [--runs 4000] [--blocks 20]

A machine is a time series of disturbances, in which every block of inferences takes one step. Both designs see the same
machine: in turns (A B, B A, A B, …; the interval of `tfold.measure.bootstrap_ratio`), and first all blocks of A and then
all of B (a bootstrap of the ratio of the two medians, blocks resampled in each). Printed are the share of runs whose
interval holds the true ratio, and the median width of the intervals.
"""

import argparse
import sys

import numpy as np

from tfold.measure import bootstrap_ratio

SAMPLES = 10  # inferences in a block
TRUE = 0.9
MACHINES = ("steady", "drift", "random walk", "bursts", "long bursts", "throttling", "all of them")


def disturbance(rng, machine, steps):
    """What each block's latency is multiplied with, as logarithms."""
    time = np.arange(steps)
    noise = rng.normal(0, 0.01, steps)  # of processes: where memory lies
    everything = machine == "all of them"
    if machine == "drift" or everything:
        noise += 0.1 * time / steps
    if machine == "random walk" or everything:
        noise += np.cumsum(rng.normal(0, 0.01, steps))
    if machine == "bursts" or everything:
        noise += np.where(rng.random(steps) < 0.15, rng.uniform(0.1, 0.7, steps), 0)
    if machine == "long bursts" or everything:
        begins = np.flatnonzero(rng.random(steps) < 0.05)
        for begin in begins:
            noise[begin : begin + rng.integers(2, 6)] += rng.uniform(0.1, 0.7)
    if machine == "throttling" or everything:
        noise += 0.26 * (time > rng.integers(steps))
    return noise


def blocks(rng, machine, count):
    """Latencies in the order they are measured: (blocks, inferences)."""
    within = 0.02 * rng.standard_t(3, (2 * count, SAMPLES))  # single inferences have long tails
    return np.exp(disturbance(rng, machine, 2 * count)[:, None] + within)


def in_turns(latencies):
    """A's blocks and B's, in ABBA order."""
    pairs = latencies.reshape(len(latencies) // 2, 2, -1)
    pairs[1::2] = pairs[1::2, ::-1]
    return pairs[:, 0], pairs[:, 1]


def a_then_b(a, b, rng, resamples=1000):
    """The interval of the plain design."""
    a, b = (np.log(np.median(each, axis=1)) for each in (a, b))
    count = len(a)
    picks = rng.integers(0, count, (2, resamples, count))
    return np.quantile(np.median(b[picks[0]], axis=1) - np.median(a[picks[1]], axis=1), [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--blocks", type=int, default=20)
    chosen = parser.parse_args()
    print(f"true ratio {TRUE}, {chosen.blocks} blocks of each model, {chosen.runs} runs a row")
    print(f"{'machine':<14} {'in turns: covers':>17} {'width':>7} {'A, then B: covers':>19} {'width':>7}")
    for machine in MACHINES:
        rng = np.random.default_rng(0)
        turns, plain = [], []
        for run in range(chosen.runs):
            latencies = blocks(rng, machine, chosen.blocks)
            a, b = in_turns(latencies.copy())
            ratio = bootstrap_ratio(a, TRUE * b, resamples=1000, seed=run)
            turns.append((ratio.low <= TRUE <= ratio.high, ratio.high - ratio.low))
            low, high = np.exp(a_then_b(latencies[: chosen.blocks], TRUE * latencies[chosen.blocks :], rng))
            plain.append((low <= TRUE <= high, high - low))
        row = [np.mean([covers for covers, _ in turns]), np.median([width for _, width in turns]),
               np.mean([covers for covers, _ in plain]), np.median([width for _, width in plain])]
        print(f"{machine:<14} {row[0]:>17.1%} {row[1]:>7.3f} {row[2]:>19.1%} {row[3]:>7.3f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
